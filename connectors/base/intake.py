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

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connectors.base import boot
from connectors.base.files import check_writable, sync_folder
from connectors.base.held import LIMIT_S, Held, to_fetch
from connectors.base.home import Home
from connectors.base.message import Message, utc_now
from connectors.base.names import Names
from connectors.base.readers import event_names
from connectors.base.room import Room
from connectors.base.settings import Limits
from connectors.base.staging import Staged, Staging
from connectors.base.steps import step
from connectors.base.store import Store

#: How long dedupe remembers an id at least, by count; far beyond any platform's redelivery window.
KEEP_IDS = 200_000


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
        self._name = name
        self._store = store
        self._clock = clock
        self._logger = logger or logging.getLogger(f"connector.{name}")
        self._staging = Staging(home, name, self._logger)
        self._knows_boot = False
        self._names = Names(name, clock)
        self._lock = threading.Lock()
        self._room = Room(
            home,
            name,
            limits,
            self._lock,
            stop=stop,
            on_pressure=on_pressure,
            # Another event may be recorded during the wait, and only the newest may be unsynced.
            before_wait=self._staging.try_sync,
            logger=self._logger,
        )
        self.known: frozenset[str] = frozenset()  # of the last `accept`: those that came before

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
                record = partial(self._record, fresh, checkpoint)
                if self._room.attempt(record, events=len(fresh), exempt=exempt):
                    break
                fresh, files = self._fresh(messages)  # another thread may have brought the same event meanwhile
            self.known = frozenset({m.id for m in messages} - {s.row.id for s in fresh})
            if fresh:
                try:
                    self._room.insist(lambda: self._publish([s.name for s in fresh]))
                except BaseException:
                    self._staging.try_sync()  # it stays there for the next start, and others may come before that
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

    def hold(self, message: Message, limit_s: float = LIMIT_S) -> bool:
        """Make an event durable whose files have yet to be fetched; it may be acknowledged now. False: known already.

        `release` publishes it, when its files are there or after `limit_s`; also after a crash, see `held`.
        """
        with self._lock:
            while not self._store.known([message.id]):
                record = partial(self._record, [self._prepare(message)], None, held_s=limit_s)
                if self._room.attempt(record, events=1, exempt=False):
                    return True
            return False

    def await_room(self, *folders: Path) -> None:
        """Wait until there is room for an event, and these folders can be written. Raises RetryLater when stopped."""

        def look() -> None:
            self._home.make(*folders)
            check_writable(*folders)

        with self._lock:
            while not self._room.attempt(look, exempt=False):
                pass

    def held(self) -> list[Held]:
        """What is held, in order of arrival."""
        with self._lock:
            found = []
            for path, message in self._staging.events():
                row = self._store.event(message.id)
                if row is not None and row.held_s and row.file == path.name:
                    found.append(Held(message, row.held_s, max(0.0, row.held_s - self._staging.age_s(path))))
            return found

    def release(self, message: Message) -> Path:
        """Publish a held event with the content it has now."""
        with self._lock:
            row = self._store.event(message.id)
            if row is None or not row.held_s:
                raise ValueError(f"{message.id} is not held")
            if message.received_at is None:
                at = datetime.fromtimestamp(row.received_at, UTC).isoformat(timespec="microseconds")
                message = message.model_copy(update={"received_at": at})
            body = message.to_bytes()

            def swap() -> None:
                self._staging.put(row.file, body)
                step("intake.staged")
                self._store.release(message.id, body)
                step("intake.recorded")

            self._room.insist(swap)
            self._room.insist(lambda: self._publish([row.file]))
            return self._home.inbox / row.file

    def renew(self, message: Message) -> Path:
        """Put a known event into the inbox again with the content it has now, under a new name: it is read again."""
        with self._lock:
            row = self._store.event(message.id)
            if row is None or row.held_s:
                raise ValueError(f"{message.id} was not published before")
            name, body = self._names.new(message.id), message.to_bytes()

            def stage() -> None:
                self._staging.put(name, body)
                step("intake.staged")
                self._store.renew(message.id, name, body)
                step("intake.recorded")

            self._room.insist(stage)
            # Unread as it was, it must not be there twice; `recover` does the same after a crash.
            self._withdraw([name], [row.file])
            self._room.insist(lambda: self._publish([name]))
            return self._home.inbox / name

    def _withdraw(self, names: Sequence[str], found: Sequence[str]) -> None:
        """Delete the earlier, still unread copies in the inbox of events that `names` are about to publish anew."""
        anew = {name[22:] for name in names}
        for name in found:
            if name[22:] in anew and name not in names:
                (self._home.inbox / name).unlink(missing_ok=True)

    def recover(self) -> None:
        """Finish what an earlier process left staged, but for what is held: its files are still to be fetched."""
        with self._lock:
            self._knows_boot = boot.compare(self._home, self._name, self._store, self._logger)
            newest = self._store.newest_event()
            self._names.seen(newest.file if newest else "")
            found = event_names(self._home.inbox)
            for names in (found, filter(self._names.own, found)):
                # The latest of them that can be believed: one from another year must not hide the others.
                any(self._names.seen(name) for name in sorted(names, reverse=True))
            ready: list[str] = []
            waiting: set[str] = set()  # conversations in which something is held: nothing overtakes it
            for path, message in self._staging.events(torn=self._staging.drop_torn):
                self._staging.sync_file(path)
                name, row = path.name, self._store.event(message.id)
                if row is None:
                    waits = message.conversation.id in waiting or any(map(to_fetch, message.content.attachments))
                    staged = Staged.of(message, name, path.read_bytes(), self._clock())
                    row = replace(staged.row, held_s=LIMIT_S if waits else 0.0)
                    self._store.record_events([row])
                if row.file != name:
                    path.unlink(missing_ok=True)
                elif row.held_s:
                    waiting.add(message.conversation.id)
                else:
                    ready.append(name)
            if ready:
                self._logger.info("recovery: %d events were staged and are published now", len(ready))
                self._withdraw(ready, found)
                self._publish(ready)

    def _prepare(self, message: Message) -> Staged:
        if message.received_at is None:
            message = message.model_copy(update={"received_at": utc_now()})
        return Staged.of(message, self._names.new(message.id), message.to_bytes(), self._clock())

    def _record(self, fresh: list[Staged], checkpoint: tuple[str, Any] | None, held_s: float = 0.0) -> None:
        self._staging.add([(staged.name, staged.body) for staged in fresh])
        try:
            if fresh and (held_s or checkpoint is not None or len(fresh) > 1 or not self._knows_boot):
                self._staging.sync()
            step("intake.staged")
            rows = [replace(staged.row, held_s=held_s) if held_s else staged.row for staged in fresh]
            self._store.record_events(rows, checkpoint)
        except BaseException:
            self._staging.drop([staged.name for staged in fresh])
            raise
        step("intake.recorded")

    def _publish(self, names: Sequence[str]) -> None:
        self._staging.publish(names)
        step("intake.published")
        sync_folder(self._home.inbox)
        step("intake.synced")
        self._room.taken(len(names))
