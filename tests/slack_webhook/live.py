"""Slack's side of an incoming webhook, on loopback, and the connector that posts to it.

The answers are those of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: `ok` as text, or a
word for what is wrong, with the status of https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from connectors.slack_webhook.connector import SlackWebhookConnector
from tests.webhook.live import Hook

_FAILURES = {
    "reject": (400, "invalid_payload"),
    "auth": (404, "no_service"),
    "rate_limit": (429, "rate_limited"),
    "unavailable": (500, "rollup_error"),
}


class Channel:
    """What was posted there, as `sent` bodies; `fail_next` as the contract suite asks."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str]] = []
        self._failures: list[str] = []
        self._over = threading.Event()
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Nothing."""

            def do_POST(self) -> None:
                channel.take(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/T0/B0/hunter22"

    @property
    def texts(self) -> list[str]:
        return [str(body.get("text")) for body in self.bodies]

    def fail_next(self, kind: str) -> None:
        self._failures.append(kind)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers.get("Content-Length") or 0)))
        kind = self._failures.pop(0) if self._failures else ""
        status, word = self.answers.pop(0) if self.answers else _FAILURES.get(kind, (200, "ok"))
        if status == 200:
            self.bodies.append(body)
        if kind == "timeout":
            self._over.wait()
        if kind in ("cut", "timeout"):
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(status)
        request.send_header("Content-Length", str(len(word)))
        if status == 429:
            request.send_header("Retry-After", "1")
        request.end_headers()
        request.wfile.write(word.encode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Posting(Hook):
    """The connector in a thread of this process."""

    def __init__(self, home: Any, url: str, **options: Any) -> None:
        options = {"port": None, "secret": None, "post_interval_s": 0, "url": url, **options}
        super().__init__(home, SlackWebhookConnector, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connector.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
