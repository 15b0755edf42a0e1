"""Bodies made of a template: `{{ dotted.path }}` is replaced by what is there. Nothing is executed. Pure: no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from connectors.parts.bodies import look_up

_PLACE = re.compile(r"\{\{\s*([\w-]+(?:\.[\w-]+)*)\s*\}\}")


def render(template: Any, context: Mapping[str, Any]) -> Any:
    """In mappings and lists every text is filled in, keys are left alone.

    A text that is nothing but one place becomes the value, whatever its type; within other text a value is written as
    text, objects as JSON, and what is not there as nothing. What is filled in is not looked at again.
    """
    if isinstance(template, Mapping):
        return {key: render(value, context) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, context) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template.strip())
    if whole is not None:
        value = look_up(context, whole[1])
        return "" if value is None else value
    return _PLACE.sub(lambda place: _text(look_up(context, place[1])), template)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
