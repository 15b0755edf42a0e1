"""Programs that the benchmark starts, and what they tell it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Said:
    """One datagram: who, what, about what, and when on the monotonic clock."""

    who: str
    what: str
    about: str
    at_s: float


class Ear:
    """The Unix socket that the benchmark's children talk to. `BENCH_SOCKET` is its address."""

    def __init__(self) -> None:
        # A path of its own and short: the kernel takes 107 bytes, and a temporary folder may be deep.
        self._folder = tempfile.mkdtemp(prefix="bench-")
        self.address = os.path.join(self._folder, "ear")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.address)

    def close(self) -> None:
        self._sock.close()
        os.unlink(self.address)
        os.rmdir(self._folder)

    def hear(self, timeout_s: float) -> Said | None:
        """The next one; None after `timeout_s`."""
        if not select.select([self._sock], [], [], max(timeout_s, 0.0))[0]:
            return None
        who, what, about, at_ns = self._sock.recv(4096).decode().split(" ")
        return Said(who, what, about, int(at_ns) / 1e9)

    def wait_for(self, what: str, count: int = 1, deadline_s: float = 30.0) -> list[Said]:
        """The next `count` of kind `what`; others are skipped. TimeoutError when they do not come."""
        end = time.monotonic() + deadline_s
        found: list[Said] = []
        while len(found) < count:
            said = self.hear(end - time.monotonic())
            if said is None:
                raise TimeoutError(f"{len(found)} of {count} processes said {what!r} within {deadline_s:g} s")
            if said.what == what:
                found.append(said)
        return found

    def drain(self) -> None:
        while self.hear(0) is not None:
            pass


@contextmanager
def ear() -> Iterator[Ear]:
    found = Ear()
    try:
        yield found
    finally:
        found.close()


def environment(ear_address: str = "") -> dict[str, str]:
    """For children: as this process's, with the repository importable and nothing of the operator's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAILBOX_", "BENCH_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "BENCH_SOCKET": ear_address}


@contextmanager
def running(arguments: Sequence[str], *, ear_address: str = "", log: Path | None = None) -> Iterator[int]:
    """A program while the block lasts; gives its pid. It is asked to end, and killed with its group after 12 s."""
    with open(log or os.devnull, "ab") as output:
        process = subprocess.Popen(
            arguments, env=environment(ear_address), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def connectors_command(*arguments: str) -> list[str]:
    """The `connectors` program of the interpreter that runs this."""
    program = Path(sys.executable).with_name("connectors")
    return (
        [str(program), *arguments]
        if program.exists()
        else [sys.executable, "-m", "connectors.commands.main", *arguments]
    )


def bench_command(*arguments: str) -> list[str]:
    """One of the benchmark's own programs (bench/child.py)."""
    return [sys.executable, "-m", "bench.child", *arguments]


def write_config(home: Path, count: int) -> None:
    """A connectors.yml with `count` do-nothing connectors."""
    home.mkdir(parents=True, exist_ok=True)
    entries = "".join(f"  - name: idle-{number}\n    type: bench.idle\n" for number in range(count))
    (home / "connectors.yml").write_text(f"connectors:\n{entries}")


def make_outboxes(folder: Path, count: int) -> list[Path]:
    """What the origin's connectors poll."""
    found = [folder / "outbox" / f"idle-{number}" for number in range(count)]
    for outbox in found:
        outbox.mkdir(parents=True)
    return found


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found
