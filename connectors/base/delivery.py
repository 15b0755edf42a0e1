"""Outgoings out: claim → commit the attempt → send → receipt → delete.

An outgoing file ends in exactly one of: a receipt, a dead letter with a reason, or still queued with a visible next
attempt. A send that was cut off is ambiguous: it is sent again and says so, or it is held, as the policy wants.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from connectors.base.aftermath import Aftermath
from connectors.base.attachments import check_outgoing
from connectors.base.attempt import Attempts
from connectors.base.ends import Ends
from connectors.base.errors import Rejected, RetryLater
from connectors.base.home import Home
from connectors.base.judging import Judge
from connectors.base.lanes import Item
from connectors.base.message import OutgoingMessage
from connectors.base.outbound import Outbound
from connectors.base.outbox import BATCH, Claimed, Outbox
from connectors.base.pause import CLAIMING, LOOK_AGAIN_S, SENDING, Pause
from connectors.base.queue import Queue, apart
from connectors.base.recovery import Recovery
from connectors.base.sending import Sender, Sending
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.store import OutState, Store

#: Behind a blocked conversation many may pile up: of so many the content is kept, the others are read again.
_KEPT_IN_MEMORY = 1000


class Delivery:
    """The sending engine of one instance. Every entry point is thread-safe; `send` runs in one thread at a time
    unless the connector is `parallel`."""

    def __init__(
        self,
        home: Home,
        name: str,
        store: Store,
        outbox: Outbox,
        ends: Ends,
        sending: Sending,
        *,
        policy: DeliveryPolicy,
        limits: Limits,
        stop: threading.Event,
        on_fatal: Callable[[Exception], None],
        on_event: Callable[..., None] = lambda what, **fields: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        logger: logging.Logger | None = None,
    ) -> None:
        logger = logger or logging.getLogger(f"connector.{name}")
        outbound = Outbound(home, name, store, ends, sending, policy, limits, stop, on_event, clock, monotonic, logger)
        self._out = outbound
        self._outbox = outbox
        self._on_fatal = on_fatal
        self._stop = stop
        self._sender = Sender(name, store, sending, monotonic=monotonic)
        self._queue = Queue(monotonic)
        self._pause = Pause(home.state_dir(name), on_event=on_event, monotonic=monotonic, logger=logger)
        self._aftermath = Aftermath(outbound, self._queue, self._pause, self._sender)
        self._judge = Judge(outbound, self._queue, self._aftermath, self._sender)
        self._attempts = Attempts(outbound, self._queue, self._aftermath, self._sender)
        self._recovery = Recovery(outbound, self._pause)
        self._claiming = threading.RLock()
        self._senders = threading.BoundedSemaphore(sending.parallel)
        self._here = threading.local()
        self._dirty = True
        self._recovered = True

    # ── entry points ──────────────────────────────────────────────────────────────────────────────────────────

    def hint(self) -> None:
        """Something may be new in the outbox: look into it at the next occasion."""
        self._dirty = True

    def longest_send(self) -> tuple[float, str] | None:
        """Of the calls of `send` that have not returned the oldest: (begin on the monotonic clock, file)."""
        return self._sender.longest()

    def retry_now(self) -> None:
        """What waits for its next attempt is due: the platform is there again."""
        self._queue.hurry()

    def hurry(self, key: str) -> None:
        """What this claim waits for has happened. Only for one that is `apart`."""
        self._queue.hurry(apart(key))

    def backlog(self) -> dict[str, int]:
        """Files seen in the outbox, and files claimed and not ended."""
        return {"outbox": self._outbox.waiting(), "sending": len(self._queue)}

    def next_due_s(self) -> float | None:
        """In how many seconds there may be something to do without a hint; None when nothing waits."""
        paused_s = self._pause.left_s(SENDING)
        if paused_s > 0:
            return paused_s
        with self._claiming:
            claim_s = self._pause.left_s(CLAIMING)
            if self._queue.runnable() or (claim_s == 0 and (self._outbox.listed() or not self._recovered)):
                return 0.0
            waits = [claim_s or self._outbox.next_look_s(), self._queue.next_due_s()]
        return min((w for w in waits if w is not None), default=None)

    def deliver_ready(self, going: Callable[[], bool] = lambda: True) -> int:
        """Send all that is due now, while `going`; returns how many were sent.

        Never raises for what a file or a platform does.
        """
        if getattr(self._here, "sending", False):
            return 0  # called from within send_message
        sent = 0
        with self._senders:
            self._here.sending = True
            try:
                self.hint()
                while going() and not self._stop.is_set() and not self._pause.left_s(SENDING):
                    item = self._next()
                    if item is None:
                        break
                    sent += self._handle(item)
            finally:
                self._here.sending = False
        return sent

    def hand_over(self) -> list[OutgoingMessage]:
        """Give all that is due to the connector's own code: a receipt that says so, then the file goes."""
        handed: list[OutgoingMessage] = []
        with self._senders:
            self.hint()
            while not self._stop.is_set():
                item = self._next()
                if item is None:
                    break
                message = self._hand_over(item)
                if message is not None:
                    handed.append(message)
        return handed

    def recover(self) -> None:
        """Take up what an earlier process left. Call once, before anything is sent."""
        with self._claiming:
            self._recovered = False
            try:
                self._recover()
            except (OSError, sqlite3.OperationalError) as error:
                self._pause.begin(error, CLAIMING)

    # ── claiming ──────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> Item | None:
        with self._claiming:
            if self._wants_more():
                self._claim_more()
            return self._queue.take()

    def _wants_more(self) -> bool:
        """Claim a little ahead of what is sent, also when all is for one conversation; past those that wait."""
        sendable = self._queue.sendable()
        few = self._queue.runnable() < self._out.sending.parallel
        return sendable < BATCH // 2 or (sendable < 4 * BATCH and few)

    def _claim_more(self) -> None:
        if self._pause.left_s(CLAIMING) > 0:
            return
        try:
            self._recover()
            if not self._outbox.listed() and self._dirty:
                self._dirty = False
                self._outbox.scan()
            while self._outbox.listed() and self._wants_more():
                self._recovered = False
                for claim in self._outbox.claim():
                    self._add(claim)
                self._recovered = True
        except (OSError, sqlite3.OperationalError) as error:
            # Nothing is lost: whatever was renamed is found by its key.
            self._pause.begin(error, CLAIMING)
            self._dirty = True
        else:
            self._pause.over(CLAIMING)

    def _add(self, claim: Claimed) -> None:
        known = None
        if claim.message is not None and claim.identity is not None and len(self._queue) < _KEPT_IN_MEMORY:
            known = (claim.message, claim.identity)
        self._queue.add(claim.key, claim.file, self._lane(claim.key, claim.message), known=known, error=claim.error)

    def _lane(self, key: str, message: OutgoingMessage | None) -> str:
        if message is None or self._out.sending.apart(message):
            return apart(key)
        answered = message.reply_to if message.reply_to is not None else message.target_id
        if message.conversation_id or answered is None:
            return message.conversation_id
        event = self._out.store.event(answered)
        return event.conversation_id if event else ""

    def _recover(self) -> None:
        """Take up what was claimed, by an earlier process or in vain, and is not in the queue."""
        if self._recovered:
            return
        for one in self._recovery.run(self._queue.keys()):
            lane = self._lane(one.row.key, one.message)
            self._queue.add(one.row.key, one.row.file, lane, wait_s=one.wait_s, end=one.end)
        self._recovered = True

    # ── one item ──────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, item: Item) -> int:
        """Bring one item a step further; 1 when it was sent."""
        try:
            if item.end is not None:
                self._aftermath.end(item, item.end)
                return 0
            progress = self._judge.open(item)
            if progress is None:
                return 0
            made = self._attempts.make(item, progress)
        except (OSError, sqlite3.OperationalError) as error:
            self._pause.begin(error, SENDING)
            self._queue.wait(item, LOOK_AGAIN_S)
            return 0
        self._pause.over(SENDING)
        if isinstance(made, Exception):
            self._on_fatal(made)
            return 0
        return int(made)

    def _hand_over(self, item: Item) -> OutgoingMessage | None:
        if item.end is not None:
            self._aftermath.end(item, item.end)
            return None
        progress = self._judge.open(item)
        if progress is None:
            return None
        try:
            progress.message = check_outgoing(self._out.home, self._out.limits, progress.message)
        except Rejected as error:
            self._aftermath.bury(item, progress.row, "rejected", str(error), error.hint)
            return None
        except RetryLater as error:
            progress.attempts += 1
            self._aftermath.failed(item, progress, error, ambiguous=False)
            return None
        receipt = self._sender.receipt(progress).model_copy(update={"handed_over": True})
        return progress.message if self._aftermath.sent(item, receipt, OutState.HANDED_OVER) else None
