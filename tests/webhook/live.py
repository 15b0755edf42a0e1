"""A webhook connector that listens, its sender, and somebody who takes posts."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import httpx

from connectors.base.home import Home
from connectors.base.message import Message, Reason, Receipt
from connectors.parts.signatures import Scheme, sign
from connectors.testing import wait_for
from connectors.webhook.connector import WebhookConnector
from tests.loopback import Loopback, body_of, headers_of, reply

SECRET = "a secret of the tests"


def free_port() -> int:
    """A port of this machine that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def signed(
    body: bytes, delivery_id: str | None = None, *, scheme: Scheme = "hmac", secret: str = SECRET
) -> dict[str, str]:
    """The headers of a good request."""
    headers = sign(scheme, secret, body, now=time.time(), delivery_id=delivery_id or "")
    if delivery_id is not None and scheme != "standard":
        headers["Idempotency-Key"] = delivery_id
    return {"Content-Type": "application/json", **headers}


class Hook:
    """The connector in a thread of this process."""

    def __init__(self, home: Path, cls: type[WebhookConnector] = WebhookConnector, **options: Any) -> None:
        self.home = Home(home)
        options = {"port": 0, "secret": SECRET, **options}
        config = {name: value for name, value in options.items() if value is not None}
        delivery = {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}
        if not self.home.config_file.exists():
            self.home.config_file.write_text(json.dumps({"connectors": [], "delivery": delivery}))
        self.connector = cls("hook", home, config)
        self._thread = threading.Thread(target=self.connector.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self.connector._webhook is not None and self.connector._webhook._listener is not None)
        self.client = httpx.Client(timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.connector.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        assert self.connector._webhook is not None
        return self.connector._webhook.url

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", httpx.URL(self.url).port or 0

    def post(self, body: Any, delivery_id: str | None = None, **headers: str) -> httpx.Response:
        """A signed request; `body` is bytes, or what becomes JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(self.url, content=data, headers={**signed(data, delivery_id), **more})

    def raw(self, data: bytes, *, then: bytes = b"") -> bytes:
        """Everything that comes back for these bytes, to the end of the connection."""
        with socket.create_connection(self.address, timeout=20) as sock:
            sock.sendall(data)
            if then:
                sock.sendall(then)
            return read_all(sock)

    def drop(self, outgoing: Mapping[str, Any], name: str = "a.json") -> None:
        """Into the outbox."""
        temporary = self.home.outbox("hook") / f".{name}"
        temporary.write_text(json.dumps(outgoing))
        temporary.rename(self.home.outbox("hook") / name)

    @property
    def events(self) -> list[Message]:
        return [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]

    @property
    def receipts(self) -> list[Receipt]:
        return [Receipt.from_file(path) for path in sorted(self.home.sent("hook").glob("*.json"))]

    @property
    def reasons(self) -> list[Reason]:
        return [Reason.from_file(path) for path in sorted(self.home.failed.glob("*.reason.json"))]


def read_all(sock: socket.socket) -> bytes:
    """To the end; a reset is an end too."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        return data
    return data


class Taker(Loopback):
    """Takes posts on loopback. `answers` are (status, headers, body), one a request; then 200."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []  #: method, path, headers, body
        self.answers = list(answers)
        self.hold: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return self.origin

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.command, request.path, headers_of(request), body_of(request)))
        self.hold()
        status, headers, body = self.answers.pop(0) if self.answers else (200, {}, b'{"id": "m1"}')
        reply(request, body, status, headers)
