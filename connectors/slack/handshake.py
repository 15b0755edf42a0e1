"""The way to an open WebSocket, through a proxy where there is one.

The standard library connects, asks the proxy (CONNECT) and does TLS, as it does for every other request to Slack; the
SDK's own handshake knows no NO_PROXY and speaks TLS on port 443 alone.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

from connectors.base.errors import RetryLater
from connectors.slack.websocket import WebSocket, protocol_for, shake_hands


def open_socket(url: str, *, proxy: str | None, timeout_s: float) -> WebSocket:
    """A WebSocket that is open. Raises RetryLater.

    The address is a credential: it is in no error.
    """
    until = time.monotonic() + timeout_s
    try:
        protocol = protocol_for(url)
        connection = _connection(protocol.uri.secure, protocol.uri.host, protocol.uri.port, proxy, timeout_s)
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            connection.connect()
            sock: socket.socket = connection.sock
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            shake_hands(sock, protocol, until)
            undo.pop_all()
    except (OSError, HTTPException, ValueError) as error:
        text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise RetryLater(f"the socket could not be opened: {text}") from error
    return WebSocket(sock, protocol)


def _connection(secure: bool, host: str, port: int, proxy: str | None, timeout_s: float) -> HTTPConnection:
    kind = HTTPSConnection if secure else HTTPConnection
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
