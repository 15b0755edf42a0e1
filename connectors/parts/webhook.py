"""Webhooks in, for every connector that listens: who it is, how much, how often; durable; then 2xx.

    class Options(webhook.WebhookOptions): ...

    def connect(self):
        self._webhook = Webhook(self, self.options, self._message)
        self._webhook.open()

    def run_loop(self):
        self._webhook.run()

    def disconnect(self):
        self._webhook.close()

    def _message(self, delivery: Delivery) -> Message: ...

The answers, all JSON: 200 {"ok": true, "event_id": …} once the event is durable; 202 with the id when a reply may come
later; 400, 401, 403, 404, 405, 408, 413, 415, 429 {"error": …}; 503 with Retry-After while there is no room.

What `connectors hook` could not post waits in the instance's folder, and is read from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.errors import MissingDependency
from connectors.base.message import Message
from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts import bodies, signatures
from connectors.parts.committing import Committer
from connectors.parts.listening import Listener
from connectors.parts.openness import Refusals, check_access, check_local
from connectors.parts.rates import Rates
from connectors.parts.signatures import Proof, Scheme, verify
from connectors.parts.spool import Spool, Unreadable, mark_of

if TYPE_CHECKING:
    from connectors.parts.replies import Replies

#: What is kept of the headers, besides `keep_headers`: what a reader may want, and nothing that proves anything.
_KEPT = frozenset(
    {
        *("content-type", "user-agent", "date", "x-request-id", "traceparent", "idempotency-key", "x-delivery-id"),
        *("webhook-id", "webhook-timestamp", "x-github-event", "x-github-delivery", "x-github-hook-id"),
        *("x-slack-retry-num", "x-slack-retry-reason", "x-slack-request-timestamp"),
    }
)
_PROVES = re.compile(r"authorization|cookie|signature|token|secret|password|api-?key|hmac", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
#: The spool is looked at this often, and what is younger is left to who may still be posting it.
_SPOOL_S = 15.0
_SPOOL_AGE_S = 5.0


class WebhookOptions(options.Options):
    """The options of every connector that listens."""

    host: str = option("127.0.0.1", description="The address to listen on; any but this machine's own needs a secret.")
    port: int = option(
        4800, ge=0, le=65535, description="The port to listen on. Instances of one home may share it: the path decides."
    )
    path: str | None = option(None, description="The path to listen on; by default /webhook/<instance>.")
    secret: Secret | None = option(
        None, description="What the sender signs with. Without it only this machine may send.", env="WEBHOOK_SECRET"
    )
    scheme: Scheme = option("hmac", description="How the sender proves that it knows the secret.")
    window_s: float = option(
        signatures.WINDOW_S, gt=0, description="How far a signed time may be from now, where the scheme has one."
    )
    max_bytes: int = option(1_000_000, gt=0, description="A larger body is refused with 413.")
    max_per_minute: int | None = option(None, gt=0, description="More good requests are refused with 429.")
    max_connections: int = option(512, gt=0, description="More connections at once are refused with 503.")
    request_timeout_s: float = option(
        10.0, gt=0, description="How long the head of a request may take, and again its body."
    )
    keep_headers: list[str] = option([], description="Further headers that are kept in metadata.headers.")

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        if self.path is not None and not _PATH.fullmatch(self.path):
            raise ValueError("path must begin with / and hold letters, digits, . _ ~ - only")
        for name in self.keep_headers:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f'keep_headers: "{name}" is no header')
            if _PROVES.search(name):
                raise ValueError(f'keep_headers: "{name}" may hold a secret and is never kept')
        return self


@dataclass(frozen=True)
class Delivery:
    """One request that proved itself. `headers`: those that are kept, by their names in lower case.

    `id`: the sender's id of it, or a mark that a replay has too; None when nothing tells two deliveries apart.
    `query`: what follows the path's `?`.
    """

    payload: dict[str, Any]
    headers: Mapping[str, str]
    id: str | None
    body: bytes = b""
    query: str = ""
    remote: str = ""


@dataclass(frozen=True)
class Answer:
    """Instead of events: what the sender is told. Nothing is written."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Raised by who reads a delivery: its content cannot be an event."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.answer = Answer(status, {"error": error})


Read = Callable[[Delivery], Message | Sequence[Any] | Answer]


