"""What a connector needs around it, declared on its class: variables, steps on the other side, programs.

    env = (EnvVar("SHOP_PROXY", description="where requests go through", required=False),)
    integrations = (Integration("hook", description="tells us of orders", platform="shop", command="shop hooks add …"),)
    tools = (Tool("ffmpeg", description="converts videos", nix="ffmpeg"),)

`env`, `doctor`, `validate`, `types` and `init` show them. Options declare their own variables: see `options.option`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from connectors.base.errors import ConfigError

Declared = TypeVar("Declared")


@dataclass(frozen=True)
class EnvVar:
    """A variable that is no option: the platform's SDK reads it, or `get_config(env_key=…)` does."""

    name: str
    description: str = ""
    help_url: str | None = None
    help_command: str | None = None
    required: bool = True
    secret: bool = False


@dataclass(frozen=True)
class Integration:
    """A step on the other side without which nothing arrives: a hook to register, an app to add.

    `command` does it, or shows how. `check(options)` says whether it is done, and raises where nobody can tell; it
    looks at this machine only.
    """

    id: str
    description: str
    platform: str = ""
    command: str | None = None
    help_url: str | None = None
    check: Callable[[Any], bool] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Tool:
    """A program that the connector runs, by the name of its command. `nix`: the package of nixpkgs that has it."""

    command: str
    description: str = ""
    nix: str | None = None
    help_url: str | None = None
    help_command: str | None = None
    required: bool = True


def declared(cls: type, attribute: str, kind: type[Declared], key: str) -> tuple[Declared, ...]:
    """The values of a class attribute, each also as a mapping or, for its first field, a text.

    Raises ConfigError for what is none, and for two of one name.
    """
    given, word = getattr(cls, attribute, None) or (), kind.__name__
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"{cls.__name__}.{attribute} must be a list of {word}", hint="correct the class")
    found: list[Declared] = []
    for item in given:
        try:
            found.append(_made(kind, item))
        except TypeError as error:
            what = f"{cls.__name__}.{attribute} has something that is no {word}: {error}"
            raise ConfigError(what, hint="correct the class") from error
    names = [getattr(item, key) for item in found]
    if doubled := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ConfigError(f"{cls.__name__}.{attribute} has {doubled[0]} twice", hint="correct the class")
    return tuple(found)


def _made(kind: type[Declared], item: Any) -> Declared:
    if isinstance(item, kind):
        return item
    make: Callable[..., Declared] = kind
    return make(item) if isinstance(item, str) else make(**item)
