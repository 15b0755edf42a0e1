"""One option of a connector type, read off its model, for people."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from connectors.base.secrets import Secret

_EXTRA_KEYS = ("env", "help_url", "help_command", "secret", "exclusive")


@dataclass(frozen=True)
class OptionInfo:
    """One option, for people: `type` is a text, `default` is JSON-able (a secret's prints as `****`)."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    env: str | None = None
    help_url: str | None = None
    help_command: str | None = None
    secret: bool = False
    exclusive: bool = False

    @property
    def is_list_of_mappings(self) -> bool:
        """As `feeds` is: `feeds.name=…` says something of its one mapping."""
        return self.type == _MAPPINGS


def describe(options: type[BaseModel]) -> list[OptionInfo]:
    """The options in the order of their declaration."""
    return [_info(field.alias or name, field) for name, field in options.model_fields.items()]


def _info(name: str, field: FieldInfo) -> OptionInfo:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    declared: dict[str, Any] = {key: extra[key] for key in _EXTRA_KEYS if key in extra}
    declared["secret"] = bool(declared.get("secret")) or mentions(field.annotation, (Secret, pydantic.SecretStr))
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return OptionInfo(
        name=name,
        type=_type_text(field.annotation),
        required=field.is_required(),
        default=None if default is PydanticUndefined else to_jsonable_python(default, fallback=str),
        description=field.description or "",
        **declared,
    )


def needed_in(annotation: Any) -> tuple[str, ...]:
    """Of a list of models: what each of them needs."""
    model = next((found for found in types_in(annotation) if issubclass(found, BaseModel)), None)
    fields = model.model_fields.items() if model is not None else ()
    return tuple(field.alias or name for name, field in fields if field.is_required())


_MAPPINGS = "a list (a mapping each)"
_TYPE_TEXTS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Secret: "a secret text",
    pydantic.SecretStr: "a secret text",
    Any: "anything",
    dict: "a mapping",
    list: "a list",
}


def _type_text(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _TYPE_TEXTS:
        return _TYPE_TEXTS[annotation]
    if origin is Literal:
        return " or ".join(json.dumps(arg) for arg in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_text(arg) for arg in args if arg is not type(None))
    if origin is typing.Annotated:
        return _type_text(args[0])
    if is_list(annotation):
        return f"a list ({_type_text(args[0])} each)" if args else "a list"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def types_in(annotation: Any) -> Iterator[type]:
    """Every class that an annotation is made of."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation
    for arg in typing.get_args(annotation):
        yield from types_in(arg)


def mentions(annotation: Any, wanted: tuple[type, ...]) -> bool:
    return any(found in wanted for found in types_in(annotation))


def is_list(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return bool(parts) and all(is_list(part) for part in parts)
    return annotation in (list, tuple, set, frozenset) or origin in (list, tuple, set, frozenset)
