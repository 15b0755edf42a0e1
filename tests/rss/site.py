"""A site with feeds, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from xml.sax.saxutils import escape


@dataclass
class Page:
    """What one path answers. `chunks`: a body that is sent piece by piece, without its length."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etags: bool = True
    chunks: Callable[[], Iterator[bytes]] | None = None


@dataclass(frozen=True)
class Request:
    path: str
    status: int
    headers: Mapping[str, str]


class Site:
    """`pages[path]` may be changed at any time; `requests` are those that came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.sent = 0  #: bytes of bodies
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Nothing."""

            def do_GET(self) -> None:
                site.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A reader that has enough closes the connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path, Page(b"there is nothing here", 404))
        headers, status = dict(page.headers), page.status
        if page.etags and status == 200 and page.chunks is None:
            headers.setdefault("ETag", f'"{sha256(page.body).hexdigest()[:8]}"')
            headers.setdefault("Last-Modified", formatdate(0, usegmt=True))
            if handler.headers.get("If-None-Match") == headers["ETag"]:
                status = 304
        self.requests.append(Request(handler.path, status, {n.lower(): v for n, v in handler.headers.items()}))
        handler.send_response(status)
        if page.chunks is not None:
            handler.close_connection = True
            headers.setdefault("Connection", "close")
        elif status != 304:
            headers.setdefault("Content-Length", str(len(page.body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for chunk in () if status == 304 else page.chunks() if page.chunks is not None else (page.body,):
            handler.wfile.write(chunk)
            self.sent += len(chunk)

    def has(self, path: str, *entries: Mapping[str, Any] | str, **page: Any) -> None:
        """A feed with these entries, newest first."""
        self.pages[path] = Page(feed(*entries), **page)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/feed", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def statuses(self) -> list[int]:
        return [request.status for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def feed(*entries: Mapping[str, Any] | str, title: str = "News", more: str = "") -> bytes:
    """RSS 2.0. An entry is a guid, or the elements of an item."""
    items = "".join(item({"guid": entry, "title": entry} if isinstance(entry, str) else entry) for entry in entries)
    text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{more}{items}</channel></rss>'
    return text.encode()


def item(elements: Mapping[str, Any]) -> str:
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in elements.items())
    return f"<item>{inner}</item>"
