"""What all methods of the Web API share: arguments, tokens, scopes, errors, and the list of methods.

https://docs.slack.dev/apis/web-api/ : a token comes as `Authorization: Bearer` or as the parameter `token`; arguments
as form, query or JSON; an error is HTTP 200 with `ok: false` and `error`; `missing_scope` comes with `needed` and
`provided`; X-OAuth-Scopes names what the token has, X-Accepted-OAuth-Scopes what the method wants.
https://docs.slack.dev/apis/web-api/pagination : `cursor`, `limit`, response_metadata.next_cursor, `invalid_cursor`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connectors.testing.slack.state import SCOPE_WORD, Channel, Json, World

Handler = Callable[[World, "Args"], Json]
Owner = Literal["bot", "app", "nobody"]


class SlackError(Exception):
    """The call fails with this word; `more` is what else the answer says."""

    def __init__(self, error: str, *, status: int = 200, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.more = more


@dataclass(frozen=True)
class Method:
    """One method: what runs it, the scope that it wants, and whose token."""

    name: str
    handler: Handler
    scope: str | None = None
    owner: Owner = "bot"


METHODS: dict[str, Method] = {}


def method(name: str, *, scope: str | None = None, owner: Owner = "bot") -> Callable[[Handler], Handler]:
    """Register a function as a method of the Web API."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(name, handler, scope, owner)
        return handler

    return register


class Args:
    """The arguments of one call: strings from a form, values from JSON."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean, in any of its spellings."""
        value = self.values.get(name)
        return default if value is None else str(value).lower() in ("1", "true")

    def number(self, name: str, default: int, *, error: str = "invalid_limit") -> int:
        """A whole number."""
        try:
            return int(self.values.get(name) or default)
        except (TypeError, ValueError):
            raise SlackError(error) from None

    def json(self, name: str, default: Any = None, *, error: str = "invalid_arguments") -> Any:
        """A value that forms carry as JSON text."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return default if value is None else value
        if not value:
            return default
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None

    def names(self, name: str) -> list[str]:
        """A comma-separated list."""
        value = self.values.get(name)
        parts = value if isinstance(value, list) else str(value or "").split(",")
        return [str(part).strip() for part in parts if str(part).strip()]


def check_token(world: World, owner: Owner, token: str | None) -> None:
    """Raises as Slack answers: not_authed, invalid_auth, not_allowed_token_type, or what the token was revoked with."""
    if owner == "nobody":
        return
    if not token:
        raise SlackError("not_authed")
    own, other = (world.bot_token, world.app_token) if owner == "bot" else (world.app_token, world.bot_token)
    if token == other:
        raise SlackError("not_allowed_token_type")
    if token != own:
        raise SlackError("invalid_auth")
    if world.revoked:
        raise SlackError(world.revoked)


def need(world: World, scope: str, *, app: bool = False) -> None:
    """Raises missing_scope unless the token has it."""
    have = world.app_scopes if app else world.scopes
    if scope not in have:
        raise SlackError("missing_scope", needed=scope, provided=",".join(sorted(have)))


def find_channel(world: World, args: Args, verb: str | None = None, name: str = "channel") -> Channel:
    """The channel of a call; with `verb` (read, history, write) the scope for its kind is wanted too."""
    channel = world.channels.get(args.text(name))
    if channel is None or (channel.kind != "channel" and world.bot_user not in channel.members):
        raise SlackError("channel_not_found")
    if verb is not None:
        need(world, f"{SCOPE_WORD[channel.kind]}:{verb}")
    return channel


def page(items: list[Any], args: Args, *, default: int, most: int) -> tuple[list[Any], str]:
    """One page of a list and the cursor of the next."""
    limit = args.number("limit", default)
    if limit < 1 or limit > most:
        raise SlackError("invalid_limit")
    start = 0
    if "cursor" in args:
        try:
            word, _, number = base64.b64decode(args.text("cursor"), validate=True).decode().partition(":")
            start = int(number)
        except ValueError:
            word = ""
        if word != "next":
            raise SlackError("invalid_cursor")
    rest = start + limit < len(items)
    return items[start : start + limit], base64.b64encode(f"next:{start + limit}".encode()).decode() if rest else ""
