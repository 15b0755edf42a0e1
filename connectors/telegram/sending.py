"""Messages out: texts, files, albums.

A refusal that can be mended is: markup that does not parse goes as plain text, a picture that is no photo as a
document, and what was for a group that became a supergroup goes there; each once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.base.connector import Connector
from connectors.base.errors import Rejected
from connectors.base.message import OutgoingMessage, Receipt
from connectors.parts.access import Access
from connectors.parts.rates import Rates
from connectors.telegram.buttons import keyboard
from connectors.telegram.calls import Calls
from connectors.telegram.changing import Changes, answered
from connectors.telegram.faults import BadMarkup, Migrated, NoPhoto
from connectors.telegram.formatting import Formatted, formatted
from connectors.telegram.ids import Target, target_of, thread_parameters
from connectors.telegram.media import METHODS, Out
from connectors.telegram.options import TelegramOptions
from connectors.telegram.own import OwnMessages
from connectors.telegram.planning import Planner

if TYPE_CHECKING:
    from connectors.telegram.client import Client

#: (count, seconds): https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
PER_CHAT = ((1, 1.0),)
PER_GROUP = ((20, 60.0),)
OVERALL = ((30, 1.0),)


class Sender:
    """One bot's sends; several threads at once, each in another conversation."""

    def __init__(
        self,
        connector: Connector,
        client: Client,
        access: Access,
        planner: Planner,
        own: OwnMessages,
        options: TelegramOptions,
    ) -> None:
        self._connector = connector
        self._access = access
        self._planner = planner
        self._own = own
        self._options = options
        self._rates = Rates(conversation=PER_CHAT, overall=OVERALL)
        self._calls = Calls(client, self._rates)
        changes = Changes(connector, self._calls, self._rates, options)
        self._actions = {
            "send": self._send,
            "edit": changes.edit,
            "delete": changes.delete,
            "react": changes.react,
            "typing": changes.typing,
        }

    def pace(self, msg: OutgoingMessage) -> float:
        """By the chat's limits, the bot's, and what Telegram asked for. Typing is never waited for: it is left out."""
        if msg.action not in ("send", "edit"):
            return 0.0
        try:
            target = self._target(msg)
        except Rejected:
            return 0.0  # send() says why
        return self._rates.acquire(target.key, PER_GROUP if target.is_group else ())

    def send(self, msg: OutgoingMessage) -> Receipt:
        """Any action. Raises Rejected, RetryLater, AuthError."""
        target = self._target(msg)
        self._access.check_send(target.key)
        act = self._actions[msg.action]
        try:
            return act(msg, target)
        except Migrated as error:
            self._access.moved(target.key, str(error.new_id))
            return act(msg, Target(error.new_id, target.business))

    def _target(self, msg: OutgoingMessage) -> Target:
        target = target_of(msg.conversation_id)
        current = self._access.current(target.key)
        return target if current == target.key else Target(int(current), target.business)

    def _send(self, msg: OutgoingMessage, target: Target) -> Receipt:
        first, last = self._planner.place(msg)
        common = {
            "chat_id": target.chat_id,
            "business_connection_id": target.business,
            **thread_parameters(msg.thread_id),
            "disable_notification": True if msg.metadata.get("silent") else None,
            "protect_content": True if msg.metadata.get("protect") else None,
            "reply_parameters": self._reply(msg, target) if first else None,
        }
        if msg.attachments:
            # Of several calls the one with the text has the buttons; files without any text have them themselves.
            buttons = keyboard(msg) if first or msg.text.strip() else None
            return self._receipt(target, msg, self._send_files(msg, target, common, buttons))
        if not msg.text.strip():
            raise Rejected("the text is blank", hint="Telegram takes no blank text: write one, or attach a file")
        common["reply_markup"] = keyboard(msg) if last else None
        preview = bool(msg.metadata.get("link_preview", self._options.link_preview))
        common["link_preview_options"] = None if preview else {"is_disabled": True}
        return self._receipt(target, msg, [self._send_text(target, formatted(msg.text, msg.format), common)])

    def _send_text(self, target: Target, text: Formatted, common: dict[str, Any]) -> Any:
        try:
            return self._calls.call("sendMessage", target, **common, **text.fields())
        except BadMarkup:
            if text.parse_mode is None:
                raise
            return self._send_text(target, text.plain, common)

    def _send_files(
        self, msg: OutgoingMessage, target: Target, common: dict[str, Any], buttons: dict[str, Any] | None
    ) -> list[Any]:
        outs = self._planner.outs(msg)
        captions = [formatted(out.caption or "", msg.format) for out in outs]
        if msg.text.strip():
            captions[0] = formatted(msg.text, msg.format)
        if len(outs) == 1:
            return [self._send_file(target, {**common, "reply_markup": buttons}, outs[0], captions[0])]
        for _ in outs[1:]:
            self._rates.take(target.key)  # an album counts as many messages as it has files
        return self._send_album(target, common, outs, captions)

    def _send_file(self, target: Target, common: dict[str, Any], out: Out, caption: Formatted) -> Any:
        named = caption.fields("caption") if caption.text else {}
        try:
            return self._calls.call(METHODS[out.kind], target, files={out.kind: out}, **common, **named)
        except BadMarkup:
            if caption.parse_mode is None:
                raise
            return self._send_file(target, common, out, caption.plain)
        except NoPhoto:
            if out.kind == "document":
                raise
            return self._send_file(target, common, out.as_document(), caption)

    def _send_album(
        self, target: Target, common: dict[str, Any], outs: list[Out], captions: list[Formatted]
    ) -> list[Any]:
        media = [
            {"type": out.kind, "media": f"attach://file{n}", **(caption.fields("caption") if caption.text else {})}
            for n, (out, caption) in enumerate(zip(outs, captions, strict=True))
        ]
        files = {f"file{n}": out for n, out in enumerate(outs)}
        try:
            return list(self._calls.call("sendMediaGroup", target, files=files, media=media, **common))
        except BadMarkup:
            if all(caption.parse_mode is None for caption in captions):
                raise
            return self._send_album(target, common, outs, [caption.plain for caption in captions])
        except NoPhoto:
            if all(out.kind == "document" for out in outs):
                raise
            return self._send_album(target, common, [out.as_document() for out in outs], captions)

    def _receipt(self, target: Target, msg: OutgoingMessage, sent: list[Any]) -> Receipt:
        numbers = [str(message["message_id"]) for message in sent if isinstance(message, dict)]
        self._own.note(target.key, numbers)
        moved = {"conversation_id": target.key} if target_of(msg.conversation_id).key != target.key else {}
        return Receipt(ids=numbers, metadata=moved)

    def _reply(self, msg: OutgoingMessage, target: Target) -> dict[str, Any] | None:
        """Which message is answered; if that is gone meanwhile, the answer goes out all the same."""
        found = answered(self._connector, msg.reply_to)
        if found is None or found[0] not in (target.key, f"business:{target.business}:{target.key}"):
            return None  # in another chat, or one whose messages have got new numbers
        return {"message_id": found[1], "allow_sending_without_reply": True}
