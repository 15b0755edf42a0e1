"""Failures on demand: what the next requests run into."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

from connectors.testing.github.answers import Answer, error
from connectors.testing.github.limits import secondary

#: reject       422: this can never succeed
#: auth         401: the token is refused
#: forbidden    403: the token may not do this
#: missing      404
#: gone         410
#: rate_limit   403 and Retry-After: a secondary limit
#: secondary    the same without Retry-After
#: too_many     429 and Retry-After
#: unavailable  502 with a page of HTML
#: empty        200 without a body
#: html         200 with a page of HTML, as some proxies do
#: truncated    200 with half of the body; the connection ends
#: wrong_shape  200 with JSON that is something else
#: drop         the connection ends before anything was done
#: cut          done, and the connection ends without an answer: the ambiguous case
#: timeout      done, and no answer comes until `release()`
Kind = Literal[
    "reject",
    "auth",
    "forbidden",
    "missing",
    "gone",
    "rate_limit",
    "secondary",
    "too_many",
    "unavailable",
    "empty",
    "html",
    "truncated",
    "wrong_shape",
    "drop",
    "cut",
    "timeout",
]
_PAGE = b"<!DOCTYPE html><html><body><h1>Whoa there!</h1></body></html>"


@dataclass(frozen=True)
class Failure:
    """`where`: a regular expression that is searched in `METHOD /path`."""

    kind: Kind
    where: str
    retry_after_s: float

    def answer(self) -> Answer | None:
        """Instead of what was asked for; None where it is done first."""
        html = {"Content-Type": "text/html; charset=utf-8"}
        problem = {"resource": "Issue", "code": "custom", "field": "body", "message": "refused on demand"}
        return {
            "reject": error(422, "Validation Failed", errors=[problem]),
            "auth": error(401, "Bad credentials"),
            "forbidden": error(403, "Resource not accessible by personal access token"),
            "missing": error(404, "Not Found"),
            "gone": error(410, "Gone"),
            "rate_limit": secondary(self.retry_after_s),
            "secondary": secondary(None),
            "too_many": secondary(self.retry_after_s, 429),
            "unavailable": Answer(502, _PAGE, html),
            "empty": Answer(200, b""),
            "html": Answer(200, _PAGE, html),
            "wrong_shape": Answer(200, {"message": "this is something else"}),
        }.get(self.kind)


class Failures:
    """A queue: each request takes the first one that is meant for it."""

    def __init__(self) -> None:
        self._queue: deque[Failure] = deque()

    def add(self, failure: Failure, n: int) -> None:
        """The next `n` requests that it is meant for fail."""
        if failure.kind not in get_args(Kind):
            raise ValueError(f"{failure.kind!r} is none of {', '.join(get_args(Kind))}")
        self._queue.extend([failure] * n)

    def take(self, request: str) -> Failure | None:
        """`request`: METHOD /path."""
        for failure in self._queue:
            if re.search(failure.where, request):
                self._queue.remove(failure)
                return failure
        return None

    def clear(self) -> None:
        """Nothing fails any more."""
        self._queue.clear()
