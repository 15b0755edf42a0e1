"""A WebSocket: whole messages in, for one thread; frames out, from any. The only importer of websockets.

The protocol is the `websockets` library's, in its form without I/O
(https://websockets.readthedocs.io/en/stable/howto/sansio.html). The clients that come with sockets of their own promise
less than is needed here:

- That library's threading client sends, with no limit of time, while it holds the lock that reading, pinging and
  closing take: a peer that takes nothing any more blocks all of them. And it reads and writes one TLS connection from
  two threads at once, which OpenSSL does not allow (https://github.com/python/cpython/issues/143756).
- slack_sdk's reader loses its place when a message pauses for 3 s, knows no fragments, calls itself once for each chunk
  (a message of 1 MB ends in RecursionError), and, when the peer is gone, spins until its fifth ping fails. Its client
  reconnects at every `disconnect`, asked to or not, and hands envelopes to several threads, which loses their order.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

from connectors.base.errors import MissingDependency
from connectors.slack.stream import Stream

try:
    from websockets.client import ClientProtocol
    from websockets.exceptions import InvalidState, InvalidURI
    from websockets.frames import Frame, Opcode
    from websockets.protocol import State
    from websockets.uri import parse_uri
except ImportError as error:
    raise MissingDependency(
        "the package websockets is not installed", install="pip install 'mailbox-connectors[slack]'"
    ) from error

#: Slack's envelopes are far below; a stream that announces more is not followed.
MAX_MESSAGE_BYTES = 64_000_000
SEND_S = 5.0
_CHUNK = 65_536
#: The library's debug lines show the address, which is a credential.
_QUIET = logging.getLogger("websockets.quiet")
_QUIET.setLevel(logging.CRITICAL + 1)


class Ended(ConnectionError):
    """The stream ended, or cannot be followed any further. The text says why."""


class Closed(Ended):
    """The other side ended it, and said so."""


def protocol_for(url: str, state: State = State.CONNECTING) -> ClientProtocol:
    """The client's side of one connection, before its handshake (or, with another state, after it).

    Raises ValueError. The address is a credential: it is in no error.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError):
        raise ValueError("this is no address of a WebSocket") from None
    return ClientProtocol(uri, state=state, max_size=MAX_MESSAGE_BYTES, logger=_QUIET)


def shake_hands(sock: socket.socket, protocol: ClientProtocol, until: float) -> None:
    """Open a connected socket's WebSocket, until that time (monotonic). Raises Ended and other OSErrors."""
    protocol.send_request(protocol.connect())
    sock.sendall(b"".join(protocol.data_to_send()))
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        sock.settimeout(max(0.001, until - time.monotonic()))
        data = sock.recv(_CHUNK)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        raise Ended(f"the handshake failed: {protocol.handshake_exc}") from protocol.handshake_exc


class WebSocket:
    """A connected socket, and the protocol on it after its handshake."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._stream = Stream(sock)
        self._protocol = protocol
        self._unsent = bytearray()
        self._using = threading.Lock()  # the protocol and `_unsent`; never held while anything is waited for
        self._writing = threading.Lock()  # the stream: frames go out whole, in the order of the protocol

    def messages(self) -> Iterator[bytes | None]:
        """Whole messages, and None for each pong, until the end, which raises Ended or another OSError."""
        parts: list[bytes] = []
        while True:
            with self._using:
                # At first, what came right behind the handshake.
                found = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
                self._unsent += b"".join(self._protocol.data_to_send())  # pongs, the answer to a close
                ended = self._protocol.state is not State.OPEN
            if self._unsent:
                with contextlib.suppress(OSError):  # what came is good, however it goes on
                    self._flush(SEND_S)
            for frame in found:
                if frame.opcode is Opcode.PONG:  # control frames may come between the fragments of a message
                    yield None
                elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    parts.append(bytes(frame.data))
                    if frame.fin:
                        yield b"".join(parts)
                        parts.clear()
            if ended:
                raise self._end()
            data = self._stream.recv(_CHUNK)
            with self._using:
                if data:
                    self._protocol.receive_data(data)
                else:
                    self._protocol.receive_eof()

    def send_text(self, data: bytes, timeout_s: float = SEND_S) -> None:
        """One message. Raises OSError, TimeoutError when the other side takes nothing."""
        self._do(lambda: self._protocol.send_text(data), timeout_s)

    def ping(self, data: bytes) -> None:
        """As `send_text`."""
        self._do(lambda: self._protocol.send_ping(data), SEND_S)

    def close(self, timeout_s: float) -> None:
        """Say that this is the end; does not wait for the other side's answer. As `send_text`."""
        self._do(lambda: self._protocol.send_close(1000), timeout_s)

    def cut(self) -> None:
        """End it now, without a word, from any thread: `messages` ends."""
        self._stream.cut()

    def free(self) -> None:
        """Give the socket back, when nobody reads it any more; safe twice."""
        self._stream.close()

    def _do(self, act: Callable[[], None], timeout_s: float) -> None:
        try:
            with self._using:
                act()
                self._unsent += b"".join(self._protocol.data_to_send())
        except InvalidState as error:
            raise Ended(str(error)) from error
        self._flush(timeout_s)

    def _flush(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        if not self._writing.acquire(timeout=timeout_s):
            raise TimeoutError("the other side takes nothing")
        try:
            with self._using:
                data, self._unsent = bytes(self._unsent), bytearray()
            self._stream.send(data, until - time.monotonic())
        except OSError:
            self._stream.cut()  # in the middle of a frame, maybe: nothing can follow
            raise
        finally:
            self._writing.release()

    def _end(self) -> Ended:
        with self._using:
            self._protocol.receive_eof()
            closed = self._protocol.close_exc
        if closed.rcvd is not None:
            return Closed(str(closed))
        cause = closed.__cause__
        return Ended("the connection ended" if isinstance(cause, EOFError) else str(cause or closed))
