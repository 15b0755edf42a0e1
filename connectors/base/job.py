"""One run of an agent's command: started in its own process group, listened to, and ended in time."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, cast

#: More output than this is no answer.
MAX_OUTPUT_BYTES = 10_000_000
_MAX_LINE_BYTES = 8_000
_TAIL_LINES = 20
#: How often a command that keeps its output open is asked whether it has ended; costs nothing while it does not.
_ASK_EVERY_S = 0.5
#: What it started in the background may hold its output open: it is heard for so long after its end.
_AFTER_END_S = 1.0
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Outcome:
    """`problem` is empty when the command did its work; `tail` are the last lines that it wrote to stderr."""

    output: bytes
    problem: str = ""
    tail: str = ""
    killed: bool = False


class Job:
    """Run once with `run()`; `kill()` from another thread ends it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[bytes, bytes],
        stdin: int,
        *,
        timeout_s: float,
        on_line: Callable[[str], None],
    ) -> None:
        self._timeout_s = timeout_s
        self._on_line = on_line
        self._output: list[bytes] = []
        self._size = 0
        self._line = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._killed = False
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def run(self) -> Outcome:
        """Wait for the end: the command's own, or that of its time."""
        process = self._process
        pipes = cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr)
        with pipes[0] as stdout, pipes[1] as stderr, selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ, self._take_output)
            selector.register(stderr, selectors.EVENT_READ, self._take_stderr)
            problem = self._listen(selector)
            if problem:
                self._kill_group()
        try:
            code = process.wait(timeout=_AFTER_END_S if problem else max(_AFTER_END_S, self._timeout_s))
        except subprocess.TimeoutExpired:
            problem = problem or self._too_slow()
            self._kill_group()
            code = process.wait()
        if self._line:
            self._say(self._line)
        return Outcome(b"".join(self._output), problem or _meaning(code), "\n".join(self._tail), self._killed)

    def kill(self) -> None:
        """End it and all that it started in its process group."""
        self._killed = True
        self._kill_group()

    def _listen(self, selector: selectors.BaseSelector) -> str:
        """Take what comes until both outputs are closed, or the command has ended. Returns the problem, if any."""
        deadline = time.monotonic() + self._timeout_s
        ended_at: float | None = None
        while selector.get_map():
            now = time.monotonic()
            if now >= deadline:
                return self._too_slow()
            if ended_at is not None and now >= ended_at + _AFTER_END_S:
                return ""
            for key, _ in selector.select(min(_ASK_EVERY_S, deadline - now)):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data(chunk)
            if self._size > MAX_OUTPUT_BYTES:
                return f"it printed more than {MAX_OUTPUT_BYTES} bytes"
            if ended_at is None and self._process.poll() is not None:
                ended_at = time.monotonic()
        return ""

    def _take_output(self, chunk: bytes) -> None:
        self._output.append(chunk)
        self._size += len(chunk)

    def _take_stderr(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._line) > _MAX_LINE_BYTES:
            self._say(self._line)
            self._line = b""

    def _say(self, line: bytes) -> None:
        # The command may repeat what a stranger wrote; control characters must not reach the operator's terminal.
        text = line[:_MAX_LINE_BYTES].decode("utf-8", "replace")
        text = "".join(c if c == "\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        self._tail.append(text)
        self._on_line(text)

    def _too_slow(self) -> str:
        return f"it did not end within {self._timeout_s:g} s"

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _meaning(code: int) -> str:
    if code == 0:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it was ended by signal {-code}"
    return f"it ended with exit status {code}"
