"""`FakeGitHub`: the platform in threads of the test's own process."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from connectors.testing.github.answers import Answer, Refusal, error
from connectors.testing.github.deliveries import Deliveries, Delivery, Hook
from connectors.testing.github.failures import Failure, Failures, Kind
from connectors.testing.github.limits import Limits
from connectors.testing.github.model import Comment, Issue, Person, Repository, Request
from connectors.testing.github.rest import Asked, Rest
from connectors.testing.github.server import Server
from connectors.testing.github.shapes import Shapes
from connectors.testing.github.world import World

#: What a fine-grained token may be told that it lacks.
_NEEDS = {"GET": "issues=read", "POST": "issues=write", "PATCH": "issues=write"}


class FakeGitHub(World):
    """Accounts, repositories, and one token. Every method may be called from any thread.

    `login`: whose token it is. `scopes`: those of a classic token; None: a fine-grained one, which names none.
    `inclusive`: whether `since` includes its own second: GitHub does so, its documentation says "after".
    `clock`: seconds since 1970; `updated_at`, Date and the rate limits go by it.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        token: str | None = None,
        login: str = "connector-bot",
        scopes: Sequence[str] | None = ("repo",),
        inclusive: bool = True,
        clock: Callable[[], float] = time.time,
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(clock)
        self.token = token or f"ghp_{secrets.token_hex(18)}"
        self.login = login
        self.scopes = None if scopes is None else tuple(scopes)
        self.token_expires: str | None = None
        self.retry_after_s = retry_after_s
        self.limits = Limits(clock)
        self.before: Callable[[Request], None] = lambda _: None  #: called before a request is answered
        self._rest = Rest(self, lambda: self.shapes, inclusive=inclusive)
        self._failures = Failures()
        self._journal: list[Request] = []
        self._released = threading.Event()
        self._hanging = 0
        self.posts = Deliveries()
        self.listener = self._tell_hooks
        self._server = Server(port, self._handle, clock)
        self.account = self.person(login)

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Listen on 127.0.0.1. Started again after `stop`, it has the same port and remembers everything."""
        self._server.start()
        self.posts.start()
        return self

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        self.release()
        self.posts.stop()
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The REST API: `base_url` of the connector."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def shapes(self) -> Shapes:
        return Shapes(self.url)

    # ── failures ──────────────────────────────────────────────────────────────────────────────────────────────

    def fail_next(self, kind: Kind, where: str = "^POST ", n: int = 1, *, retry_after_s: float | None = None) -> None:
        """Fail the next `n` requests that the regular expression `where` finds in `METHOD /path`, in this way."""
        wait_s = self.retry_after_s if retry_after_s is None else retry_after_s
        with self.lock:
            self._failures.add(Failure(kind, where, wait_s), n)

    def clear_failures(self) -> None:
        """Nothing fails any more."""
        with self.lock:
            self._failures.clear()

    def release(self) -> None:
        """End the requests that `timeout` keeps hanging; their connections are cut off."""
        self._released.set()

    def exhaust(self, reset_in_s: float = 3600.0, *, anonymous: bool = False) -> None:
        """Nothing is left of the primary limit until then."""
        with self.lock:
            self.limits.exhaust(None if anonymous else self.login, reset_in_s)

    # ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────

    def hook(
        self,
        url: str,
        secret: str | None = None,
        *,
        events: Sequence[str] = ("*",),
        form: bool = False,
    ) -> Hook:
        """Set a webhook up for all repositories; GitHub greets it with a ping."""
        with self.lock:
            hook = Hook(len(self.posts.hooks) + 1, url, secret, tuple(events), form)
            self.posts.hooks.append(hook)
            config = {"url": url, "content_type": "form" if form else "json", "secret": "********"}
            about = {"type": "Repository", "id": hook.id, "active": True, "events": list(events), "config": config}
            self.posts.make(hook, "ping", {"zen": "Keep it logically awesome.", "hook_id": hook.id, "hook": about})
            return hook

    def redeliver(self, delivery: Delivery) -> None:
        """As somebody does on the hook's page: the same body under the same id."""
        self.posts.again(delivery)

    @property
    def deliveries(self) -> list[Delivery]:
        """All that were made, oldest first."""
        with self.lock:
            return list(self.posts.made)

    def _tell_hooks(
        self, event: str, action: str, repository: Repository, by: Person | None, payload: dict[str, Any]
    ) -> None:
        shapes = self.shapes
        body: dict[str, Any] = {"action": action} if action else {}
        for name, thing in payload.items():
            if isinstance(thing, Issue):
                thing = shapes.pull(thing) if name == "pull_request" else shapes.issue(thing)
            body[name] = shapes.comment(thing) if isinstance(thing, Comment) else thing
        body["repository"] = shapes.repository(repository)
        body["sender"] = shapes.person(by)
        for hook in self.posts.hooks:
            if hook.wants(event):
                self.posts.make(hook, event, json.loads(json.dumps(body)))

    # ── views ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def journal(self) -> list[Request]:
        """Every request that arrived, in order; the token is not in it."""
        with self.lock:
            return list(self._journal)

    def requests(self, where: str) -> list[Request]:
        """Those whose `METHOD /path` begins so."""
        return [request for request in self.journal if f"{request.method} {request.path}".startswith(where)]

    @property
    def written(self) -> list[Comment]:
        """The comments of the token's account, oldest first."""
        with self.lock:
            return [c for r in self.repositories.values() for c in r.comments.values() if c.user is self.account]

    @property
    def hanging(self) -> int:
        """How many requests wait because of `timeout`."""
        return self._hanging

    # ── a request ─────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], data: bytes
    ) -> Answer | None:
        login, known = self._who(headers.pop("authorization", ""))
        try:
            body = json.loads(data) if data else None
        except ValueError:
            return error(400, "Problems parsing JSON")
        self.before(Request(method, path, query, headers, body, login, ""))
        with self.lock:
            failure = self._failures.take(f"{method} {path}")
            answer = failure.answer() if failure is not None else None
            if answer is None and (failure is None or failure.kind != "drop"):
                asked = Asked(method, path, query, body, login, self.scopes)
                answer = self._answer(asked) if known else error(401, "Bad credentials")
                answer = self._conditional(answer, headers, login)
            outcome = failure.kind if failure is not None else str(answer.status if answer else "")
            self._journal.append(Request(method, path, query, headers, body, login, outcome))
            if answer is not None:
                answer = self._dressed(answer, method, login)
        if failure is None or answer is None or failure.kind not in ("cut", "timeout", "truncated"):
            return answer
        if failure.kind == "truncated":
            size = len(json.dumps(answer.body))
            return Answer(answer.status, answer.body, answer.headers, cut=size // 2)
        if failure.kind == "timeout":
            self._hanging += 1
            self._released.wait()
            self._hanging -= 1
        return None

    def _who(self, authorization: str) -> tuple[str | None, bool]:
        """Whose token it is, and whether it may be answered at all."""
        if not authorization:
            return None, True
        good = authorization.partition(" ")[2] == self.token
        return (self.login if good else None), good

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/rate_limit":
            return self.limits.status(asked.login)
        if not self.limits.left(asked.login):
            return self.limits.exceeded(asked.login)
        try:
            answer = self._rest.answer(asked)
        except Refusal as refusal:
            answer = refusal.answer
        self.limits.use(asked.login)
        return answer

    def _conditional(self, answer: Answer, headers: dict[str, str], login: str | None) -> Answer:
        """An ETag for what was read; 304 for who knows it already, which costs an account nothing."""
        if answer.status != 200:
            return answer
        etag = f'W/"{hashlib.sha256(json.dumps([answer.body, answer.headers, login]).encode()).hexdigest()}"'
        if headers.get("if-none-match") == etag:
            if login is not None:
                self.limits.use(login, -1)
            return Answer(304, b"", {"ETag": etag})
        return Answer(answer.status, answer.body, {**answer.headers, "ETag": etag})

    def _dressed(self, answer: Answer, method: str, login: str | None) -> Answer:
        """With what every answer says of the limit and of the token."""
        headers = {"X-GitHub-Request-Id": secrets.token_hex(8).upper(), "X-GitHub-Media-Type": "github.v3; format=json"}
        headers |= self.limits.headers(login)
        if login is not None and self.scopes is not None:
            headers |= {"X-OAuth-Scopes": ", ".join(self.scopes), "X-Accepted-OAuth-Scopes": "repo"}
        elif login is not None:
            headers["X-Accepted-GitHub-Permissions"] = _NEEDS.get(method, "")
        if login is not None and self.token_expires is not None:
            headers["GitHub-Authentication-Token-Expiration"] = self.token_expires
        return Answer(answer.status, answer.body, {**headers, **answer.headers}, answer.cut)
