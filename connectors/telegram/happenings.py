"""What is no message: buttons, reactions, members, deletions, and kinds that are not known. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base.message import Kind, Message
from connectors.telegram import ids
from connectors.telegram.about import About, sender_of, source_event
from connectors.telegram.members import membership


def callback(about: About) -> Message:
    """A button was pressed (https://core.telegram.org/bots/api#callbackquery)."""
    query, message = about.value, about.value.get("message")
    message = message if isinstance(message, Mapping) else {}
    data = str(query.get("data") or query.get("game_short_name") or "")
    button = {"id": query.get("id"), "data": data, "inline_message_id": query.get("inline_message_id")}
    # Without a chat it was a message that the bot made for another chat (inline); only who pressed is known.
    source = {key: message[key] for key in message if key not in ("from", "sender_chat", "date")}
    return about.message(
        "button",
        data,
        source,
        id=f"telegram:{about.me.id}:callback:{query.get('id')}",
        sender=sender_of(query),
        reply_to=ids.message_id(about.me, message) if message.get("message_id") is not None else None,
        metadata={
            "button": {key: value for key, value in button.items() if value is not None},
            "message_id": message.get("message_id"),
            "why": "button",
        },
    )


def reaction(about: About) -> Message | None:
    """https://core.telegram.org/bots/api#messagereactionupdated; reactions carry no topic."""
    value = about.value
    sender = sender_of(value)
    if sender.id == str(about.me.id):
        return None
    old, new = ([emoji_of(kind) for kind in value.get(key) or []] for key in ("old_reaction", "new_reaction"))
    added = [emoji for emoji in new if emoji not in old]
    return about.message(
        "reaction",
        " ".join(added),
        value,
        sender=sender,
        reply_to=ids.message_id(about.me, value),
        metadata={
            "message_id": value.get("message_id"),
            "reaction": {"added": added, "removed": [emoji for emoji in old if emoji not in new], "now": new},
        },
    )


def reaction_count(about: About) -> Message:
    """Anonymous reactions, counted: https://core.telegram.org/bots/api#messagereactioncountupdated."""
    counts = {
        emoji_of(item.get("type")): item.get("total_count")
        for item in about.value.get("reactions") or []
        if isinstance(item, Mapping)
    }
    return about.message(
        "reaction",
        " ".join(f"{emoji} {count}" for emoji, count in counts.items()),
        about.value,
        reply_to=ids.message_id(about.me, about.value),
        metadata={"message_id": about.value.get("message_id"), "reaction": {"counts": counts}},
    )


def emoji_of(kind: Any) -> str:
    """https://core.telegram.org/bots/api#reactiontype: an emoji, `custom:<id>`, or a paid star."""
    if not isinstance(kind, Mapping):
        return ""
    if kind.get("type") == "custom_emoji":
        return f"custom:{kind.get('custom_emoji_id')}"
    return "⭐" if kind.get("type") == "paid" else str(kind.get("emoji") or "")


def member(about: About) -> Message:
    """https://core.telegram.org/bots/api#chatmemberupdated, the bot's own status or a member's."""
    text, metadata = membership(about.value)
    mine = about.kind == "my_chat_member"
    return about.message("membership", text, about.value, metadata={**metadata, "why": "membership" if mine else None})


def deleted(about: About) -> Message:
    """https://core.telegram.org/bots/api#businessmessagesdeleted; in other chats nobody is told of deletions."""
    numbers = about.value.get("message_ids") or []
    targets = [ids.message_id(about.me, {**about.value, "message_id": number}) for number in numbers]
    return about.message(
        "delete",
        "",
        about.value,
        reply_to=targets[0] if len(targets) == 1 else None,
        metadata={"message_ids": numbers, "targets": targets, "why": "direct"},
    )


def unknown(about: About) -> Message:
    """A kind that has no words here: the platform's own object, and whoever can be made out."""
    value = about.value
    inner = value.get("message")
    source = {**value, "chat": inner.get("chat")} if isinstance(inner, Mapping) and "chat" not in value else value
    kind: Kind = "membership" if about.kind == "chat_join_request" else "event"
    return about.message(
        kind,
        f"[{about.kind}]",
        source,
        event=source_event(about.kind, value),
        metadata={"why": "event"},
    )
