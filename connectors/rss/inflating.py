"""Compressed bodies, unpacked piece by piece, so that a small one that becomes large is noticed before it is. Pure."""

from __future__ import annotations

import zlib

from connectors.rss.faults import FeedError

#: What is asked for.
ENCODINGS = "gzip, deflate"
#: zlib's own number for "a gzip or a zlib header, whichever it is" (zlib.h, inflateInit2).
_ANY_HEADER = 32 + zlib.MAX_WBITS
_GZIP = b"\x1f\x8b"


class Body:
    """Never holds more than `most` bytes. `encoding` is the answer's Content-Encoding."""

    def __init__(self, encoding: str, most: int, *, inner: bool = False) -> None:
        named = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
        if len(named) > 1 or not {"gzip", "x-gzip", "deflate"}.issuperset(named):
            raise FeedError(f"the answer is encoded as {encoding!r:.80}, which was not asked for")
        self._packed = bool(named)
        self._raw = named == ["deflate"]
        self._most = most
        self._inner = inner  # once is enough: there are gzip files that contain themselves
        self._data = bytearray()
        self._inflater = zlib.decompressobj(_ANY_HEADER) if named else None

    def add(self, chunk: bytes) -> None:
        """Raises FeedError when there is too much, or what is no such encoding."""
        if self._inflater is None:
            self._data += chunk
        else:
            self._data += self._inflate(chunk)
        if len(self._data) > self._most:
            raise FeedError(
                f"the feed has more than {self._most:,} bytes", hint="if that is meant, raise max_bytes of this feed"
            )

    def _inflate(self, chunk: bytes) -> bytes:
        room = self._most + 1 - len(self._data)
        assert self._inflater is not None  # noqa: S101 - for the type checker
        try:
            return self._inflater.decompress(chunk, room)
        except zlib.error as error:
            if self._raw and not self._data:
                # Some send deflate without the header that RFC 9110, 8.4.1.2, asks for.
                self._raw, self._inflater = False, zlib.decompressobj(-zlib.MAX_WBITS)
                return self._inflate(chunk)
            if self._packed and not self._data and not chunk.startswith(_GZIP):
                # And some say that it is packed when it is not.
                self._inflater = None
                return chunk
            raise FeedError(f"the answer's encoding is broken: {error}") from error

    def whole(self) -> bytes:
        """All of it. A file that is a gzip file itself (feed.xml.gz) is unpacked too."""
        data = bytes(self._data)
        if self._inflater is not None and not self._inflater.eof:
            raise FeedError("the answer ended too early")
        if not data.startswith(_GZIP) or self._inner:
            return data
        file = Body("gzip", self._most, inner=True)
        file.add(data)
        return file.whole()
