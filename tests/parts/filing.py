"""A connector whose events have files, and the server that has them."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import quote, unquote, urlsplit

from connectors.base.declaration import Capabilities
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.base.options import option
from connectors.parts.downloads import Downloads, FetchFailed, FetchLater
from connectors.testing.fake import FakeConnector, FakeOptions

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


class FileServer:
    """Serves files by name, on loopback. What a name begins with decides how.

    hang-     half of it, and then nothing until `release()`; the whole of it in later requests
    later-    503 as long as `busy` is set
    html-     a login page
    gone-     404
    anything  the file as `files` has it; else its name, as text
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.files: dict[str, bytes] = {}
        self.busy = True
        self._free = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def release(self) -> None:
        """Those that hang go on."""
        self._free.set()

    def wait(self) -> None:
        """Until `release()`."""
        self._free.wait()

    def content(self, name: str) -> bytes:
        return self.files.get(name, name.encode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            name = unquote(self.path[1:])
            server.asked[name] += 1
            kind = name.partition("-")[0]
            data = server.content(name)
            status = {"gone": 404, "later": 503 if server.busy else 200}.get(kind, 200)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if kind == "html" else "application/octet-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if kind == "hang":
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    server.wait()
                    data = data[len(data) // 2 :]
                self.wfile.write(data)
            except OSError:
                return  # the connector was killed, or wants no more

    return Handler
