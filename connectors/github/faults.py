"""GitHub's answers as the project's errors. Pure: no I/O.

https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api,
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.base.errors import AuthError, ConnectorError, Rejected, RetryLater

TOKEN_HINT = "make a new token at https://github.com/settings/tokens, put it into .env as GITHUB_TOKEN"  # noqa: S105 - a hint
#: What a limit without any time is waited for, doubled with each in a row: the documentation says a minute and more.
LIMIT_S = 60.0
#: No limit lasts longer: they are all of an hour.
MOST_S = 3600.0
_TEXT_CHARS = 300


class Refused(Rejected):
    """GitHub refuses this request, and would again. `said`: in its own words."""

    def __init__(self, said: str, what: str, *, hint: str = "") -> None:
        super().__init__(f"{what}: {said}", hint=hint)
        self.said = said


class Limited(RetryLater):
    """A rate limit: nothing is to be asked before `after_s`."""


class Nonsense(RetryLater):
    """An answer that is none: no JSON, half of it, or something else than was asked for."""


def now_of(headers: Mapping[str, str]) -> float:
    """GitHub's clock, by which its times are meant; ours may be wrong."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return time.time()


def judge(
    status: int, headers: Mapping[str, str], data: Any, what: str, *, strikes: int = 0, wrote: bool = False
) -> ConnectorError | None:
    """What an answer means; None: it is good. `strikes`: how many limits in a row there were before.

    `what`: METHOD /path, for people. `wrote`: a failure of the server's may have come after it was done. Header names
    are in lower case.
    """
    if status < 400:
        return None
    said = _said(status, data)
    if status in (403, 429) and (limit := _limit_s(headers, said, status, strikes)) is not None:
        return Limited(f"GitHub's rate limit: {said}", after_s=limit)
    if status == 401:
        return AuthError(f"GitHub refuses the token: {said}", hint=TOKEN_HINT)
    if status >= 500 or status in (408, 425):
        return RetryLater(f"{what}: {said}", ambiguous=wrote)
    return Refused(said, what, hint=_hint(status, headers))


def _limit_s(headers: Mapping[str, str], said: str, status: int, strikes: int) -> float | None:
    """In how many seconds it may be asked again; None: it is no limit."""
    retry_after, left = _number(headers, "retry-after"), _number(headers, "x-ratelimit-remaining")
    reset = _number(headers, "x-ratelimit-reset")
    if retry_after is not None:
        return min(max(retry_after, 0.0), MOST_S)
    if left == 0 and reset is not None:
        return min(max(reset - now_of(headers), 0.0) + 1.0, MOST_S + 60)
    if status == 429 or "rate limit" in said.lower() or "abuse detection" in said.lower():
        return float(min(LIMIT_S * 2**strikes, MOST_S))
    return None


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        found = float(headers.get(name, ""))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _said(status: int, data: Any) -> str:
    """GitHub's own words: its message, and what is wrong with which field."""
    if not isinstance(data, Mapping):
        return f"answered with {status}"
    texts = [str(data.get("message") or "no reason")]
    errors = data.get("errors")
    for problem in errors if isinstance(errors, list) else ():
        if isinstance(problem, Mapping):
            field, why = problem.get("field"), problem.get("message") or problem.get("code")
            texts.append(f"{field}: {why}" if field and problem.get("code") != "custom" else str(why))
        else:
            texts.append(str(problem))
    return f"{status} {'; '.join(texts)}"[:_TEXT_CHARS]


def _hint(status: int, headers: Mapping[str, str]) -> str:
    if status in (403, 404):
        return f"see whether it exists and the token may do it{_lacks(headers)}"
    if status == 410:
        return "it was deleted, or issues are switched off in the repository's settings"
    return "correct it, then `connectors failed retry`"


def _lacks(headers: Mapping[str, str]) -> str:
    """What the token has, and what the request wants, as far as GitHub says it."""
    if "x-oauth-scopes" in headers:
        has = headers["x-oauth-scopes"] or "none"
        return "" if "repo" in re.split(r"[,\s]+", has) else f": it has the scopes {has}, and repo is needed"
    if headers.get("x-accepted-github-permissions"):
        return f": it needs {headers['x-accepted-github-permissions']}"
    return ""
