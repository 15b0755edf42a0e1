"""Whether a claimed outgoing is to be sent now: its file is read anew, and what it leaves out is filled in."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from connectors.base.aftermath import RETRY_HINT, Aftermath
from connectors.base.ends import HELD
from connectors.base.errors import BadMessage, Rejected
from connectors.base.files import read_regular
from connectors.base.lanes import Item
from connectors.base.logbook import visible
from connectors.base.message import OutgoingMessage
from connectors.base.outbound import Outbound
from connectors.base.outbox import identity, may_be_unfinished, read_outgoing
from connectors.base.queue import Queue
from connectors.base.sending import Progress, Sender
from connectors.base.store import OutRow, OutState

#: Actions that are done in some conversation.
_SOMEWHERE = frozenset({"edit", "react", "typing"})
#: An outgoing whose id is also under way elsewhere looks again after this time.
_SAME_ID_WAIT_S = 1.0


class Judge:
    """Used for one item by one thread at a time."""

    def __init__(self, outbound: Outbound, queue: Queue, aftermath: Aftermath, sender: Sender) -> None:
        self._out = outbound
        self._queue = queue
        self._aftermath = aftermath
        self._sender = sender
        self._folder = outbound.home.sending(outbound.name)

    def open(self, item: Item) -> Progress | None:
        """What the next attempt is about. None: it ended, or it waits."""
        store, policy, end = self._out.store, self._out.policy, self._aftermath
        row = store.outgoing(item.key)
        if row is None or row.state not in (OutState.CLAIMED, OutState.QUEUED, OutState.SENDING):
            self._queue.done(item)
            return None
        path = f"{self._folder}/{item.key}.json"
        try:
            message = self._resolve(row, self._read(item, path))
        except FileNotFoundError:
            store.update_outgoing(item.key, state=OutState.CANCELLED, note="its file was deleted: cancelled")
            self._out.logger.info("%s was cancelled", visible(item.file))
            self._out.ends.discard(item.key)
            self._queue.done(item)
            return None
        except OSError as error:  # somebody changed its mode or owner, or the disk has a bad sector there
            self._out.logger.warning("%s is claimed and cannot be read: %s", visible(item.file), error)
            self._queue.wait(item, policy.max_delay_s)
            return None
        except BadMessage as error:
            if item.error is None and not item.due and _unfinished(path, self._out.limits.message_max_bytes):
                self._queue.wait(item, policy.quiet_s)
                return None
            end.bury(item, row, "bad_message", str(error), error.hint)
            return None
        except Rejected as error:
            end.bury(item, row, "rejected", str(error), error.hint)
            return None
        if self._has_ended(item, row, message):
            return None
        # Still so after an attempt in this process: the store had no room for how it went.
        cut_off = row.state == OutState.SENDING
        if cut_off and not self._out.sending.once(message) and policy.on_ambiguous == "hold":
            end.bury(item, row, "ambiguous", *HELD)
            return None
        return Progress(row, message, row.attempts, row.ambiguous or cut_off)

    def _read(self, item: Item, path: str) -> OutgoingMessage:
        """What the claimed file says now; not parsed again when it is as it was at the claim."""
        known, item.known = item.known, None
        if known is not None and identity(os.stat(path, follow_symlinks=False)) == known[1]:
            return known[0]
        try:
            return read_outgoing(path, self._out.limits.message_max_bytes)
        except BadMessage as error:
            # Its verdict at the claim says more: how long it was waited for, for example.
            raise item.error or error from error

    def _resolve(self, row: OutRow, message: OutgoingMessage) -> OutgoingMessage:
        """Fill in what the folder, the claim and the answered event imply. Raises Rejected or BadMessage."""
        name, actions = self._out.name, self._out.sending.actions
        if message.connector_instance not in ("", name):
            raise Rejected(
                f"connector_instance says {message.connector_instance!r}, and the file lay in outbox/{name}/",
                hint=f"put it into outbox/{message.connector_instance}/, or correct or leave out connector_instance",
            )
        changes: dict[str, Any] = {"connector_instance": name}
        if "id" not in message.model_fields_set:
            changes["id"] = row.key
        answered = message.reply_to if message.reply_to is not None else message.target_id
        if answered is not None:
            event = self._out.store.event(answered)
            if event is not None:
                changes["conversation_id"] = message.conversation_id or event.conversation_id
                changes["thread_id"] = message.thread_id or event.thread_id
            elif message.reply_to is not None and not message.conversation_id:
                raise Rejected(
                    f"reply_to: {name} knows no event {message.reply_to!r}",
                    hint="use the id of an event of this instance, or give conversation_id",
                )
        if message.action in _SOMEWHERE and answered is None and not message.conversation_id:
            raise Rejected(
                f"{message.action} needs a conversation_id",
                hint="give conversation_id, or the id of an event as reply_to or target_id",
            )
        if message.action not in actions:
            raise Rejected(
                f"this connector has no action {message.action!r}", hint=f"it knows: {', '.join(sorted(actions))}"
            )
        return message.model_copy(update=changes)

    def _has_ended(self, item: Item, row: OutRow, message: OutgoingMessage) -> bool:
        now, policy = self._out.clock(), self._out.policy
        if message.expires_at is not None and message.expires_at.timestamp() <= now:
            text = f"expires_at was {message.expires_at.isoformat()}"
            self._aftermath.bury(item, row, "expired", text, "send it anew if it still matters")
            return True
        if (row.attempts or row.wait_s) and now - row.claimed_at > policy.max_age_s:
            text = f"not sent within {policy.max_age_s:g} s; last: {row.error}"
            self._aftermath.bury(item, row, "exhausted", text, RETRY_HINT)
            return True
        if "id" in message.model_fields_set and message.id != row.key:
            earlier = [r for r in self._out.store.by_id(message.id) if r.key != row.key]
            sent = next((r for r in earlier if r.state == OutState.SENT), None)
            if sent is not None:
                self._aftermath.end(item, partial(self._answer_with, row, message, sent))
                return True
            if any(r.seq < row.seq and r.key in self._queue for r in earlier):
                self._queue.wait(item, _SAME_ID_WAIT_S)
                return True
        return False

    def _answer_with(self, row: OutRow, message: OutgoingMessage, sent: OutRow) -> None:
        """A second file with the id of one that was sent: the first receipt answers it."""
        first = self._out.ends.read_receipt(sent)
        told = Progress(row, message, sent.attempts, False, untold=sent.ambiguous, ids=first.ids if first else [])
        if first is not None:
            told.metadata = dict(first.metadata)
        receipt = self._sender.receipt(told)
        self._out.ends.receipt(receipt.model_copy(update={"duplicate_of": sent.key}), OutState.DUPLICATE)
        self._out.logger.info("%s has the id of an outgoing that was sent before; not sent again", visible(row.file))


def _unfinished(path: str, max_bytes: int) -> bool:
    try:
        return may_be_unfinished(read_regular(path, max_bytes)[0])
    except (OSError, BadMessage):
        return False
