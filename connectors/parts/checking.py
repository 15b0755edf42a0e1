"""Whether what a source brings are events: all that is wrong with a batch, named at once.

    Invalid kind 'isue'. Valid kinds: issue, comment. Did you mean 'issue'?

Nothing is taken for granted of an event's fields: a source is somebody's code, and its platform somebody's data.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from connectors.parts.events import AUTHOR_TYPES, TYPES, Checked, Event, Kinds, moment_of

#: So many problems are in the text of the error; all are in the log.
_SHOWN = 10
_TEXTS = (
    "text",
    "platform_event",
    "title",
    "source_url",
    "parent",
    "author",
    "trace_id",
    "revision",
    "conversation",
    "conversation_name",
    "format",
)


class BadBatch(ValueError):
    """Events were refused, all of the batch: nothing of it was written. `problems` are all, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - _SHOWN
        shown = "; ".join(problems[:_SHOWN]) + (f"; and {more} more, see the log" if more > 0 else "")
        super().__init__(f"the batch was refused: {shown}")


def check_all(events: Iterable[object], kinds: Kinds = ()) -> list[Checked]:
    """Raises BadBatch, which names every problem of every event."""
    checked, problems = [], []
    for number, event in enumerate(events, 1):
        found = check(event, kinds)
        if isinstance(found, Checked):
            checked.append(found)
        else:
            who = f" ({event.origin_id!r:.80})" if isinstance(event, Event) else ""
            problems += [f"event {number}{who}: {problem}" for problem in found]
    if problems:
        raise BadBatch(problems)
    return checked


def check(event: object, kinds: Kinds = ()) -> Checked | list[str]:
    """The event with its digest, or everything that is wrong with it."""
    if not isinstance(event, Event):
        return [f"is of type {type(event).__name__}, not an Event"]
    problems = [*_wrong_texts(event), *_wrong_words(event, kinds), *_wrong_values(event)]
    content = _content(event)
    try:
        text = json.dumps(content, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        text = ""
    problems += [f"{name} is no JSON: {why}" for name, why in _not_json(event, {} if text else content)]
    if not problems and kinds and isinstance(kinds, Mapping):
        problems += _wrong_payload(event, kinds[event.platform_event or ""])
    if problems:
        return problems
    stands_for = f"revision {event.revision}" if event.revision is not None else text
    digest = hashlib.sha256(stands_for.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Checked(event, digest, len(text))


def _content(event: Event) -> dict[str, Any]:
    names = ("text", "platform_event", "type", "title", "source_url", "parent", "author", "author_type", "format")
    content: dict[str, Any] = {name: getattr(event, name) for name in names}
    mappings = ("provenance", "payload")
    content.update({name: dict(v) if isinstance(v := getattr(event, name), Mapping) else v for name in mappings})
    content["attachments"] = [dict(item) if isinstance(item, Mapping) else item for item in _items(event.attachments)]
    return content


def _items(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _not_json(event: Event, content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    # Metadata is no content: it does not count for the digest.
    given: Any = event.metadata
    metadata = dict(given) if isinstance(given, Mapping) else given
    for name, value in ({**content, "metadata": metadata} if metadata else content).items():
        try:
            json.dumps(value, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            yield name, str(error) or type(error).__name__


def _wrong_texts(event: Event) -> Iterator[str]:
    given = vars(event)  # whatever was given, not what should have been
    origin = given["origin_id"]
    if not isinstance(origin, str) or not origin:
        yield f"origin_id must be the record's id on the platform, a text, not {origin!r:.80}"
    elif not _whole(origin):
        yield "origin_id has half a character (a lone \\ud800 to \\udfff), which is no text"
    for name in _TEXTS:
        if not isinstance(given[name], str) and not (given[name] is None and name != "text"):
            yield f"{name} must be a text, not of type {type(given[name]).__name__}"
    for name in ("provenance", "payload", "metadata"):
        if not isinstance(given[name], Mapping):
            yield f"{name} must be a mapping, not of type {type(given[name]).__name__}"
        elif not _has_names(given[name]):
            yield f"{name} must have texts as its keys"
    if not all(isinstance(item, Mapping) and _has_names(item) for item in _items(given["attachments"])):
        yield "attachments must be a list of mappings"


def _has_names(mapping: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in mapping)


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_words(event: Event, kinds: Kinds) -> Iterator[str]:
    for what, word, valid in (
        ("kind", event.platform_event, list(kinds)),
        ("type", event.type, list(TYPES)),
        ("author_type", event.author_type, list(AUTHOR_TYPES)),
    ):
        if valid and word not in valid:
            text = f"Invalid {what} {word!r:.80}. Valid {what}s: {', '.join(valid)}."
            near = difflib.get_close_matches(word.lower(), valid, n=1) if isinstance(word, str) else []
            yield f"{text} Did you mean {near[0]!r}?" if near else text


def _wrong_values(event: Event) -> Iterator[str]:
    score = vars(event)["score"]
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if score is not None and not (number and 0 <= score <= 100):
        yield f"score must be a number from 0 to 100, not {score!r:.80}"
    try:
        moment_of(event.occurred_at)
    except ValueError as error:
        yield f"occurred_at {error}"


def _wrong_payload(event: Event, model: type[BaseModel] | None) -> Iterator[str]:
    if model is None:
        return
    try:
        model.model_validate(dict(event.payload))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in ("payload", *item["loc"]))
            yield f"{place}: {item['msg']}"
