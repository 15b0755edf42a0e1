"""The platform's updates in the mailbox's words: pure functions on the objects of the Bot API.

https://core.telegram.org/bots/api#update. What is not known here, a kind of update as well as a kind of content,
becomes an event of kind `event` with the platform's own object in it: nothing is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender
from connectors.telegram import happenings, ids, messages
from connectors.telegram.about import NOBODY, About, source_event
from connectors.telegram.contents import Object, capped
from connectors.telegram.ids import Me


def normalise(update: Object, me: Me, instance: str, *, raw: bool = False) -> Message | None:
    """The event. None: it is the bot's own doing, and nobody needs to be told.

    `metadata.why` says what addresses the bot (`mention`, `reply`, `command`, `button` …), for the gate; it is absent
    where nothing does.
    """
    kind = next((name for name in update if name != "update_id"), "")
    value = update.get(kind)
    if not isinstance(value, Mapping):
        value = {}
    read = _KINDS.get(kind, happenings.unknown)
    message = read(About(update, kind, value, me, instance))
    if message is None:
        return None
    metadata = {**message.metadata, "update_id": update.get("update_id")}
    if raw:
        metadata["raw"] = capped(value)
    return message.model_copy(update={"metadata": metadata})


def unreadable(update: Object, me: Me, instance: str) -> Message:
    """What is left to say of an update that this program stumbles over."""
    kind = next((name for name in update if name != "update_id"), "")
    return Message(
        id=ids.update_id(me, update),
        connector=ConnectorInfo(type="telegram", instance=instance),
        sender=Sender(id=NOBODY),
        content=Content(text=f"[{kind}]", format="plain"),
        conversation=Conversation(id=NOBODY, type="channel", name="Telegram"),
        kind="event",
        event=source_event(kind, update),
        metadata={"why": "event"},
    )


_KINDS: dict[str, Callable[[About], Message | None]] = {
    "message": messages.message,
    "edited_message": messages.message,
    "channel_post": messages.message,
    "edited_channel_post": messages.message,
    "business_message": messages.message,
    "edited_business_message": messages.message,
    "deleted_business_messages": happenings.deleted,
    "callback_query": happenings.callback,
    "message_reaction": happenings.reaction,
    "message_reaction_count": happenings.reaction_count,
    "my_chat_member": happenings.member,
    "chat_member": happenings.member,
}
