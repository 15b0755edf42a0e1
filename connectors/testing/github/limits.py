"""The primary rate limit, and its headers.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api: 60 requests an hour for an address
without a token, 5,000 for an account; what is answered by 304 does not count, if it had a token
(https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from connectors.testing.github.answers import Answer, error

WINDOW_S = 3600.0


class Limits:
    """A window for each account, and one for whoever has no token. `per_hour`: {with a token or not: requests}."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.per_hour = {True: 5000, False: 60}
        self._now = now
        self._used: dict[str | None, int] = {}
        self._resets: dict[str | None, float] = {}

    def left(self, login: str | None) -> int:
        """How many requests this window still has."""
        self._roll(login)
        return max(0, self.per_hour[login is not None] - self._used.get(login, 0))

    def use(self, login: str | None, count: int = 1) -> None:
        """So many requests count."""
        self._roll(login)
        self._used[login] = self._used.get(login, 0) + count

    def exhaust(self, login: str | None, reset_in_s: float) -> None:
        """Nothing is left until then."""
        self._resets[login] = self._now() + reset_in_s
        self._used[login] = self.per_hour[login is not None]

    def headers(self, login: str | None) -> dict[str, str]:
        left = self.left(login)
        limit = self.per_hour[login is not None]
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Used": str(limit - left),
            "X-RateLimit-Reset": str(math.ceil(self._resets[login])),
            "X-RateLimit-Resource": "core",
        }

    def exceeded(self, login: str | None, status: int = 403) -> Answer:
        """The refusal: 403 or 429, the documentation allows for both."""
        who = f"user ID {login}" if login else "127.0.0.1"
        return error(status, f"API rate limit exceeded for {who}.", self.headers(login))

    def status(self, login: str | None) -> Answer:
        """https://docs.github.com/en/rest/rate-limit/rate-limit: asking counts against nothing."""
        headers = self.headers(login)
        limit, left, used = (int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Used"))
        core = {"limit": limit, "remaining": left, "used": used, "reset": int(headers["X-RateLimit-Reset"])}
        return Answer(200, {"resources": {"core": core}, "rate": core})

    def _roll(self, login: str | None) -> None:
        if self._now() >= self._resets.get(login, 0.0):
            self._resets[login] = self._now() + WINDOW_S
            self._used[login] = 0


def secondary(retry_after_s: float | None, status: int = 403) -> Answer:
    """With or without Retry-After: the documentation allows for both."""
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return error(status, text, headers)
