"""One reader for all reserved sections of connectors.yml: unknown keys, wrong types, ranges."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Literal, TypeVar

from connectors.base.problems import nearest

Section = TypeVar("Section")
#: Told of each problem: the key (None for the section itself), the text, and what was probably meant.
Report = Callable[[str | None, str, str | None], None]


def read_section(template: Section, data: Any, report: Report) -> Section:
    """`template` with what `data` says. A key with a problem is reported and keeps the template's value."""
    if data is None:
        return template
    known = {item.name: item for item in fields(template)}  # type: ignore[arg-type]  # every template is a dataclass
    if not isinstance(data, Mapping):
        report(None, f"must be a mapping with the keys {', '.join(known)}", None)
        return template
    hints = typing.get_type_hints(type(template))
    values = {}
    for key, value in data.items():
        if key not in known:
            report(key, f'unknown key "{key}"', nearest(key, known))
            continue
        try:
            values[key] = _convert(hints[key], value, known[key].metadata)
        except _Refused as refused:
            report(key, f'"{key}" {refused}', refused.suggestion)
    return replace(template, **values)  # type: ignore[type-var]  # as above


class _Refused(Exception):
    def __init__(self, text: str, suggestion: str | None = None) -> None:
        super().__init__(text)
        self.suggestion = suggestion


def _convert(hint: Any, value: Any, metadata: Mapping[str, Any]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None:
            return None
        return _convert(args[0], value, metadata)
    if origin is Literal:
        return _choice(value, args)
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise _Refused("must be a list of texts")
        choices = metadata.get("choices")
        return tuple(_choice(item, choices) if choices else item for item in items)
    if hint is str:
        if not isinstance(value, str) or not value:
            raise _Refused("must be a text")
        return value
    return _number(hint, value, metadata.get("least", -math.inf))


def _choice(value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        listed = ", ".join(choices)
        raise _Refused(f"takes only: {listed}", nearest(value, choices) if isinstance(value, str) else None)
    return str(value)


def _number(hint: Any, value: Any, least: float) -> float:
    """Numbers, and texts that are numbers: a value that came from a variable is always a text."""
    whole = hint is int
    wanted = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Refused(f"must be {wanted}")
    try:
        number = int(value) if whole and not isinstance(value, float) else float(value)
    except ValueError:
        raise _Refused(f"must be {wanted}") from None
    if not math.isfinite(number) or (whole and number != int(number)):
        raise _Refused(f"must be {wanted}")
    if number < least:
        raise _Refused(f"must be at least {least:g}")
    return int(number) if whole else float(number)


def to_bool(value: Any) -> bool | None:
    """True or False as YAML or a variable writes it, None for anything else."""
    if isinstance(value, bool):
        return value
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    return words.get(value.lower()) if isinstance(value, str) else None
