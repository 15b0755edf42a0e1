"""Two peculiarities of ext4 that would otherwise decide what the rows about the disk show."""

from __future__ import annotations

import array
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

#: linux/fs.h: the ioctls of chattr(1), and its flag T, "the top of directory hierarchies for the purposes of the
#: Orlov block allocator".
_GETFLAGS, _SETFLAGS, _TOPDIR = 0x80086601, 0x40086602, 0x00020000
#: Creating a file takes about 20 µs; above this the folder's block group is full of inodes that were just deleted.
_CALM_US = 100.0


def spread(folder: Path) -> None:
    """Ask the file system to place sub-folders far from each other; does nothing where it knows no such thing.

    ext4 does not reuse an inode in the first seconds after its file was deleted, and walks over all of those when it
    looks for a free one. In a block group where somebody (a test run, the row before) has just deleted some
    thousand files, creating one takes 1 ms instead of 20 µs. That says nothing about either side of a comparison.
    """
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = array.array("l", [0])
            fcntl.ioctl(fd, _GETFLAGS, flags)
            flags[0] |= _TOPDIR
            fcntl.ioctl(fd, _SETFLAGS, flags)
        finally:
            os.close(fd)


def calm(folder: Path, deadline_s: float = 40.0) -> float:
    """Wait until creating files in `folder` is as cheap as it should be; returns what one takes now, in µs.

    After 35 s at most ext4 takes deleted inodes for old (fs/ext4/ialloc.c, recently_deleted).
    """
    end = time.monotonic() + deadline_s
    never = threading.Event()
    while True:
        took = _creation_us(folder)
        if took < _CALM_US or time.monotonic() > end:
            return took
        never.wait(1.0)


def _creation_us(folder: Path, count: int = 20) -> float:
    names = [folder / f".probe-{number}" for number in range(count)]
    begun = time.perf_counter()
    for name in names:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600))
    took = time.perf_counter() - begun
    for name in names:
        name.unlink()
    return took / count * 1e6
