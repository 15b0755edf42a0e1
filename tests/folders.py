"""Folders that refuse to be written, also for root, until a block ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers import missing, requires


@contextmanager
def flagged(folder: Path, letter: str = "i") -> Iterator[None]:
    """With a flag of chattr(1): `i` is immutable, `a` can only grow."""
    done = subprocess.run([requires("chattr"), f"+{letter}", folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"this file system knows no such flag: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{letter}", folder], check=True)


@contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    """As a mount of its own, over itself."""
    done = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"this machine lets nobody mount: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """By its mode; for root, whom no mode stops, by its flag."""
    if os.geteuid() == 0:
        with flagged(folder):
            yield
        return
    mode = folder.stat().st_mode & 0o7777
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(mode)
