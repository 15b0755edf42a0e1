"""What is mounted where: /proc/self/mountinfo, proc_pid_mountinfo(5). Nothing where there is no such file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """`read_only`: the file system itself, and not only this mount of it."""

    point: str
    read_only: bool


def mounts() -> list[Mount]:
    """In the order in which they were made: a later one covers an earlier one."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [_parse(line) for line in text.splitlines()]


def _parse(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
    return Mount(point, "ro" in after.rpartition(" ")[2].split(","))


def mount_of(path: Path) -> Mount | None:
    """The one that `path` is on."""
    real, best = os.path.realpath(path), None
    for mount in mounts():
        inside = real == mount.point or real.startswith(mount.point.rstrip("/") + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best
