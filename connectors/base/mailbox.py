"""The client for agents in Python: `from connectors import Mailbox`.

with Mailbox() as mailbox:
    while claimed := mailbox.claim("worker", wait_s=float("inf")):
        with claimed as event:
            mailbox.reply(event, f"you said: {event.text}")
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.base.arrivals import Arrivals
from connectors.base.claimed import Claimed
from connectors.base.claims import Claims
from connectors.base.cursor import Cursor, Look
from connectors.base.home import Home
from connectors.base.kept import one_event, replay
from connectors.base.readers import Event, LostClaim, event_names

#: Notifications are a hint: the folder is looked at anyway after this time.
LOOK_EVERY_S = 15.0


class Mailbox:
    """One home folder, seen from the agent's side. Thread-safe, but for one `tail` a thread.

    Construction touches nothing. Folders are made, and the inbox is watched, when they are first needed.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | Home = ".",
        *,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.home = home if isinstance(home, Home) else Home(home)
        self._logger = logger or logging.getLogger("connectors.readers")
        self._clock = clock
        self._claims: dict[str, Claims] = {}
        self._cursors: dict[str, Cursor] = {}
        self._mutex = threading.Lock()
        self._arrivals = Arrivals(self.home, self._logger)
        self._seen: tuple[int, int] | None = None

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def tail(
        self,
        follow: bool = False,
        as_: str | None = None,
        *,
        auto_ack: bool = False,
        kinds: Collection[str] | None = None,
        instance: str | None = None,
    ) -> Iterator[Event]:
        """The events that nobody has acknowledged, those claimed by workers included, in the order of their
        names.

        `as_` names a cursor: then these are the events that this cursor has not acknowledged, also those that
        workers are done with; call `ack(event, as_=...)` for each. `auto_ack` does that before the event is
        given out: an agent that dies then loses it. `follow` goes on with what arrives until the mailbox is
        closed. `kinds` and `instance` skip the other events; a cursor acknowledges those.
        """
        if auto_ack and as_ is None:
            raise ValueError("auto_ack needs a cursor: give as_")
        cursor = Cursor(self.home, as_, logger=self._logger, clock=self._clock) if as_ is not None else None
        return self._tail(cursor or Look(self.home, self._logger), cursor, follow, auto_ack, kinds, instance)

    def _tail(
        self,
        look: Look,
        cursor: Cursor | None,
        follow: bool,
        auto_ack: bool,
        kinds: Collection[str] | None,
        instance: str | None,
    ) -> Iterator[Event]:
        if follow:
            self._arrivals.start()
        try:
            while True:
                since = self._arrivals.count
                for event in look.events():
                    skipped = (kinds is not None and event.kind not in kinds) or instance not in (None, event.instance)
                    if cursor and (skipped or auto_ack):
                        cursor.ack(event)
                    if not skipped:
                        yield event
                if not follow or not self._arrivals.wait(since, math.inf, LOOK_EVERY_S):
                    return
        finally:
            look.close()

    def claim(
        self,
        consumer: str,
        wait_s: float | None = None,
        lease_s: float | None = None,
        *,
        kinds: Collection[str] | None = None,
        instance: str | None = None,
    ) -> Claimed | None:
        """The oldest event whose conversation no worker holds; None when there is none within `wait_s`
        seconds.

        Without `lease_s` the claim lasts as long as this process. See `Claims.claim`.
        """
        claims = self.claims(consumer)
        end = time.monotonic() + (wait_s or 0.0)
        if wait_s:
            self._arrivals.start()
        while True:
            since = self._arrivals.count
            claimed = claims.claim(kinds, instance, lease_s)
            left = end - time.monotonic()
            if claimed is not None or left <= 0:
                return claimed
            # A second at most: a conversation becomes free, and a lease ends, without anything arriving.
            if not self._arrivals.wait(since, left, 1.0):
                return None

    def ack(self, event: Event | Claimed | str, as_: str | None = None) -> None:
        """Done with this event: as the worker that claimed it, or as the cursor `as_`. An id needs `as_`.

        A name that is both acknowledges its claim, else its cursor. Raises LostClaim.
        """
        if isinstance(event, Claimed):
            event.ack()
            return
        if as_ is None:
            raise ValueError("ack needs the name of the consumer or of the cursor: give as_")
        event_id = event if isinstance(event, str) else event.id
        if as_ in self._claims or (self.home.claimed / as_).is_dir():
            try:
                self.claims(as_).ack(event_id)
                return
            except LostClaim:
                if not self._is_cursor(as_):
                    raise
        elif not self._is_cursor(as_):
            raise LostClaim(f"there is no consumer and no cursor {as_!r}", hint="claim or tail under this name first")
        self._cursor(as_).ack(event)

    def nack(self, event: Event | Claimed | str, as_: str | None = None, *, delay_s: float = 0.0) -> None:
        """Give a claimed event back, to be handed out again at once or after `delay_s`. Raises LostClaim."""
        if isinstance(event, Claimed):
            event.nack(delay_s)
            return
        if as_ is None:
            raise ValueError("nack needs the name of the consumer: give as_")
        self.claims(as_).nack(event if isinstance(event, str) else event.id, delay_s)

    def wait(self, timeout_s: float | None = None) -> bool:
        """For plain agents: wait until something has arrived since the last call. False after `timeout_s`
        seconds.

        The first call returns at once when the inbox is not empty.
        """
        self._arrivals.start()
        if self._seen is None:
            self._seen = self._arrivals.count, self._arrivals.changed_at()
            if event_names(self.home.inbox):
                return True
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while self._arrivals.wait(self._seen[0], end - time.monotonic(), LOOK_EVERY_S):
            before, self._seen = self._seen, (self._arrivals.count, self._arrivals.changed_at())
            if self._seen != before:
                return True
        return False

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def reply(
        self,
        event: Event | Claimed | str,
        text: str = "",
        id: str | None = None,  # noqa: A002 - the field's own name
        **fields: Any,
    ) -> str:
        """Answer an event (or the event with this id, while it is kept), in its conversation; returns the
        outgoing's id.

        With `id` the answer is sent once however often it is written. `fields` are those of an outgoing;
        for an event's id that several instances have, give `connector_instance`. Raises NotFound,
        Ambiguous, BadMessage, ConfigError.
        """
        from connectors.base.outgoings import answer, put

        if isinstance(event, Claimed):
            event = event.event
        elif isinstance(event, str):
            event = one_event(self.home, event, fields.get("connector_instance"))
        outgoing = answer(event, {**fields, "text": text, "id": id})
        put(self.home, outgoing, event=event)
        return outgoing.id

    def send(
        self,
        instance: str,
        conversation_id: str,
        text: str = "",
        id: str | None = None,  # noqa: A002 - the field's own name
        **fields: Any,
    ) -> str:
        """Send to a conversation of an instance.

        Returns the outgoing's id. Raises BadMessage or ConfigError.
        """
        from connectors.base.message import OutgoingMessage
        from connectors.base.outgoings import put

        given = {"id": id} if id is not None else {}
        data = {**fields, **given, "connector_instance": instance, "conversation_id": conversation_id, "text": text}
        outgoing = OutgoingMessage.from_dict(data)
        put(self.home, outgoing)
        return outgoing.id

    def cancel(self, outgoing_id: str, instance: str | None = None) -> Path:
        """Take back an outgoing that waits.

        Raises TooLate when it is being sent, was sent, or is not known.
        """
        from connectors.base.outgoings import cancel

        return cancel(self.home, outgoing_id, instance)

    def event(self, event_id: str, instance: str | None = None) -> Event:
        """A kept event.

        Waiting, claimed, acknowledged, given up, or in an instance's store. Raises NotFound, Ambiguous.
        """
        return one_event(self.home, event_id, instance)

    def replay(self, event_id: str, instance: str | None = None) -> Path:
        """Put a kept event into the inbox again; returns its path. Raises NotFound, Ambiguous."""
        return replay(self.home, event_id, instance)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────────────────

    def claims(self, consumer: str) -> Claims:
        """This process's claims under that name."""
        with self._mutex:
            if consumer not in self._claims:
                self._claims[consumer] = Claims(self.home, consumer, logger=self._logger, clock=self._clock)
            return self._claims[consumer]

    def close(self) -> None:
        """Give back what is claimed, and end every `tail` and `wait`. Safe twice."""
        self._arrivals.close()
        with self._mutex:
            for claims in self._claims.values():
                claims.close()
            for cursor in self._cursors.values():
                cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _cursor(self, name: str) -> Cursor:
        with self._mutex:
            if name not in self._cursors:
                self._cursors[name] = Cursor(self.home, name, logger=self._logger, clock=self._clock)
            return self._cursors[name]

    def _is_cursor(self, name: str) -> bool:
        from connectors.base.cursors import Cursors

        cursors = Cursors(self.home, logger=self._logger, clock=self._clock)
        try:
            return name in cursors.names()
        finally:
            cursors.close()
