"""The HTTP side: threads on 127.0.0.1, with the headers that every answer of the REST API has."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.testing.github.answers import Answer

_MAX_BODY_BYTES = 10_000_000
#: method, path, query, headers by lower-case names, body; None: the connection ends without an answer
Handle = Callable[[str, str, dict[str, str], dict[str, str], bytes], Answer | None]


class Server:
    """Started again after `stop`, it has the same port."""

    def __init__(self, port: int, handle: Handle, now: Callable[[], float]) -> None:
        self.port = port
        self.handle = handle
        self.now = now
        self._server: _Http | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns when it listens. Raises OSError for a port that somebody has."""
        self._server = _Http(self)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        server.server_close()
        server.cut_all()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, owner: Server) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", owner.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        """Connections that are kept alive would outlive the server."""
        for connection in list(self._open):
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connector that was killed leaves a broken connection; that is what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    server_version = "FakeGitHub"
    sys_version = ""
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """The journal says more."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """By the fake's own clock."""
        return formatdate(self.server.owner.now() if timestamp is None else timestamp, usegmt=True)

    def _do(self) -> None:
        url = urlsplit(self.path)
        size = min(int(self.headers.get("Content-Length") or 0), _MAX_BODY_BYTES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.owner.handle(
            self.command, url.path, dict(parse_qsl(url.query)), headers, self.rfile.read(size)
        )
        if answer is None:
            self.close_connection = True
            _cut(self.connection)
        else:
            self._send(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815 - the base's names

    def _send(self, answer: Answer) -> None:
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if answer.cut is not None:
            self.wfile.write(data[: answer.cut])
            self.wfile.flush()
            self.close_connection = True
            _cut(self.connection)
        elif answer.status != 304:
            self.wfile.write(data)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
