"""The nouns of the platform: users, chats, files, and what a test gets to see of them.

Messages are kept as the JSON objects that go over the wire (https://core.telegram.org/bots/api#message).
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from typing import Any, Literal

ChatType = Literal["private", "group", "supergroup", "channel"]

#: Whom an anonymous administrator's messages come from (https://core.telegram.org/bots/api#message, `sender_chat`).
ANONYMOUS_ADMIN_ID = 1087968824
#: … a channel's, in a group: the field `from` is filled for old programs.
CHANNEL_BOT_ID = 136817688
#: … posts that a linked channel forwards into its discussion group.
SERVICE_USER_ID = 777000


@dataclass
class User:
    """Somebody on the platform (https://core.telegram.org/bots/api#user)."""

    id: int
    first_name: str
    last_name: str | None = None
    username: str | None = None
    is_bot: bool = False
    language_code: str | None = None
    deactivated: bool = False

    def json(self) -> dict[str, Any]:
        """As it appears in messages."""
        found: dict[str, Any] = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        for name in ("last_name", "username", "language_code"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        return found


@dataclass
class Chat:
    """A private chat, group, supergroup or channel (https://core.telegram.org/bots/api#chat)."""

    id: int
    type: ChatType
    title: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    is_forum: bool = False
    linked_chat_id: int | None = None
    #: user id → ChatMember.status; the bot is in here too
    members: dict[int, str] = field(default_factory=dict)
    #: topic id → its title
    topics: dict[int, str] = field(default_factory=dict)
    closed_topics: set[int] = field(default_factory=set)
    migrated_to: int | None = None
    #: private: the user has written to the bot, and has not blocked it
    started: bool = False
    blocked: bool = False
    #: who of the bots sent last: decides who gets a command without a name
    last_bot_id: int | None = None
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    last_message_id: int = 0
    #: message id → how often the bot edited it
    edits: dict[int, int] = field(default_factory=dict)
    #: the connection of the business account whose chat this is
    business: str | None = None

    def json(self) -> dict[str, Any]:
        """As it appears in messages."""
        found: dict[str, Any] = {"id": self.id, "type": self.type}
        for name in ("title", "first_name", "last_name", "username"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        if self.is_forum:
            found["is_forum"] = True
        return found

    def message(self, message_id: int) -> dict[str, Any] | None:
        """A message that is still there."""
        return None if message_id in self.deleted else self.messages.get(message_id)


@dataclass(frozen=True)
class File:
    """Content for a post. `size` without `data` is a file of that many zero bytes, made when it is asked for."""

    name: str | None = None
    data: bytes = b""
    media_type: str | None = None
    size: int | None = None
    #: further fields of the media object, such as duration, width, performer
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """In bytes."""
        return len(self.data) if self.size is None else self.size

    @property
    def mime(self) -> str | None:
        """As given, or as the name says."""
        return self.media_type or (mimetypes.guess_type(self.name)[0] if self.name else None)


@dataclass
class StoredFile:
    """A file that the platform keeps; `path` is where a download finds it."""

    file_id: str
    unique_id: str
    path: str
    content: File


@dataclass(frozen=True)
class Posted:
    """What became of something that a person did. `update_id` is None when the bot is not told of it."""

    chat_id: int
    message_id: int
    update_id: int | None
    message: dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A message of the bot, as people see it now: after edits.

    `thread_id` is its topic, `parse_mode` what the call named, `business` the connection of the account that it was
    sent for.
    """

    method: str
    chat_id: int
    message_id: int
    thread_id: int | None
    text: str
    entities: list[dict[str, Any]]
    parse_mode: str | None
    reply_to: int | None
    message: dict[str, Any]
    deleted: bool
    edits: int
    business: str | None


@dataclass
class Call:
    """One call that arrived. `outcome`: `ok`, the description of a refusal, or the name of a failure on demand."""

    number: int
    method: str
    params: dict[str, Any]
    files: dict[str, tuple[str, int]]
    outcome: str = "under way"
    error_code: int | None = None
    result: Any = None

    @property
    def ok(self) -> bool:
        """Whether the platform did what it was asked for; the caller may not have been told."""
        return self.outcome in ("ok", "cut", "timeout")
