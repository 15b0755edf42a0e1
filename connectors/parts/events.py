"""What a source brings: events of records, checked, and made into messages of the mailbox.

    Event("42", "It crashes.", title="#42 Crash", platform_event="issue", payload={…}, occurred_at=…)

An event tells of a record of the platform (an issue, an article). The record's id there, `origin_id`, and its content
decide whether it is new, revised or unchanged: see `connectors.parts.emitting`. An Event may be built of anything; it
is checked as part of its batch (`connectors.parts.checking`), so that all that is wrong is named at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import BaseModel

from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender, SourceEvent, utc_now

TYPES = ("resource.changed", "actor.stopped", "message.received")
AUTHOR_TYPES = ("team_member", "external", "bot", "system", "unknown")
#: The platform_events that a source may bring: names, or {name: the model of its payload, or None}. Empty: any.
Kinds: TypeAlias = Sequence[str] | Mapping[str, type[BaseModel] | None]


@dataclass(frozen=True)
class Event:
    """One thing that happened to one record.

    `revision` stands for the content when the platform has a number or an ETag for it. Otherwise the content is all
    that is said here, except `occurred_at`, `score`, `trace_id` and `metadata`: when it happened and what others think
    of it is no revision. `conversation` is where an answer goes, and within which order is kept: by default the
    record's parent, or the record itself.
    """

    origin_id: str
    text: str = ""
    _: KW_ONLY
    platform_event: str | None = None  #: the kind of thing, in the platform's words
    type: str = "resource.changed"
    title: str | None = None
    source_url: str | None = None
    parent: str | None = None  #: the origin id of the record that it belongs to
    occurred_at: datetime | str | None = None
    author: str | None = None
    author_type: str = "unknown"
    provenance: Mapping[str, Any] = field(default_factory=dict)  #: what else is known of where it comes from
    payload: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None  #: 0 to 100
    trace_id: str | None = None
    revision: str | None = None
    conversation: str | None = None
    conversation_name: str | None = None
    format: str | None = None
    attachments: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """An event without problems, and what stands for its content. `size`: about how many bytes it has."""

    event: Event
    digest: str
    size: int


def moment_of(value: object) -> str | None:
    """The time as ISO 8601 in UTC. Raises ValueError for what is no time with a zone."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        raise ValueError(f"is no time: {value!r:.80}") from None
    wrong = "has no time zone" if isinstance(moment, datetime) else "must be a datetime or an ISO 8601 text"
    raise ValueError(f"{wrong}: {value!r:.80}")


def to_message(
    checked: Checked, connector_type: str, instance: str, previous: tuple[str, str] | None = None
) -> Message:
    """The event in the mailbox's words. `previous`: (event id, digest) of what was told of this record before.

    The first id of a record is `<type>:<instance>:<origin id>`; a revision adds its number and its digest. All ids
    are derived: the same fact polled twice has the same.
    """
    event, first = checked.event, f"{connector_type}:{instance}:{checked.event.origin_id}"
    number = 1 if previous is None else _number(previous[0], first) + 1
    event_id = first if previous is None else f"{first}:rev:{number}:{checked.digest[:8]}"
    at = moment_of(event.occurred_at)
    provenance = {
        "platform": connector_type,
        "platform_event": event.platform_event,
        "author": event.author,
        "author_type": event.author_type,
        **{name: value for name, value in event.provenance.items() if value is not None},
    }
    author = event.author or ""
    return Message(
        id=event_id,
        timestamp=at or utc_now(),
        connector=ConnectorInfo(type=connector_type, instance=instance),
        sender=Sender(id=author or connector_type, username=author, is_bot=event.author_type == "bot"),
        content=Content(
            text=event.text or event.title or "",
            format=event.format,
            attachments=[dict(item) for item in event.attachments],
        ),
        conversation=Conversation(
            id=event.conversation or event.parent or event.origin_id,
            name=event.conversation_name or ("" if event.parent else event.title or ""),
        ),
        metadata=dict(event.metadata),
        kind="event",
        event=SourceEvent(
            id=f"evt_{_hex(event_id)}",
            type=event.type,
            platform_event=event.platform_event,
            provenance={name: value for name, value in provenance.items() if value is not None},
            payload=dict(event.payload),
            trace_id=event.trace_id or f"trc_{_hex('trace ' + event_id)}",
            occurred_at=at,
            title=event.title,
            source_url=event.source_url,
            parent=event.parent,
            score=None if event.score is None else float(event.score),
            origin_id=event.origin_id,
            revision=number if number > 1 else None,
            supersedes=None if previous is None else previous[0],
            digest=checked.digest,
        ),
    )


def _number(previous_id: str, first: str) -> int:
    parts = previous_id.removeprefix(first).split(":")  # "", or ":rev:2:0123abcd"
    return int(parts[2]) if len(parts) == 4 and parts[2].isdigit() else 1


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
