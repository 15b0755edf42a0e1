"""Service messages: what happened in a chat, said by the platform. https://core.telegram.org/bots/api#message"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base.message import Kind
from connectors.telegram.contents import Object, name_of, said_in
from connectors.telegram.ids import Me

#: Fields that every message has or may have, whatever its content.
_ENVELOPE = frozenset(
    {
        *("message_id", "date", "chat", "from", "sender_chat", "message_thread_id", "direct_messages_topic"),
        *("is_topic_message", "sender_boost_count", "sender_business_bot", "business_connection_id", "forward_origin"),
        *("is_automatic_forward", "reply_to_message", "external_reply", "quote", "reply_to_story", "via_bot"),
        *("edit_date", "has_protected_content", "is_from_offline", "media_group_id", "author_signature", "effect_id"),
        *("reply_markup", "show_caption_above_media", "has_media_spoiler", "entities", "caption", "caption_entities"),
        *("link_preview_options", "paid_star_count", "is_paid_post", "reply_to_checklist_task_id", "sender_tag"),
        *("suggested_post_info", "reply_to_poll_option_id", "guest_query_id"),
    }
)


@dataclass(frozen=True)
class Service:
    """`name` is the message's field that says what happened."""

    name: str
    kind: Kind
    text: str
    about_me: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


def service_of(message: Object, me: Me) -> Service:
    """Of a message without known content."""
    joined = message.get("new_chat_members")
    if isinstance(joined, list):
        return _members("new_chat_members", joined, "joined", me)
    left = message.get("left_chat_member")
    if isinstance(left, Mapping):
        return _members("left_chat_member", [left], "left", me)
    name = next((key for key in message if key not in _ENVELOPE), "unknown")
    moved = name in ("migrate_to_chat_id", "migrate_from_chat_id")
    return Service(name, "event", f"[{_told(name, message.get(name))}]", about_me=moved)


def _members(name: str, users: list[Any], verb: str, me: Me) -> Service:
    who = [user for user in users if isinstance(user, Mapping)]
    names = [name_of(user) or str(user.get("id", "")) for user in who]
    found = [{"user_id": str(user.get("id", "")), "name": shown} for user, shown in zip(who, names, strict=True)]
    about_me = any(user.get("id") == me.id for user in who)
    return Service(name, "membership", f"[{', '.join(names)} {verb}]", about_me, {"members": found})


def _told(name: str, value: Any) -> str:
    """`new_chat_title: The title`."""
    said = ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        said = str(value)
    elif isinstance(value, Mapping):
        said = str(value.get("name") or value.get("title") or said_in(value))
    return f"{name}: {said[:200]}" if said else name
