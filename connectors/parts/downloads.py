"""Files of events: the event is durable first, then its files are fetched, then it is published.

    self._downloads = Downloads(self, self._fetch, max_bytes=20_000_000)
    self._downloads.start()             # in connect(): it goes on with what an earlier process left
    self._downloads.accept(message)     # every event goes this way; when it returns, acknowledge

Each entry of `content.attachments` that has a `ref` (what the platform needs to find the file; no secrets) gets `path`,
`size` and `sha256`, or an `error`. An event is published when it has all its files, or `timeout_s` after it was
accepted with what is there by then, whatever ended and started meanwhile; what is missing can be fetched again (action
`fetch`), for as long as the platform has it.

Order: the events of a conversation are published in the order in which they were accepted. One without files that comes
behind one that waits is held too. Conversations do not wait for each other, so no event comes later than `timeout_s`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.files import safe_name
from connectors.base.held import Held, to_fetch
from connectors.base.message import Message, Receipt
from connectors.parts.fetching import Fetch, Fetcher, FetchFailed, FetchLater
from connectors.parts.pool import Batch, Pool, missing

__all__ = ["Downloads", "Fetch", "FetchFailed", "FetchLater"]

#: How often a fetch that was asked for looks whether the connector stops.
_STOP_POLL_S = 0.1
_CLOSE_S = 2.0


@dataclass(eq=False)
class _Waiting:
    """An event that is not published yet."""

    message: Message
    batch: Batch

    @property
    def conversation(self) -> str:
        return self.message.conversation.id


class Downloads:
    """One connector's downloads. `fetch(entry)` gives a file's bytes, chunk by chunk.

    It raises FetchFailed (the text becomes the entry's `error`), FetchLater or RetryLater (tried again within the time
    limit; OSError counts as such). It should have a time limit for every read of its own: a thread that hangs in one
    cannot be ended, only left behind. Above `max_held` events the oldest is published without what it still lacks.
    """

    def __init__(
        self,
        connector: Connector,
        fetch: Fetch,
        *,
        max_bytes: int,
        timeout_s: float = 60,
        workers: int = 2,
        max_held: int = 1000,
    ) -> None:
        self._connector = connector
        self._timeout_s = timeout_s
        self._max_held = max_held
        self._pool = Pool(connector, Fetcher(connector, fetch, max_bytes), timeout_s=timeout_s, workers=workers)
        self._changed = self._pool.changed
        self._accepting = threading.Lock()
        self._queues: dict[str, deque[_Waiting]] = {}  # by conversation, in order of acceptance
        self._held: dict[str, _Waiting] = {}  # by event id, in order of acceptance
        self._fetching: set[str] = set()  # events whose files are being fetched again
        self._keeper: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to fetch and publish, first of all what is held already; safe twice. To be called in `connect`.

        Threads for downloads are made when there is a file.
        """
        left = self._connector.held()
        with self._changed:
            if self._keeper is not None:
                return
            self._closed = False
            self._pool.open()
            for held in left:
                self._go_on(held)
            self._keeper = threading.Thread(target=self._keep, name="downloads", daemon=True)
            self._keeper.start()

    def close(self) -> None:
        """Publish what is complete and end; safe twice. What is not complete stays held: the next start goes on."""
        self._pool.close()
        with self._changed:
            self._closed = True
            keeper, self._keeper = self._keeper, None
            self._changed.notify_all()
        if keeper is not None:
            keeper.join(_CLOSE_S)
        with self._changed:
            self._held.clear()
            self._queues.clear()
            self._pool.forget()

    # ── events in ─────────────────────────────────────────────────────────────────────────────────────────────

    def accept(self, message: Message) -> None:
        """Make an event durable; when this returns it may be acknowledged. Known events are left alone.

        Waits while the disk or the inbox is full; raises RetryLater when stopped meanwhile: do not acknowledge.
        """
        entries = [{**entry, "name": safe_name(str(entry.get("name") or ""))} for entry in message.content.attachments]
        message = _with(message, entries)
        # One at a time: the queue's order is that in which events became durable, which the inbox's names follow.
        with self._accepting:
            with self._changed:
                if self._closed:
                    raise RetryLater("stopped: nothing was accepted")
                waits = message.conversation.id in self._queues
            if not waits and not any(map(to_fetch, entries)):
                self._connector.write_to_inbox(message)
            elif self._connector.hold(message, self._timeout_s):
                with self._changed:
                    self._enqueue(_Waiting(message, Batch(entries, time.monotonic() + self._timeout_s)))

    def _go_on(self, held: Held) -> None:
        if held.message.id not in self._held:
            entries = [dict(entry) for entry in held.message.content.attachments]
            self._enqueue(_Waiting(held.message, Batch(entries, time.monotonic() + held.left_s)))

    def _enqueue(self, held: _Waiting) -> None:
        if len(self._held) >= self._max_held:
            oldest = next((other for other in self._held.values() if not other.batch.over), None)
            if oldest is not None:
                self._pool.expire(oldest.batch, f"not fetched: more than {self._max_held} events wait for their files")
        self._held[held.message.id] = held
        self._queues.setdefault(held.conversation, deque()).append(held)
        self._pool.add(held.batch)

    # ── events out ────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self) -> None:
        """Publish what is ready, and look after time limits, until closed."""
        try:
            while True:
                with self._changed:
                    ready = self._ready()
                    if not ready and self._closed:
                        return
                    if not ready:
                        look_at = self._pool.tend(time.monotonic())
                        ready = self._ready()
                    if not ready:
                        self._changed.wait(None if look_at is None else max(0.0, look_at - time.monotonic()))
                for held in ready:
                    self._publish(held)
        except RetryLater as error:
            self._connector.logger.info("events with files stay held: %s", error)
        except Exception as error:
            if self._closed or self._connector.wait(0):
                self._connector.logger.exception("events with files stay held")
            else:
                # Events would be held for ever: the process ends, and the next start publishes them.
                self._connector.end_with(error)

    def _ready(self) -> list[_Waiting]:
        """The first of each conversation, where it has all that it will get."""
        return [queue[0] for queue in self._queues.values() if queue[0].batch.over]

    def _publish(self, held: _Waiting) -> None:
        for entry in missing(held.batch.entries):
            self._connector.logger.warning("%s: %s: %s", held.message.id, entry["name"], entry["error"])
        try:
            self._connector.release(_with(held.message, held.batch.entries))
        except ValueError as error:  # it was accepted while an earlier run ended, and this one's start published it
            self._connector.logger.warning("%s", error)
        with self._changed:
            self._held.pop(held.message.id, None)
            queue = self._queues.get(held.conversation, deque())
            if queue and queue[0] is held:
                queue.popleft()
            if not queue:
                self._queues.pop(held.conversation, None)
            self._changed.notify_all()

    # ── fetching again ────────────────────────────────────────────────────────────────────────────────────────

    def fetch_again(self, event_id: str) -> Receipt:
        """Fetch what an event lacks and put it into the inbox again with that; for the action `fetch`.

        The receipt's metadata: `fetched`, how many, and `failed`, a {name, error} each. Raises Rejected when the event
        is not known, lacks nothing, or nothing of it can be had; RetryLater when what it lacks may come later.
        """
        if not event_id:
            raise Rejected("fetch needs a target_id", hint="set target_id to the event's id, as in the inbox file")
        with self._changed:
            while event_id in self._held and self._held[event_id].batch.over and not self._closed:
                self._changed.wait(_STOP_POLL_S)  # it is being published
            if event_id in self._held or event_id in self._fetching:
                raise RetryLater(f"the files of {event_id} are being fetched", after_s=1.0)
            self._fetching.add(event_id)
        try:
            return self._fetch_again(event_id)
        finally:
            with self._changed:
                self._fetching.discard(event_id)

    def _fetch_again(self, event_id: str) -> Receipt:
        message = self._connector.kept(event_id)
        if message is None:
            raise Rejected(
                f"no kept event has the id {event_id!r}",
                hint="the id is in the inbox file; events are kept as long as limits.keep_events and keep_days say",
            )
        entries = [dict(entry) for entry in message.content.attachments]
        wanted = [n for n, entry in enumerate(entries) if entry.get("ref") and not entry.get("path")]
        if not wanted:
            raise Rejected(
                f"{event_id} has no file that is missing and can be fetched",
                hint="only attachments with a ref and without a path can",
            )
        for n in wanted:
            entries[n].pop("error", None)
        batch = Batch(entries, time.monotonic() + self._timeout_s, patient=False)
        self._run(batch)
        failed = missing([entries[n] for n in wanted])
        if len(failed) < len(wanted):
            self._connector.renew(_with(message, entries))
            return Receipt(metadata={"fetched": len(wanted) - len(failed), "failed": failed})
        reasons = "; ".join(f"{entry['name']}: {entry['error']}" for entry in failed)
        if batch.later:
            raise RetryLater(f"nothing of {event_id} could be fetched: {reasons}")
        raise Rejected(f"nothing of {event_id} can be fetched: {reasons}", hint="mend the cause, then fetch it again")

    def _run(self, batch: Batch) -> None:
        with self._changed:
            if self._keeper is None:
                raise RetryLater("nothing is fetched: the connector is not running")
            self._pool.add(batch)
            while not batch.over:
                if self._closed or self._connector.wait(0):
                    self._pool.expire(batch, "the connector was stopped")
                    raise RetryLater("stopped while files were being fetched")
                self._changed.wait(_STOP_POLL_S)


def _with(message: Message, entries: list[dict[str, Any]]) -> Message:
    content = message.content.model_copy(update={"attachments": entries})
    return message.model_copy(update={"content": content})
