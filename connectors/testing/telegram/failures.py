"""Failures on demand: what the next calls run into."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

from connectors.testing.telegram.errors import CONFLICT, ApiError, bad, too_many

#: reject       400: this can never succeed
#: auth         401: the token is refused
#: rate_limit   429 with parameters.retry_after
#: unavailable  502: nothing was accepted
#: conflict     409, as for a second poller
#: page         200 and a web page, as of a proxy in between: nothing was accepted
#: drop         the connection ends before anything was accepted
#: cut          accepted, and the connection ends without an answer: the ambiguous case
#: timeout      accepted, and no answer comes until `release()`; with getUpdates: a half-open connection
Kind = Literal["reject", "auth", "rate_limit", "unavailable", "conflict", "page", "drop", "cut", "timeout"]


@dataclass(frozen=True)
class Failure:
    """One failure; `method` in lower case, None for every method but getUpdates, which programs call all the time."""

    kind: Kind
    method: str | None
    retry_after_s: int
    code: int | None
    description: str | None

    def matches(self, method: str) -> bool:
        """Whether a call of this method runs into it."""
        return method != "getupdates" if self.method is None else method == self.method

    def error(self) -> ApiError | None:
        """The refusal; None for those that cut the connection or answer nothing."""
        if self.code is not None:
            return ApiError(self.code, self.description or f"{self.code}")
        if self.description is not None and self.kind == "reject":
            return ApiError(400, self.description)
        return {
            "reject": bad("refused on demand"),
            "auth": ApiError(401, "Unauthorized"),
            "rate_limit": too_many(self.retry_after_s),
            "unavailable": ApiError(502, "Bad Gateway"),
            "conflict": ApiError(409, CONFLICT),
        }.get(self.kind)


class Failures:
    """A queue: each call takes the first one that is meant for it."""

    def __init__(self) -> None:
        self._queue: deque[Failure] = deque()

    def add(self, failure: Failure, n: int) -> None:
        """The next `n` calls that it matches fail."""
        if failure.kind not in get_args(Kind):
            raise ValueError(f"{failure.kind!r} is none of {', '.join(get_args(Kind))}")
        self._queue.extend([failure] * n)

    def take(self, method: str) -> Failure | None:
        """The failure that a call of this method (in lower case) runs into."""
        for failure in self._queue:
            if failure.matches(method):
                self._queue.remove(failure)
                return failure
        return None

    def clear(self) -> None:
        """Nothing fails any more."""
        self._queue.clear()
