"""Who holds which inbox file, for how long, and giving back what nobody holds any more.

One small record per consumer, changed under the inbox lock only. A file in `messages/claimed/<consumer>/`
that no record names was put there by a plain `mv`: it is its worker's until that worker deletes it or moves
it back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from connectors.base.errors import ConnectorError
from connectors.base.files import move, read_json, replace_private
from connectors.base.home import Home
from connectors.base.readers import READER_EXPIRES_S, consumer_folders, event_names, private_folder

#: Holders keep the inbox lock for about a millisecond; a wait of this length means that something is broken.
LOCK_TIMEOUT_S = 30.0
_LOCK_POLL_S = 0.001


class ConsumerInUse(ConnectorError):
    """Another process reads under this consumer's name."""


@dataclass(frozen=True)
class Hold:
    """How long a claim lasts: `lease_s` after the last touch, or (None) as long as its holder's process.

    `waiting`: nobody works on it; it goes back to the inbox when `lease_s` is over. `key` tells two claims
    of the same file apart.
    """

    key: str
    lease_s: float | None = None
    waiting: bool = False


@dataclass
class Record:
    """One consumer: the kinds that it takes (None: all), and its holds by file name."""

    kinds: list[str] | None = None
    holds: dict[str, Hold] = field(default_factory=dict)


class Holds:
    """The claims of all consumers of a home. Call the methods that change something inside `with lock()`."""

    def __init__(self, home: Home, *, logger: logging.Logger, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._logger = logger
        self._clock = clock
        self._folder = private_folder(home) / "claims"
        self._returns = private_folder(home) / "returns"
        home.make(self._folder, private=True)
        self._lock = FileLock(private_folder(home) / "inbox.lock", mode=0o600, thread_local=False)
        self._threads = threading.Lock()  # FileLock counts the acquires of one object, it does not tell threads apart

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """The inbox lock, which dies with its process.

        Raises ConnectorError rather than looking like no mail.
        """
        with self._threads:
            try:
                self._lock.acquire(timeout=LOCK_TIMEOUT_S, poll_interval=_LOCK_POLL_S)
            except Timeout as error:
                raise ConnectorError(
                    f"{self._lock.lock_file} has been held for {LOCK_TIMEOUT_S:g} s",
                    hint="see which process holds it: fuser -v " + self._lock.lock_file,
                ) from error
            try:
                yield
            finally:
                self._lock.release()

    def consumer_lock(self, consumer: str) -> FileLock:
        """Held by the process that reads under this name.

        Take it inside `lock()`, where `recover` probes it.
        """
        return FileLock(self._folder / f"{consumer}.lock", mode=0o600, thread_local=False)

    def record(self, consumer: str) -> Record:
        data = read_json(_record_file(self._home, consumer))
        kinds, holds = data.get("kinds"), data.get("holds")
        found = Record([str(kind) for kind in kinds] if isinstance(kinds, list) else None)
        for name, hold in (holds if isinstance(holds, dict) else {}).items():
            try:
                found.holds[name] = Hold(**hold)
            except TypeError:
                continue  # a newer program's; it is nobody's to give back
        return found

    def recorded_at(self, consumer: str) -> float:
        """When the record was written last (seconds since 1970); 0 without one."""
        return _changed_at(_record_file(self._home, consumer))

    def save(self, consumer: str, record: Record) -> None:
        """Remember it, without the holds whose file is gone."""
        folder = self._home.claimed / consumer
        record.holds = {name: hold for name, hold in record.holds.items() if os.path.lexists(folder / name)}
        self._write(consumer, record)

    def take(self, consumer: str, source: Path, hold: Hold, record: Record) -> Path:
        """Rename an inbox file into the consumer's folder.

        Raises FileNotFoundError when somebody else has it.
        """
        folder = self._home.claimed / consumer
        target = folder / source.name
        # Recorded first: a death right after the rename must not leave a file that looks like a plain
        # worker's.
        kept = {n: h for n, h in record.holds.items() if os.path.lexists(folder / n)}
        record.holds = {**kept, source.name: hold, f"{target.stem}~{hold.key}{target.suffix}": hold}
        self._write(consumer, record)
        path = move(source, folder, source.name, hold.key)
        if hold.lease_s is not None:
            os.utime(path)  # not every file system sets the ctime in a rename
        return path

    def give_back(self, path: Path) -> bool:
        """Return a claimed file to the inbox under its name. False when it is gone."""
        try:
            move(path, self._home.inbox, path.name, secrets.token_hex(4))
        except FileNotFoundError:
            return False
        # Indexes of other processes list anew, so that nothing newer of its conversation overtakes it.
        self._returns.write_text(f"{self.returns() + 1}\n")
        return True

    def returns(self) -> int:
        """A number that changes with every file that is given back."""
        try:
            return int(self._returns.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def recover(self, own: str | None = None) -> int:
        """Give back what was held by a process that died, or whose lease is over; returns how many.

        `own` is a consumer that is known to be alive.
        """
        count = 0
        for folder in consumer_folders(self._home):
            names = event_names(folder)
            if not names:
                continue
            holds = self.record(folder.name).holds
            alive = True if folder.name == own else None
            for name in names:
                hold = holds.get(name)
                if hold is None:
                    continue
                if hold.lease_s is None:
                    alive = self._alive(folder.name) if alive is None else alive
                    over = not alive
                else:
                    over = self._over(folder / name, hold.lease_s)
                if over and self.give_back(folder / name):
                    count += 1
                    self._say(hold, folder.name, name)
        return count

    def _write(self, consumer: str, record: Record) -> None:
        data = {"kinds": record.kinds, "holds": {name: asdict(hold) for name, hold in record.holds.items()}}
        replace_private(_record_file(self._home, consumer), json.dumps(data).encode())

    def _alive(self, consumer: str) -> bool:
        lock = self.consumer_lock(consumer)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def _over(self, path: Path, lease_s: float) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        age = self._clock() - max(status.st_mtime, status.st_ctime)
        if age < -1.0:
            # The clock was set back (a second is tolerated: network file systems have clocks of their own).
            # Without a new stamp the lease would last as long as the jump.
            with contextlib.suppress(OSError):
                os.utime(path)
            return False
        return age >= lease_s

    def _say(self, hold: Hold, consumer: str, name: str) -> None:
        if hold.waiting:
            self._logger.debug("%s: the wait is over, back to the inbox: %s", consumer, name)
        elif hold.lease_s is None:
            self._logger.warning("%s: its process died, back to the inbox: %s", consumer, name)
        else:
            self._logger.warning("%s: its lease of %g s is over, back to the inbox: %s", consumer, hold.lease_s, name)


def worker_folders(home: Home, now: float) -> list[Path]:
    """The folders of workers that count as readers: used within the last 7 days, or holding something."""
    found = []
    for folder in consumer_folders(home):
        try:
            used = max(folder.stat().st_mtime, _changed_at(_record_file(home, folder.name)))
        except OSError:
            continue
        if now - used < READER_EXPIRES_S or event_names(folder):
            found.append(folder)
    return found


def _record_file(home: Home, consumer: str) -> Path:
    return private_folder(home) / "claims" / f"{consumer}.json"


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
