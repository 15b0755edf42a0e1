"""Events in: durable before the platform is told, and never twice.

    stage the file, fsync it and the staging folder
    → one transaction records its id (and the checkpoint)
    → rename into the inbox, fsync the inbox
    → return: now the connector may acknowledge

The rename is its own journal. Whatever is still staged at the next start is finished if it is whole, and deleted if
it is torn: then it was never recorded, never acknowledged, and comes again.

A single event saves the fsync of the staging folder. Only a power cut can then leave its id recorded and its file
nowhere, and only that of the newest event, which was not acknowledged: after a reboot that id is forgotten, so that the
platform's redelivery is no duplicate. (That it was read and deleted looks the same: then it may come twice.)
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connectors.base.errors import BadMessage, RetryLater
from connectors.base.files import NO_ROOM, move_all, replace_private, sync_folder, write_all_new, write_new
from connectors.base.home import Home
from connectors.base.message import Message, utc_now
from connectors.base.settings import Limits
from connectors.base.steps import step
from connectors.base.store import EventRow, Store

#: How long a full disk or a full inbox is left alone before it is looked at again.
PRESSURE_POLL_S = 1.0
#: How long dedupe remembers an id at least, by count; far beyond any platform's redelivery window.
KEEP_IDS = 200_000


@dataclass(frozen=True)
class Staged:
    """An event on its way: its file's name, its content, its row."""

    name: str
    body: bytes
    row: EventRow


