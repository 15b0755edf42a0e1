"""What happens to messages that exist: edits, deletions, reactions; and typing, which is no message at all."""

from __future__ import annotations

from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.parts.rates import Rates
from connectors.telegram import ids
from connectors.telegram.buttons import keyboard
from connectors.telegram.calls import Calls
from connectors.telegram.faults import BadMarkup, NothingToDo
from connectors.telegram.formatting import Formatted, formatted
from connectors.telegram.ids import Target, thread_parameters
from connectors.telegram.options import TelegramOptions


class Changes:
    """The actions edit, delete, react and typing."""

    def __init__(self, connector: Connector, calls: Calls, rates: Rates, options: TelegramOptions) -> None:
        self._connector = connector
        self._calls = calls
        self._rates = rates
        self._options = options

    def edit(self, msg: OutgoingMessage, target: Target) -> Receipt:
        """Of a text, or of a file's caption."""
        number = self._message(msg)
        common = {
            "chat_id": target.chat_id,
            "business_connection_id": target.business,
            "message_id": number,
            "reply_markup": keyboard(msg),
        }
        text = formatted(msg.text, msg.format)
        preview = {} if self._options.link_preview else {"link_preview_options": {"is_disabled": True}}
        try:
            self._edit("editMessageText", "text", target, text, {**common, **preview})
        except Rejected as error:
            if "no text in the message" not in str(error).lower():
                raise
            self._edit("editMessageCaption", "caption", target, text, common)
        return Receipt(ids=[str(number)])

    def _edit(self, method: str, name: str, target: Target, text: Formatted, common: dict[str, Any]) -> None:
        try:
            self._calls.call(method, target, **common, **text.fields(name))
        except BadMarkup:
            if text.parse_mode is None:
                raise
            self._edit(method, name, target, text.plain, common)
        except NothingToDo:
            return  # it reads like that already

    def delete(self, msg: OutgoingMessage, target: Target) -> Receipt:
        """One that is gone already is as wanted."""
        number = self._message(msg)
        try:
            if target.business:
                self._calls.call(
                    "deleteBusinessMessages", target, business_connection_id=target.business, message_ids=[number]
                )
            else:
                self._calls.call("deleteMessage", target, chat_id=target.chat_id, message_id=number)
        except NothingToDo:
            return Receipt(ids=[str(number)], metadata={"already": True})
        return Receipt(ids=[str(number)])

    def react(self, msg: OutgoingMessage, target: Target) -> Receipt:
        """One reaction in place of the one before; without an emoji none.

        https://core.telegram.org/bots/api#setmessagereaction
        """
        number, emoji = self._message(msg), (msg.emoji or "").strip()
        reaction: list[dict[str, str]] = []
        if emoji.startswith("custom:"):
            reaction = [{"type": "custom_emoji", "custom_emoji_id": emoji.removeprefix("custom:")}]
        elif emoji:
            reaction = [{"type": "emoji", "emoji": emoji}]
        try:
            self._calls.call("setMessageReaction", target, chat_id=target.chat_id, message_id=number, reaction=reaction)
        except NothingToDo:
            return Receipt(ids=[str(number)], metadata={"already": True})
        return Receipt(ids=[str(number)])

    def typing(self, msg: OutgoingMessage, target: Target) -> Receipt:
        """For about five seconds. It never stands in the way of a message: when one waits, it is left out."""
        if not self._rates.free(target.key):
            return Receipt(metadata={"skipped": "messages come first"})
        self._rates.take(None)
        action: dict[str, Any] = {
            "chat_id": target.chat_id,
            "business_connection_id": target.business,
            "action": str(msg.metadata.get("chat_action") or "typing"),
        }
        try:
            try:
                self._calls.call("sendChatAction", target, **action, **thread_parameters(msg.thread_id, typing=True))
            except Rejected as error:
                if msg.thread_id != ids.GENERAL or "thread not found" not in str(error).lower():
                    raise
                self._calls.call("sendChatAction", target, **action)  # a server that knows no number for General
        except RetryLater as error:
            return Receipt(metadata={"skipped": str(error)})
        return Receipt()

    def _message(self, msg: OutgoingMessage) -> int:
        """Of which message an edit, deletion or reaction is."""
        wanted = msg.target_id or (msg.reply_to if msg.action == "react" else None)
        if not wanted:
            raise Rejected(f"{msg.action} needs a target_id", hint="a message id (receipt, ids), or an event's id")
        if wanted.isdecimal():
            return int(wanted)
        found = answered(self._connector, wanted)
        if found is None:
            raise Rejected(f'"{wanted}" is no message', hint="target_id: a message id (receipt, ids), or an event's id")
        return found[1]


def answered(connector: Connector, event_id: str | None) -> tuple[str, int] | None:
    """(conversation, message id) of an event: of a message, or of what happened to one."""
    if not event_id:
        return None
    found = ids.message_of(event_id)
    if found is not None:
        return found
    event = connector.kept(event_id)
    number = event.metadata.get("message_id") if event is not None else None
    return (event.conversation.id, number) if event is not None and isinstance(number, int) else None
