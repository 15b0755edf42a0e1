"""Failures on demand: which call fails next, and how.

The answers that Slack gives are from its documentation:
429 with Retry-After in whole seconds and `ratelimited`: https://docs.slack.dev/apis/web-api/rate-limits
errors in a body of HTTP 200, `ok: false`: https://docs.slack.dev/apis/web-api/#responses
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

#: reject       HTTP 200 with ok false and `error` (default channel_not_found)
#: auth         the same with `error` (default invalid_auth)
#: scope        missing_scope, with `needed` and `provided`
#: rate_limit   HTTP 429, Retry-After, ratelimited
#: unavailable  HTTP 503 with a page that is no JSON: nothing was accepted
#: internal     HTTP 500 with internal_error: nothing was accepted
#: drop         the connection ends before anything was accepted
#: cut          accepted, and the connection ends without an answer: the ambiguous case
#: timeout      accepted, and no answer comes until `release()`
Failure = Literal["reject", "auth", "scope", "rate_limit", "unavailable", "internal", "drop", "cut", "timeout"]

#: After these the call has had its effect.
ACCEPTED = frozenset({"cut", "timeout"})

#: The calls that `method=None` means: those that people on the platform see something of.
SENDING = frozenset(
    {
        "chat.postMessage",
        "chat.postEphemeral",
        "chat.update",
        "chat.delete",
        "reactions.add",
        "reactions.remove",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "upload",
        "response_url",
    }
)


@dataclass(frozen=True)
class Planned:
    """One failure that a test asked for."""

    kind: Failure
    method: str | None = None
    error: str | None = None
    retry_after_s: int | None = None

    def fits(self, method: str) -> bool:
        """Whether this call is the one to fail."""
        if self.method is None:
            return method in SENDING
        return self.method in ("*", method)


class Failures:
    """The failures to come, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[Planned] = []
        self._always: list[Planned] = []
        self.used: Counter[str] = Counter()

    def plan(self, planned: Planned, n: int = 1, *, always: bool = False) -> None:
        """Fail the next `n` calls that it fits, or all of them until `heal`."""
        if planned.kind not in get_args(Failure):
            raise ValueError(f"{planned.kind!r} is none of {', '.join(get_args(Failure))}")
        with self._lock:
            if always:
                self._always.append(planned)
            else:
                self._next.extend([planned] * n)

    def heal(self) -> None:
        """Forget every failure that is still to come."""
        with self._lock:
            self._next.clear()
            self._always.clear()

    def take(self, method: str) -> Planned | None:
        """How this call fails; None: not at all."""
        with self._lock:
            for planned in self._next:
                if planned.fits(method):
                    self._next.remove(planned)
                    break
            else:
                planned_always = [p for p in self._always if p.fits(method)]
                if not planned_always:
                    return None
                planned = planned_always[0]
            self.used[planned.kind] += 1
            return planned
