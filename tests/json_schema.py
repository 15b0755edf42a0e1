"""As much of JSON Schema (draft 2020-12) as docs/schema uses; an unknown keyword raises, so nothing goes unchecked."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

Schema = dict[str, Any]

_NOTES = {"$schema", "$defs", "title", "description", "default", "then"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "null": (type(None),),
}


def is_valid(data: Any, schema: Schema, root: Schema | None = None) -> bool:
    """Whether `data` follows the schema. NotImplementedError for a keyword that this module does not know."""
    root = schema if root is None else root
    for keyword, value in schema.items():
        if keyword in _NOTES:
            continue
        if keyword in _COMBINING:
            if not _COMBINING[keyword](data, value, schema, root):
                return False
        elif keyword in _CHECKS:
            if not _CHECKS[keyword](data, value):
                return False
        else:
            raise NotImplementedError(f"the schema uses {keyword!r}: teach {__name__} that word")
    return True


def _condition(data: Any, value: Schema, schema: Schema, root: Schema) -> bool:
    return not is_valid(data, value, root) or is_valid(data, schema["then"], root)


def _properties(data: Any, value: Schema, schema: Schema, root: Schema) -> bool:
    known = data if isinstance(data, dict) else {}
    return all(is_valid(known[name], part, root) for name, part in value.items() if name in known)


def _is_of_type(data: Any, value: str) -> bool:
    return isinstance(data, _TYPES[value]) and (value == "boolean" or not isinstance(data, bool))


def _has_format(data: Any, value: str) -> bool:
    if value != "date-time":
        raise NotImplementedError(f"the schema uses the format {value!r}")
    try:
        return bool(re.search(r"(Z|[+-]\d\d:\d\d)$", data) and datetime.fromisoformat(data))
    except ValueError:
        return False


_COMBINING: dict[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": lambda data, value, _, root: is_valid(data, root["$defs"][value.removeprefix("#/$defs/")], root),
    "anyOf": lambda data, value, _, root: any(is_valid(data, option, root) for option in value),
    "allOf": lambda data, value, _, root: all(is_valid(data, option, root) for option in value),
    "items": lambda data, value, _, root: not isinstance(data, list) or all(is_valid(i, value, root) for i in data),
    "if": _condition,
    "properties": _properties,
}
_CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _is_of_type,
    "enum": lambda data, value: data in value,
    "const": lambda data, value: bool(data == value),
    "required": lambda data, value: not isinstance(data, dict) or set(value) <= set(data),
    "additionalProperties": lambda data, value: value is True or not isinstance(data, dict),
    "minLength": lambda data, value: not isinstance(data, str) or len(data) >= value,
    "maxLength": lambda data, value: not isinstance(data, str) or len(data) <= value,
    "format": lambda data, value: not isinstance(data, str) or _has_format(data, value),
}
