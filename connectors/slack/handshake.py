"""The way to an open WebSocket (RFC 6455, section 4.1), through a proxy where there is one.

The standard library connects, asks the proxy (CONNECT) and does TLS; the SDK's own handshake knows no NO_PROXY, speaks
TLS on port 443 alone, and leaves a byte of the answer for its reader to step over.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

from connectors.base.errors import RetryLater

_MAX_HEADER = 16_384
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def open_socket(url: str, *, proxy: str | None, timeout_s: float) -> tuple[socket.socket, bytes]:
    """A connected WebSocket, and what was received behind the handshake. Raises RetryLater.

    The address is a credential: it is in no error.
    """
    target = urlsplit(url)
    connection = _connection(target.scheme, target.hostname or "", target.port, proxy, timeout_s)
    try:
        connection.connect()
        sock: socket.socket = connection.sock
        key = base64.b64encode(os.urandom(16))
        path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {target.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        sock.sendall(request.encode())
        rest = _answer(sock, key)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except (OSError, HTTPException, ValueError) as error:
        connection.close()
        text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise RetryLater(f"the socket could not be opened: {text}") from error
    except BaseException:
        connection.close()
        raise
    return sock, rest


def _connection(scheme: str, host: str, port: int | None, proxy: str | None, timeout_s: float) -> HTTPConnection:
    kind = HTTPConnection if scheme == "ws" else HTTPSConnection
    port = port or (80 if scheme == "ws" else 443)
    if proxy is None:
        return kind(host, port, timeout=timeout_s)
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = kind(via.hostname or "", via.port or 80, timeout=timeout_s)
    headers = {}
    if via.username is not None:
        known = f"{unquote(via.username)}:{unquote(via.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
    connection.set_tunnel(host, port, headers)
    return connection


def _answer(sock: socket.socket, key: bytes) -> bytes:
    """What comes behind the header of the answer. Raises ValueError for one that is not what was asked for."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(4096)
        if not chunk or len(data) > _MAX_HEADER:
            raise ValueError("the handshake was cut off")
        data += chunk
    header, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = header.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or words[1] != "101":
        raise ValueError(f"the handshake was answered by {' '.join(words[1:])[:100]}")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wanted = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest()).decode()
    if fields.get("sec-websocket-accept") != wanted:
        raise ValueError("the handshake was answered by something that is no WebSocket")
    return rest
