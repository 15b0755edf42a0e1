"""A model of a disk that forgets what was not synced, fed with a program's system calls as strace(1) recorded them.

What POSIX promises and no more: fsync of a file makes its bytes durable, fsync of a folder its entries. A rename is
one step, as on every journaling file system. After a power cut anything else may be there or not; the model builds the
worst cases, and the tests start the program on them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: The calls that change a disk. Single-threaded programs only: strace splits the calls of several threads.
CALLS = (
    "openat,open,creat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,ftruncate,mkdir,mkdirat,link,linkat,lseek"
)
#: `least`: only what was synced. `entries`: folders were written by themselves, files' bytes were not.
#: `removals`: as least, and deletions were written. `bytes`: files' bytes were written by themselves, folders were not.
WORST = ("least", "entries", "removals", "bytes")


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple[str, ...]
    result: int

    def path(self, n: int) -> str:
        """Argument n as a path."""
        return os.fsdecode(_bytes(self.args[n]))


@dataclass
class Inode:
    live: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


def recorded(log: Path) -> list[Call]:
    """The calls of a log of `strace -xx -s <large>`, those that failed left out."""
    found = []
    for line in log.read_text(encoding="ascii").splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)", line)
        if match and int(match[3]) >= 0:
            found.append(Call(match[1], tuple(re.findall(r'"(?:\\x[0-9a-f]{2})*"|[^, "]+', match[2])), int(match[3])))
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.strip('"').replace("\\x", ""))


class Disk:
    """Starts with everything below `root` durable."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._live: dict[str, Inode] = {}
        self._durable: dict[str, Inode] = {}
        self._unlinked: set[str] = set()
        self._renames: list[tuple[str, str, Inode]] = []
        self._fds: dict[int, tuple[str, Inode | None]] = {}
        self._places: dict[int, int] = {}
        self.folders = {self._root}
        for path in root.rglob("*"):
            if path.is_dir():
                self.folders.add(str(path))
            else:
                data = path.read_bytes()
                self._live[str(path)] = Inode(bytearray(data), data)
        self._durable.update(self._live)

    def apply(self, call: Call) -> bool:
        """Do what the call did. Whether it changed anything below the root."""
        match call.name:
            case "openat" | "open":
                at = 1 if call.name == "openat" else 0
                return self._open(call.path(at), call.args[at + 1], call.result)
            case "write" | "pwrite64" | "ftruncate" | "lseek":
                return self._write(call)
            case "fsync" | "fdatasync":
                return self._sync(int(call.args[0]))
            case "rename":
                return self._rename(call.path(0), call.path(1))
            case "renameat" | "renameat2":
                return self._rename(call.path(1), call.path(3))
            case "unlink":
                return self._unlink(call.path(0))
            case "unlinkat":
                return self._unlink(call.path(1))
            case "mkdir":
                return self._make(call.path(0))
        return False

    def _open(self, path: str, flags: str, fd: int) -> bool:
        self._fds.pop(fd, None)
        self._places[fd] = 0
        if not path.startswith(self._root):
            return False
        changed = "O_CREAT" in flags and path not in self._live and path not in self.folders
        if changed:
            self._live[path] = Inode()
        inode = self._live.get(path)
        if inode is not None and "O_TRUNC" in flags:
            inode.live.clear()
        if inode is not None and "O_APPEND" in flags:
            self._places[fd] = len(inode.live)
        self._fds[fd] = (path, inode)
        return changed

    def _write(self, call: Call) -> bool:
        fd = int(call.args[0])
        _, inode = self._fds.get(fd, ("", None))
        if inode is None:
            return False
        if call.name == "lseek":
            self._places[fd] = call.result
            return False
        if call.name == "ftruncate":
            size = int(call.args[1])
            inode.live = inode.live[:size].ljust(size, b"\0")
            return True
        data = _bytes(call.args[1])[: call.result]
        place = int(call.args[3]) if call.name == "pwrite64" else self._places[fd]
        inode.live = inode.live.ljust(place, b"\0")
        inode.live[place : place + len(data)] = data
        if call.name == "write":
            self._places[fd] = place + len(data)
        return True

    def _sync(self, fd: int) -> bool:
        path, inode = self._fds.get(fd, ("", None))
        if inode is not None:
            inode.durable = bytes(inode.live)
        elif path:
            self._sync_folder(path)
        return bool(path)

    def _sync_folder(self, folder: str) -> None:
        for source, target, inode in self._renames:
            if os.path.dirname(target) == folder and self._durable.get(source) is inode:
                del self._durable[source]
        self._renames = [r for r in self._renames if os.path.dirname(r[1]) != folder]
        # What was renamed away from here stays until its new folder is synced: a rename is one step.
        leaving = {source for source, _, inode in self._renames if self._durable.get(source) is inode}
        for entry in [p for p in self._durable if os.path.dirname(p) == folder and p not in leaving]:
            del self._durable[entry]
        self._durable.update({p: i for p, i in self._live.items() if os.path.dirname(p) == folder})
        self._unlinked = {p for p in self._unlinked if os.path.dirname(p) != folder}

    def _rename(self, source: str, target: str) -> bool:
        if source not in self._live:
            return False
        self._live[target] = self._live.pop(source)
        self._renames.append((source, target, self._live[target]))
        self._unlinked.discard(target)
        return True

    def _unlink(self, path: str) -> bool:
        if path not in self._live:
            return False
        del self._live[path]
        self._unlinked.add(path)
        return True

    def _make(self, path: str) -> bool:
        """Folders are durable at once: a missing one is made again at the next start."""
        if path.startswith(self._root):
            self.folders.add(path)
        return False

    def after_a_power_cut(self, worst: str) -> Iterator[tuple[str, Inode]]:
        """(path, inode) of all that is there; two paths of one inode are two entries of one file."""
        entries = self._live if worst == "entries" else self._durable
        for path, inode in entries.items():
            if worst != "removals" or path not in self._unlinked:
                yield path, inode

    def build(self, worst: str, root: Path) -> None:
        """Lay the files that survive out below another root. SQLite's -shm is memory and never survives."""
        made: dict[int, Path] = {}
        for folder in sorted(self.folders):
            (root / os.path.relpath(folder, self._root)).mkdir(parents=True, exist_ok=True)
        for path, inode in self.after_a_power_cut(worst):
            if path.endswith("-shm"):
                continue
            target = root / os.path.relpath(path, self._root)
            if id(inode) in made:
                os.link(made[id(inode)], target)
            else:
                target.write_bytes(inode.live if worst == "bytes" else inode.durable)
                made[id(inode)] = target
