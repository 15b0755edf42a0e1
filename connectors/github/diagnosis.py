"""What GitHub says about this configuration, for `connectors doctor`: the token, the rate limit, each repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.base.checks.finding import Finding, Level
from connectors.base.credentials import Credential
from connectors.base.errors import AuthError
from connectors.github.faults import TOKEN_HINT, Limited, Refused
from connectors.github.options import GithubOptions

if TYPE_CHECKING:
    from connectors.github.client import Answer, Client

_AREA = "platform"
#: A token that ends so soon is a warning.
_SOON = timedelta(days=7)
#: A classic token needs one of these; others have permissions, which GitHub does not tell.
_SCOPES = {"repo", "public_repo"}


def check_token(_token: str, options: GithubOptions) -> Credential:
    """Whose token it is, and its scopes. Raises AuthError and RetryLater."""
    from connectors.github.client import Client

    with closing(Client(options)) as client:
        try:
            answer = client.get("/user")
        except Refused:
            return Credential(note="it belongs to no account: a GitHub App's")
    login = answer.data.get("login") if isinstance(answer.data, Mapping) else None
    given = answer.headers.get("x-oauth-scopes")
    scopes = tuple(one for one in (part.strip() for part in (given or "").split(",")) if one)
    kind = "a fine-grained token" if given is None else ""
    missing = () if given is None or _SCOPES & set(scopes) else ("repo",)
    note = ", ".join(one for one in (kind, _ends(answer)) if one)
    return Credential(f"@{login}", scopes, missing, note)


def _ends(answer: Answer) -> str:
    until = answer.headers.get("github-authentication-token-expiration", "")
    try:
        at = datetime.strptime(until, "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
    except ValueError:
        return ""  # it has no end, or GitHub writes it in another way
    soon = at - datetime.fromtimestamp(answer.now, UTC) < _SOON
    return f"{'soon: ' if soon else ''}it ends at {at:%Y-%m-%d %H:%M} UTC"


class Diagnosis:
    """One instance's. `repositories`: as they are configured. Raises RetryLater."""

    def __init__(self, client: Client, name: str, options: GithubOptions, repositories: list[str]) -> None:
        self._client = client
        self._name = name
        self._options = options
        self._repositories = repositories

    def findings(self) -> Iterator[Finding]:
        """All but what `check_token` says; nothing more when the token is refused, or the limit used up."""
        if self._options.token is None:
            what = "there is no token: public repositories only, 60 requests an hour, and nothing can be sent"
            yield self._finding(Level.WARNING, what, TOKEN_HINT)
        if self._options.listen and self._options.secret is None:
            what = "webhooks are taken in without a secret: from this machine only, and not from GitHub"
            yield self._finding(Level.WARNING, what, "give the webhook and GITHUB_WEBHOOK_SECRET the same secret")
        try:
            yield from self._limit()
            for name in self._repositories:
                yield from self._repository(name)
        except (AuthError, Limited):
            return

    def _limit(self) -> Iterator[Finding]:
        """https://docs.github.com/en/rest/rate-limit/rate-limit: asking counts against nothing."""
        try:
            found = self._client.get("/rate_limit").data["resources"]["core"]
            left, limit, reset = (int(found[name]) for name in ("remaining", "limit", "reset"))
        except Refused:
            yield self._finding(Level.INFO, "there is no rate limit here", "")
            return
        except Limited as error:
            yield self._finding(Level.WARNING, str(error), f"wait {error.after_s or 0:.0f} s")
            return
        except (KeyError, TypeError, ValueError):
            return
        at = datetime.fromtimestamp(reset, UTC)
        level = Level.WARNING if left < limit / 10 else Level.INFO
        fix = "poll less often, or give a token of an account of its own" if level is Level.WARNING else ""
        yield self._finding(level, f"{left} of {limit} requests are left until {at:%H:%M} UTC", fix)

    def _repository(self, name: str) -> Iterator[Finding]:
        try:
            data = self._client.get(f"/repos/{name}").data
        except Refused as error:
            yield self._finding(Level.ERROR, f"{name} cannot be read: {error.said}", error.hint)
            return
        found: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        full_name = str(found.get("full_name"))
        if full_name.lower() != name.lower():
            yield self._finding(Level.WARNING, f"{name} is called {full_name} now", "edit connectors.yml")
        said = ["private" if found.get("private") else "public"]
        said += ["issues are switched off"] if not found.get("has_issues", True) else []
        said += ["archived: it can only be read"] if found.get("archived") else []
        allowed = found.get("permissions")
        if self._options.token is not None and isinstance(allowed, Mapping) and not allowed.get("push"):
            said.append("without push access: labels and assignees are ignored")
        yield self._finding(Level.INFO, f"{full_name} can be read ({'; '.join(said)})", "")

    def _finding(self, level: Level, what: str, fix: str) -> Finding:
        return Finding(level, _AREA, what, f"connectors.yml: {self._name}", fix or "nothing to do")
