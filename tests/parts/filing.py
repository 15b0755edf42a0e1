"""A connector whose events have files, and the server that has them."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from connectors.base.declaration import Capabilities
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.base.options import option
from connectors.parts.downloads import Downloads, FetchFailed, FetchLater
from connectors.testing.fake import FakeConnector, FakeOptions
from tests.loopback import Loopback

CHUNK = 4096


class FilingOptions(FakeOptions):
    """The fake's, and where the files are."""

    files: str = option(description="Where the files are.")
    limit_s: float = option(30.0, description="The time limit of an event's files.")
    max_bytes: int = option(100_000, description="The largest file that is fetched.")
    workers: int = option(2, description="Threads.")
    max_held: int = option(1000, description="Events.")


class FilingConnector(FakeConnector):
    """Takes the file's name in the event as the text of the event."""

    connector_type = "filing"
    capabilities = Capabilities(threads=True, attachments_in=True, fetch=True)
    Options = FilingOptions

    def connect(self) -> None:
        super().connect()
        self.begin()

    def begin(self) -> Downloads:
        """The downloads alone."""
        options = cast(FilingOptions, self.options)
        self.downloads = Downloads(
            self,
            self.fetch,
            max_bytes=options.max_bytes,
            timeout_s=options.limit_s,
            workers=options.workers,
            max_held=options.max_held,
        )
        self.downloads.start()
        return self.downloads

    def disconnect(self) -> None:
        super().disconnect()
        if hasattr(self, "downloads"):
            self.downloads.close()

    def run_loop(self) -> None:
        poll_s = cast(FilingOptions, self.options).poll_s
        while self._running:
            for found in self._client.updates(poll_s):
                self.downloads.accept(event(found["id"], found["text"].split(), found["conversation"]))
                self._client.call("POST", "/ack", {"ids": [found["id"]]})

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        if msg.action == "fetch":
            return self.downloads.fetch_again(msg.target_id or "")
        return super().send_message(msg)

    def fetch(self, entry: Mapping[str, Any]) -> Iterator[bytes]:
        """GET the file that the entry's ref names."""
        place = urlsplit(cast(FilingOptions, self.options).files)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        try:
            connection.request("GET", f"/{quote(entry['ref']['file'], safe='')}")
            answer = connection.getresponse()
            if answer.status == 503:
                raise FetchLater("503 from the file server", after_s=0.01)
            if answer.status != 200:
                raise FetchFailed(f"{answer.status} from {place.geturl()}/f?sig=s3cr3t")
            if answer.getheader("Content-Type") == "text/html":
                raise FetchFailed("a login page came instead of the file: the scope files:read is missing")
            while chunk := answer.read1(CHUNK):
                yield chunk
        finally:
            connection.close()


def event(number: str, files: list[str], conversation: str = "C1", **entry: Any) -> Message:
    """An event with these files; `entry` goes into every attachment's entry."""
    return Message(
        id=f"filing:{number}",
        connector=ConnectorInfo(type="filing", instance="files"),
        sender=Sender(id="U1"),
        content=Content(text=number, attachments=[{"name": name, "ref": {"file": name}, **entry} for name in files]),
        conversation=Conversation(id=conversation),
    )


class FileServer(Loopback):
    """Serves files by name, on loopback. What a name begins with decides how.

    hang-     half of it, and then nothing until `release()`; the whole of it in later requests
    later-    503 as long as `busy` is set
    html-     a login page
    gone-     404
    anything  the file as `files` has it; else its name, as text
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.files: dict[str, bytes] = {}
        self.busy = True
        self._free = threading.Event()

    @property
    def url(self) -> str:
        return self.origin

    def release(self) -> None:
        """Those that hang go on."""
        self._free.set()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = unquote(request.path[1:])
        self.asked[name] += 1
        kind = name.partition("-")[0]
        data = self.files.get(name, name.encode())
        request.send_response({"gone": 404, "later": 503 if self.busy else 200}.get(kind, 200))
        request.send_header("Content-Type", "text/html" if kind == "html" else "application/octet-stream")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if kind == "hang":
            request.wfile.write(data[: len(data) // 2])
            request.wfile.flush()
            self._free.wait()
            data = data[len(data) // 2 :]
        request.wfile.write(data)

    def __exit__(self, *_: object) -> None:
        self.release()
        super().__exit__()
