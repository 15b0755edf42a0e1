"""The files' contents: events (inbox), outgoings (outbox), receipts (sent) and reasons (failed).

Version 1.0 is the format of the seed document "Writing Custom Connectors". Everything added since is optional, is
left out of the file while it has its default, and is kept when it is not known (a newer program wrote it).
JSON Schemas of the four are generated from here into docs/schema/.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator
from pydantic_core import PydanticSerializationError, to_json

from connectors.base.errors import BadMessage

Kind = Literal[
    "message",
    "edit",
    "delete",
    "reaction",
    "command",
    "button",
    "membership",
    "event",
    "delivery",
    "action_result",
]


def utc_now() -> str:
    """Now, as ISO 8601 in UTC with microseconds: `2026-01-31T12:00:00.000000+00:00`."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Record(BaseModel):
    """A frozen value that is one JSON object, with the seed's calls."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")
    #: Fields of the seed's version 1.0: always written, also when they have their default.
    seed_fields: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, handler: Any) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        for name, default in _optional_fields(type(self)):
            if name in data and getattr(self, name) == default:
                del data[name]
        return data

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, as plain Python values."""
        return self.model_dump(mode="json")

    def to_json(self, indent: int | None = 2) -> str:
        """The JSON text of `to_dict()`; non-ASCII characters are kept as they are."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_bytes(self) -> bytes:
        """What is written to disk: UTF-8 with a final newline.

        Lone surrogates are written as `\\udXXX` escapes, numbers that JSON has not (NaN, infinity) as null.
        """
        data = self.to_dict()
        try:
            return to_json(data, indent=2, inf_nan_mode="null") + b"\n"
        except PydanticSerializationError:
            plain = json.loads(json.dumps(data), parse_constant=lambda _: None)
            return (json.dumps(plain, indent=2) + "\n").encode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises `BadMessage` that names every wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise BadMessage(_problems(error), hint=cls.example()) from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises `BadMessage` when the text is no JSON object of this shape."""
        try:
            # UTF-8 only: json.loads would guess UTF-16 and UTF-32 as well.
            data = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
        except RecursionError as error:
            raise BadMessage("not JSON that can be read: nested too deeply", hint=cls.example()) from error
        except ValueError as error:
            raise BadMessage(f"not JSON: {error}", hint=cls.example()) from error
        if not isinstance(data, dict):
            raise BadMessage(f"a JSON object is needed, not {_json_type(data)}", hint=cls.example())
        return cls.from_dict(data)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Raises `BadMessage` as `from_json`, and OSError when the file cannot be read."""
        return cls.from_json(Path(path).read_bytes())

    @classmethod
    def example(cls) -> str:
        """A hint for who wrote a bad file."""
        return ""


@cache
def _optional_fields(cls: type[Record]) -> tuple[tuple[str, Any], ...]:
    """The fields that are left out while they have their default, and that default."""
    return tuple(
        (name, field.get_default(call_default_factory=True, validated_data={}))
        for name, field in cls.model_fields.items()
        if name not in cls.seed_fields and not field.is_required()
    )


class ConnectorInfo(Record):
    """Which connector an event came through."""

    seed_fields = frozenset({"type", "instance"})
    type: str = Field(description="The platform, for example `slack`.")
    instance: str = Field(description="The configured connector's name; also the name of its outbox folder.")


class Sender(Record):
    """Who sent it. Only `id` is stable; the names are for display."""

    seed_fields = frozenset({"id", "username", "display_name"})
    id: str = Field(description="The platform's stable id of the sender.")
    username: str = Field(default="", description="The sender's handle.")
    display_name: str = Field(default="", description="The sender's name as people see it.")
    is_bot: bool = Field(default=False, description="The platform says that the sender is a program.")
    trust: str | None = Field(
        default=None, description="The connector's verdict on who this is, for example `allowed`."
    )


class Content(Record):
    """What was said."""

    seed_fields = frozenset({"text", "media_type", "attachments"})
    text: str = Field(description="The text; never stripped; may be empty.")
    media_type: str = Field(default="text", description="`text`, `image`, `file`, …")
    attachments: list[dict[str, Any]] = Field(
        default_factory=list, description="Files: `path` (below the home), `name`, `size`, `sha256`, or `error`."
    )
    format: str | None = Field(
        default=None, description="The dialect of `text`: `markdown`, `plain`, `html`, `native`."
    )


class Conversation(Record):
    """Where it was said."""

    seed_fields = frozenset({"id", "type", "name", "thread_id"})
    id: str = Field(description="The platform's id of the channel, chat or address.")
    type: str = Field(default="channel", description="`channel`, `dm`, `group`, `thread`.")
    name: str = Field(default="", description="The conversation's name as people see it.")
    thread_id: str | None = Field(default=None, description="The thread or topic within the conversation.")
    reply_to: str | None = Field(default=None, description="The id of the event that this one answers.")


class SourceEvent(Record):
    """What came from a source that is not a chat."""

    seed_fields = frozenset({"type"})
    id: str | None = Field(default=None, description="`evt_` and 16 hex digits; derived from the event's id.")
    type: str = Field(
        default="resource.changed", description="`resource.changed`, `actor.stopped` or `message.received`."
    )
    platform_event: str | None = Field(default=None, description="What happened, in the platform's words.")
    provenance: dict[str, Any] = Field(default_factory=dict, description="Platform, author and the like.")
    payload: dict[str, Any] = Field(default_factory=dict, description="The data itself.")
    trace_id: str | None = Field(
        default=None, description="Follows one cause through several events: `trc_` and 16 hex digits."
    )
    occurred_at: str | None = Field(default=None, description="When it happened, says the platform (ISO 8601, UTC).")
    title: str | None = Field(default=None, description="One line, for people.")
    source_url: str | None = Field(default=None, description="Where a person can look at it.")
    parent: str | None = Field(default=None, description="The origin id of the record that this one belongs to.")
    score: float | None = Field(default=None, description="How much it matters, says the source: 0 to 100.")
    origin_id: str | None = Field(default=None, description="The platform's own id of the record.")
    revision: int | None = Field(default=None, description="Counts the record's events that came, from 2 on.")
    supersedes: str | None = Field(default=None, description="The id of the event that told of the record before.")
    digest: str | None = Field(
        default=None, description="Stands for the record's content: with the same one it does not come again."
    )


def new_id() -> str:
    """A random id, for an event whose platform gives none. Such an event cannot be recognised when it comes again."""
    return str(uuid.uuid4())


class Message(Record):
    """An event: anything that came in; one inbox file."""

    seed_fields = frozenset(
        {"version", "id", "timestamp", "connector", "sender", "content", "conversation", "metadata"}
    )
    version: str = "1.0"
    id: str = Field(
        default_factory=new_id,
        min_length=1,
        description="Derived from the platform's own identity of the event, so that a redelivery has the same id.",
    )
    timestamp: str = Field(default_factory=utc_now, description="When it was sent, says the platform (ISO 8601, UTC).")
    connector: ConnectorInfo
    sender: Sender
    content: Content
    conversation: Conversation
    metadata: dict[str, Any] = Field(default_factory=dict)
    received_at: str | None = Field(default=None, description="When the connector had it (ISO 8601, UTC).")
    kind: Kind = "message"
    mentions_me: bool | None = Field(default=None, description="The text addresses the connector's own account.")
    event: SourceEvent | None = None
    late: bool = Field(default=False, description="It was sent while the connector was down.")
    late_by_s: float | None = Field(default=None, description="How old it was when it arrived, in seconds.")

    def write_to(self, directory: str | os.PathLike[str]) -> Path:
        """Publish as `<instance>_<UTC time>.json` in `directory`, whole or not at all; returns the path.

        Connectors call `write_to_inbox`, which also recognises redeliveries; this is for tools and tests.
        """
        return _write_to(Path(directory), self.connector.instance, self.to_bytes())


class Attachment(Record):
    """A file that goes out. `path` is below `messages/attachments/` or a configured root."""

    seed_fields = frozenset({"path"})
    path: str = Field(min_length=1)
    name: str | None = Field(default=None, description="What the receiver sees; the path's last part by default.")
    caption: str | None = None


class OutgoingMessage(Record):
    """An outgoing: anything to be sent; one outbox file.

    The smallest are `{"reply_to": "<inbox id>", "text": "hi"}` and `{"conversation_id": "C1", "text": "hi"}`.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)  # chat ids are numbers on some platforms
    seed_fields = frozenset({"connector_instance", "conversation_id", "text", "thread_id", "metadata", "id"})
    connector_instance: str = Field(default="", description="Implied by the outbox folder.")
    conversation_id: str = Field(default="", description="Where to; or `reply_to`.")
    text: str = ""
    thread_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    id: str = Field(
        default_factory=new_id,
        min_length=1,
        max_length=512,
        description="An idempotency key: a second file with the id of one that was sent is not sent.",
    )
    reply_to: str | None = Field(default=None, description="The id of the event that this answers.")
    format: Literal["markdown", "plain", "html", "native"] = "markdown"
    attachments: list[Attachment] = Field(default_factory=list)
    action: str = Field(
        default="send",
        min_length=1,
        description="`send`, `edit`, `delete`, `react`, `typing`, `sync`, or an action that the connector declares.",
    )
    target_id: str | None = Field(
        default=None, description="The platform's id of the message to edit, delete or react to."
    )
    emoji: str | None = None
    input: dict[str, Any] | None = None
    idempotency_key: str | None = Field(
        default=None,
        description="`send_message` always gets one, for platforms that know such keys; each part has its own.",
    )
    ambiguous: bool = Field(
        default=False,
        description="Set for `send_message`: an earlier attempt at this part was cut off; it may have been sent.",
    )
    not_before: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        for name in ("text", "conversation_id", "thread_id", "reply_to", "target_id", "emoji"):
            try:
                (getattr(self, name) or "").encode()
            except UnicodeEncodeError:
                raise ValueError(f"{name} has half a character (a lone \\ud800 to \\udfff), which is no text") from None
        if self.action == "send":
            if not (self.conversation_id or self.reply_to):
                raise ValueError("conversation_id or reply_to is needed")
            if "text" not in self.model_fields_set and not self.attachments:
                raise ValueError("text or attachments are needed")
        return self

    @classmethod
    def example(cls) -> str:
        return 'write at least {"conversation_id": "…", "text": "…"} or {"reply_to": "<inbox id>", "text": "…"}'

    def write_to(self, directory: str | os.PathLike[str]) -> Path:
        """Publish as `out_<UTC time>.json` in `directory`, whole or not at all; returns the path."""
        return _write_to(Path(directory), "out", self.to_bytes())


