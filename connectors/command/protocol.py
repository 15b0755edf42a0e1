"""What a program's lines mean, and what it is told: one JSON object a line. Pure: no I/O.

{"id": "42", "text": "the build is red"}                          an event of a record
{"id": "43", "sender": {…}, "content": {…}, "conversation": {…}}  an event as the mailbox has it
{"checkpoint": …}                                                 where the next start begins
{"sent": KEY}, {"rejected": KEY}, {"retry": KEY}, {"auth": KEY}   what became of an outgoing
{"state": "reconnecting", "note": "…"}                            what the status shows
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from connectors.base.errors import AuthError, BadMessage, ConnectorError, Rejected, RetryLater
from connectors.base.message import Message, OutgoingMessage, Receipt
from connectors.base.problems import did_you_mean, nearest
from connectors.command.lines import TooLong
from connectors.parts.bodies import BadBody, look_up, parse, text_of
from connectors.parts.checking import check
from connectors.parts.events import Event

#: An id that is longer is replaced by its hash.
_ID_MAX = 200
_ANSWERS = ("sent", "rejected", "retry", "auth")
#: What `connectors status` may show of a program that works, or says that it does not.
STATES = ("connected", "reconnecting", "limited", "failing")
#: These are the base's own to tell.
_NOT_ITS_KINDS = ("delivery", "action_result")
_EVENT_FIELDS = ("id", "ack", *(item.name for item in fields(Event) if item.name != "origin_id"))


class BadLine(ValueError):
    """A line that means nothing. `ack` is the token that its program wants to hear of, if it got so far."""

    def __init__(self, text: str, ack: Any = None) -> None:
        super().__init__(text)
        self.ack = ack


@dataclass(frozen=True)
class EventLine:
    """Something that happened. `ack`: what the program wants to be told once it is durable."""

    event: Event | Message
    ack: Any = None


@dataclass(frozen=True)
class CheckpointLine:
    """All lines before it are done with: the next start begins there."""

    value: Any
    ack: Any = None


@dataclass(frozen=True)
class AnswerLine:
    """What became of the outgoing with this key; `key` is empty where there is only one."""

    key: str
    outcome: Receipt | ConnectorError


@dataclass(frozen=True)
class StateLine:
    """How the program is, in its own words."""

    state: str
    note: str | None


Line = EventLine | CheckpointLine | AnswerLine | StateLine


class Reader:
    """`places`: {field of an event: where it is in a line}, for programs that know nothing of all this."""

    def __init__(self, connector_type: str, instance: str, places: Mapping[str, str]) -> None:
        self._type = connector_type
        self._instance = instance
        self._places = places

    def read(self, raw: bytes | TooLong) -> Line:
        """Raises BadLine that says what is wrong, everything of it."""
        if isinstance(raw, TooLong):
            raise BadLine(f"is too long: {raw.size:,} bytes (max_line_bytes)")
        try:
            data = parse(raw)
        except BadBody as error:
            raise BadLine(f"is no JSON object: {error.detail}" if error.detail else "is no JSON") from None
        if self._places:
            return EventLine(self._checked(self._foreign(data), None))
        return self._line(data)

    def _line(self, data: dict[str, Any]) -> Line:
        if "content" in data:
            return self._message(data)
        if "checkpoint" in data:
            _only(data, ("checkpoint", "ack"), "a checkpoint")
            return CheckpointLine(data["checkpoint"], data.get("ack"))
        if "state" in data:
            _only(data, ("state", "note"), "a state")
            if data["state"] not in STATES:
                raise BadLine(f"state must be one of {', '.join(STATES)}")
            return StateLine(data["state"], text_of(data.get("note")))
        if any(word in data for word in _ANSWERS):
            return _answer(data)
        ack = data.get("ack")
        _only(data, _EVENT_FIELDS, "an event", ack)
        given = {name: value for name, value in data.items() if name not in ("id", "ack") and value is not None}
        try:
            event = Event(self._id(data, ack), **given)
        except TypeError as error:
            raise BadLine(str(error), ack) from None
        return EventLine(self._checked(event, ack), ack)

    def _checked(self, event: Event, ack: Any) -> Event:
        found = check(event)
        if isinstance(found, list):
            raise BadLine("; ".join(found), ack)
        return event

    def _foreign(self, data: dict[str, Any]) -> Event:
        found = {name: look_up(data, place) for name, place in self._places.items()}
        given: dict[str, Any] = {name: text_of(value) for name, value in found.items() if name != "id"}
        given = {name: value for name, value in given.items() if value is not None}
        return Event(_id_of(found.get("id"), None) or _derived(data), payload=data, **given)

    def _id(self, data: Mapping[str, Any], ack: Any) -> str:
        if data.get("id") is None:
            return _derived({name: value for name, value in data.items() if name != "ack"})
        found = _id_of(data["id"], ack)
        if found is None:
            raise BadLine("id must be a text or a number, and not empty", ack)
        return found

    def _message(self, data: dict[str, Any]) -> EventLine:
        ack = data.get("ack")
        event_id = f"{self._type}:{self._instance}:{self._id(data, ack)}"
        given = {name: value for name, value in data.items() if name != "ack"}
        own = {"id": event_id, "connector": {"type": self._type, "instance": self._instance}}
        assumed = {"sender": {"id": self._instance}, "conversation": {"id": self._instance}}
        if given.get("kind") in _NOT_ITS_KINDS:
            raise BadLine(f"kind {given['kind']!r} is not a program's to tell", ack)
        try:
            return EventLine(Message.from_dict({**assumed, **given, **own}), ack)
        except BadMessage as error:
            raise BadLine(str(error), ack) from None


def _only(data: Mapping[str, Any], names: tuple[str, ...], what: str, ack: Any = None) -> None:
    for name in data:
        if name not in names:
            near = did_you_mean(nearest(name, names))
            raise BadLine(f'{what} has no field "{name}"{near}: its own data belongs into payload', ack)


def _answer(data: Mapping[str, Any]) -> AnswerLine:
    word = next(word for word in _ANSWERS if word in data)
    reason, hint = text_of(data.get("reason")) or f"{word}, says the program", text_of(data.get("hint")) or ""
    outcome: Receipt | ConnectorError
    if word == "sent":
        _only(data, ("sent", "ids", "metadata"), "an answer")
        ids, metadata = data.get("ids", []), data.get("metadata", {})
        if not isinstance(ids, list) or None in (texts := [text_of(value) for value in ids]):
            raise BadLine("ids must be a list of texts")
        if not isinstance(metadata, dict):
            raise BadLine("metadata must be an object")
        outcome = Receipt(ids=[text for text in texts if text], metadata=metadata)
    elif word == "retry":
        _only(data, ("retry", "reason", "hint", "after_s", "ambiguous"), "an answer")
        after_s, ambiguous = data.get("after_s"), data.get("ambiguous", False)
        if after_s is not None and (isinstance(after_s, bool) or not isinstance(after_s, int | float) or after_s < 0):
            raise BadLine("after_s must be a number of seconds")
        outcome = RetryLater(reason, after_s=after_s, ambiguous=ambiguous is True, hint=hint)
    else:
        _only(data, (word, "reason", "hint"), "an answer")
        outcome = (Rejected if word == "rejected" else AuthError)(reason, hint=hint)
    return AnswerLine(text_of(data[word]) or "", outcome)


def _id_of(value: Any, ack: Any) -> str | None:
    """None: it is no id. Raises BadLine where two ids would become one: half a character cannot be written as UTF-8."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise BadLine("id has half a character (an unpaired surrogate)", ack)
    text = text_of(value)
    return hashlib.sha256(text.encode()).hexdigest() if text is not None and len(text) > _ID_MAX else text


def _derived(data: Mapping[str, Any]) -> str:
    """The same for the same content."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


# ── what the program is told ──────────────────────────────────────────────────────────────────────────────────────


def start_line(instance: str, checkpoint: Any) -> bytes:
    """The first line of every start."""
    return _line({"start": {"instance": instance, "checkpoint": checkpoint}})


def ack_line(token: Any, error: str | None = None) -> bytes:
    """An event is durable; or it never will be, and why."""
    return _line({"ack": token} if error is None else {"nack": token, "error": error})


def send_line(msg: OutgoingMessage) -> bytes:
    """Send this. `send` is the key to answer with, the same at every attempt."""
    outgoing = msg.to_dict()
    del outgoing["connector_instance"]
    return _line({"send": outgoing.pop("idempotency_key", msg.id), "outgoing": outgoing})


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode()
