"""One update as an event is made of it: where it was, who did it, when.

https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from connectors.base.message import ConnectorInfo, Content, Conversation, Kind, Message, Sender, SourceEvent, utc_now
from connectors.telegram import ids
from connectors.telegram.contents import Object, capped, name_of
from connectors.telegram.ids import Me, mapping

#: Who does what nobody is said to have done.
NOBODY = "telegram"
_TYPES = {"private": "dm", "group": "group", "supergroup": "group", "channel": "channel"}


class About:
    """One update, and for whom."""

    def __init__(self, update: Object, kind: str, value: Object, me: Me, instance: str) -> None:
        self.update = update
        self.kind = kind
        self.value = value
        self.me = me
        self.instance = instance

    def message(self, kind: Kind, text: str, source: Object, **more: Any) -> Message:
        """An event about `source`, which has `chat` and somebody who did it."""
        chat = mapping(source.get("chat"))
        sender = more.pop("sender", None) or sender_of(source)
        content = more.pop("content", None) or Content(text=text, format="plain")
        metadata = {"chat_type": chat.get("type"), **more.pop("metadata", {})}
        conversation = Conversation(
            # Without a chat it is between that user and the bot, whose chat has the user's id.
            id=ids.conversation_id(source) or sender.id,
            type=_TYPES.get(str(chat.get("type")), "group" if chat else "channel" if sender.id == NOBODY else "dm"),
            name=name_of(chat),
            thread_id=ids.thread_id(source),
            reply_to=more.pop("reply_to", None),
        )
        return Message(
            id=more.pop("id", None) or ids.update_id(self.me, self.update),
            timestamp=more.pop("timestamp", None) or time_of(source.get("date")),
            connector=ConnectorInfo(type="telegram", instance=self.instance),
            sender=sender,
            content=content,
            conversation=conversation,
            kind=kind,
            metadata={key: value for key, value in metadata.items() if value is not None},
            **more,
        )


def sender_of(source: Object) -> Sender:
    """Who did it. In the name of a chat (anonymous administrators, channels): that chat, since `from` is a stand-in.

    https://core.telegram.org/bots/api#message, `sender_chat` and `from`.
    """
    chat = source.get("sender_chat") or source.get("actor_chat") or source.get("voter_chat")
    user = source.get("from") or source.get("user")
    if isinstance(chat, Mapping):
        return Sender(id=str(chat.get("id", "")), username=str(chat.get("username") or ""), display_name=name_of(chat))
    if isinstance(user, Mapping):
        return Sender(
            id=str(user.get("id", "")),
            username=str(user.get("username") or ""),
            display_name=name_of(user),
            is_bot=bool(user.get("is_bot")),
        )
    chat = source.get("chat")
    if isinstance(chat, Mapping):  # a channel that does not say who
        return Sender(id=str(chat.get("id", "")), username=str(chat.get("username") or ""), display_name=name_of(chat))
    return Sender(id=NOBODY)


def time_of(date: Any) -> str:
    """Seconds since 1970 as the mailbox writes times; now, when there is none (0: an inaccessible message)."""
    if not isinstance(date, int) or date <= 0:
        return utc_now()
    try:
        return datetime.fromtimestamp(date, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return utc_now()


def source_event(name: str, payload: Object) -> SourceEvent:
    """The platform's own object, as far as there is room for it."""
    return SourceEvent(
        type=f"telegram.{name}",
        platform_event=name,
        provenance={"platform": "telegram"},
        payload=cast(dict[str, Any], capped(dict(payload))),
    )
