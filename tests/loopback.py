"""An HTTP server on loopback, in threads of the test's process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Self

_NONE: Mapping[str, str] = MappingProxyType({})


class Loopback:
    """Gives every request to `answer`, as long as the `with` block lasts."""

    #: HTTP/1.1 keeps connections open.
    protocol = "HTTP/1.0"

    def __init__(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """To override; called in a thread of its own."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def body_of(request: BaseHTTPRequestHandler) -> bytes:
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def headers_of(request: BaseHTTPRequestHandler) -> dict[str, str]:
    """By their names in lower case."""
    return {name.lower(): value for name, value in request.headers.items()}


def reply(
    request: BaseHTTPRequestHandler, body: bytes = b"", status: int = 200, headers: Mapping[str, str] = _NONE
) -> None:
    """A whole answer."""
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: Loopback) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = owner.protocol

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Nothing."""

            def _do(self) -> None:
                owner.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = _do  # noqa: N815 - the base's names

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who has enough, or was killed, closes the connection: that is no error of the test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
