"""Locks that die with their process (filelock: flock(2) on Unix), and the name of who holds them, for people."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from connectors.base.errors import InstanceLocked
from connectors.base.files import read_json, replace_private

_log = logging.getLogger("connectors.locks")


class Lock:
    """One lock file. `what` is said in the error: `slack-main`, `the bot token`.

    In one process it may be taken again (a second object for the same instance, as the seed's users make in tests).
    """

    def __init__(self, path: Path, what: str, *, mode: int = 0o600) -> None:
        self.path = path
        self._what = what
        self._lock = FileLock(path, mode=mode, thread_local=False, is_singleton=True)
        self._inode = 0

    def acquire(self, timeout_s: float = 0.0, tell: Callable[[str], None] = _log.info) -> None:
        """Raises InstanceLocked, naming the holder, when it is not free within `timeout_s`. A wait is told before."""
        try:
            take_or_say(
                self._lock,
                timeout_s,
                lambda: tell(f"{self._what} is in use by {self.holder()}: waiting up to {timeout_s:g} s for its end"),
            )
        except Timeout:
            raise InstanceLocked(
                f"{self._what} is in use by {self.holder()}", hint="stop that process first, or wait for its end"
            ) from None
        self._inode = self.path.stat().st_ino
        note = {"pid": os.getpid(), "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "what": self._what}
        try:
            replace_private(self._note, json.dumps(note).encode() + b"\n")
        except OSError as error:
            _log.debug("%s: %s", self._note, error)  # the note is for people; the lock itself holds

    def intact(self) -> bool:
        """Whether the file is still the one that was locked. Who deletes the folder lets a second process in."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Safe when it is not held."""
        self._lock.release()

    def holder(self) -> str:
        """Who holds it, as far as its note says."""
        note = read_json(self._note)
        return f"process {note['pid']} (since {note.get('since')})" if "pid" in note else "another process"

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".holder")


def take_or_say(lock: FileLock, timeout_s: float, say: Callable[[], None]) -> None:
    """Take the lock; when it is not free, `say` so before the wait. Raises filelock's Timeout."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if timeout_s <= 0:
            raise
        say()
        lock.acquire(timeout=timeout_s, poll_interval=0.05)


def credential_lock(kind: str, value: str) -> Lock | None:
    """The lock of one credential on this machine, by its hash. None, with a warning, where none can be had."""
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    folder = _machine_folder()
    if folder is None:
        _log.warning("no folder for locks on this machine: a second process with the same %s is not noticed", kind)
        return None
    return Lock(folder / f"{digest}.lock", f"this {kind}", mode=0o666)


def _machine_folder() -> Path | None:
    """A folder that all processes of this machine share, sticky like /tmp. /run/lock is where Debian and others keep
    locks, and PrivateTmp= of systemd does not replace it; /tmp is the fallback."""
    for parent in (Path("/run/lock"), Path(tempfile.gettempdir())):
        folder = parent / "mailbox-connectors"
        try:
            folder.mkdir(exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode):
                continue
            if status.st_uid == os.getuid():
                folder.chmod(0o1777)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
        except OSError:
            continue
    return None
