"""A chat platform to test against: over HTTP, on loopback only, with the failures that real ones have.

A test calls `post("hello")`, which is redelivered until the connector acknowledges it; `fail_next("rate_limit")`, so
that the next send is answered by 429 and Retry-After; and looks at `sent` (what people there see) or at `journal`
(every send that arrived, the refused and the repeated ones too).

What it serves:

GET  /me                       who am I: checks the token
GET  /updates?wait_s=SECONDS   the events that nobody acknowledged, at once, or when there are some
POST /ack     {"ids": […]}
POST /send    {"conversation", "text", "thread"?}, header Idempotency-Key -> {"id"}
GET  /files/NAME               the content of a file that an event names
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, get_args
from urllib.parse import parse_qs, unquote, urlsplit

#: reject       400: this can never succeed
#: auth         401: the token is refused
#: rate_limit   429 with Retry-After
#: unavailable  503: nothing was accepted
#: drop         the connection ends before anything was accepted
#: cut          accepted, and the connection ends without an answer: the ambiguous case
#: timeout      accepted, and no answer comes until `release()`
#: lose_ack     the acknowledgement of an event is lost on the way, so the event comes again
Failure = Literal["reject", "auth", "rate_limit", "unavailable", "drop", "cut", "timeout", "lose_ack"]

_ANSWERS = {"reject": 400, "auth": 401, "rate_limit": 429, "unavailable": 503}
_MAX_BODY_BYTES = 10_000_000
_MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class Received:
    """One send that arrived. `id` is None when it was refused; `outcome` is `sent`, `repeated` or the failure's name.

    With `cut` and `timeout` the text was sent and the connector was not told.
    """

    number: int
    key: str | None
    conversation: str
    text: str
    thread: str | None
    id: str | None
    outcome: str


@dataclass
class _Event:
    id: str
    conversation: str
    text: str
    sender: str
    thread: str | None
    files: list[dict[str, Any]] = field(default_factory=list)


class FakePlatform:
    """The server, in threads of this process. Every method may be called from any thread."""

    def __init__(self, port: int = 0, *, token: str | None = None, retry_after_s: float = 0.2) -> None:
        self.token = token
        self.retry_after_s = retry_after_s
        self.redeliveries: Counter[str] = Counter()  #: how often each event was handed out
        self._port = port
        self._changed = threading.Condition()
        self._journal: list[Received] = []
        self._queued: dict[str, _Event] = {}
        self._posted: dict[str, _Event] = {}
        self._files: dict[str, bytes] = {}
        self._by_key: dict[str, str] = {}
        self._failures: deque[Failure] = deque()
        self._lost_acks = 0
        self._numbers = 0
        self._released = 0
        self._hanging = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    # ── what a test does ──────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Listen on 127.0.0.1. Started again after `stop`, it has the same port and remembers everything."""
        self._server = _Server(("127.0.0.1", self._port), _Handler, self)
        self._port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self.release()
        server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._port}"

    def post(
        self,
        text: str,
        conversation: str = "C1",
        id: str | None = None,  # noqa: A002 - the word that a reader of a test expects
        *,
        sender: str = "U1",
        thread: str | None = None,
        files: dict[str, bytes] | None = None,
    ) -> str:
        """Somebody says something. Returns the event's id; an id that was used before is a redelivery."""
        with self._changed:
            self._numbers += 1
            event = _Event(id or f"e{self._numbers}", conversation, text, sender, thread)
            for name, data in (files or {}).items():
                self._files[name] = data
                event.files.append({"name": name, "size": len(data)})
            self._queued[event.id] = self._posted[event.id] = event
            self._changed.notify_all()
            return event.id

    def redeliver(self, event_id: str) -> None:
        """Hand out an event again that was acknowledged, as platforms do after a failure of their own."""
        with self._changed:
            self._queued[event_id] = self._posted[event_id]
            self._changed.notify_all()

    def fail_next(self, kind: Failure, n: int = 1) -> None:
        """Fail the next `n` sends (with `lose_ack`: acknowledgements) in this way; calls queue up."""
        if kind not in get_args(Failure):
            raise ValueError(f"{kind!r} is none of {', '.join(get_args(Failure))}")
        with self._changed:
            if kind == "lose_ack":
                self._lost_acks += n
            else:
                self._failures.extend([kind] * n)

    def release(self) -> None:
        """End the requests that `timeout` keeps hanging; their connections are cut off."""
        with self._changed:
            self._released += 1
            self._changed.notify_all()

    @property
    def journal(self) -> list[Received]:
        """Every send that arrived, in order."""
        with self._changed:
            return list(self._journal)

    @property
    def sent(self) -> list[Received]:
        """What people on the platform see: a repeated key is not shown twice, a refused send not at all."""
        return [entry for entry in self.journal if entry.id is not None and entry.outcome != "repeated"]

    @property
    def waiting(self) -> list[str]:
        """The ids of the events that nobody acknowledged yet."""
        with self._changed:
            return list(self._queued)

    @property
    def hanging(self) -> int:
        """How many sends wait for an answer because of `timeout`."""
        with self._changed:
            return self._hanging

    # ── what the requests do ──────────────────────────────────────────────────────────────────────────────────

    def updates(self, wait_s: float) -> list[dict[str, Any]]:
        """The events that nobody acknowledged; waits up to `wait_s` for one."""
        with self._changed:
            until = time.monotonic() + min(wait_s, _MAX_WAIT_S)
            while not self._queued and self._server is not None and time.monotonic() < until:
                self._changed.wait(until - time.monotonic())
            self.redeliveries.update(self._queued.keys())
            return [asdict(event) for event in self._queued.values()]

    def ack(self, ids: list[str]) -> bool:
        """False: it got lost."""
        with self._changed:
            if self._lost_acks:
                self._lost_acks -= 1
                return False
            for event_id in ids:
                self._queued.pop(event_id, None)
            return True

    def accept(self, key: str | None, body: dict[str, Any]) -> Received:
        """Enter a send into the journal. The answer's `outcome` is the failure that the connector gets to see."""
        with self._changed:
            failure = self._failures.popleft() if self._failures else None
            repeated = key is not None and key in self._by_key
            number = len(self._journal) + 1
            sent_id: str | None = None
            if failure in (None, "cut", "timeout"):
                sent_id = self._by_key[key] if key is not None and repeated else f"m{number}"
                if key is not None:
                    self._by_key[key] = sent_id
            entry = Received(
                number=number,
                key=key,
                conversation=str(body.get("conversation")),
                text=str(body.get("text")),
                thread=body.get("thread"),
                id=sent_id,
                outcome="repeated" if repeated and sent_id else failure or "sent",
            )
            self._journal.append(entry)
            self._changed.notify_all()
            return Received(**{**asdict(entry), "outcome": failure or entry.outcome})

    def file(self, name: str) -> bytes | None:
        """The content of a file that an event names."""
        return self._files.get(name)

    def hang(self) -> None:
        """Until `release()`."""
        with self._changed:
            before, self._hanging = self._released, self._hanging + 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._released != before or self._server is None)
            self._hanging -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], platform: FakePlatform) -> None:
        self.platform = platform
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connector that was killed leaves a broken connection; that is what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """The journal says more."""

    def do_GET(self) -> None:
        """Who am I, events, files."""
        url = urlsplit(self.path)
        file = self.server.platform.file(unquote(url.path.removeprefix("/files/")))
        if not self._known():
            self._answer(401, {"error": "who are you?"})
        elif url.path == "/me":
            self._answer(200, {"id": "bot"})
        elif url.path == "/updates":
            wait_s = float(parse_qs(url.query).get("wait_s", ["0"])[0])
            self._answer(200, {"events": self.server.platform.updates(wait_s)})
        elif url.path.startswith("/files/") and file is not None:
            self._send(200, file)
        else:
            self._answer(404, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """Acknowledgements and sends."""
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(min(size, _MAX_BODY_BYTES)) or b"{}")
        if not self._known():
            self._answer(401, {"error": "who are you?"})
        elif self.path == "/ack":
            self._ack(body)
        elif self.path == "/send":
            self._accept(body)
        else:
            self._answer(404, {"error": "there is nothing here"})

    def _ack(self, body: dict[str, Any]) -> None:
        if self.server.platform.ack([str(i) for i in body.get("ids", [])]):
            self._answer(200, {})
        else:
            self._cut()

    def _accept(self, body: dict[str, Any]) -> None:
        platform = self.server.platform
        entry = platform.accept(self.headers.get("Idempotency-Key"), body)
        if entry.outcome in _ANSWERS:
            retry = {"Retry-After": str(platform.retry_after_s)} if entry.outcome == "rate_limit" else {}
            said = f"{entry.outcome}: {self.headers.get('Authorization', '')}"  # platforms do echo credentials
            self._answer(_ANSWERS[entry.outcome], {"error": said}, retry)
        elif entry.outcome in ("cut", "drop"):
            self._cut()
        elif entry.outcome == "timeout":
            platform.hang()
            self._cut()
        else:
            self._answer(200, {"id": entry.id})

    def _known(self) -> bool:
        token = self.server.platform.token
        return token is None or self.headers.get("Authorization") == f"Bearer {token}"

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
