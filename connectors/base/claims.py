"""Competing workers: one of them gets each event, and no conversation is with two of them at once."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock, Timeout

from connectors.base.claimed import Claimed
from connectors.base.cursors import Cursors
from connectors.base.errors import BadMessage
from connectors.base.holds import ConsumerInUse, Hold, Holds, worker_folders
from connectors.base.home import Home
from connectors.base.index import Header, Index
from connectors.base.kept import give_up, retire
from connectors.base.readers import (
    LostClaim,
    check_reader,
    consumer_folders,
    event_names,
    find_in,
    read_event,
)

#: Even with candidates at hand the inbox is listed again after this time, so that what became visible late
#: is not last.
_RELIST_S = 5.0
#: A record older than this is written anew: it says that the consumer is in use.
_REREGISTER_S = 3600.0


class Claims:
    """One consumer's claims. Thread-safe.

    A claim without `lease_s` lasts as long as this process: the object takes the consumer's lock for it,
    and whoever looks at the inbox after the process's death gives the event back. A claim with `lease_s`
    lasts that many seconds after the last touch, whoever lives.
    """

    def __init__(
        self,
        home: Home,
        consumer: str,
        *,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.consumer = check_reader(consumer)
        self._home = home
        self._logger = logger or logging.getLogger("connectors.readers")
        self._clock = clock
        self._mutex = threading.RLock()
        self._alive: FileLock | None = None
        self._returns = -1
        self._busy: dict[tuple[str, int], tuple[str, str] | None] = {}
        home.make(home.inbox, self.folder)
        self.cursors = Cursors(home, logger=self._logger, clock=clock)
        self.holds = Holds(home, logger=self._logger, clock=clock)
        self.index = Index(home.inbox, self._logger)

    @property
    def folder(self) -> Path:
        return self._home.claimed / self.consumer

    def hold(self) -> None:
        """Take the consumer's lock for this process, and give back what an earlier holder left.

        Raises ConsumerInUse when another process has it.
        """
        with self._mutex:
            if self._alive is not None:
                return
            lock = self.holds.consumer_lock(self.consumer)
            with self.holds.lock():
                try:
                    lock.acquire(blocking=False)
                except Timeout as error:
                    raise ConsumerInUse(
                        f"another process reads as {self.consumer!r}",
                        hint="give each worker a name of its own",
                    ) from error
                record = self.holds.record(self.consumer)
                for name in event_names(self.folder):
                    hold = record.holds.get(name)
                    if hold is not None and hold.lease_s is None and self.holds.give_back(self.folder / name):
                        self._logger.warning(
                            "%s: an earlier process died with it, back to the inbox: %s", self.consumer, name
                        )
            self._alive = lock

    def claim(
        self,
        kinds: Collection[str] | None = None,
        instance: str | None = None,
        lease_s: float | None = None,
        *,
        relist: bool = True,
    ) -> Claimed | None:
        """The oldest event whose conversation nobody holds; None when there is none.

        `kinds` and `instance` leave the other events where they are. `relist=False` believes an earlier
        listing that had nothing: for callers who know when something came. Raises OSError when the folders
        cannot be written.
        """
        with self._mutex:
            if lease_s is None:
                self.hold()
            self.index.filter(kinds, instance)
            # Reading ahead happens before the lock, which others wait for; inside it little is left to read.
            found = self.index.oldest(self._blocked())
            if (found is None and relist) or time.monotonic() - self.index.listed_at > _RELIST_S:
                self.index.refresh()
                self.index.oldest(self._blocked())
            with self.holds.lock():
                self._register(kinds)
                self.holds.recover(own=self.consumer if self._alive else None)
                if (returns := self.holds.returns()) != self._returns:
                    self._returns = returns
                    self.index.refresh()
                blocked = self._blocked()
                while header := self.index.oldest(blocked):
                    if claimed := self._take(header, blocked, lease_s):
                        return claimed
        return None

    def ack(self, claim: Claimed | str) -> None:
        """The event is done with: its file goes, or waits in `.acked/` for the cursors that have not had it.

        `claim` is what `claim()` returned, or an event's id. Raises LostClaim when this consumer does not
        hold it.
        """
        held = self._held(claim)
        if not retire(self._home, self.cursors, held.path):
            raise self._lost(held.event.id)
        held.done = True

    def nack(self, claim: Claimed | str, delay_s: float = 0.0) -> None:
        """Give the event back, to be handed out again: at once, or after `delay_s` seconds.

        Until then it stays claimed, and its conversation waits with it. Raises LostClaim as `ack`.
        """
        held = self._held(claim)
        with self.holds.lock():
            if delay_s > 0:
                record = self.holds.record(self.consumer)
                record.holds[held.name] = Hold(secrets.token_hex(4), lease_s=delay_s, waiting=True)
                try:
                    os.utime(held.path)
                except FileNotFoundError:
                    raise self._lost(held.event.id) from None
                self.holds.save(self.consumer, record)
            elif not self.holds.give_back(held.path):
                raise self._lost(held.event.id)
        held.done = True

    def touch(self, claim: Claimed | str) -> None:
        """Begin the lease anew. Raises LostClaim as `ack`."""
        held = self._held(claim)
        try:
            os.utime(held.path)
        except FileNotFoundError:
            raise self._lost(held.event.id) from None

    def fail(self, claim: Claimed | str, reason: str, *, hint: str = "", attempts: int = 0) -> Path:
        """Give up on the event.

        It goes to `messages/failed/`, its reason beside it. Returns its path there.
        """
        held = self._held(claim)
        path = give_up(self._home, self.cursors, held.event, reason, hint=hint, attempts=attempts)
        if path is None:
            raise self._lost(held.event.id)
        held.done = True
        return path

    def sweep(self) -> int:
        """Acknowledge the events that `claim(kinds)` left out and that no other worker takes; returns how
        many.

        Without this they would pile up in the inbox until receiving pauses. Cursors still get them.
        """
        with self._mutex:
            if not self.index.others:
                return 0
            wanted = self._wanted_by_others()
            if wanted is None:
                return 0
            count = 0
            for header in [other for other in self.index.others.values() if other.kind not in wanted]:
                self.index.drop(header.name)
                if retire(self._home, self.cursors, self._home.inbox / header.name):
                    count += 1
                    self._logger.debug("%s: not handed out, acknowledged: %s (%s)", self.consumer, *header[::2])
            return count

    def close(self) -> None:
        """Give back what this process holds, and let go of the consumer's name. Safe twice."""
        with self._mutex:
            lock, self._alive = self._alive, None
            if lock is not None:
                with self.holds.lock():
                    for name, hold in self.holds.record(self.consumer).holds.items():
                        if hold.lease_s is None:
                            self.holds.give_back(self.folder / name)
                    lock.release()
            self.cursors.close()

    def _take(self, header: Header, blocked: set[tuple[str, str]], lease_s: float | None) -> Claimed | None:
        source = self._home.inbox / header.name
        hold = Hold(secrets.token_hex(4), lease_s)
        try:
            path = self.holds.take(self.consumer, source, hold, self.holds.record(self.consumer))
        except FileNotFoundError:
            self.index.drop(header.name)
            self._home.make(self.folder)  # an idle consumer's folder may have been removed
            return None
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EEXIST):
                raise  # this is about the folders, and must not look like an empty inbox
            self.index.spoil(header.name, error)
            return None
        try:
            event = read_event(path)
        except (BadMessage, OSError) as error:
            if self.holds.give_back(path):
                self.index.spoil(header.name, error)
            return None
        if event.key != header.key and event.key in blocked:
            self.holds.give_back(path)
            self.index.add(event, header.name)
            return None
        self.index.drop(header.name)
        return Claimed(self, event, hold.key)

    def _register(self, kinds: Collection[str] | None) -> None:
        taken = sorted(kinds) if kinds is not None else None
        record = self.holds.record(self.consumer)
        age = self._clock() - self.holds.recorded_at(self.consumer)
        if record.kinds != taken or not 0 <= age < _REREGISTER_S:
            record.kinds = taken
            self.holds.save(self.consumer, record)

    def _blocked(self) -> set[tuple[str, str]]:
        """The conversations of which somebody holds an event."""
        seen: dict[tuple[str, int], tuple[str, str] | None] = {}
        for folder in consumer_folders(self._home):
            for name in event_names(folder):
                try:
                    place = (str(folder / name), (folder / name).stat(follow_symlinks=False).st_ino)
                    seen[place] = self._busy[place] if place in self._busy else read_event(folder / name).key
                except (BadMessage, OSError):
                    continue
        self._busy = seen
        return {key for key in seen.values() if key is not None}

    def _wanted_by_others(self) -> set[str] | None:
        """The kinds that other workers take; None: all of them."""
        wanted: set[str] = set()
        for folder in worker_folders(self._home, self._clock()):
            if folder != self.folder:
                kinds = self.holds.record(folder.name).kinds
                if kinds is None:
                    return None
                wanted.update(kinds)
        return wanted

    def _held(self, claim: Claimed | str) -> Claimed:
        if isinstance(claim, str):
            event = next(find_in(self.folder, claim), None)
            if event is None:
                raise self._lost(claim)
            claim = Claimed(self, event, None)
        hold = self.holds.record(self.consumer).holds.get(claim.name)
        taken_again = claim.key is not None and hold is not None and hold.key != claim.key
        if claim.done or taken_again or (hold is not None and hold.waiting) or not claim.path.exists():
            raise self._lost(claim.event.id)
        return claim

    def _lost(self, event_id: str) -> LostClaim:
        return LostClaim(
            f"{self.consumer!r} does not hold {event_id!r}: it was acknowledged or given back, or its lease is over",
            hint="claim the next event; a longer lease, or a touch now and then, keeps a claim",
        )
