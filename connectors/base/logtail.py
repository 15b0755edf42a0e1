"""The end of log files, and what is appended to them: across rotation, of several files in the order of time."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.base.home import Home

_BLOCK = 65_536
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?")


@dataclass(frozen=True)
class Line:
    """One line of the log of `source` (an instance, `manager` or `agent`)."""

    source: str
    text: str


def sources(home: Home) -> list[str]:
    """Whose logs there are."""
    try:
        return sorted(name.removesuffix(".log") for name in os.listdir(home.logs) if name.endswith(".log"))
    except FileNotFoundError:
        return []


def last_lines(home: Home, names: Sequence[str], count: int) -> list[Line]:
    """The last `count` lines of all of them together, in the order of time."""
    stamped: list[tuple[str, int, Line]] = []
    for name in names:
        stamp = ""
        for text in _last_of(home.log_file(name), count):
            # A line without a time (a traceback) belongs to the one before it.
            stamp = _stamp_of(text) or stamp
            stamped.append((stamp, len(stamped), Line(name, text)))
    return [line for _, _, line in sorted(stamped)[-count:]] if count else []


class Follower:
    """Gives what is appended. A file that was rotated away is read to its end first."""

    def __init__(self, home: Home, names: Callable[[], Sequence[str]]) -> None:
        self._home = home
        self._names = names
        self._open: dict[str, _Reader] = {}
        for name in names():
            self._open[name] = _Reader(home.log_file(name), at_end=True)

    def lines(self) -> Iterator[Line]:
        """What came since the last call."""
        for name in self._names():
            if name not in self._open:
                self._open[name] = _Reader(self._home.log_file(name), at_end=False)
            for text in self._open[name].read():
                yield Line(name, text)

    def close(self) -> None:
        for reader in self._open.values():
            reader.close()


@dataclass
class _Reader:
    path: Path
    at_end: bool
    _fd: int = -1
    _rest: bytes = field(default=b"")

    def __post_init__(self) -> None:
        self._reopen()
        if self.at_end and self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> list[str]:
        data = self._read_all()
        if self._is_another_file():
            self._reopen()
            data += self._read_all()
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "backslashreplace") for line in lines]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_all(self) -> bytes:
        if self._fd < 0:
            return b""
        chunks = []
        while chunk := os.read(self._fd, _BLOCK):
            chunks.append(chunk)
        return b"".join(chunks)

    def _is_another_file(self) -> bool:
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        if self._fd < 0:
            return True
        had = os.fstat(self._fd)
        if found.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            return True  # cut off in place
        return (found.st_dev, found.st_ino) != (had.st_dev, had.st_ino)

    def _reopen(self) -> None:
        self.close()
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = -1


def _last_of(path: Path, count: int) -> list[str]:
    """The last lines of a log and, where it is shorter, of the one before it."""
    lines: deque[str] = deque(maxlen=count)
    for file in (path.with_name(f"{path.name}.1"), path):
        try:
            lines.extend(_tail(file, count))
        except FileNotFoundError:
            continue
    return list(lines)


def _tail(path: Path, count: int) -> list[str]:
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        data = b""
        while at > 0 and data.count(b"\n") <= count:
            step = min(_BLOCK, at)
            at -= step
            file.seek(at)
            data = file.read(step) + data
    return [line.decode("utf-8", "backslashreplace") for line in data.splitlines()[-count:]]


def _stamp_of(text: str) -> str:
    found = _STAMP.match(text)
    return found[0].replace(" ", "T") if found else ""
