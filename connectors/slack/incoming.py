"""What becomes of one thing that Slack says, before names are looked up: values, and how they turn into an event."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from connectors.base.message import (
    ConnectorInfo,
    Content,
    Conversation,
    Kind,
    Message,
    Sender,
    SourceEvent,
    utc_now,
)
from connectors.slack.text import Said

#: A raw payload that is passed on is at most this long as JSON; of a longer one only its outline.
MAX_PAYLOAD = 65_536
_TS = re.compile(r"\d{1,12}\.\d{1,6}")
_ID = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_TYPES = {"im": "dm", "mpim": "group", "app_home": "dm"}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Me:
    """Who this connector is in the workspace. Empty: not known."""

    team_id: str
    user_id: str
    bot_id: str = ""
    app_id: str = ""


@dataclass(frozen=True)
class Person:
    """A user as people see them."""

    name: str = ""
    display_name: str = ""
    is_bot: bool = False

    @property
    def shown(self) -> str:
        return self.display_name or self.name


@dataclass(frozen=True)
class Place:
    """A conversation: `kind` is Slack's word, `channel`, `group`, `im` or `mpim`."""

    name: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Known:
    """The names found so far, by id."""

    users: Mapping[str, Person] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class Incoming:
    """An event whose texts still hold ids. `texts`: where each goes (`text`, or a key of the metadata).

    `gate`: `full`, the rules for messages; `place`, the same but nobody has to address the connector; `none`, Slack
    itself says it. `about`: the id of the event that it changes or answers.
    """

    message: Message
    texts: Mapping[str, Said] = field(default_factory=dict)
    direct: bool = False
    mentions_me: bool = False
    why: str = ""
    gate: Literal["full", "place", "none"] = "full"
    about: str | None = None

    @property
    def users(self) -> set[str]:
        """Whose names it needs."""
        found = {user for said in self.texts.values() for user in said.users}
        if not self.message.sender.display_name and self.message.sender.id[:1] in ("U", "W"):
            found.add(self.message.sender.id)
        return found

    @property
    def places(self) -> set[str]:
        """Which conversations' names it needs."""
        found = {place for said in self.texts.values() for place in said.places}
        here = self.message.conversation
        return found | ({here.id} if not here.name and here.id[:1] in ("C", "G") else set())


def dress(incoming: Incoming, known: Known) -> Message:
    """The event with names for ids, as far as they are known."""
    message = incoming.message
    nobody, nowhere = Person(), Place()
    texts = {
        key: said.read(
            lambda user: known.users.get(user, nobody).shown, lambda place: known.places.get(place, nowhere).name
        )
        for key, said in incoming.texts.items()
    }
    changes: dict[str, Any] = {}
    if "text" in texts:
        changes["content"] = message.content.model_copy(update={"text": texts.pop("text")})
    if texts:
        changes["metadata"] = {**message.metadata, **texts}
    person = known.users.get(message.sender.id)
    if person is not None:
        changes["sender"] = message.sender.model_copy(
            update={
                "username": message.sender.username or person.name,
                "display_name": message.sender.display_name or person.display_name or person.name,
                "is_bot": message.sender.is_bot or person.is_bot,
            }
        )
    place = known.places.get(message.conversation.id)
    if place is not None:
        here = message.conversation
        kind = _TYPES.get(place.kind, here.type)
        changes["conversation"] = here.model_copy(update={"name": here.name or place.name, "type": kind})
    return message.model_copy(update=changes) if changes else message


def text(value: Any) -> str:
    """A string, or nothing."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Json:
    """A JSON object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def listing(value: Any) -> list[Any]:
    """A JSON array, or an empty one."""
    return value if isinstance(value, list) else []


def ident(value: Any) -> str:
    """An id as Slack makes them, or nothing: what is part of an event's id is never anybody's free text."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def stamp(value: Any) -> str:
    """A `ts`, which identifies a message in its channel, or nothing."""
    return value if isinstance(value, str) and _TS.fullmatch(value) else ""


def order(ts: str) -> tuple[int, int]:
    """A `ts` as a value that sorts."""
    whole, _, rest = ts.partition(".")
    return int(whole or 0), int((rest or "0").ljust(6, "0")[:6])


def when(ts: str) -> str:
    """A `ts` as a time in UTC; now, when it is none."""
    if not stamp(ts):
        return utc_now()
    whole, micros = order(ts)
    try:
        return (datetime.fromtimestamp(whole, UTC) + timedelta(microseconds=micros)).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return utc_now()


def message_id(me: Me, channel: str, ts: str) -> str:
    """The id of the event of one post."""
    return f"slack:{me.team_id}:{channel}:{ts}"


def target_of(reference: str) -> tuple[str, str] | None:
    """Channel and ts of a post that is named by the id of its event; None for anything else."""
    parts = reference.split(":")
    if len(parts) < 4 or parts[0] != "slack" or not stamp(parts[3]):
        return None
    return parts[2], parts[3]


def conversation_type(channel: str, channel_type: str) -> str:
    """`dm`, `group` or `channel`. Without Slack's word the first letter of the id tells only direct messages."""
    if channel_type in _TYPES:
        return _TYPES[channel_type]
    return "dm" if channel.startswith(("D", "U", "W")) and not channel_type else "channel"


def capped(payload: Any) -> dict[str, Any]:
    """A raw payload that is safe to pass on: not too long, without the addresses and tokens that answer for us."""
    clean = _without_secrets(payload, 0)
    size = len(json.dumps(clean))
    if size <= MAX_PAYLOAD and isinstance(clean, dict):
        return clean
    outline = {str(key)[:200]: type(value).__name__ for key, value in list(mapping(clean).items())[:50]}
    return {"truncated": True, "size": size, "keys": outline}


_SECRET_KEYS = frozenset({"token", "bot_access_token", "permalink_public", "verification_token"})


def _without_secrets(value: Any, depth: int) -> Any:
    if depth > 50:
        return None
    if isinstance(value, Mapping):
        return {k: _without_secrets(v, depth + 1) for k, v in value.items() if k not in _SECRET_KEYS}
    if isinstance(value, list):
        return [_without_secrets(item, depth + 1) for item in value]
    return value


def event(
    instance: str,
    *,
    event_id: str,
    kind: Kind,
    ts: str,
    sender: Sender,
    channel: str,
    channel_type: str = "",
    channel_name: str = "",
    thread: str = "",
    reply_to: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    attachments: list[dict[str, Any]] | None = None,
    mentions_me: bool | None = None,
    source: SourceEvent | None = None,
) -> Message:
    """One event in the mailbox's words; its text is set by `dress`."""
    files = attachments or []
    media = {text(item.get("media_type")).partition("/")[0] or "file" for item in files}
    return Message(
        id=event_id,
        timestamp=when(ts),
        connector=ConnectorInfo(type="slack", instance=instance),
        kind=kind,
        sender=sender,
        content=Content(
            text="",
            media_type="text" if not files else media.pop() if len(media) == 1 else "file",
            attachments=files,
            format="native",
        ),
        conversation=Conversation(
            id=channel,
            type=conversation_type(channel, channel_type),
            name=channel_name,
            thread_id=thread or None,
            reply_to=reply_to,
        ),
        metadata={key: value for key, value in (metadata or {}).items() if value not in (None, "", [], {})},
        mentions_me=mentions_me,
        event=source,
    )