class Names:
    """Inbox names that sort in arrival order, also when the clock steps back.

    `20260131T120000.000001Z-<instance>-<8 hex of the id's sha256>.json`; the time never goes back below the newest
    name that this process saw in the inbox or gave itself.
    """

    def __init__(self, instance: str, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._clock = clock
        self._last_us = 0
        self._second, self._stamp = -1, ""

    def seen(self, name: str) -> bool:
        """Later names sort after `name`. False: it is none of ours, or claims to come from another year."""
        try:
            # Not strptime: it makes a regular expression first, 0.3 MB in every connector's process.
            stamp = datetime.fromisoformat(name[:23])
        except ValueError:
            return False
        if stamp.tzinfo is not UTC or stamp.timestamp() >= self._clock() + 365 * 86_400:
            return False
        self._last_us = max(self._last_us, int(stamp.timestamp() * 1_000_000))
        return True

    def own(self, name: str) -> bool:
        """Whether this instance gave `name`."""
        return name.startswith(f"Z-{self._instance}-", 22)

    def new(self, event_id: str) -> str:
        self._last_us = max(int(self._clock() * 1_000_000), self._last_us + 1)
        second = self._last_us // 1_000_000
        if second != self._second:
            self._second, self._stamp = second, datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%S")
        digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{self._stamp}.{self._last_us % 1_000_000:06d}Z-{self._instance}-{digest}.json"


class Intake:
    """Writes one instance's events. Thread-safe; one event, or one batch, at a time."""

    def __init__(
        self,
        home: Home,
        name: str,
        store: Store,
        *,
        limits: Limits,
        stop: threading.Event,
        on_pressure: Callable[[str | None], None] = lambda reason: None,
        clock: Callable[[], float] = time.time,
        logger: logging.Logger | None = None,
    ) -> None:
        self._home = home
        self._store = store
        self._limits = limits
        self._stop = stop
        self._on_pressure = on_pressure
        self._clock = clock
        self._logger = logger or logging.getLogger(f"connector.{name}")
        self._staging = home.staging(name)
        self._boot = home.state_dir(name) / "boot"
        self._knows_boot = False
        self._names = Names(name, clock)
        self._lock = threading.Lock()
        self._pressure: str | None = None
        self._waiting = 0
        self._room = 0
        self._recount_at = 0.0
        self.known: frozenset[str] = frozenset()  # of the last `accept`: those that came before

    # ── the protocol ──────────────────────────────────────────────────────────────────────────────────────────

    def accept(
        self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None = None, *, exempt: bool = False
    ) -> list[Path]:
        """Make events durable, and a source's bookmark with them. Returns the path that each has or had in the inbox.

        Waits while there is no room (unless `exempt` from the inbox limit). Raises RetryLater when the connector is
        stopped meanwhile: then nothing was accepted, and nothing may be acknowledged.
        """
        with self._lock:
            fresh, files = self._fresh(messages)
            while fresh or checkpoint is not None:
                if self._try(len(fresh), exempt, partial(self._record, fresh, checkpoint, held=False)):
                    break
                fresh, files = self._fresh(messages)  # another thread may have brought the same event meanwhile
            self.known = frozenset({m.id for m in messages} - {s.row.id for s in fresh})
            if fresh:
                try:
                    self._in_spite_of_no_room(lambda: self._publish([s.name for s in fresh]))
                except BaseException:
                    self._sync_staging()  # it stays there for the next start, and others may come before that
                    raise
            return [self._home.inbox / files[m.id] for m in messages]

    def _fresh(self, messages: Sequence[Message]) -> tuple[list[Staged], dict[str, str]]:
        """Those that did not come before, and {id: file name} of all."""
        files = self._store.known([m.id for m in messages])
        fresh = []
        for message in messages:
            if message.id not in files:
                staged = self._prepare(message)
                files[message.id] = staged.name
                fresh.append(staged)
        return fresh, files

    def hold(self, message: Message) -> bool:
        """Make an event durable whose files have yet to be fetched; it may be acknowledged now. False: known already.

        `release` publishes it. After a crash it is published by `recover` as far as it got.
        """
        with self._lock:
            while not self._store.known([message.id]):
                if self._try(1, False, partial(self._record, [self._prepare(message)], None, held=True)):
                    return True
            return False

    def release(self, message: Message) -> Path:
        """Publish a held event with the content it has now."""
        with self._lock:
            row = self._store.event(message.id)
            if row is None or not row.held:
                raise ValueError(f"{message.id} is not held")
            if message.received_at is None:
                at = datetime.fromtimestamp(row.received_at, UTC).isoformat(timespec="microseconds")
                message = message.model_copy(update={"received_at": at})
            body = message.to_bytes()
            part = self._staging / f"{row.file}.tmp"

            def swap() -> None:
                part.unlink(missing_ok=True)
                write_new(part, body, self._home.modes.file, self._home.modes.gid)
                os.replace(part, self._staging / row.file)
                sync_folder(self._staging)
                self._store.release(message.id, body)

            self._in_spite_of_no_room(swap)
            self._in_spite_of_no_room(lambda: self._publish([row.file]))
            return self._home.inbox / row.file

    def renew(self, message: Message) -> Path:
        """Put a known event into the inbox again with the content it has now, under a new name: it is read again."""
        with self._lock:
            row = self._store.event(message.id)
            if row is None or row.held:
                raise ValueError(f"{message.id} was not published before")
            name, body = self._names.new(message.id), message.to_bytes()
            part = self._staging / name

            def stage() -> None:
                part.unlink(missing_ok=True)
                write_new(part, body, self._home.modes.file, self._home.modes.gid)
                sync_folder(self._staging)
                step("intake.staged")
                self._store.renew(message.id, name, body)
                step("intake.recorded")

            self._in_spite_of_no_room(stage)
            # Unread as it was, it must not be there twice; `recover` does the same after a crash.
            self._withdraw([name], [row.file])
            self._in_spite_of_no_room(lambda: self._publish([name]))
            return self._home.inbox / name

    def _withdraw(self, names: Sequence[str], found: Sequence[str]) -> None:
        """Delete the earlier, still unread copies in the inbox of events that `names` are about to publish anew."""
        anew = {name[22:] for name in names}
        for name in found:
            if name[22:] in anew and name not in names:
                (self._home.inbox / name).unlink(missing_ok=True)

    def recover(self) -> list[Message]:
        """Finish what an earlier process left staged. Returns the held events: their files are still to be fetched."""
        with self._lock:
            self._compare_boots()
            newest = self._store.newest_event()
            self._names.seen(newest.file if newest else "")
            found = self._listing(self._home.inbox)
            for names in (found, filter(self._names.own, found)):
                # The latest of them that can be believed: one from another year must not hide the others.
                any(self._names.seen(name) for name in sorted(names, reverse=True))
            held: list[Message] = []
            ready: list[str] = []
            for path in sorted(self._staging.iterdir()):
                name = path.name
                if path.is_symlink() or not path.is_file():
                    continue  # somebody else left it there; doctor names it
                if not name.endswith(".json"):
                    path.unlink(missing_ok=True)  # a temporary file of a writer that died
                    continue
                try:
                    message = Message.from_file(path)
                except OSError as error:
                    # No verdict on its content, which may have been acknowledged: the next start tries again.
                    self._logger.warning("recovery: %s cannot be read and stays staged: %s", name, error)
                    continue
                except BadMessage:
                    self._logger.warning("recovery: %s is torn; it was never acknowledged and will come again", name)
                    path.unlink(missing_ok=True)
                    continue
                self._sync(path)
                row = self._store.event(message.id)
                if row is None:
                    staged = Staged(name, path.read_bytes(), self._row(message, name, path.read_bytes()))
                    self._store.record_events([staged.row])
                elif row.file != name:
                    path.unlink(missing_ok=True)
                    continue
                elif row.held:
                    held.append(message)
                    continue
                ready.append(name)
            if ready:
                self._logger.info("recovery: %d events were staged and are published now", len(ready))
                self._withdraw(ready, found)
                self._publish(ready)
            return held

    def _compare_boots(self) -> None:
        """After a reboot: forget the newest event if its file is nowhere. It may not have reached the disk."""
        try:
            now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()  # proc_sys_kernel(5)
        except OSError:
            return
        try:
            before = self._boot.read_text().strip()
        except FileNotFoundError:
            before = now  # this program's earlier versions have synced every folder
        if before != now:
            newest = self._store.newest_event()
            folders = (self._home.inbox, self._staging, self._home.failed, *self._consumers())
            if newest is not None and not any(os.path.lexists(folder / newest.file) for folder in folders):
                self._logger.info("after a reboot: %s may come once more", newest.id)
                self._store.forget_event(newest.id)
        try:
            replace_private(self._boot, f"{now}\n".encode(), durable=True)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._logger.warning("%s was not written: %s", self._boot, error)
            return
        self._knows_boot = True

    def _prepare(self, message: Message) -> Staged:
        if message.received_at is None:
            message = message.model_copy(update={"received_at": utc_now()})
        name, body = self._names.new(message.id), message.to_bytes()
        return Staged(name, body, self._row(message, name, body))

    def _row(self, message: Message, name: str, body: bytes) -> EventRow:
        return EventRow(
            id=message.id,
            file=name,
            kind=message.kind,
            conversation_id=message.conversation.id,
            thread_id=message.conversation.thread_id,
            held=False,
            received_at=self._clock(),
            body=body,
            origin=message.event.origin_id if message.event is not None else None,
            digest=message.event.digest if message.event is not None else None,
        )

    def _record(self, fresh: list[Staged], checkpoint: tuple[str, Any] | None, *, held: bool) -> None:
        files = [(f"{self._staging}/{staged.name}", staged.body) for staged in fresh]
        if files:
            write_all_new(files, self._home.modes.file, self._home.modes.gid)
        try:
            if files and (held or checkpoint is not None or len(files) > 1 or not self._knows_boot):
                sync_folder(self._staging)
            step("intake.staged")
            rows = [s.row if not held else EventRow(**{**vars(s.row), "held": True}) for s in fresh]
            self._store.record_events(rows, checkpoint)
        except BaseException:
            for path, _ in files:
                with suppress(FileNotFoundError):
                    os.unlink(path)
            raise
        step("intake.recorded")

    def _publish(self, names: Sequence[str]) -> None:
        # Those that are gone had been renamed before: this is a repeated try after ENOSPC.
        move_all(self._staging, self._home.inbox, names, "again")
        step("intake.published")
        sync_folder(self._home.inbox)
        step("intake.synced")
        self._room -= len(names)

    def _sync_staging(self) -> None:
        try:
            sync_folder(self._staging)
        except OSError as error:
            self._logger.warning("%s was not synced: %s", self._staging, error)

    @staticmethod
    def _sync(path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────

    def _in_spite_of_no_room(self, work: Callable[[], None]) -> None:
        """Do repeatable `work`, waiting while the disk is full."""
        while not self._try(0, True, work):
            pass

    def _try(self, count: int, exempt: bool, work: Callable[[], None]) -> bool:
        """Do `work` if there is room for it. False after a wait because there was none: look at everything anew.

        The lock is free during the wait: an event that is exempt must not wait behind one that is not.
        """
        reason = self._no_room(count, exempt)
        if reason is None:
            try:
                work()
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                reason = f"the disk is full ({os.strerror(error.errno or errno.ENOSPC)})"
            except sqlite3.OperationalError as error:
                if "full" not in str(error):
                    raise
                reason = f"the disk is full (store: {error})"
            else:
                if not self._waiting:
                    self._say(None)
                return True
        self._say(reason)
        self._sync_staging()  # another event may be recorded meanwhile, and only the newest may be unsynced
        self._waiting += 1
        self._lock.release()
        try:
            stopped = self._stop.wait(PRESSURE_POLL_S)
        finally:
            self._lock.acquire()
            self._waiting -= 1
        if stopped:
            raise RetryLater(f"stopped while {reason}: nothing was accepted")
        return False

    def _no_room(self, count: int, exempt: bool) -> str | None:
        if exempt:
            return None
        free = _free_bytes(self._home.inbox)
        if free < self._limits.min_free_bytes:
            return f"only {free} bytes are free; limits.min_free_bytes is {self._limits.min_free_bytes}"
        now = time.monotonic()
        if self._room < count or now >= self._recount_at or self._pressure is not None:
            waiting = len(self._listing(self._home.inbox)) + sum(
                len(self._listing(folder)) for folder in self._consumers()
            )
            # Other instances fill the same inbox: look again after using up half of the room, and every 30 s.
            self._room = (self._limits.inbox_max_files - waiting + 1) // 2
            self._recount_at = now + 30
            if waiting + max(count, 1) > self._limits.inbox_max_files and waiting > 0:
                return f"{waiting} events wait in the inbox; limits.inbox_max_files is {self._limits.inbox_max_files}"
            self._room = max(self._room, count)
        return None

    def _say(self, reason: str | None) -> None:
        if (reason is None) != (self._pressure is None):
            if reason is None:
                self._logger.info("there is room again; receiving goes on")
            else:
                self._logger.warning("receiving is paused: %s", reason)
            self._on_pressure(reason)
        self._pressure = reason

    def _consumers(self) -> list[Path]:
        try:
            return [Path(entry.path) for entry in os.scandir(self._home.claimed) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []

    @staticmethod
    def _listing(folder: Path) -> list[str]:
        try:
            return [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
        except OSError:
            return []


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
