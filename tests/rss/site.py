"""A site with feeds, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from typing import Any
from xml.sax.saxutils import escape

from tests.loopback import Loopback, headers_of


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


class Site(Loopback):
    """`pages[path]` may be changed at any time; `requests` are those that came."""

    protocol = "HTTP/1.1"

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.sent = 0  #: bytes of bodies

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(request.path, Page(b"there is nothing here", 404))
        headers, status = dict(page.headers), page.status
        if page.etags and status == 200 and page.chunks is None:
            headers.setdefault("ETag", f'"{sha256(page.body).hexdigest()[:8]}"')
            headers.setdefault("Last-Modified", formatdate(0, usegmt=True))
            if request.headers.get("If-None-Match") == headers["ETag"]:
                status = 304
        self.requests.append(Request(request.path, status, headers_of(request)))
        request.send_response(status)
        if page.chunks is not None:
            request.close_connection = True
            headers.setdefault("Connection", "close")
        elif status != 304:
            headers.setdefault("Content-Length", str(len(page.body)))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        for chunk in () if status == 304 else page.chunks() if page.chunks is not None else (page.body,):
            request.wfile.write(chunk)
            self.sent += len(chunk)

    def has(self, path: str, *entries: Mapping[str, Any] | str, **page: Any) -> None:
        """A feed with these entries, newest first."""
        self.pages[path] = Page(feed(*entries), **page)

    def url(self, path: str = "/feed", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def statuses(self) -> list[int]:
        return [request.status for request in self.requests]


def feed(*entries: Mapping[str, Any] | str, title: str = "News", more: str = "") -> bytes:
    """RSS 2.0. An entry is a guid, or the elements of an item."""
    items = "".join(item({"guid": entry, "title": entry} if isinstance(entry, str) else entry) for entry in entries)
    text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{more}{items}</channel></rss>'
    return text.encode()


def item(elements: Mapping[str, Any]) -> str:
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in elements.items())
    return f"<item>{inner}</item>"
