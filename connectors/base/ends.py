"""How an outgoing ends: a receipt in sent/, or a dead letter in failed/ with its reason. Every step is repeatable.

A dead letter is written reason first, then the inbox event of kind `delivery`, then the move: a file in failed/
always has its reason, and the agent always hears of it.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from connectors.base.files import check_writable, fit_name, move_exact, publish, read_json, sync_folder
from connectors.base.home import Home
from connectors.base.intake import Intake
from connectors.base.logbook import visible
from connectors.base.message import (
    ConnectorInfo,
    Content,
    Conversation,
    Message,
    OutgoingMessage,
    Reason,
    Receipt,
    Sender,
    utc_now,
)
from connectors.base.steps import step
from connectors.base.store import OutRow, OutState, Store

ReasonClass = Literal["bad_message", "rejected", "expired", "exhausted", "ambiguous", "crashed", "bug"]
#: Text and hint of an outgoing that is held because nobody knows whether it was sent.
HELD = (
    "it is not known whether this was sent, and on_ambiguous is hold",
    "look on the platform; then `connectors failed retry` or `connectors failed drop`",
)


class Ends:
    """Writes receipts and dead letters of one instance."""

    def __init__(
        self,
        home: Home,
        name: str,
        connector_type: str,
        store: Store,
        intake: Intake,
        *,
        redact: Callable[[Any], Any],
        logger: logging.Logger,
    ) -> None:
        self._home = home
        self._name = name
        self._type = connector_type
        self._store = store
        self._intake = intake
        self._redact = redact
        self._logger = logger
        self._sending = home.sending(name)
        self._sent = home.sent(name)
        self._staging = home.staging(name)

    # ── receipts ──────────────────────────────────────────────────────────────────────────────────────────────

    def receipt(self, receipt: Receipt, state: OutState = OutState.SENT) -> None:
        """Receipt, fsynced with its folder → store → delete. Raises OSError when there is no room for it."""
        # What the platform said may echo a credential; what the agent wrote itself stays as it is.
        receipt = receipt.model_copy(
            update={"ids": self._redact(receipt.ids), "metadata": self._redact(receipt.metadata)}
        )
        path = self._publish_receipt(receipt)
        step("outbox.receipt")
        self._store.update_outgoing(
            receipt.key, state=state, result=path.name, error="", ambiguous=receipt.ambiguous, attempts=receipt.attempts
        )
        step("outbox.recorded")
        self.discard(receipt.key)
        step("outbox.deleted")

    def _publish_receipt(self, receipt: Receipt) -> Path:
        """Repeatable: a claim has one receipt."""
        modes = self._home.modes
        for name in _receipt_names(receipt.file, receipt.key):
            try:
                return publish(
                    receipt.to_bytes(), self._staging, self._sent, name, receipt.key,
                    mode=modes.file, gid=modes.gid, exact=True,
                )  # fmt: skip
            except FileExistsError:
                path = self._sent / name
                if read_json(path).get("key") == receipt.key:
                    sync_folder(self._sent)
                    return path
        raise FileExistsError(f"{receipt.file} and its name with the key are both taken in sent/")

    def find_receipt(self, row: OutRow) -> Path | None:
        """The receipt that this claim wrote, found by its key."""
        paths = (self._sent / name for name in _receipt_names(row.file, row.key))
        return next((path for path in paths if read_json(path).get("key") == row.key), None)

    def read_receipt(self, row: OutRow) -> Receipt | None:
        """The receipt of an outgoing that was sent, while it is kept."""
        path = self.find_receipt(row)
        return Receipt.from_file(path) if path else None

    def discard(self, key: str) -> None:
        """Delete the claimed file and the private copies of its attachments."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._sending}/{key}.json")
        for n in itertools.count():
            try:
                os.unlink(f"{self._sending}/{key}.file{n}")
            except FileNotFoundError:
                return

    # ── dead letters ──────────────────────────────────────────────────────────────────────────────────────────

    def bury_row(
        self,
        row: OutRow,
        why: ReasonClass,
        text: str,
        hint: str,
        *,
        ambiguous: bool = False,
        message: OutgoingMessage | None = None,
        attempts: int | None = None,
        parts_sent: int = 0,
    ) -> None:
        """`bury` of a recorded outgoing; `message` when it could be read."""
        if why == "bad_message":
            hint = "; then ".join(filter(None, [hint, "drop the corrected file into the outbox again"]))
        self.bury(
            Reason(
                class_=why,
                id=message.id if message else row.id or row.key,
                key=row.key,
                connector_instance=self._name,
                file=row.file,
                reason=text,
                hint=hint,
                attempts=row.attempts if attempts is None else attempts,
                ambiguous=ambiguous,
                parts_sent=parts_sent,
                conversation_id=message.conversation_id if message else row.conversation_id,
                reply_to=message.reply_to if message else row.reply_to,
            )
        )

    def bury(self, reason: Reason) -> None:
        """From .sending/ to failed/, with the reason and the event. Repeatable: `reason` is kept in the store first."""
        reason = Reason.from_dict({**self._redact(reason.to_dict()), "file": reason.file, "id": reason.id})
        reason = reason.model_copy(update={"failed_at": reason.failed_at or utc_now()})
        row = self._store.outgoing(reason.key)
        deaths = sum(1 for _, what in self._store.history(reason.key) if what.startswith("dead"))
        if row is None or row.state != OutState.DYING:
            self._store.update_outgoing(
                reason.key,
                durable=True,
                state=OutState.DYING,
                error=reason.to_json(indent=None),
                note=f"dead letter ({reason.class_}): {reason.reason}",
            )
            deaths += 1
        step("dead.marked")
        # Telling of it would wait for the inbox, and so would all that is still to be sent.
        check_writable(self._home.failed, self._home.inbox, self._staging, self._sending)
        name = self._write_reason(reason)
        step("dead.reason")
        if not self._answers_a_delivery(reason):
            self._tell(reason, name, deaths)
        step("dead.event")
        name = self._move_to_failed(reason, name)
        sync_folder(self._home.failed)
        step("dead.moved")
        self._store.update_outgoing(reason.key, state=OutState.DEAD, result=name)
        self.discard(reason.key)
        step("dead.recorded")
        self._logger.error(
            "%s was not sent (%s): %s%s",
            visible(reason.file),
            reason.class_,
            visible(reason.reason),
            f"; {reason.hint}" if reason.hint else "",
            extra={"outgoing": reason.key},
        )

    def _move_to_failed(self, reason: Reason, name: str) -> str:
        try:
            move_exact(self._sending / f"{reason.key}.json", self._home.failed / name)
        except FileNotFoundError:
            pass  # moved before a crash
        except FileExistsError:
            # Somebody put a file there after the reason was written, and has no reason of its own there.
            wrong, name = name, self._write_reason(reason, but=name)
            move_exact(self._sending / f"{reason.key}.json", self._home.failed / name)
            (self._home.failed / f"{wrong}.reason.json").unlink(missing_ok=True)
        return name

    def resume_burial(self, row: OutRow) -> None:
        """Go on where a process died while it buried `row`."""
        self.bury(Reason.from_json(row.error))

    def _write_reason(self, reason: Reason, but: str = "") -> str:
        """The name that the dead letter gets; its reason lies beside it. failed/ is shared with the other instances."""
        name = fit_name(os.path.basename(reason.file), reason.key)
        stem, suffix = os.path.splitext(name)
        candidates = [name, f"{stem}~{reason.key}{suffix}"]
        if name.endswith(".reason.json"):
            del candidates[0]  # it would look like the reason of another
        for candidate in candidates:
            target = self._home.failed / f"{candidate}.reason.json"
            if candidate == but:
                continue
            if read_json(target).get("key") == reason.key:
                return candidate
            if os.path.lexists(self._home.failed / candidate):
                continue
            data = reason.model_copy(update={"file": candidate}).to_bytes()
            modes = self._home.modes
            try:
                publish(
                    data,
                    self._staging,
                    target.parent,
                    target.name,
                    reason.key,
                    mode=modes.file,
                    gid=modes.gid,
                    exact=True,
                )
            except FileExistsError:
                continue
            return candidate
        raise FileExistsError(f"{name} and its name with the key are both taken in {self._home.failed}")

    def _answers_a_delivery(self, reason: Reason) -> bool:
        """Agents that answer everything must not loop: a failed answer to a `delivery` event makes no further one."""
        if reason.reply_to is None:
            return False
        event = self._store.event(reason.reply_to)
        return event is not None and event.kind == "delivery"

    def _tell(self, reason: Reason, name: str, deaths: int) -> None:
        suffix = f":{deaths}" if deaths > 1 else ""
        text = f"Not sent: {reason.reason}" + (f" ({reason.hint})" if reason.hint else "")
        event = Message(
            id=f"delivery:{self._name}:{reason.key}{suffix}",
            kind="delivery",
            connector=ConnectorInfo(type=self._type, instance=self._name),
            sender=Sender(id="connector", username="connector", is_bot=True),
            content=Content(text=text),
            conversation=Conversation(id=reason.conversation_id, reply_to=reason.reply_to),
            metadata={"delivery": {**reason.to_dict(), "file": name, "status": "failed"}},
        )
        self._intake.accept([event], exempt=True)


def _receipt_names(file: str, key: str) -> Iterator[str]:
    """The names that a receipt may have: the outgoing's own, or with the key where another receipt took that."""
    plain = fit_name(file, key)
    yield plain
    stem, suffix = os.path.splitext(plain)
    yield f"{stem}~{key}{suffix}"
