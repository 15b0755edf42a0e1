"""What a connector class says of itself, read off the class: nothing is connected or made for it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel

from connectors.base.auth import Method, described, methods_of
from connectors.base.credentials import validators_of
from connectors.base.errors import ConfigError
from connectors.base.nix import declared_packages, tools_of
from connectors.base.optioninfo import OptionInfo, describe
from connectors.base.registration import EnvVar, Integration, Tool, declared
from connectors.base.versions import min_version_of


@dataclass(frozen=True)
class FeedInfo:
    """One type of feed, for people."""

    name: str
    description: str
    schedule: str | None
    kinds: tuple[str, ...]
    shared_ids: bool
    options: tuple[OptionInfo, ...]


@dataclass(frozen=True)
class Capabilities:
    """What the platform can do through this connector.

    `idempotent_send`: a repeated send is exactly once. `fetch`: files of an earlier event can be fetched again.
    """

    edit: bool = False
    delete: bool = False
    react: bool = False
    typing: bool = False
    threads: bool = False
    attachments_in: bool = False
    attachments_out: bool = False
    fetch: bool = False
    idempotent_send: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits of the platform, by its own documentation. None: no limit is known."""

    text_max: int | None = None
    text_unit: Literal["characters", "utf16", "bytes"] = "characters"
    attachment_max_bytes: int | None = None


@dataclass(frozen=True)
class VariableInfo:
    """One variable of the environment. `option` is what it stands for, None where the class itself declares it."""

    name: str
    description: str
    required: bool
    secret: bool
    help_url: str | None = None
    help_command: str | None = None
    option: str | None = None

    @property
    def help(self) -> str:
        """Where its value comes from, in one text."""
        return " or ".join(filter(None, (self.help_url, self.help_command and f"`{self.help_command}`")))


@dataclass(frozen=True)
class Declaration:
    """What a connector class says of itself. `options` is None if it declares none, and so accepts any.

    `validators` are the options and variables whose values can be checked with the platform.
    """

    type: str
    version: str
    summary: str
    options: tuple[OptionInfo, ...] | None
    env: tuple[VariableInfo, ...]
    auth: tuple[Method, ...]
    validators: tuple[str, ...]
    integrations: tuple[Integration, ...]
    feeds: tuple[FeedInfo, ...]
    tools: tuple[Tool, ...]
    nix: tuple[str, ...]
    capabilities: Capabilities
    limits: Limits
    actions: tuple[dict[str, Any], ...]
    min_version: str
    setup_help: str
    extra: str | None
    class_path: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        data = {**asdict(replace(self, auth=(), integrations=())), "auth": [described(method) for method in self.auth]}
        data["integrations"] = [
            {**asdict(replace(item, check=None)), "check": item.check is not None} for item in self.integrations
        ]
        return data


def declaration_of(cls: type) -> Declaration:
    """Read the declaration off a connector class. Reads class attributes only; connects and makes nothing.

    The attributes, all optional but the first: `connector_type`, `version`, `summary` (default: the first
    line of the docstring), `Options`, `env`, `auth`, `validators`, `integrations`, `feeds`, `tools`, `nix`,
    `capabilities`, `limits`, `actions` (names, mappings, or objects with `to_dict()`), `min_version`, `setup_help`,
    `extra`. Raises ConfigError for one that is not what it should be.
    """
    model = options_of(cls)
    options = None if model is None else tuple(describe(model))
    variables = _variables(cls, options or ())
    names = [info.name for info in options or ()]
    doc = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
    return Declaration(
        type=getattr(cls, "connector_type", None) or "",
        version=getattr(cls, "version", None) or "",
        summary=getattr(cls, "summary", None) or doc,
        options=options,
        env=variables,
        auth=methods_of(cls, names),
        validators=tuple(validators_of(cls, [*names, *(info.name for info in variables if info.option is None)])),
        integrations=declared(cls, "integrations", Integration, "id"),
        feeds=tuple(kind.info() for kind in getattr(cls, "feeds", None) or ()),
        tools=tools_of(cls),
        nix=declared_packages(cls),
        capabilities=getattr(cls, "capabilities", None) or Capabilities(),
        limits=getattr(cls, "limits", None) or Limits(),
        actions=tuple(_action(action) for action in getattr(cls, "actions", None) or ()),
        min_version=min_version_of(cls),
        setup_help=inspect.cleandoc(getattr(cls, "setup_help", None) or ""),
        extra=getattr(cls, "extra", None),
        class_path=f"{cls.__module__}:{cls.__qualname__}",
    )


def _variables(cls: type, options: Sequence[OptionInfo]) -> tuple[VariableInfo, ...]:
    """Those of the options, then those that are none."""
    found = [
        VariableInfo(i.env, i.description, i.required, i.secret, i.help_url, i.help_command, i.name)
        for i in options
        if i.env is not None
    ]
    taken = {info.name for info in found}
    for one in declared(cls, "env", EnvVar, "name"):
        if one.name in taken:
            what = f"{cls.__name__}.env has {one.name}, which is the variable of an option"
            raise ConfigError(what, hint="correct the class")
        found.append(VariableInfo(one.name, one.description, one.required, one.secret, one.help_url, one.help_command))
    return tuple(found)


def options_of(cls: type) -> type[BaseModel] | None:
    """The class's `Options`, or None if it declares none and so accepts any option."""
    declared = getattr(cls, "Options", None)
    if not (isinstance(declared, type) and issubclass(declared, BaseModel)):
        return None
    return declared


def _action(action: Any) -> dict[str, Any]:
    if isinstance(action, str):
        return {"name": action}
    return dict(action) if isinstance(action, Mapping) else dict(action.to_dict())
