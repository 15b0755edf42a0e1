"""Where the files of events are: the Bot API's file server, or the disk of a local one.

https://core.telegram.org/bots/api#getfile. The token is in every address: no error shows one.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx

from connectors.parts.downloads import FetchFailed, FetchLater
from connectors.telegram.faults import is_transient
from connectors.telegram.options import TelegramOptions

CONNECT_S = 10.0
_CHUNK_BYTES = 256 * 1024


class FileHost:
    """Downloads; any thread may use it."""

    def __init__(self, options: TelegramOptions, tls: ssl.SSLContext) -> None:
        self._local = options.local_mode
        self._base = f"{options.file_url}{options.token.reveal()}"
        self._options = options
        self._tls = tls
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def read(self, path: str) -> Iterator[bytes]:
        """A file by the `file_path` of getFile. Raises FetchFailed and FetchLater."""
        if self._local and path.startswith("/"):
            yield from _read(Path(path))
            return
        try:
            with self._open().stream("GET", f"{self._base}/{quote(path)}") as answer:
                if answer.status_code != 200:
                    text = f"the file server answered {answer.status_code}"
                    raise FetchLater(text) if is_transient(answer.status_code) else FetchFailed(text)
                if _is_page(answer) and not path.lower().endswith((".html", ".htm")):
                    raise FetchLater("a web page came instead of the file: is there a proxy in between?")
                yield from answer.iter_bytes(_CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise FetchLater(f"the file server: {type(error).__name__}") from None

    def close(self) -> None:
        """Safe twice."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> httpx.Client:
        """Made when there is a file: most connectors wait for texts only."""
        with self._lock:
            if self._client is None:
                timeout = httpx.Timeout(self._options.timeout_s, connect=CONNECT_S)
                self._client = httpx.Client(proxy=self._options.proxy, verify=self._tls, timeout=timeout)
            return self._client


def _is_page(answer: httpx.Response) -> bool:
    """Telegram's server calls every file application/octet-stream."""
    kind: str = answer.headers.get("Content-Type", "")
    return kind.startswith("text/html")


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise FetchFailed(f"the local Bot API server's file cannot be read: {error.strerror}") from error
