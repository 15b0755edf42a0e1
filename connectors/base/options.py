"""What a connector class says of itself, declared once: its options, capabilities, limits, actions and help.

Validation, `env`, `doctor`, `types`, the documentation and the dashboard read this one declaration:

    class SlackConnector(Connector):
        connector_type = "slack"
        extra = "slack"                       # pip install 'mailbox-connectors[slack]'
        capabilities = Capabilities(edit=True, threads=True)
        limits = Limits(text_max=4000)

        class Options(options.Options):
            bot_token: Secret = option(description="bot token", env="SLACK_BOT_TOKEN", help_url="https://…")
            channels: list[str] = option([], description="only these channel ids")
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from connectors.base.declaration import Capabilities, Declaration, Limits, declaration_of, options_of
from connectors.base.optioninfo import OptionInfo, describe, is_list, mentions, needed_in, types_in
from connectors.base.problems import Severity, nearest
from connectors.base.secrets import Secret

__all__ = [
    "Capabilities",
    "Declaration",
    "Limits",
    "OptionInfo",
    "OptionProblem",
    "Options",
    "declaration_of",
    "describe",
    "option",
    "options_of",
    "read_options",
]


class Options(BaseModel):
    """The options of a connector type: an unknown one is an error, and values are frozen.

    As YAML and variables write them: a list may be one text with commas (`C1, C2`), a whole number may stand
    for a text (`chat: 12345`). A number with a point may not: `1.10` would silently become `1.1`; it has to
    be quoted.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        # pydantic's errors would otherwise quote the value, and the value may be a secret.
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, str) and is_list(annotation):
            return [item for item in (part.strip() for part in value.split(",")) if item]
        texts = mentions(annotation, (str, Secret)) and not mentions(annotation, (float,))
        if texts and any(isinstance(item, float) for item in (value if isinstance(value, list) else [value])):
            raise ValueError('must be a text: put the number into quotes, as in "1.10"')
        return value


def option(
    default: Any = ...,
    *,
    description: str,
    env: str | None = None,
    help_url: str | None = None,
    help_command: str | None = None,
    secret: bool = False,
    exclusive: bool = False,
    **constraints: Any,
) -> Any:
    """One option of an `Options` class; without a default it is required.

    `env` is the variable that is read when the option is not given; `help_url` and `help_command` say where
    its value comes from. `secret` is implied by the type `Secret`. `exclusive` locks the value once per
    machine (a bot token that only one process may use). `constraints` are pydantic's own (`ge`, `max_length`,
    `pattern`, `alias` …).
    """
    declared = {
        "env": env,
        "help_url": help_url,
        "help_command": help_command,
        "secret": secret,
        "exclusive": exclusive,
    }
    extra: dict[str, Any] = {key: value for key, value in declared.items() if value}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


@dataclass(frozen=True)
class OptionProblem:
    """`path` is where below the entry: `("channels", 0)`. `text` never holds a value."""

    path: tuple[str | int, ...]
    text: str
    suggestion: str | None = None
    severity: Severity = "error"
    variable: str | None = None  #: the one that is missing, if that is the problem


def read_options(
    options: type[BaseModel], given: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[BaseModel | None, dict[str, Any], list[OptionProblem]]:
    """Validate what was given. Returns the options or None, the data with variables read, the problems.

    An option that is not given is read from its variable, if it declares one and that is set. A secret that
    is given empty, or whose variable is set but empty, is an error: it never means "no secret".
    """
    data = dict(given)
    problems: list[OptionProblem] = []
    for info in describe(options):
        if info.name not in data and info.env is not None and info.env in environ:
            if environ[info.env]:
                data[info.name] = environ[info.env]
            elif info.secret:
                text = f'option "{info.name}" is secret and its variable {info.env} is set but empty'
                otherwise = "" if info.required else ", or unset it"
                text += f": give it a value{otherwise}{_help(info)}"
                problems.append(OptionProblem((info.name,), text, variable=info.env))
        elif info.secret and data.get(info.name) == "":
            otherwise = "" if info.required else ", or leave it out"
            text = f'option "{info.name}" is secret and empty: give it a value{otherwise}{_help(info)}'
            problems.append(OptionProblem((info.name,), text))
    # What is said of all options together was said of an empty one, too.
    taken = {problem.path[0] for problem in problems} | ({""} if problems else set())
    try:
        read = options.model_validate(data)
    except ValidationError as error:
        problems += [problem for problem in _problems(options, error) if problem.path[0] not in taken]
        return None, data, problems
    return (None if problems else read), data, problems


def _problems(options: type[BaseModel], error: ValidationError) -> Iterator[OptionProblem]:
    infos = {info.name: info for info in describe(options)}
    seen: set[tuple[str | int, ...]] = set()
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(detail["loc"]) or ("",)
        info = infos.get(str(path[0]))
        # The alternatives of a union come one by one, each with its own tag in the path: one line is enough.
        key = path[:1] if info is not None and " or " in info.type else path
        if key in seen:
            continue
        seen.add(key)
        name = ".".join(map(str, path if key == path else path[:1]))
        if detail["type"] == "extra_forbidden":
            yield OptionProblem(path, f'unknown option "{name}"', nearest(str(path[-1]), _names(options, path)))
        elif detail["type"] == "missing":
            variable = None if info is None else info.env
            yield OptionProblem(path, f'option "{name}" is missing{_how_to_set(info)}', variable=variable)
        elif info is not None and key != path:
            yield OptionProblem(path, f'option "{name}" must be {info.type}')
        else:
            message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            message = message.replace("Input should be", "must be")
            message = re.sub(
                r"a valid dictionary( or instance of \w+)?", f"a mapping{_how_to_write(options, path)}", message
            )
            yield OptionProblem(path, f'option "{name}" {message}' if name else message)


def _names(options: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The option names that are legal where the path points to (options can be models themselves)."""
    here: type[BaseModel] | None = options
    for step in path[:-1]:
        field = here.model_fields.get(str(step)) if here is not None else None
        if field is not None:
            here = next((t for t in types_in(field.annotation) if issubclass(t, BaseModel)), None)
    return [field.alias or name for name, field in here.model_fields.items()] if here is not None else []


def _how_to_set(info: OptionInfo | None) -> str:
    if info is None:
        return ""
    return (f": give it, or set {info.env} in .env" if info.env else ": give it") + _help(info)


def _how_to_write(options: type[BaseModel], path: tuple[str | int, ...]) -> str:
    """An entry of a list of mappings, for who has given a text."""
    field = options.model_fields.get(str(path[0]))
    needed = needed_in(field.annotation) if field is not None and len(path) == 2 else ()
    return f", as in {path[0]}: [{{{', '.join(f'{name}: …' for name in needed)}}}]" if needed else ""


def _help(info: OptionInfo) -> str:
    ways = [way for way in (info.help_url, info.help_command and f"`{info.help_command}`") if way]
    return f" (where it comes from: {', '.join(ways)})" if ways else ""
