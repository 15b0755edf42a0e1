"""What people write: any kind of message, with everything that may hang on it.

https://core.telegram.org/bots/api#message, #messageorigin, #externalreplyinfo, #textquote.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.content import CAPTIONED, KINDS, build
from connectors.testing.telegram.entities import detect, entity
from connectors.testing.telegram.model import (
    ANONYMOUS_ADMIN_ID,
    CHANNEL_BOT_ID,
    SERVICE_USER_ID,
    Chat,
    Posted,
    User,
)
from connectors.testing.telegram.privacy import reaches_bot
from connectors.testing.telegram.sending import NOT_QUOTED, thread_of
from connectors.testing.telegram.sending import quote as quoted
from connectors.testing.telegram.world import World

SERVICE_USERS = {
    ANONYMOUS_ADMIN_ID: User(ANONYMOUS_ADMIN_ID, "Group", username="GroupAnonymousBot", is_bot=True),
    CHANNEL_BOT_ID: User(CHANNEL_BOT_ID, "Channel", username="Channel_Bot", is_bot=True),
    SERVICE_USER_ID: User(SERVICE_USER_ID, "Telegram"),
}
_OPTIONS = frozenset({
    "reply_to", "quote", "external_reply", "topic", "entities", "mentions", "origin", "as_chat", "via_bot", "album",
    "business", "date", "more",
})  # fmt: skip


def compose(world: World, chat: Chat, user: User | None, text: str, kind: dict[str, Any]) -> dict[str, Any]:
    """A message that is not in the chat yet."""
    unknown = set(kind) - _OPTIONS - set(KINDS)
    if unknown:
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(sorted({*_OPTIONS, *KINDS}))}")
    media = [name for name in KINDS if name in kind]
    if len(media) > 1:
        raise TypeError(f"a message is one of {', '.join(media)}, not several")
    message: dict[str, Any] = {"message_id": 0, "date": int(kind.get("date") or world.now()), "chat": chat.json()}
    message.update(sender(chat, user, kind.get("as_chat")))
    message.update(_context(world, chat, kind))
    for name in media:
        message.update(build(world, name, kind[name], chat))
    message.update(_text(text, media[0] if media else None, kind))
    if "album" in kind:
        message["media_group_id"] = str(kind["album"])
    if "via_bot" in kind:
        message["via_bot"] = kind["via_bot"].json()
    if "business" in kind:
        message["business_connection_id"] = str(kind["business"])
    message.update(kind.get("more") or {})
    return message


def sender(chat: Chat, user: User | None, as_chat: Chat | None) -> dict[str, Any]:
    """Who it comes from: a person, an anonymous administrator, a channel."""
    if chat.type == "channel":
        found: dict[str, Any] = {"sender_chat": chat.json()}
        return {**found, "author_signature": user.first_name} if user else found
    if as_chat is not None:
        stand_in = SERVICE_USERS[ANONYMOUS_ADMIN_ID if as_chat.id == chat.id else CHANNEL_BOT_ID]
        return {"from": stand_in.json(), "sender_chat": as_chat.json()}
    return {"from": user.json()} if user else {}


def _text(text: str, media: str | None, kind: dict[str, Any]) -> dict[str, Any]:
    if not text:
        return {}
    if media is not None and media not in CAPTIONED:
        raise TypeError(f"{media} has no text")
    given = list(kind.get("entities") or [])
    for name, who in (kind.get("mentions") or {}).items():  # {"Ada": user}: people without a username
        start = text.index(name)
        given.append(entity(text, start, start + len(name), "text_mention", user=who.json()))
    found = detect(text, given)
    if media is None:
        return {"text": text, "entities": found} if found else {"text": text}
    return {"caption": text, "caption_entities": found} if found else {"caption": text}


def _context(world: World, chat: Chat, kind: dict[str, Any]) -> dict[str, Any]:
    """Topic, answer, origin."""
    found: dict[str, Any] = {}
    if kind.get("topic") is not None:
        topic = kind["topic"].message_id if isinstance(kind["topic"], Posted) else kind["topic"]
        if topic not in chat.topics:
            raise ValueError(f"{topic} is no topic of {chat.title!r}: make it with topic()")
        found.update(message_thread_id=topic, is_topic_message=True)
    if kind.get("reply_to") is not None:
        number = kind["reply_to"].message_id if isinstance(kind["reply_to"], Posted) else kind["reply_to"]
        target = chat.messages[number]
        found.update(thread_of(chat, target))
        if number not in chat.deleted:
            found["reply_to_message"] = {k: v for k, v in target.items() if k not in NOT_QUOTED}
            found.update(quoted(target, {"quote": kind.get("quote")}))
    if kind.get("external_reply") is not None:
        found.update(_external(world, kind["external_reply"], kind.get("quote")))
    if kind.get("origin") is not None:
        found["forward_origin"] = origin(world, kind["origin"])
    return found


def _external(world: World, given: Any, text: str | None) -> dict[str, Any]:
    """An answer to a message of another chat."""
    if not isinstance(given, Posted):
        return {"external_reply": given}
    target = given.message
    chat = world.chats[given.chat_id]
    who: Any = chat if chat.type == "channel" else User(**_user_fields(target["from"]))
    found: dict[str, Any] = {"origin": origin(world, who, given.message_id)}
    if chat.type in ("supergroup", "channel"):
        found.update(chat=chat.json(), message_id=given.message_id)
    found.update({name: target[name] for name in KINDS if name in target})
    return {"external_reply": found, **quoted(target, {"quote": text})}


def _user_fields(user: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in user.items() if k in ("id", "first_name", "last_name", "username", "is_bot")}


def origin(world: World, given: Any, message_id: int = 1) -> dict[str, Any]:
    """A MessageOrigin: of a User, of a hidden user (a name), of a group or channel (Chat), or as it is given."""
    date = world.now() - 60
    if isinstance(given, User):
        return {"type": "user", "date": date, "sender_user": given.json()}
    if isinstance(given, str):
        return {"type": "hidden_user", "date": date, "sender_user_name": given}
    if isinstance(given, Chat):
        if given.type == "channel":
            return {"type": "channel", "date": date, "chat": given.json(), "message_id": message_id}
        return {"type": "chat", "date": date, "sender_chat": given.json()}
    if isinstance(given, Posted):
        return origin(world, User(**_user_fields(given.message["from"])))
    return dict(given)


def publish(world: World, chat: Chat, message: dict[str, Any]) -> Posted:
    """Put it into the chat and tell the bot, if it is told."""
    message["message_id"] = world.message_id(chat)
    if chat.type == "private" and "business_connection_id" not in message:
        chat.started = True
    told = reaches_bot(world, chat, message)
    world.keep(chat, message)
    if "business_connection_id" in message:
        kind = "business_message"
    else:
        kind = "channel_post" if chat.type == "channel" else "message"
    update_id = world.emit(kind, message) if told else None
    return Posted(chat.id, message["message_id"], update_id, message)
