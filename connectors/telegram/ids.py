"""Names of things: event ids, conversation ids, thread ids, and the way back from them to the platform's numbers.

    telegram:<bot id>:<chat id>:<message id>                    a message
    telegram:<bot id>:<chat id>:<message id>:edit:<edit date>:<update id>
    telegram:<bot id>:business:<connection>:<chat id>:<message id>   of a business account; its ids are its own
    telegram:<bot id>:callback:<id>      telegram:<bot id>:update:<update id>      everything else

A conversation is a chat id, or `business:<connection>:<chat id>`: an answer there is said by the account's owner.
A thread is a topic's id, or `direct:<topic id>` in a channel's direct messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.errors import Rejected
from connectors.telegram.options import is_id

#: The topic "General" of every forum (https://core.telegram.org/api/forum#forum-topics).
GENERAL = "1"
_BUSINESS = "business:"
_DIRECT = "direct:"


@dataclass(frozen=True)
class Me:
    """The bot's own account, from getMe (https://core.telegram.org/bots/api#user)."""

    id: int
    username: str = ""
    name: str = ""
    reads_all: bool = False  #: privacy mode is off
    joins_groups: bool = True

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> Me:
        return cls(
            id=int(user["id"]),
            username=str(user.get("username") or ""),
            name=str(user.get("first_name") or ""),
            reads_all=bool(user.get("can_read_all_group_messages")),
            joins_groups=bool(user.get("can_join_groups", True)),
        )


@dataclass(frozen=True)
class Target:
    """Where something goes: what the Bot API wants as `chat_id`, and for whom the bot speaks there."""

    chat_id: int | str
    business: str | None = None

    @property
    def is_group(self) -> bool:
        """Groups and channels have negative ids, and a lower limit (https://core.telegram.org/bots/faq)."""
        return not isinstance(self.chat_id, int) or self.chat_id < 0

    @property
    def key(self) -> str:
        """The chat id as a text: what `allow.send` lists."""
        return str(self.chat_id)


def message_id(me: Me, message: Mapping[str, Any]) -> str:
    """The event id of a message. `message` needs `chat` and `message_id` only."""
    return f"telegram:{me.id}:{conversation_id(message)}:{message.get('message_id')}"


def update_id(me: Me, update: Mapping[str, Any]) -> str:
    """The event id of an update that has no id of its own."""
    return f"telegram:{me.id}:update:{update.get('update_id')}"


def conversation_id(message: Mapping[str, Any]) -> str:
    """The conversation of a message, or of anything else with a `chat`."""
    chat = mapping(message.get("chat")).get("id", "")
    business = message.get("business_connection_id")
    return f"{_BUSINESS}{business}:{chat}" if business else str(chat)


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}


def thread_id(message: Mapping[str, Any]) -> str | None:
    """The topic. A `message_thread_id` without `is_topic_message` is a chain of replies, and nothing to send to."""
    direct = mapping(message.get("direct_messages_topic"))
    if direct.get("topic_id") is not None:
        return f"{_DIRECT}{direct['topic_id']}"
    if message.get("is_topic_message") and message.get("message_thread_id") is not None:
        return str(message["message_thread_id"])
    chat = mapping(message.get("chat"))
    return GENERAL if chat.get("is_forum") and chat.get("type") != "private" else None


def target_of(conversation: str) -> Target:
    """Raises Rejected for what is no conversation of Telegram."""
    business: str | None = None
    chat = conversation.strip()
    if chat.startswith(_BUSINESS):
        business, _, chat = chat.removeprefix(_BUSINESS).rpartition(":")
    if is_id(chat):
        return Target(int(chat), business)
    if chat.startswith("@") and len(chat) > 1 and not business:
        return Target(chat)  # a public channel or group; users cannot be addressed so
    if not conversation:
        raise Rejected("conversation_id is missing", hint="give it, or the id of an event as reply_to or target_id")
    raise Rejected(
        f'"{conversation}" is no Telegram chat',
        hint="conversation_id is the chat's number, as in the conversation.id of its events (groups: negative)",
    )


def thread_parameters(thread: str | None, *, typing: bool = False) -> dict[str, Any]:
    """How a call names the thread. General has no number to send to (message thread not found), but one to type in."""
    if thread is None or thread == "" or (thread == GENERAL and not typing):
        return {}
    if thread.startswith(_DIRECT) and thread.removeprefix(_DIRECT).isdecimal():
        return {"direct_messages_topic_id": int(thread.removeprefix(_DIRECT))}
    if thread.isdecimal():
        return {"message_thread_id": int(thread)}
    raise Rejected(f'"{thread}" is no topic of Telegram', hint="thread_id is a topic's number, as in its events")


def message_of(event_id: str) -> tuple[str, int] | None:
    """(conversation, message id) of a message's event id, or of an edit's; None for every other id."""
    parts = event_id.split(":")
    if len(parts) < 4 or parts[0] != "telegram":
        return None
    if len(parts) > 4 and parts[4] == "edit":
        parts = parts[:4]
    if len(parts) > 7 and parts[6] == "edit":
        parts = parts[:6]
    conversation, number = ":".join(parts[2:-1]), parts[-1]
    if not number.isdecimal() or not (is_id(conversation) or conversation.startswith(_BUSINESS)):
        return None
    return conversation, int(number)
