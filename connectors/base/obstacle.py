"""What keeps this program from writing and is mended from outside: a disk without room, a folder that refuses.

Whoever meets one waits and tries again: nothing is acknowledged, and no message is blamed for it.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from connectors.base.files import NO_ROOM, write_new

#: EXDEV: the folder is a mount of its own, perhaps a read-only one (rename(2) looks at that last).
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV})
#: Result codes of SQLite whose cause may be a file or a folder that cannot be written (sqlite.org/rescode.html).
_STORE_REFUSED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})
#: With less a disk counts as full: opening a store takes the 32 KiB of its -shm (sqlite.org/walformat.html), and pages.
LEAST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Obstacle:
    """`text` says what refuses and why, `hint` what mends it."""

    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.text}: {self.hint}"


def obstacle(error: BaseException, state: Path) -> Obstacle | None:
    """What is in the way of a write that failed; None for any other failure.

    `state` is the folder of the store, whose errors name no file.
    """
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return Obstacle(f"the disk is full ({error.strerror})", "make room")
    if isinstance(error, OSError) and error.errno in _REFUSED and error.filename is not None:
        return _refused(error)
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Obstacle(f"the disk is full (store: {error})", "make room")
    if code in _STORE_REFUSED:
        found = next(filter(None, map(refusal, (state, *sorted(state.glob("store.db*"))))), None)
        # Where no room is left for its -shm, SQLite says that I/O failed.
        if found is None and code == sqlite3.SQLITE_IOERR and _is_full(state):
            return Obstacle(f"the disk is full (store: {error})", "make room")
        return found
    return None


def refusal(path: Path) -> Obstacle | None:
    """Why we cannot write what is at `path`, and the command that mends it; None where nothing is in the way."""
    if os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)) or not os.path.lexists(path):
        return None
    # Only where something refuses; no ordinary run needs the module.
    from connectors.base.checks import finding, writable

    if path.is_dir() and (found := writable.refusal_of(path, os.geteuid())) is not None:
        return Obstacle(f"{path} cannot be written: {found.what}", found.fix)
    fix = "sudo " + finding.shell("chown", finding.user_name(os.geteuid()), path)
    return Obstacle(f"{path} cannot be written", f"{fix}; if it is yours, see {finding.shell('lsattr', path)}")


def _is_full(folder: Path) -> bool:
    """Asked by writing: a quota shows in no number."""
    probe = folder / f".room.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        write_new(probe, bytes(LEAST_BYTES))
    except OSError as error:
        return error.errno in NO_ROOM
    probe.unlink(missing_ok=True)
    return False


def _refused(error: OSError) -> Obstacle:
    """The folders that the failed call was about are asked first, then the files; of a rename, the target first."""
    files = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if name is not None]
    for path in (*(file.parent for file in files), *files):
        if (found := refusal(path)) is not None:
            return found
    return Obstacle(str(error), "connectors doctor says what is in the way")
