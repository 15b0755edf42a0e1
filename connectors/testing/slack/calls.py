"""One call, from its arrival to its answer: the planned failure, the token, the scope, the method, the journal.

The order is Slack's: a token that is not valid is said before a missing scope, that before wrong arguments.
An unknown method is `unknown_method`: https://docs.slack.dev/apis/web-api/#errors
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.testing.slack import chat, conversations, files, identity, reactions  # noqa: F401 - they register methods
from connectors.testing.slack.api import METHODS, Args, SlackError, check_token, need
from connectors.testing.slack.failures import ACCEPTED, Failures, Planned
from connectors.testing.slack.state import Json, World

_LISTS = ("blocks", "attachments", "metadata", "files", "channels", "view")


@dataclass(frozen=True)
class Call:
    """One call that arrived. `outcome`: ok, the error's word, or the failure's name. Tokens are not in it.

    After `cut` and `timeout` the call had its effect, and the app was not told.
    """

    number: int
    method: str
    args: Json
    outcome: str
    answer: Json
    at: float


@dataclass
class Outcome:
    """What the server answers."""

    body: Json | bytes | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    failure: str | None = None
    content_type: str = "application/json"


class Calls:
    """The journal, and what answers."""

    def __init__(
        self, world: World, failures: Failures, *, retry_after_s: int, rates: Mapping[str, tuple[int, float]]
    ) -> None:
        self.world, self.failures = world, failures
        self.retry_after_s = retry_after_s
        self._rates = rates
        self._times: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self.journal: list[Call] = []
        self.hanging = 0

    def api(self, name: str, values: Json, token: str | None) -> Outcome:
        """A call of the Web API."""
        found = METHODS.get(name)

        def work() -> Json:
            if found is None:
                raise SlackError("unknown_method", req_method=name)
            check_token(self.world, found.owner, token)
            if found.scope is not None:
                need(self.world, found.scope, app=found.owner == "app")
            if "_invalid_json" in values:
                raise SlackError("invalid_json")
            return found.handler(self.world, Args(values))

        outcome = self.other(name, values, work)
        if found is not None and token:
            have = self.world.app_scopes if found.owner == "app" else self.world.scopes
            outcome.headers["X-OAuth-Scopes"] = ",".join(sorted(have))
            outcome.headers["X-Accepted-OAuth-Scopes"] = found.scope or ""
        return outcome

    def other(self, name: str, values: Json, work: Callable[[], Any]) -> Outcome:
        """Any call: fails as planned, or does the work; is entered into the journal."""
        planned = self.failures.take(name) or self._too_fast(name, str(values.get("channel", "")))
        with self.world.lock:
            if planned is not None and planned.kind not in ACCEPTED:
                outcome = _failed(planned, self.world, self.retry_after_s)
            else:
                outcome = _worked(work)
                outcome.failure = planned.kind if planned is not None else None
            self._enter(name, values, outcome, planned)
            self.world.changed.notify_all()
        return outcome

    def _too_fast(self, name: str, channel: str) -> Planned | None:
        """More calls than the rate of this method allows in this channel."""
        if name not in self._rates:
            return None
        count, per_s = self._rates[name]
        now = time.monotonic()
        times = self._times[name, channel]
        while times and times[0] <= now - per_s:
            times.popleft()
        if len(times) >= count:
            return Planned("rate_limit", retry_after_s=math.ceil(times[0] + per_s - now))
        times.append(now)
        return None

    def _enter(self, name: str, values: Json, outcome: Outcome, planned: Planned | None) -> None:
        answer = outcome.body if isinstance(outcome.body, dict) else {}
        word: str = planned.kind if planned is not None else "ok"
        if planned is None and (outcome.status != 200 or not answer.get("ok", True)):
            word = str(answer.get("error", outcome.status))
        kept = {key: _read(value) if key in _LISTS else value for key, value in values.items()}
        entry = Call(len(self.journal) + 1, name, copy.deepcopy(kept), word, copy.deepcopy(answer), time.time())
        self.journal.append(entry)


def _read(value: Any) -> Any:
    """A value that a form carries as JSON text; the text itself when it is none."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _worked(work: Callable[[], Any]) -> Outcome:
    try:
        body = work()
    except SlackError as error:
        return Outcome({"ok": False, "error": error.error, **error.more}, status=error.status)
    if isinstance(body, Outcome):
        return body
    return Outcome({"ok": True, **body} if isinstance(body, dict) else body)


def _failed(planned: Planned, world: World, retry_after_s: int) -> Outcome:
    """The answer of a call that has no effect."""
    if planned.kind == "rate_limit":
        after = planned.retry_after_s if planned.retry_after_s is not None else retry_after_s
        return Outcome({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(after)})
    if planned.kind == "unavailable":
        return Outcome("<html><body>Service unavailable</body></html>", 503, content_type="text/html")
    if planned.kind == "internal":
        return Outcome({"ok": False, "error": "internal_error"}, 500)
    if planned.kind == "drop":
        return Outcome({}, failure="drop")
    if planned.kind == "scope":
        wanted = planned.error or "chat:write"
        provided = ",".join(sorted(world.scopes - {wanted}))
        return Outcome({"ok": False, "error": "missing_scope", "needed": wanted, "provided": provided})
    default = "invalid_auth" if planned.kind == "auth" else "channel_not_found"
    return Outcome({"ok": False, "error": planned.error or default})
