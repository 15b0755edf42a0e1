"""The other side of a WebSocket: the library's server, without a network, over a pair of sockets."""

from __future__ import annotations

import json
import socket
from typing import Any, Self

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from connectors.slack.websocket import WebSocket, protocol_for


class Peer:
    """What it is told to say goes out at once, as `pieces` of so many bytes; what it hears is read when asked for."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        ours, self.sock = (None, sock) if sock is not None else socket.socketpair()
        self.protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=None)
        #: The side that is tested, where this is the other one.
        self.ours = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Both sides; who reads the other one must have ended."""
        self.sock.close()
        if self.ours is not None:
            self.ours.close()

    def websocket(self) -> WebSocket:
        """The side that is tested."""
        assert self.ours is not None
        return opened(self.ours)

    def say(self, message: dict[str, Any]) -> None:
        """As Slack does: a text of JSON."""
        self.protocol.send_text(json.dumps(message).encode())
        self.flush()

    def flush(self) -> None:
        """Send what the protocol has."""
        self.sock.sendall(self.pending())

    def pending(self) -> bytes:
        """What the protocol has to send, which is not sent then."""
        return b"".join(self.protocol.data_to_send())

    def heard(self) -> list[Frame]:
        """What comes until the end."""
        found: list[Frame] = []
        while data := self._data():
            self.protocol.receive_data(data)
            found += self._frames()
        return found

    def hear(self, count: int) -> list[Frame]:
        """So many frames, or more."""
        found: list[Frame] = []
        while len(found) < count:
            data = self._data()
            assert data, "the connection ended"
            self.protocol.receive_data(data)
            found += self._frames()
        return found

    def _data(self) -> bytes:
        try:
            return self.sock.recv(65_536)
        except ConnectionError:
            return b""

    def _frames(self) -> list[Frame]:
        return [event for event in self.protocol.events_received() if isinstance(event, Frame)]


def opened(sock: socket.socket) -> WebSocket:
    """A WebSocket on a connected socket, as after the handshake."""
    return WebSocket(sock, protocol_for("ws://slack.invalid/", State.OPEN))


def closings(frames: list[Frame]) -> list[int]:
    """The codes of the close frames."""
    return [Close.parse(frame.data).code for frame in frames if frame.opcode is Opcode.CLOSE]
