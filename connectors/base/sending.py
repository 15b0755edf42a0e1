"""One attempt at one outgoing: its parts one after the other, each begun and ended in the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.base.errors import RetryLater
from connectors.base.message import Attachment, OutgoingMessage, Receipt, utc_now
from connectors.base.steps import step
from connectors.base.store import OutRow, PartRow, Store

#: Doing these again changes nothing: never ambiguous.
REPEATABLE = frozenset({"edit", "delete", "react", "typing", "fetch", "sync"})


@dataclass(frozen=True)
class Sending:
    """What the engine must know of a connector."""

    send: Callable[[OutgoingMessage], object]
    split: Callable[[OutgoingMessage], list[str]] = lambda message: [message.text]
    idempotent: bool = False  #: a repeated send is exactly once (Matrix txnId, Discord nonce, Message-ID)
    actions: frozenset[str] = frozenset({"send"})
    parallel: int = 1
    files: Callable[[OutgoingMessage], list[list[Attachment]]] = lambda message: [list(message.attachments)]
    #: In how many seconds this part may be sent. None: at once, always.
    pace: Callable[[OutgoingMessage], float] | None = None
    #: Whether it keeps no order with others: it waits for none, and none waits for it.
    apart: Callable[[OutgoingMessage], bool] = lambda message: False

    def once(self, message: OutgoingMessage) -> bool:
        """Whether doing it again changes nothing: the platform knows its key, or the action is of that kind."""
        return self.idempotent or message.action in REPEATABLE


@dataclass
class Progress:
    """What the attempt in hand has achieved so far.

    `cut_off`: an earlier attempt may have reached the platform, and nobody was told. `untold`: that of a part, and
    the connector could not find out.
    """

    row: OutRow
    message: OutgoingMessage
    attempts: int
    cut_off: bool
    untold: bool = False
    ids: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    parts_sent: int = 0


class WrongReturn(Exception):
    """send_message returned something that is neither True, False nor a Receipt."""


class Paced(Exception):
    """The platform's pace does not allow the next part yet."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s")
        self.wait_s = wait_s


class Sender:
    """Calls `send_message`; knows what is in hand, and for how long."""

    def __init__(
        self, name: str, store: Store, sending: Sending, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._store = store
        self._sending = sending
        self._monotonic = monotonic
        self._in_hand: dict[int, tuple[float, str]] = {}

    def longest(self) -> tuple[float, str] | None:
        """Of the calls of `send` that have not returned the oldest: (begin on the monotonic clock, file)."""
        return min(list(self._in_hand.values()), default=None)

    def is_ambiguous(self, progress: Progress) -> bool:
        """Whether it may have been sent twice: a cut-off send counts where the platform knows no repetition."""
        return progress.untold or (progress.cut_off and not self._sending.once(progress.message))

    def parts(self, row: OutRow, message: OutgoingMessage) -> list[PartRow]:
        """The parts as they were split at the first attempt; empty when it goes in one piece."""
        parts = self._store.parts(row.key)
        if parts or message.action != "send":
            return parts
        texts = [*self._sending.split(message), *[""] * (len(self._files(message)) - 1)]
        if len(texts) < 2:
            return []
        self._store.split(row.key, texts)
        return self._store.parts(row.key)

    def wait_s(self, progress: Progress, parts: list[PartRow]) -> float:
        """In how many seconds the platform's pace allows the next part."""
        return self._sending.pace(self._piece(progress, parts)) if self._sending.pace is not None else 0.0

    def send(self, progress: Progress, parts: list[PartRow]) -> None:
        """Send what was not sent yet. Raises what `send_message` raises, WrongReturn, and Paced between two parts.

        The caller has asked for the pace of the first one and recorded its begin.
        """
        if not parts:
            self._send_one(progress, self._piece(progress, parts))
            return
        first, key = progress.parts_sent, progress.row.key
        while progress.parts_sent < len(parts):
            n = progress.parts_sent
            if n > first:
                wait_s = self.wait_s(progress, parts)
                if wait_s > 0:
                    raise Paced(wait_s)
                self._store.update_outgoing(key, durable=True, begin_part=n)
            before = len(progress.ids)
            self._send_one(progress, self._piece(progress, parts))
            self._store.update_outgoing(key, durable=True, end_part=(n, progress.ids[before:]))
            progress.parts_sent += 1
            step("outbox.part")

    def _piece(self, progress: Progress, parts: list[PartRow]) -> OutgoingMessage:
        """What the next call of `send_message` gets."""
        message, n = progress.message, progress.parts_sent
        once = message.idempotency_key or message.id
        if not parts:
            return message.model_copy(update={"idempotency_key": once, "ambiguous": progress.cut_off})
        files = self._files(message)
        # The first group of files goes with the last text; each further one has a part of its own behind it.
        group = n - (len(parts) - len(files))
        changes: dict[str, Any] = {
            "text": parts[n].text,
            "attachments": files[group] if group >= 0 else [],
            "idempotency_key": f"{once}:{n}",
            # A part that was never begun cannot have been sent.
            "ambiguous": progress.cut_off and parts[n].state == "begun",
        }
        return message.model_copy(update=changes)

    def _files(self, message: OutgoingMessage) -> list[list[Attachment]]:
        return self._sending.files(message) if message.attachments else []

    def _send_one(self, progress: Progress, message: OutgoingMessage) -> None:
        me = threading.get_ident()
        self._in_hand[me] = (self._monotonic(), progress.row.file)
        try:
            answer = self._sending.send(message)
        finally:
            del self._in_hand[me]
        if answer is False:
            raise RetryLater("send_message returned False")
        if isinstance(answer, Receipt):
            progress.ids.extend(answer.ids)
            progress.metadata.update(answer.metadata)
            progress.untold = progress.untold or answer.ambiguous
        elif answer is not True:
            raise WrongReturn(f"send_message returned {type(answer).__name__}; it was called and may have sent")

    def receipt(self, progress: Progress) -> Receipt:
        """What the attempt achieved."""
        row, message = progress.row, progress.message
        return Receipt(
            id=message.id,
            key=row.key,
            connector_instance=self._name,
            file=row.file,
            conversation_id=message.conversation_id,
            thread_id=message.thread_id,
            reply_to=message.reply_to,
            action=message.action,
            ids=progress.ids,
            sent_at=utc_now(),
            attempts=progress.attempts,
            ambiguous=self.is_ambiguous(progress),
            metadata=progress.metadata,
        )
