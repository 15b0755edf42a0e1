"""What a route asks of an event: dotted paths, and what has to be there. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from connectors.parts.bodies import look_up

#: `/pattern/` or `/pattern/i`: a regular expression that is found somewhere in the text.
_PATTERN = re.compile(r"/(.+)/(i?)", re.DOTALL)
_SCALARS = {str, int, float, bool}

#: Whether a value is what one condition asks for.
Test = Callable[[Any], bool]


def compile_conditions(given: Mapping[str, Any]) -> dict[str, Test]:
    """Path -> test. A condition is a value (equal, and of the same type), a list (any of them), `/pattern/`, or null
    (nothing is there). A value that is a list passes if one of its items does. Raises ValueError for anything else.
    """
    return {path: _compile(path, condition) for path, condition in given.items()}


def all_hold(tests: Mapping[str, Test], data: Mapping[str, Any]) -> bool:
    return all(_holds(test, look_up(data, path)) for path, test in tests.items())


def any_holds(tests: Mapping[str, Test], data: Mapping[str, Any]) -> bool:
    return any(_holds(test, look_up(data, path)) for path, test in tests.items())


def _holds(test: Test, value: Any) -> bool:
    return test(value) or (isinstance(value, list) and any(test(item) for item in value))


def _compile(path: str, condition: Any) -> Test:
    if isinstance(condition, list):
        tests = [_compile(path, item) for item in condition]
        if not tests:
            raise ValueError(f"{path}: an empty list holds for nothing: give at least one value")
        return lambda value: any(test(value) for test in tests)
    if condition is None:
        return lambda value: value is None
    if type(condition) not in _SCALARS:
        raise ValueError(f"{path}: a condition is a value, a list of values, /a pattern/ or null")
    pattern = _PATTERN.fullmatch(condition) if isinstance(condition, str) else None
    if pattern is None:
        return lambda value: value == condition and isinstance(value, bool) == isinstance(condition, bool)
    try:
        found = re.compile(pattern[1], re.IGNORECASE if pattern[2] else 0)
    except re.error as error:
        raise ValueError(f"{path}: {condition} is no regular expression: {error}") from None
    return lambda value: isinstance(value, str) and found.search(value) is not None
