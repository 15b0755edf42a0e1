"""The webhook: Telegram brings the updates to a small listener, behind a proxy that has the public https address.

https://core.telegram.org/bots/api#setwebhook. Answered with 200 only when the update is durable; anything else, and
Telegram brings it again. Bounded: few connections, each with a time limit, and a body of at most `webhook_max_bytes`.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connectors.base.connector import Connector
from connectors.base.errors import ConfigError, RetryLater
from connectors.base.retry import Backoff
from connectors.telegram.options import TelegramOptions
from connectors.telegram.receiving import Receiver

if TYPE_CHECKING:
    from connectors.telegram.client import Client

#: One update at a time keeps their order, as long polling does.
CONNECTIONS = 1
_THREADS = 8
_REQUEST_S = 15.0
_HEADER = "X-Telegram-Bot-Api-Secret-Token"
_OUTAGE = Backoff(1.0, 60.0)


class Webhook:
    """The listener of one bot; runs in `run_loop`."""

    def __init__(self, connector: Connector, client: Client, receiver: Receiver, options: TelegramOptions) -> None:
        self._connector = connector
        self._client = client
        self._receiver = receiver
        self._options = options
        given = options.webhook_secret
        self.secret = given.reveal() if given and len(given) else secrets.token_urlsafe(32)
        self.path = urlsplit(options.webhook_url or "").path or "/"
        self.logger = connector.logger
        self.max_bytes = options.webhook_max_bytes
        self._lock = threading.Lock()
        connector.redactor.add([self.secret])

    def run(self) -> None:
        """Listen, tell Telegram where, and serve until the connector stops. Raises ConfigError for a taken port."""
        address = (self._options.webhook_host, self._options.webhook_port)
        try:
            server = _Server(address, self)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror}",
                hint="see webhook_host and webhook_port",
            ) from error
        self._connector.logger.info("listening on %s:%d for %s", *server.server_address[:2], self.path)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True)
        thread.start()
        try:
            self._register()
            self._connector.wait()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _register(self) -> None:
        """Until Telegram knows the address; what comes in meanwhile is served already."""
        failures = 0
        while self._connector._running:  # noqa: SLF001 - the public contract's own name
            try:
                self._client.call(
                    "setWebhook",
                    url=self._options.webhook_url,
                    secret_token=self.secret,
                    allowed_updates=self._options.updates,
                    max_connections=CONNECTIONS,
                    drop_pending_updates=False,
                )
            except RetryLater as error:
                failures += 1
                self._connector.report_state("reconnecting", f"setWebhook: {error}")
                self._connector.wait(error.after_s or max(_OUTAGE.wait_s(failures), 0.2))
            else:
                if failures:
                    self._connector.report_state("connected")
                return

    def take(self, body: bytes) -> int:
        """The status to answer with."""
        try:
            update = json.loads(body)
        except ValueError:
            return 400
        if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
            return 400
        try:
            with self._lock:
                self._receiver.take([update])
        except RetryLater:
            return 503
        return 200

    def proves(self, given: str | None) -> bool:
        """Whether it is Telegram who asks; compared in constant time."""
        return hmac.compare_digest((given or "").encode("utf-8", "surrogateescape"), self.secret.encode())


class _Server(HTTPServer):
    """A thread for each request, of which there are few at once: the next one waits in the listen queue."""

    request_queue_size = 32
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], webhook: Webhook) -> None:
        self.webhook = webhook
        self._free = threading.BoundedSemaphore(_THREADS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(timeout=_REQUEST_S):
            self.shutdown_request(request)
            return
        threading.Thread(target=self._serve, args=(request, client_address), daemon=True).start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # the loop that owns recovery: nothing was answered, so Telegram brings it again
            self.webhook.logger.exception("a webhook request broke off")
        finally:
            self.shutdown_request(request)
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_S  # of every read and write
    server_version = "webhook"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """The log has the events."""

    def do_POST(self) -> None:
        """One update."""
        webhook = self.server.webhook
        size = self.headers.get("Content-Length", "")
        if urlsplit(self.path).path != webhook.path:
            self._answer(404)
        elif not webhook.proves(self.headers.get(_HEADER)):
            self._answer(403)
        elif not size.isascii() or not size.isdigit():
            self._answer(411)
        elif int(size) > webhook.max_bytes:
            self._answer(413)
        else:
            self._answer(webhook.take(self.rfile.read(int(size))))

    def _answer(self, status: int) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
