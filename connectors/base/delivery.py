"""Outgoings out: claim → commit the attempt → send → receipt → delete; and what comes after a failure.

An outgoing file ends in exactly one of: a receipt, a dead letter with a reason, or still queued with a visible next
attempt. A send that was cut off is ambiguous: it is sent again and says so, or it is held, as the policy wants.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from connectors.base.attachments import check_outgoing, copy_outgoing
from connectors.base.ends import HELD, Ends, ReasonClass
from connectors.base.errors import AuthError, BadMessage, ConfigError, Rejected, RetryLater
from connectors.base.files import NO_ROOM, read_regular
from connectors.base.home import Home
from connectors.base.lanes import Item, Lanes
from connectors.base.logbook import visible
from connectors.base.message import OutgoingMessage
from connectors.base.outbox import BATCH, Claimed, Outbox, identity, may_be_unfinished, read_outgoing
from connectors.base.recovery import Recovered, Recovery
from connectors.base.retry import Backoff
from connectors.base.sending import Paced, Progress, Sender, Sending, WrongReturn
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.steps import step
from connectors.base.store import OutRow, OutState, PartRow, Store

#: A wait for the platform's pace of so long is worth telling.
_SHOWN_S = 2.0
#: Actions that are done in some conversation.
_SOMEWHERE = frozenset({"edit", "react", "typing"})
#: An outgoing whose id is also under way elsewhere looks again after this time.
_SAME_ID_WAIT_S = 1.0


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
        self._home = home
        self._name = name
        self._store = store
        self._outbox = outbox
        self._ends = ends
        self._sending = sending
        self._policy = policy
        self._limits = limits
        self._stop = stop
        self._on_fatal = on_fatal
        self._on_event = on_event
        self._clock = clock
        self._monotonic = monotonic
        self._logger = logger or logging.getLogger(f"connector.{name}")
        self._sender = Sender(name, store, sending, monotonic=monotonic)
        self._backoff = Backoff(policy.initial_delay_s, policy.max_delay_s)
        self._folder = home.sending(name)
        self._recovery = Recovery(
            home,
            name,
            store,
            ends,
            policy=policy,
            limits=limits,
            once=sending.once,
            clock=clock,
            on_event=on_event,
            logger=self._logger,
        )
        self._lanes = Lanes()
        self._lock = threading.RLock()
        self._senders = threading.BoundedSemaphore(sending.parallel)
        self._here = threading.local()
        self._seq = 0
        self._keys: set[str] = set()
        self._paused_until = 0.0
        self._no_room_because: str | None = None
        self._dirty = True

    # ── entry points ──────────────────────────────────────────────────────────────────────────────────────────

    def hint(self) -> None:
        """Something may be new in the outbox: look into it at the next occasion."""
        self._dirty = True

    def longest_send(self) -> tuple[float, str] | None:
        """Of the calls of `send` that have not returned the oldest: (begin on the monotonic clock, file)."""
        return self._sender.longest()

    def retry_now(self) -> None:
        """What waits for its next attempt is due: the platform is there again."""
        with self._lock:
            self._lanes.hurry()

    def hurry(self, key: str) -> None:
        """What this claim waits for has happened. Only for one that is `apart`."""
        with self._lock:
            self._lanes.hurry(_alone(key))

    def backlog(self) -> dict[str, int]:
        """Files seen in the outbox, and files claimed and not ended."""
        return {"outbox": self._outbox.waiting(), "sending": len(self._lanes)}

    def next_due_s(self) -> float | None:
        """In how many seconds there may be something to do without a hint; None when nothing waits."""
        with self._lock:
            if self._paused_until > self._monotonic():
                return self._paused_until - self._monotonic()
            if self._outbox.listed() or self._lanes.runnable():
                return 0.0
            due = self._lanes.next_due()
            waits = [self._outbox.next_look_s(), None if due is None else max(0.0, due - self._monotonic())]
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
                while going() and not self._stop.is_set() and self._paused_until <= self._monotonic():
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
                progress = self._open(item)
                if progress is None:
                    continue
                try:
                    progress.message = check_outgoing(self._home, self._limits, progress.message)
                except Rejected as error:
                    self._settle(item, partial(self._bury, progress.row, "rejected", str(error), error.hint))
                    continue
                except RetryLater as error:
                    progress.attempts += 1
                    self._failed(item, progress, error, ambiguous=False)
                    continue
                receipt = self._sender.receipt(progress).model_copy(update={"handed_over": True})
                if self._settle(item, partial(self._ends.receipt, receipt, OutState.HANDED_OVER)):
                    handed.append(progress.message)
        return handed

    # ── claiming ──────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> Item | None:
        with self._lock:
            if self._wants_more():
                self._claim_more()
            return self._lanes.take(self._monotonic())

    def _wants_more(self) -> bool:
        """Claim a little ahead of what is sent, also when all is for one conversation; past those that wait."""
        sendable = self._lanes.sendable()
        return sendable < BATCH // 2 or (sendable < 4 * BATCH and self._lanes.runnable() < self._sending.parallel)

    def _claim_more(self) -> None:
        if not self._outbox.listed() and self._dirty:
            self._dirty = False
            self._outbox.scan()
        while self._outbox.listed() and self._wants_more():
            try:
                claimed = self._outbox.claim()
            except (OSError, sqlite3.OperationalError) as error:
                # Nothing is lost: whatever was renamed is found by its key at the next start or scan.
                self._no_room(error)
                self._recover_claims()
                self._dirty = True
                return
            for claim in claimed:
                self._add(claim)
            self._room_again()

    def _add(self, claim: Claimed) -> None:
        self._seq += 1
        lane = self._lane(claim.key, claim.message)
        # Behind a blocked conversation many may pile up: those are read again when their turn comes.
        item = Item(claim.key, claim.file, lane, self._seq, error=claim.error)
        if claim.message is not None and claim.identity is not None and len(self._lanes) < 1000:
            item.known = (claim.message, claim.identity)
        self._put(item)

    def _put(self, item: Item) -> None:
        self._keys.add(item.key)
        self._lanes.add(item)

    def _lane(self, key: str, message: OutgoingMessage | None) -> str:
        if message is None or self._sending.apart(message):
            return _alone(key)
        answered = message.reply_to if message.reply_to is not None else message.target_id
        if message.conversation_id or answered is None:
            return message.conversation_id
        event = self._store.event(answered)
        return event.conversation_id if event else ""

    def recover(self) -> None:
        """Take up what an earlier process left. Call once, before anything is sent."""
        with self._lock:
            for found in self._recovery.run():
                self._take_up(found)

    def _recover_claims(self) -> None:
        """After a failed claim in this process: take in what was renamed and is not in a lane."""
        with self._lock:
            for found in self._recovery.run(self._keys):
                self._take_up(found)

    def _take_up(self, found: Recovered) -> None:
        self._seq += 1
        lane = self._lane(found.row.key, found.message)
        due = self._monotonic() + found.wait_s if found.wait_s > 0 else 0.0
        self._put(Item(found.row.key, found.row.file, lane, self._seq, due))

    # ── one attempt ───────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, item: Item) -> int:
        """Bring one item a step further; 1 when it was sent."""
        try:
            progress = self._open(item)
            if progress is None:
                return 0
            return self._attempt(item, progress)
        except (OSError, sqlite3.OperationalError) as error:
            self._no_room(error)
            self._wait(item, 1.0)
            return 0

    def _open(self, item: Item) -> Progress | None:
        """Read the claimed file anew and see whether it is to be sent now. None: it ended, or it waits."""
        row = self._store.outgoing(item.key)
        if row is None or row.state not in (OutState.CLAIMED, OutState.QUEUED, OutState.SENDING):
            self._done(item)
            return None
        path = f"{self._folder}/{item.key}.json"
        try:
            message = self._resolve(row, self._read(item, path))
        except FileNotFoundError:
            self._store.update_outgoing(item.key, state=OutState.CANCELLED, note="its file was deleted: cancelled")
            self._logger.info("%s was cancelled", visible(item.file))
            self._ends.discard(item.key)
            self._done(item)
            return None
        except OSError as error:  # somebody changed its mode or owner, or the disk has a bad sector there
            self._logger.warning("%s is claimed and cannot be read: %s", visible(item.file), error)
            self._wait(item, self._policy.max_delay_s)
            return None
        except BadMessage as error:
            if item.error is None and not item.due and _unfinished(path, self._limits.message_max_bytes):
                self._wait(item, self._policy.quiet_s)
                return None
            self._settle(item, partial(self._bury, row, "bad_message", str(error), error.hint))
            return None
        except Rejected as error:
            self._settle(item, partial(self._bury, row, "rejected", str(error), error.hint))
            return None
        if self._has_ended(item, row, message):
            return None
        # Still so after an attempt in this process: the store had no room for how it went.
        cut_off = row.state == OutState.SENDING
        if cut_off and not self._sending.once(message) and self._policy.on_ambiguous == "hold":
            self._settle(item, partial(self._ends.bury_row, row, "ambiguous", *HELD, ambiguous=True))
            return None
        return Progress(row, message, row.attempts, row.ambiguous or cut_off)

    def _read(self, item: Item, path: str) -> OutgoingMessage:
        """What the claimed file says now; not parsed again when it is as it was at the claim."""
        known, item.known = item.known, None
        if known is not None and identity(os.stat(path, follow_symlinks=False)) == known[1]:
            return known[0]
        try:
            return read_outgoing(path, self._limits.message_max_bytes)
        except BadMessage as error:
            # Its verdict at the claim says more: how long it was waited for, for example.
            raise item.error or error from error

    def _resolve(self, row: OutRow, message: OutgoingMessage) -> OutgoingMessage:
        """Fill in what the folder, the claim and the answered event imply. Raises Rejected or BadMessage."""
        if message.connector_instance not in ("", self._name):
            raise Rejected(
                f"connector_instance says {message.connector_instance!r}, and the file lay in outbox/{self._name}/",
                hint=f"put it into outbox/{message.connector_instance}/, or correct or leave out connector_instance",
            )
        changes: dict[str, Any] = {"connector_instance": self._name}
        if "id" not in message.model_fields_set:
            changes["id"] = row.key
        answered = message.reply_to if message.reply_to is not None else message.target_id
        if answered is not None:
            event = self._store.event(answered)
            if event is not None:
                changes["conversation_id"] = message.conversation_id or event.conversation_id
                changes["thread_id"] = message.thread_id or event.thread_id
            elif message.reply_to is not None and not message.conversation_id:
                raise Rejected(
                    f"reply_to: {self._name} knows no event {message.reply_to!r}",
                    hint="use the id of an event of this instance, or give conversation_id",
                )
        if message.action in _SOMEWHERE and answered is None and not message.conversation_id:
            raise Rejected(
                f"{message.action} needs a conversation_id",
                hint="give conversation_id, or the id of an event as reply_to or target_id",
            )
        if message.action not in self._sending.actions:
            raise Rejected(
                f"this connector has no action {message.action!r}",
                hint=f"it knows: {', '.join(sorted(self._sending.actions))}",
            )
        return message.model_copy(update=changes)

    def _has_ended(self, item: Item, row: OutRow, message: OutgoingMessage) -> bool:
        now = self._clock()
        if message.expires_at is not None and message.expires_at.timestamp() <= now:
            text = f"expires_at was {message.expires_at.isoformat()}"
            self._settle(item, lambda: self._bury(row, "expired", text, "send it anew if it still matters"))
            return True
        if (row.attempts or row.wait_s) and now - row.claimed_at > self._policy.max_age_s:
            text = f"not sent within {self._policy.max_age_s:g} s; last: {row.error}"
            self._settle(item, lambda: self._bury(row, "exhausted", text, _RETRY_HINT))
            return True
        if "id" in message.model_fields_set and message.id != row.key:
            earlier = [r for r in self._store.by_id(message.id) if r.key != row.key]
            sent = next((r for r in earlier if r.state == OutState.SENT), None)
            if sent is not None:
                self._settle(item, lambda: self._answer_with(row, message, sent))
                return True
            if any(r.seq < row.seq and r.key in self._keys for r in earlier):
                self._wait(item, _SAME_ID_WAIT_S)
                return True
        return False

    def _answer_with(self, row: OutRow, message: OutgoingMessage, sent: OutRow) -> None:
        """A second file with the id of one that was sent: the first receipt answers it."""
        first = self._ends.read_receipt(sent)
        told = Progress(row, message, sent.attempts, False, untold=sent.ambiguous, ids=first.ids if first else [])
        if first is not None:
            told.metadata = dict(first.metadata)
        receipt = self._sender.receipt(told)
        self._ends.receipt(receipt.model_copy(update={"duplicate_of": sent.key}), OutState.DUPLICATE)
        self._logger.info("%s has the id of an outgoing that was sent before; not sent again", visible(row.file))

    def _attempt(self, item: Item, progress: Progress) -> int:
        """Send what was not sent yet of one outgoing; 1 when that was all."""
        row = progress.row
        progress.attempts += 1
        parts = self._prepare(item, progress)
        if parts is None:
            return 0
        begin: dict[str, Any] = {"begin_part": progress.parts_sent} if parts else {}
        self._store.update_outgoing(
            row.key,
            durable=True,
            state=OutState.SENDING,
            attempts=progress.attempts,
            id=progress.message.id,
            conversation_id=progress.message.conversation_id,
            **begin,
        )
        step("outbox.committed")
        try:
            self._sender.send(progress, parts)
        except Paced as pause:
            # Not a failure: the attempt goes on with the next part when its time has come.
            self._store.update_outgoing(
                row.key, durable=True, state=OutState.QUEUED, attempts=progress.attempts - 1, next_at=0.0, wait_s=0.0
            )
            self._wait(item, pause.wait_s)
        except RetryLater as error:
            self._failed(item, progress, error, ambiguous=error.ambiguous, after_s=error.after_s)
        except Rejected as error:
            self._settle(item, partial(self._bury_progress, progress, error.reason_class, str(error), error.hint))
        except (AuthError, ConfigError) as error:
            # Not this outgoing's fault: it stays queued and the process ends with the error's code.
            self._store.update_outgoing(
                row.key, durable=True, state=OutState.QUEUED, attempts=progress.attempts - 1, error=str(error)
            )
            self._wait(item, self._policy.max_delay_s)
            self._on_fatal(error)
        except WrongReturn as error:
            self._settle(item, partial(self._bury_progress, progress, "bug", str(error), _RETURN_HINT))
        except Exception as error:  # the loop that owns recovery: a bug costs this outgoing an attempt
            self._logger.exception("send_message failed for %s", visible(row.file))
            self._failed(item, progress, error, ambiguous=True)
        else:
            step("outbox.sent")
            receipt = self._sender.receipt(progress)
            if self._settle(item, lambda: self._ends.receipt(receipt)):
                self._on_event("sent", conversation=receipt.conversation_id, file=row.file)
                return 1
        return 0

    def _prepare(self, item: Item, progress: Progress) -> list[PartRow] | None:
        """Its files copied, its text split. None: it ended, or it waits."""
        row = progress.row
        try:
            progress.message = copy_outgoing(self._home, self._limits, progress.message, self._folder, row.key)
            parts = self._sender.parts(row, progress.message)
            progress.parts_sent = sum(1 for part in parts if part.state == "sent")
            progress.ids = [i for part in parts if part.state == "sent" for i in part.ids]
            wait_s = 0.0 if parts and progress.parts_sent == len(parts) else self._sender.wait_s(progress, parts)
        except Rejected as error:
            self._settle(item, partial(self._bury, row, error.reason_class, str(error), error.hint))
            return None
        except (OSError, sqlite3.Error):
            raise
        except Exception as error:  # a bug in the connector's `split`, say: it costs this outgoing an attempt
            self._logger.exception("%s could not be prepared", visible(row.file))
            self._failed(item, progress, error, ambiguous=False)
            return None
        if wait_s > 0:
            if wait_s >= _SHOWN_S:
                self._store.update_outgoing(row.key, next_at=self._clock() + wait_s)  # for who asks: explain
            self._wait(item, wait_s)
            return None
        return parts

    # ── after a failure ───────────────────────────────────────────────────────────────────────────────────────

    def _failed(
        self, item: Item, progress: Progress, error: Exception, *, ambiguous: bool, after_s: float | None = None
    ) -> None:
        row = progress.row
        text = str(error) or type(error).__name__
        progress.cut_off = progress.cut_off or ambiguous
        attempts = progress.attempts - (1 if after_s is not None else 0)
        if ambiguous and not self._sending.once(progress.message) and self._policy.on_ambiguous == "hold":
            self._settle(item, partial(self._bury_progress, progress, "ambiguous", *HELD))
            return
        if attempts >= self._policy.max_attempts:
            reason = f"{attempts} attempts failed; last: {text}"
            self._settle(item, lambda: self._bury_progress(progress, "exhausted", reason, _RETRY_HINT))
            return
        wait = after_s if after_s is not None else self._backoff.wait_s(max(attempts, 1))
        self._store.update_outgoing(
            row.key,
            durable=True,
            state=OutState.QUEUED,
            attempts=attempts,
            ambiguous=progress.cut_off,
            next_at=self._clock() + wait,
            wait_s=wait,
            error=text,
            note=f"attempt {progress.attempts} failed: {text}; next in {wait:.1f} s",
        )
        # A wait that the platform gave is its ordinary business.
        level = logging.INFO if after_s is not None else logging.WARNING
        self._logger.log(level, "%s was not sent: %s; next attempt in %.1f s", visible(row.file), visible(text), wait)
        self._on_event("retried", error=text)
        self._wait(item, wait)

    def _bury(self, row: OutRow, why: ReasonClass, text: str, hint: str) -> None:
        ambiguous = row.ambiguous and not self._sending.idempotent
        self._ends.bury_row(row, why, text, hint, ambiguous=ambiguous)
        self._on_event("failed", error=text, hint=hint, kind=why, file=row.file)

    def _bury_progress(self, progress: Progress, why: ReasonClass, text: str, hint: str) -> None:
        self._ends.bury_row(
            progress.row,
            why,
            text,
            hint,
            ambiguous=self._sender.is_ambiguous(progress) or why == "ambiguous",
            message=progress.message,
            attempts=progress.attempts,
            parts_sent=progress.parts_sent,
        )
        self._on_event("failed", error=text, hint=hint, kind=why, file=progress.row.file)

    def _settle(self, item: Item, end: Callable[[], None]) -> bool:
        """Do what ends `item`, waiting while the disk is full. False when stopped first: recovery goes on with it."""
        while True:
            try:
                end()
            except (OSError, sqlite3.OperationalError) as error:
                self._no_room(error)
                if self._stop.wait(1.0):
                    self._done(item)
                    return False
            except RetryLater:
                self._done(item)
                return False
            else:
                self._room_again()
                self._done(item)
                return True

    def _no_room(self, error: Exception) -> None:
        """Go on only where waiting helps; any other failure of the disk ends the process."""
        full = (isinstance(error, OSError) and error.errno in NO_ROOM) or "full" in str(error) or "locked" in str(error)
        if not full:
            raise error
        self._logger.warning("sending is paused: %s", error)
        self._paused_until = self._monotonic() + 1.0
        self._no_room_because = str(error)
        self._on_event("pressure", error=str(error))

    def _room_again(self) -> None:
        if self._no_room_because is not None:
            self._no_room_because = None
            self._logger.info("there is room again; sending goes on")
            self._on_event("pressure", error=None)

    def _done(self, item: Item) -> None:
        with self._lock:
            self._keys.discard(item.key)
            self._lanes.done(item)

    def _wait(self, item: Item, wait_s: float) -> None:
        with self._lock:
            self._lanes.put_back(item, self._monotonic() + max(wait_s, 0.0))


def _alone(key: str) -> str:
    return f"\0{key}"


_RETRY_HINT = "mend the cause; then `connectors failed retry`"
_RETURN_HINT = "return True, False or a Receipt from send_message; then look on the platform whether it was sent"


def _unfinished(path: str, max_bytes: int) -> bool:
    try:
        return may_be_unfinished(read_regular(path, max_bytes)[0])
    except (OSError, BadMessage):
        return False
