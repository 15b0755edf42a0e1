"""WebSocket frames (RFC 6455, section 5), read from and written to a socket that is connected already.

slack_sdk's Socket Mode client is not used. Its reader loses its place when a message pauses for 3 s, knows no
fragments, calls itself once for each chunk (a message of 1 MB ends in RecursionError), and, when the peer is gone,
spins until its fifth ping fails. The client itself reconnects at every `disconnect`, asked to or not, and hands
envelopes to several threads, which loses their order. This reader blocks, and says when the stream ends.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
#: Slack's envelopes are far below; a stream that announces more is not followed.
MAX_MESSAGE_BYTES = 64_000_000
_CHUNK = 65_536


class Ended(Exception):
    """The stream ended, or cannot be followed any further. The text says why."""


@dataclass(frozen=True)
class Frame:
    """One control frame, or one whole message whatever number of fragments it came in."""

    opcode: int
    data: bytes


class Reader:
    """Frames from what was received already and then from `recv`: some bytes, or none at the end of the stream."""

    def __init__(self, recv: Callable[[int], bytes], begin: bytes = b"") -> None:
        self._recv = recv
        self._buffer = bytearray(begin)

    def frames(self) -> Iterator[Frame]:
        """Until the stream ends, which raises Ended."""
        opcode, parts = CONTINUATION, bytearray()
        while True:
            final, found, data = self._frame(MAX_MESSAGE_BYTES - len(parts))
            if found >= CLOSE:  # control frames may come between the fragments of a message
                yield Frame(found, data)
                continue
            if found != CONTINUATION:
                opcode, parts = found, bytearray()
            parts += data
            if final:
                yield Frame(opcode, bytes(parts))
                parts = bytearray()

    def _frame(self, most: int) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        if length > most:
            raise Ended(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
        key = self._take(4) if second & 0x80 else b""
        data = self._take(length)
        return bool(first & 0x80), first & 0x0F, _mask(data, key) if key else data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self._recv(_CHUNK)
            if not data:
                raise Ended("the connection ended")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def frame(opcode: int, data: bytes = b"") -> bytes:
    """A whole frame of a client, and so masked."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    key = os.urandom(4)
    return head + key + _mask(data, key)


def _mask(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(data, itertools.cycle(key), strict=False))
