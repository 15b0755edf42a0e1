"""What a command printed, as outgoings. Pure: no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from connectors.base.message import OutgoingMessage
from connectors.base.outgoings import answer
from connectors.base.readers import Event

#: An object is an outgoing when it has one of these; every outgoing has one.
_TELLING = frozenset({"text", "attachments", "action"})


def replies(event: Event, output: bytes) -> list[OutgoingMessage]:
    """The answers to `event` in a command's output.

    Nothing, or a single newline: no answer. JSON objects that have `text`, `attachments` or `action` (one, several in
    a row, or an array): one outgoing each. Anything else: one plain answer with the text as it is, less one final
    newline. Ids that are not given are derived from the event, so that they are the same in a second run. Raises
    BadMessage when an object is no outgoing after all (a field has the wrong type).
    """
    text = output.decode("utf-8", "replace")
    objects = _objects(text)
    if objects is None:
        text = text.removesuffix("\n")
        if not text:
            return []
        objects = [{"text": text}]
    return [answer(event, fields, id=reply_id(event, number)) for number, fields in enumerate(objects)]


def reply_id(event: Event, number: int) -> str:
    """The id of the n-th answer to an event: an idempotency key, the same in every run."""
    named = json.dumps([event.instance, event.id, number])
    return "re-" + hashlib.sha256(named.encode()).hexdigest()[:32]


def _objects(text: str) -> list[dict[str, Any]] | None:
    """The outgoings' fields if the text is nothing but such objects; else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = list(_values(text))
    except (ValueError, RecursionError):
        return None
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if found and all(isinstance(value, dict) and _TELLING & value.keys() for value in found):
        return found
    return None


def _values(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at, end = 0, len(text)
    while at < end:
        if text[at] in " \t\r\n":
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        yield value
