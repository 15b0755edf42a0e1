"""One program that runs: started in its own process group, listened to line by line, and ended with all that it began.

    with Program(["./watch.sh"], cwd=home, environment=variables, on_error=log) as program:
        while not program.over:
            for line in program.turn(1.0): …

A guard in the program's process group waits for the end of a pipe whose other end only this process has. When this
process dies, by whatever death, the guard kills the group: no program outlives its connector. What leaves the group on
purpose (setsid) is not reached.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Self

from connectors.base.child import Child
from connectors.command.lines import Lines, TooLong

#: The guard's parent ends at once: the program could otherwise wait for a child that it never started.
_SCRIPT = """\
( ( trap '' HUP INT TERM; read -r line <&3; kill -KILL 0 ) </dev/null >/dev/null 2>&1 & )
cd -- "$1" || exit 126
shift
exec "$@" 3<&-
"""
_CHUNK = 1 << 16
#: Where nothing tells of the program's end, it is asked for so often.
_ASK_EVERY_S = 0.2
#: What has left its process group may keep its output open: it is heard for so long after the end.
_AFTER_END_S = 1.0
#: Lines of one turn; the rest waits for the next.
MOST_LINES = 500
#: What a program says on stderr is cut into lines of this size.
_MAX_ERROR_BYTES = 8_000
_TAIL_LINES = 5
#: Python ignores some signals, and a program would inherit that.
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Program:
    """`environment` is all of it; `on_error` gets each line of stderr. Raises OSError when it cannot be started.

    `write`, `close_input` and `wake` may be called from any thread, everything else from one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_error: Callable[[str], None],
        max_line_bytes: int = 1_000_000,
    ) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)  #: the last lines of stderr
        self.code: int | None = None  #: once it has ended: an exit code, or minus a signal's number
        self._on_error = on_error
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._taken_at = time.monotonic()
        self._input_closed = False
        self._ended_at = 0.0
        self._found: deque[bytes | TooLong] = deque()
        with ExitStack() as theirs, ExitStack() as ours:
            stdin, self._in = _pipe(theirs, ours)
            self._out, stdout = _pipe(ours, theirs)
            self._err, stderr = _pipe(ours, theirs)
            lifeline, _ = _pipe(theirs, ours)
            self._wake_r, self._wake_w = _pipe(ours, ours)
            for file in (self._in, self._out, self._err, self._wake_r, self._wake_w):
                os.set_blocking(file.fileno(), False)
            numbered = enumerate((stdin, stdout, stderr, lifeline))
            pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _SCRIPT, "command", str(cwd), *command],
                dict(environment),
                file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), number) for number, file in numbered],
                setpgroup=0,
                setsigmask=(),
                setsigdef=_SIGNALS,
            )
            self._ours = ours.pop_all()
        self._child = Child(command[0], pid)
        self.pid = pid
        self._heard = {
            self._out: (Lines(max_line_bytes), self._found.append),
            self._err: (Lines(_MAX_ERROR_BYTES), self._say),
        }
        self._selector = selectors.DefaultSelector()
        for source in (self._out, self._err, self._wake_r, self._child.pidfd):
            if source is not None:
                self._selector.register(source, selectors.EVENT_READ)

    # ── from any thread ───────────────────────────────────────────────────────────────────────────────────────

    def write(self, line: bytes) -> bool:
        """Let the program read a line; returns at once. False: it reads no more."""
        with self._lock:
            if self._input_closed:
                return False
            if not self._waiting:
                self._taken_at = time.monotonic()
            self._waiting += line + b"\n"
        self.wake()
        return True

    def close_input(self) -> None:
        """The program reads the end of its input after what is waiting."""
        with self._lock:
            self._input_closed = True
        self.wake()

    def wake(self) -> None:
        """Let `turn` return."""
        with suppress(OSError, ValueError):  # full: it wakes anyway; closed: it is over
            self._wake_w.write(b"!")

    # ── from one thread ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def over(self) -> bool:
        """It has ended, and everything that it printed was handed out."""
        return self.code is not None and not self._heard and not self._found

    @property
    def is_mute(self) -> bool:
        """It runs, and its stdout is closed: it prints no more."""
        return self.code is None and self._out not in self._heard

    def unread(self) -> tuple[int, float]:
        """How many bytes wait for the program to read them, and for how many seconds it has read nothing."""
        with self._lock:
            return len(self._waiting), time.monotonic() - self._taken_at if self._waiting else 0.0

    def turn(self, timeout_s: float) -> list[bytes | TooLong]:
        """The next lines of stdout: once there are some, when `wake` was called, or when the time is over."""
        if not self._found and not self.over:
            self._select(timeout_s)
        return [self._found.popleft() for _ in range(min(MOST_LINES, len(self._found)))]

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to it and to all that it started."""
        if self.code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
                os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it, and all that it started."""
        self._child.kill_group()

    def close(self) -> None:
        """Kill what still runs, and give everything back; safe twice."""
        with self._lock:
            self._input_closed = True
            self._waiting.clear()
        self._child.end()
        self.code = self._child.status
        self._selector.close()
        self._ours.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── one turn ──────────────────────────────────────────────────────────────────────────────────────────────

    def _select(self, timeout_s: float) -> None:
        self._feed()
        asks = self.code is not None or self._child.pidfd is None
        ready = [key.fileobj for key, _ in self._selector.select(min(timeout_s, _ASK_EVERY_S) if asks else timeout_s)]
        for source in ready:
            if source is self._wake_r:
                self._wake_r.read(4096)
            elif source in self._heard and (chunk := source.read(_CHUNK)) is not None:
                self._hear(source, chunk)
        self._feed()
        if self.code is None:
            self._look_for_its_end()
        elif time.monotonic() - self._ended_at > _AFTER_END_S:
            for source in list(self._heard):
                self._hear(source, b"")

    def _hear(self, source: IO[bytes], chunk: bytes) -> None:
        """`chunk` is empty at the end."""
        lines, give = self._heard[source]
        for line in lines.feed(chunk) if chunk else lines.rest():
            give(line)
        if not chunk:
            del self._heard[source]
            self._selector.unregister(source)

    def _say(self, line: bytes | TooLong) -> None:
        # It may repeat what a stranger wrote; control characters must not reach the operator's terminal.
        text = (line if isinstance(line, bytes) else line.start).decode("utf-8", "replace")
        text = "".join(c if c == "\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        self.tail.append(text)
        self._on_error(text)

    def _feed(self) -> None:
        """Write what the program takes now, and be told when it takes more."""
        with self._lock:
            if self._in.closed:
                return
            try:
                if wrote := self._in.write(self._waiting) if self._waiting else 0:
                    del self._waiting[:wrote]
                    self._taken_at = time.monotonic()
            except BrokenPipeError:
                self._input_closed = True
                self._waiting.clear()
            watched = self._in in self._selector.get_map()
            if watched and not self._waiting:
                self._selector.unregister(self._in)
            elif self._waiting and not watched:
                self._selector.register(self._in, selectors.EVENT_WRITE)
            if self._input_closed and not self._waiting:
                self._in.close()

    def _look_for_its_end(self) -> None:
        pidfd = self._child.pidfd
        self.code = self._child.poll()  # what it started and left behind ends with it
        if self.code is not None:
            self._ended_at = time.monotonic()
            if pidfd is not None:
                self._selector.unregister(pidfd)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """The two ends of a pipe, each closed by who owns it."""
    read_fd, write_fd = os.pipe()
    return (
        reader.enter_context(os.fdopen(read_fd, "rb", buffering=0)),
        writer.enter_context(os.fdopen(write_fd, "wb", buffering=0)),
    )
