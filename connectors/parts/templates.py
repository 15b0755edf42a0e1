"""Texts made of a template: `{{ dotted.path }}` is replaced by what is there. Nothing is executed. Pure: no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from connectors.parts.bodies import look_up

#: `{{ path }}`, or `{{ path | what stands there without it }}`.
_PLACE = re.compile(r"\{\{\s*([\w-]+(?:\.[\w-]+)*)\s*(?:\|([^{}]*))?\}\}")


class NothingThere(LookupError):
    """A place without a default names nothing; `path` is its path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not there; {{{{ {path} | a default }}}} would do without it")
        self.path = path


def render(template: Any, context: Mapping[str, Any], *, strict: bool = False) -> Any:
    """In mappings and lists every text is filled in, keys are left alone.

    A text that is nothing but one place becomes the value, whatever its type; within other text a value is written as
    text, objects as JSON. What is not there is its default; without one it is nothing or, if `strict`, raises
    NothingThere. What is filled in is not looked at again.
    """
    if isinstance(template, Mapping):
        return {key: render(value, context, strict=strict) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, context, strict=strict) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template.strip())
    if whole is not None:
        return _value(whole, context, strict)
    return _PLACE.sub(lambda place: as_text(_value(place, context, strict)), template)


def _value(place: re.Match[str], context: Mapping[str, Any], strict: bool) -> Any:
    found = look_up(context, place[1])
    if found is not None:
        return found
    if place[2] is not None:
        return place[2].strip()
    if strict:
        raise NothingThere(place[1])
    return ""


def as_text(value: Any) -> str:
    """As it stands within other text: objects as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
