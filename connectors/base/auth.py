"""How a connector proves who it is: the methods that its class declares, of which an operator uses one.

    auth = (Keys("token"), NoAuth("public repositories only"))

The best one stands first. A class that declares none needs what its options require, and nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from connectors.base.errors import ConfigError

Artifact = Literal["qr", "code", "redirect", "prompt", "status"]


@dataclass(frozen=True)
class NoAuth:
    """Nothing is needed."""

    type: ClassVar[str] = "none"
    description: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """What must be given for it."""
        return ()


class Keys:
    """Keys that the operator was given: all of these options."""

    type: ClassVar[str] = "keys"

    def __init__(self, *options: str, description: str = "") -> None:
        self.options = options
        self.description = description


class Bearer(Keys):
    """One token that goes into the header Authorization: Bearer (RFC 6750)."""

    type: ClassVar[str] = "bearer"

    def __init__(self, option: str, *, description: str = "") -> None:
        super().__init__(option, description=description)


@dataclass(frozen=True)
class OAuth2:
    """A person signs in with a browser (RFC 6749, with PKCE: RFC 7636). Here is its shape; nothing signs in yet.

    `client_id` and `client_secret` are names of options. `token_auth`: how the client proves itself at `token_url`.
    """

    type: ClassVar[str] = "oauth2"
    provider: str
    authorize_url: str
    token_url: str
    scopes: tuple[str, ...] = ()
    optional_scopes: tuple[str, ...] = ()
    client_id: str = "client_id"
    client_secret: str | None = "client_secret"  # noqa: S105 - the name of an option
    pkce: bool = True
    token_auth: Literal["client_secret_post", "client_secret_basic", "none"] = "client_secret_post"  # noqa: S105 - a word
    description: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """What must be given before anybody can sign in."""
        return (self.client_id,) if self.client_secret is None else (self.client_id, self.client_secret)


@dataclass(frozen=True)
class Interactive:
    """A person does something at the platform: scans a picture, types a code. Its shape; nothing asks for it yet."""

    type: ClassVar[str] = "interactive"
    artifact: Artifact
    description: str = ""
    timeout_s: float = 300.0

    @property
    def options(self) -> tuple[str, ...]:
        """Nothing is configured for it."""
        return ()


Method = NoAuth | Keys | OAuth2 | Interactive
#: The types whose credential is there as soon as their options are.
READY = frozenset({"none", "keys", "bearer"})


def methods_of(cls: type, options: Iterable[str]) -> tuple[Method, ...]:
    """The methods that a class declares. Raises ConfigError for one that names an option which is none."""
    given = getattr(cls, "auth", None) or ()
    known = set(options)
    for method in given if isinstance(given, Sequence) else (given,):
        if not isinstance(method, Method):
            what = f"{cls.__name__}.auth must be a list of NoAuth, Keys, Bearer, OAuth2, Interactive"
            raise ConfigError(what, hint="correct the class")
        if unknown := [name for name in method.options if name not in known]:
            what = f"{cls.__name__}.auth names {unknown[0]}, which is no option of it"
            raise ConfigError(what, hint="correct the class")
    return tuple(given)


def described(method: Method) -> dict[str, Any]:
    """For JSON: its type, the options that it needs, and what else it declares."""
    more = {"description": method.description} if isinstance(method, Keys) else asdict(method)
    for name in ("client_id", "client_secret"):
        more.pop(name, None)
    return {"type": method.type, "options": list(method.options), **more}


def usable(methods: Sequence[Method], given: Mapping[str, Any]) -> Method | None:
    """The first method whose options are all given."""
    return next((method for method in methods if all(given.get(name) for name in method.options)), None)


def missing(methods: Sequence[Method], given: Mapping[str, Any]) -> str | None:
    """What to give when no method can be used: `token; or app_token and bot_token`. None when one can, or none is
    declared."""
    if not methods or usable(methods, given) is not None:
        return None
    return "; or ".join(" and ".join(method.options) for method in methods)
