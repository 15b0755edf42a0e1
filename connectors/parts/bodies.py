"""The body of a webhook: JSON objects and forms, read strictly. Pure: no I/O."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qsl

#: Deeper than any platform's payload, and what can still be written as JSON again.
MAX_DEPTH = 64
_MAX_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"


class BadBody(Exception):
    """`error` and `detail` are what the sender is told."""

    def __init__(self, detail: str = "", error: str = "Invalid JSON payload") -> None:
        super().__init__(f"{error}: {detail}" if detail else error)
        self.error = error
        self.detail = detail


def parse(body: bytes, media_type: str = "") -> dict[str, Any]:
    """The object. A form gives its fields as texts; its field `payload`, if it is the only one, is JSON again.

    Raises BadBody: not UTF-8, not JSON (NaN, Infinity and 1e999 are none), no object, nested too deeply.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadBody("not UTF-8") from None
    # `curl -d` calls everything a form; in a real one these are written as %7B, %5B and %22.
    if media_type.partition(";")[0].strip().lower() == _FORM and not text.lstrip().startswith(("{", "[", '"')):
        fields = _form(text)
        if list(fields) != ["payload"]:
            return fields
        text = fields["payload"]
    try:
        found = strict_json(text)
    except (ValueError, RecursionError):
        raise BadBody from None
    if not isinstance(found, dict):
        raise BadBody("an object is needed")
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deep(found):
        raise BadBody(f"nested deeper than {MAX_DEPTH}")
    return found


def strict_json(text: str | bytes) -> Any:
    """What the JSON says. Raises ValueError, also for numbers that JSON cannot write again, and RecursionError."""
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def look_up(data: Any, path: str) -> Any:
    """The value at a dotted path (`event.user.id`, `items.0.name`); None when there is none."""
    for step in path.split("."):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isascii() and step.isdigit() and len(step) < 10:
            data = data[int(step)] if int(step) < len(data) else None
        else:
            return None
    return data


def text_of(value: Any) -> str | None:
    """A text or a number as a text that can be stored anywhere; None for everything else and for an empty one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).encode("utf-8", "replace").decode() or None


def _form(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise BadBody("neither fields such as a=b nor a JSON object", error="Invalid form") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def _is_deep(data: Any) -> bool:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
