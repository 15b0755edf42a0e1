"""Keep-alive clients that post signed bodies to a webhook, as cheaply as Python can: they share the two cores."""

from __future__ import annotations

import hashlib
import hmac
import json
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

#: Of a delivery; sent again after a connection that broke.
_REDIAL_S = 0.01


@dataclass
class Client:
    """One connection. What was not answered by 2xx is posted again, under the same id."""

    sock: socket.socket | None = None
    name: str = ""
    posted_at: float = 0.0
    answer: bytes = field(default=b"", repr=False)


class Clients:
    """`count` clients that post to `port` until `enough` deliveries are acknowledged, or `seconds` are over."""

    def __init__(self, port: int, path: str, secret: str, count: int) -> None:
        self._port = port
        self._head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._secret = secret.encode()
        self._selector = selectors.DefaultSelector()
        self._clients = [Client() for _ in range(count)]
        self._next = 0
        self.acked: list[str] = []
        self.latencies_s: list[float] = []
        self.refused = 0

    def run(self, enough: int, seconds: float) -> float:
        """Returns how long it took, in seconds."""
        begun = time.monotonic()
        for client in self._clients:
            self._begin(client)
        while len(self.acked) < enough and time.monotonic() - begun < seconds:
            for key, _ in self._selector.select(0.1):
                self._read(key.data, key.data.sock)
        took = time.monotonic() - begun
        for client in self._clients:
            if client.sock is not None:
                client.sock.close()
        return took

    def _begin(self, client: Client) -> None:
        client.name = f"d{self._next}"
        self._next += 1
        self._post(client)

    def _post(self, client: Client) -> None:
        body = json.dumps({"text": client.name, "conversation_id": "C1", "pad": "x" * 300}).encode()
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        own = f"X-GitHub-Delivery: {client.name}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
        request = f"{self._head}{own}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while True:
            try:
                if client.sock is None:
                    client.sock = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(client.sock, selectors.EVENT_READ, client)
                client.answer, client.posted_at = b"", time.monotonic()
                client.sock.sendall(request)
            except OSError:
                self._drop(client)
                threading.Event().wait(_REDIAL_S)
            else:
                return

    def _read(self, client: Client, sock: socket.socket | None) -> None:
        if sock is None:
            return
        try:
            got = sock.recv(65536)
        except OSError:
            got = b""
        client.answer += got
        if not got:
            self._drop(client)
            self._post(client)
        elif client.answer.endswith(b"}"):  # all answers are one JSON object
            if client.answer.startswith(b"HTTP/1.1 2"):
                self.latencies_s.append(time.monotonic() - client.posted_at)
                self.acked.append(client.name)
                self._begin(client)
            else:
                self.refused += 1
                self._post(client)

    def _drop(self, client: Client) -> None:
        if client.sock is not None:
            if client.sock.fileno() in self._selector.get_map():
                self._selector.unregister(client.sock)
            client.sock.close()
            client.sock = None


def main(port: str, path: str, secret: str, count: str, enough: str, seconds: str, file: str) -> None:
    """Post, and write {acked, refused, latencies_s, seconds} to `file`."""
    clients = Clients(int(port), path, secret, int(count))
    took = clients.run(int(enough), float(seconds))
    found = {"acked": clients.acked, "refused": clients.refused, "latencies_s": clients.latencies_s, "seconds": took}
    Path(file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
