"""Messages, their edits, and what the platform says in a chat (service messages). Pure functions.

https://core.telegram.org/bots/api#message
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.message import Content, Kind, Message
from connectors.telegram import ids
from connectors.telegram.about import About, sender_of, source_event, time_of
from connectors.telegram.contents import Object, capped, content_of, entities_of, name_of, said_in
from connectors.telegram.entities import command, mentions
from connectors.telegram.ids import Me, mapping
from connectors.telegram.services import service_of

#: Fields that are kept in the metadata under their own names.
_KEPT = ("media_group_id", "author_signature", "business_connection_id", "is_automatic_forward", "is_from_offline")
_KEPT_CAPPED = ("external_reply", "reply_to_story", "reply_to_checklist_task_id", "via_bot")


def message(about: About) -> Message | None:
    """None for what the bot itself said, on behalf of a business account."""
    value, me = about.value, about.me
    sender = sender_of(value)
    via = value.get("sender_business_bot")
    if sender.id == str(me.id) or (isinstance(via, Mapping) and via.get("id") == me.id):
        return None
    identity = _identity(about)
    found = content_of(value)
    if found is None:
        return _service(about, identity)
    said, marks = said_in(value), entities_of(value)
    why = "mention" if mentions(me, said, marks) else "reply" if _replies_to(me, value) else None
    addressed = why is not None
    kind: Kind = "edit" if "edit_of" in identity.metadata else "message"
    metadata: dict[str, Any] = {**_about_it(value), **found.metadata, **identity.metadata, "content": found.kind}
    if found.raw_text is not None:
        metadata["raw_text"] = found.raw_text
    asked = command(said, marks)
    if asked is not None and asked.bot.lower() in ("", me.username.lower()):
        # Without a name it is for every bot that is there (https://core.telegram.org/bots/features#commands).
        why = "command"
        kind = "command" if kind == "message" else kind
        metadata["command"] = {"name": asked.name, "arguments": asked.arguments}
    if about.kind.endswith("channel_post"):
        why = why or "channel"  # a channel addresses whoever listens
    return about.message(
        kind,
        found.text,
        value,
        id=identity.id,
        timestamp=identity.timestamp,
        sender=sender,
        content=Content(text=found.text, media_type=found.media_type, attachments=found.attachments, format="plain"),
        reply_to=_reply_to(me, value),
        mentions_me=addressed,
        metadata={**metadata, "why": why},
    )


@dataclass(frozen=True)
class _Identity:
    id: str
    timestamp: str
    metadata: dict[str, Any]


def _identity(about: About) -> _Identity:
    event_id, sent = ids.message_id(about.me, about.value), about.value.get("date")
    if not about.kind.startswith("edited_"):
        return _Identity(event_id, time_of(sent), {})
    edited = about.value.get("edit_date")
    # Two edits can have the same second; an update that comes again has the same number.
    edit_id = f"{event_id}:edit:{edited or 0}:{about.update.get('update_id')}"
    return _Identity(edit_id, time_of(edited or sent), {"edit_of": event_id})


def _service(about: About, identity: _Identity) -> Message:
    """Joining, leaving, pins, topics … and every content that is newer than this program."""
    service = service_of(about.value, about.me)
    about_me = "membership" if service.kind == "membership" else "event"
    return about.message(
        service.kind,
        service.text,
        about.value,
        id=identity.id,
        timestamp=identity.timestamp,
        reply_to=_reply_to(about.me, about.value),
        event=source_event(service.name, {service.name: about.value.get(service.name)}),
        metadata={
            **_about_it(about.value),
            **service.metadata,
            **identity.metadata,
            "why": about_me if service.about_me or about.kind.endswith("channel_post") else None,
        },
    )


def _about_it(message: Object) -> dict[str, Any]:
    """What a message says of itself besides its content."""
    found: dict[str, Any] = {"message_id": message.get("message_id")}
    for key in _KEPT:
        if message.get(key):
            found[key] = message[key]
    chat, user = message.get("sender_chat"), message.get("from")
    if isinstance(chat, Mapping) and isinstance(user, Mapping):
        same = chat.get("id") == mapping(message.get("chat")).get("id")
        found["anonymous"] = "admin" if same else "channel"
    if isinstance(message.get("forward_origin"), Mapping):
        found["forward"] = _forward(message["forward_origin"])
    if isinstance(message.get("quote"), Mapping):
        found["quote"] = message["quote"].get("text")
    for key in _KEPT_CAPPED:
        if message.get(key):
            found[key] = capped(message[key], 4_000)
    replied = message.get("reply_to_message")
    if isinstance(replied, Mapping) and not _is_topic_root(message, replied):
        author = sender_of(replied)
        text = said_in(replied)
        found["replied"] = {"message_id": replied.get("message_id"), "sender_id": author.id, "text": text[:1000]}
    return found


def _forward(origin: Object) -> dict[str, Any]:
    """https://core.telegram.org/bots/api#messageorigin: a user, a hidden user, a chat or a channel."""
    found: dict[str, Any] = {"type": origin.get("type"), "sent_at": time_of(origin.get("date"))}
    for key in ("sender_user", "sender_chat", "chat"):
        who = origin.get(key)
        if isinstance(who, Mapping):
            found |= {"id": str(who.get("id", "")), "name": name_of(who)}
    if origin.get("sender_user_name"):
        found["name"] = origin["sender_user_name"]
    if origin.get("message_id"):
        found["message_id"] = origin["message_id"]
    return found


def _is_topic_root(message: Object, replied: Object) -> bool:
    """In a topic, what answers nobody still names the message that began the topic."""
    return "forum_topic_created" in replied or (
        bool(message.get("is_topic_message")) and replied.get("message_id") == message.get("message_thread_id")
    )


def _replies_to(me: Me, message: Object) -> bool:
    replied = message.get("reply_to_message")
    if not isinstance(replied, Mapping) or _is_topic_root(message, replied):
        return False
    author = replied.get("from")
    return isinstance(author, Mapping) and author.get("id") == me.id and not replied.get("sender_chat")


def _reply_to(me: Me, message: Object) -> str | None:
    """The event id of what it answers."""
    replied = message.get("reply_to_message")
    if not isinstance(replied, Mapping) or _is_topic_root(message, replied) or replied.get("message_id") is None:
        return None
    chat = {"chat": message.get("chat"), "business_connection_id": message.get("business_connection_id")}
    return ids.message_id(me, {**chat, "message_id": replied["message_id"]})