class Receipt(Record):
    """The record that an outgoing was delivered; one file in `messages/sent/<instance>/`.

    `send_message` may return one with only `ids` (and `metadata`) set; the rest is filled in.
    """

    seed_fields = frozenset({"version", "id", "key", "connector_instance", "ids", "sent_at", "attempts"})
    version: str = "1.0"
    id: str = Field(default="", description="The outgoing's id.")
    key: str = Field(default="", description="The claim that sent it.")
    connector_instance: str = ""
    file: str = Field(default="", description="The outgoing's file name in the outbox.")
    conversation_id: str = ""
    thread_id: str | None = None
    reply_to: str | None = None
    action: str = "send"
    ids: list[str] = Field(
        default_factory=list, description="The platform's ids of what was sent, one a part, in order."
    )
    sent_at: str = Field(default="", description="ISO 8601, UTC.")
    attempts: int = 0
    ambiguous: bool = Field(default=False, description="An earlier attempt was cut off: it may have been sent twice.")
    handed_over: bool = Field(
        default=False, description="poll_outbox() gave it to the connector's own code; its outcome is not known."
    )
    duplicate_of: str | None = Field(default=None, description="The claim that was sent before under the same id.")
    metadata: dict[str, Any] = Field(default_factory=dict)


class Reason(Record):
    """Why a file in `messages/failed/` is there; beside it as `<file>.reason.json`."""

    seed_fields = frozenset(
        {"version", "id", "key", "connector_instance", "file", "class_", "reason", "hint", "attempts", "failed_at"}
    )
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)
    version: str = "1.0"
    id: str = ""
    key: str = ""
    connector_instance: str = ""
    file: str = Field(default="", description="The name of the file beside this one.")
    class_: Literal["bad_message", "rejected", "expired", "exhausted", "ambiguous", "crashed", "bug", "agent"] = Field(
        alias="class", description="Why: decides what `failed retry` can do."
    )
    reason: str = Field(description="What went wrong.")
    hint: str = Field(default="", description="What to do next.")
    attempts: int = 0
    ambiguous: bool = False
    parts_sent: int = 0
    conversation_id: str = ""
    reply_to: str | None = None
    failed_at: str = ""


def _write_to(directory: Path, prefix: str, data: bytes) -> Path:
    from connectors.base.files import publish_here  # files imports nothing from here; kept lazy for light readers

    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")
    return publish_here(directory, f"{prefix}_{stamp}.json", data)


def _json_type(value: object) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}
    return names.get(type(value), "null")


def _problems(error: ValidationError) -> str:
    found = []
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {text}" if place else text)
    return "; ".join(found)
