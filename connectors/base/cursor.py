"""Reading without taking: a look at what waits, and the cursor of an independent reader."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from connectors.base.cursors import OBSERVER, USED_EVERY_S, Cursors
from connectors.base.errors import BadMessage
from connectors.base.home import Home
from connectors.base.readers import (
    Event,
    LostClaim,
    acked_folder,
    check_reader,
    consumer_folders,
    event_names,
    find_in,
    is_quiet,
    locate,
    read_event,
)


class Look:
    """What waits, in name order, each event once per object. Acknowledges nothing. Not thread-safe."""

    def __init__(self, home: Home, logger: logging.Logger | None = None) -> None:
        self._home = home
        self._logger = logger or logging.getLogger("connectors.readers")
        self._given: set[str] = set()
        self._skipped: set[str] = set()
        #: How many files were opened so far.
        self.parsed = 0

    def events(self) -> Iterator[Event]:
        """What is there now and was not given before.

        Files are read when their turn comes; a file that is no event is skipped, with a warning once.
        """
        # In the order in which files move, so that one which moves meanwhile is met at least once.
        places = {name: folder for folder in self._folders() for name in event_names(folder)}
        done = self._done(places)
        self._given &= places.keys()
        for name in sorted(places.keys() - done - self._given):
            event = self._read(places[name] / name)
            if event is not None:
                self._given.add(name)
                yield event

    def close(self) -> None:
        """Safe twice."""

    def _folders(self) -> list[Path]:
        return [self._home.inbox, *consumer_folders(self._home)]

    def _done(self, present: Collection[str]) -> set[str]:
        return set()

    def _read(self, path: Path) -> Event | None:
        self.parsed += 1
        try:
            return read_event(path)
        except FileNotFoundError:
            return locate(self._home, path.name)
        except (BadMessage, OSError) as error:
            if path.name not in self._skipped and is_quiet(path):
                self._skipped.add(path.name)
                self._logger.warning("%r is no event and is left alone: %s", path.name, error)
            return None


class Cursor(Look):
    """One independent reader. Moved only by `ack`; what was read and not acknowledged is read again next
    time.

    Two processes under one name share the cursor, and both get what neither has acknowledged.
    """

    def __init__(
        self,
        home: Home,
        name: str,
        *,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(home, logger)
        self.name = self._checked(name)
        self.cursors = Cursors(home, logger=self._logger, clock=clock)
        self.cursors.register(self.name)
        self._used_at = clock()

    @staticmethod
    def _checked(name: str) -> str:
        return check_reader(name)

    def ack(self, event: Event | str) -> None:
        """The reader is done with this event (or the event with this id).

        Raises LostClaim when there is none.
        """
        names = [event.path.name] if isinstance(event, Event) else self._find(event)
        if not names:
            raise LostClaim(
                f"{self.name!r} has no event {event!r} to acknowledge",
                hint="it was acknowledged before, or a plain agent has deleted it",
            )
        self.cursors.ack(self.name, names)
        for name in names:
            self.cursors.settle(name)

    def close(self) -> None:
        """Safe twice."""
        self.cursors.close()

    def _folders(self) -> list[Path]:
        return [*super()._folders(), acked_folder(self._home)]

    def _done(self, present: Collection[str]) -> set[str]:
        now = self.cursors.clock()
        if not 0 <= now - self._used_at < USED_EVERY_S:
            self._used_at = now
            if not self.cursors.used(self.name):
                self.cursors.register(self.name)
            self.cursors.compact(self.name, present)
            self.cursors.settle_orphans()
        return self.cursors.acked(self.name)

    def _find(self, event_id: str) -> list[str]:
        acked = self.cursors.acked(self.name)
        found = (event.path.name for folder in self._folders() for event in find_in(folder, event_id))
        return [name for name in found if name not in acked]


class Observer(Cursor):
    """A reader that gets every event and whose acknowledgement deletes none that nobody else has acknowledged.

    For programs of this project that read beside the agents: an agent that lists, reads and deletes is not known to
    anybody, and its events must not go while it has not read them.
    """

    @staticmethod
    def _checked(name: str) -> str:
        return f"{OBSERVER}{check_reader(name)}"

    def events(self, again: Collection[str] = ()) -> Iterator[Event]:
        """As `Look.events`; `again` are file names that are given once more."""
        self._given.difference_update(again)
        return super().events()

    def ack_all(self, events: Collection[Event]) -> None:
        """Done with these."""
        if events:
            names = [event.path.name for event in events]
            self.cursors.ack(self.name, names)
            for name in names:
                self.cursors.settle(name)