class Webhook:
    """The listener of one instance. `read` makes events of a delivery; it may raise Refused.

    `write` makes a batch of what `read` gave durable, in a thread of its own. By default these are messages; whatever
    they are, each has an `id`, which the sender is told.
    """

    def __init__(
        self,
        connector: Connector,
        options: WebhookOptions,
        read: Read,
        *,
        replies: Replies | None = None,
        write: Callable[[Sequence[Any]], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.connector = connector
        self.options = options
        self.path = options.path or f"/webhook/{connector.name}"
        self.replies = replies
        self.write = write or connector.write_all_to_inbox
        self.committer = Committer(connector, self.write)
        self._read = read
        self._clock = clock
        self._secret = options.secret.reveal() if options.secret is not None else None
        self._kept = _KEPT | {name.lower() for name in options.keep_headers}
        self._rates = Rates(overall=[(options.max_per_minute, 60.0)]) if options.max_per_minute else None
        self._listener: Listener | None = None
        self._spool = Spool(connector.state_dir)
        self.refusals = Refusals(connector.logger)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = self.options.host
        port = self._listener.port if self._listener is not None else self.options.port
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{self.path}"

    def open(self) -> None:
        """Bind. Raises ConfigError for a taken port or path, and for an open door; MissingDependency."""
        check_access(self.options.host, self.options.scheme, self._secret)
        listener = Listener(
            self._app(),
            host=self.options.host,
            port=self.options.port,
            path=self.path,
            folder=self.connector.state_dir.parent / ".ports",
            head_s=self.options.request_timeout_s,
            max_connections=self.options.max_connections,
            logger=self.connector.logger,
        )
        listener.open()
        self._listener = listener
        self.connector.logger.info("listening on %s", self.url)

    def run(self) -> None:
        """Serve until the connector is asked to stop; for `run_loop`."""
        if self._listener is None:
            raise RuntimeError("open() comes first")
        self.committer.start()
        if self.replies is not None:
            self.replies.open()
        try:
            self._listener.run(self._wait)
        finally:
            self.committer.close()

    def close(self) -> None:
        """Give back the port; safe twice."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _wait(self) -> None:
        self._take_spool(0.0)
        while not self.connector.wait(_SPOOL_S):
            self._take_spool(_SPOOL_AGE_S)
        if self.replies is not None:
            self.replies.release()

    def _take_spool(self, age_s: float) -> None:
        self._spool.take(self._accept, self.connector.logger, max_bytes=self.options.max_bytes, older_than_s=age_s)

    def _accept(self, body: bytes) -> None:
        """What a program of this machine left. Raises Unreadable and RetryLater."""
        mark = mark_of(body)
        headers = {"content-type": "application/json", "idempotency-key": mark}
        try:
            found = self.read(headers, body, Proof(delivery_id=mark), "", "")
        except (bodies.BadBody, Refused) as error:
            raise Unreadable(str(error)) from error
        if not isinstance(found, Answer):
            self.write(found)

    # ── what the requests ask ─────────────────────────────────────────────────────────────────────────────────

    def prove(self, headers: Mapping[str, str], body: bytes) -> Proof:
        """Raises BadSignature. Without a secret, only programs of this machine may send."""
        if self._secret is None:
            check_local(headers, len(body))
            return Proof(delivery_id=signatures.unsigned_id(headers))
        return verify(
            self.options.scheme, self._secret, headers, body, now=self._clock(), window_s=self.options.window_s
        )

    def wait_s(self) -> float:
        """How long the sender should wait; 0.0: the request counts, and may be served."""
        return self._rates.acquire("") if self._rates is not None else 0.0

    def read(
        self, headers: Mapping[str, str], body: bytes, proof: Proof, query: str, remote: str
    ) -> Answer | list[Any]:
        """Raises BadBody and Refused."""
        payload = bodies.parse(body, headers.get("content-type", ""))
        kept = {name: value for name, value in headers.items() if name in self._kept}
        delivery = Delivery(payload, kept, proof.delivery_id or proof.mark, body, query, remote)
        found = self._read(delivery)
        if isinstance(found, Answer):
            return found
        return [found] if isinstance(found, Message) else list(found)

    def missing(self, path: str) -> bool:
        """Whether the path belongs to an instance that shares the port and is not running."""
        return self._listener is not None and self._listener.missing(path)

    def _app(self) -> Any:
        try:
            from connectors.parts.serving import make_app
        except ImportError as error:
            raise MissingDependency("webhooks need Starlette and Uvicorn", install=signatures.INSTALL) from error
        return make_app(self)
