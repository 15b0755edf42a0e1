"""Slack's side of an incoming webhook, on loopback, and the connector that posts to it.

The answers are those of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: `ok` as text, or a
word for what is wrong, with the status of https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from connectors.slack_webhook.connector import SlackWebhookConnector
from tests.loopback import Loopback, body_of, reply
from tests.webhook.live import Hook

_FAILURES = {
    "reject": (400, "invalid_payload"),
    "auth": (404, "no_service"),
    "rate_limit": (429, "rate_limited"),
    "unavailable": (500, "rollup_error"),
}


class Channel(Loopback):
    """What was posted there, as `sent` bodies; `fail_next` as the contract suite asks."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str]] = []
        self._failures: list[str] = []
        self._over = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.origin}/services/T0/B0/hunter22"

    @property
    def texts(self) -> list[str]:
        return [str(body.get("text")) for body in self.bodies]

    def fail_next(self, kind: str) -> None:
        self._failures.append(kind)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(body_of(request))
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
        reply(request, word.encode(), status, {"Retry-After": "1"} if status == 429 else {})

    def __exit__(self, *_: object) -> None:
        self._over.set()
        super().__exit__()


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
