"""Uvicorn's HTTP/1.1 connection with limits: a head that does not come, too many connections, and a switch by path.

Imported by `listening` when something listens: this module needs Uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import h11
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

#: A request line that is longer is none of ours.
_LINE_MAX = 8192
_FULL_BODY = b'{"error":"Too many connections"}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_FULL_BODY), _FULL_BODY)
)


@dataclass(frozen=True)
class Guards:
    """`head_s`: from the first byte of a request to the end of its headers. `hand_over(path, fd, data)`: True when
    another process has the connection from here on, with what was read of it."""

    max_connections: int = 512
    head_s: float = 10.0
    hand_over: Callable[[str, int, bytes], bool] | None = None


class _Corked:
    """A transport whose writes of one turn of the loop go out together: head and body of an answer are one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            data, self._pieces = b"".join(self._pieces), []
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(H11Protocol):
    """One connection. `prefix` is what another process had read of it."""

    def __init__(self, *args: Any, guards: Guards, prefix: bytes = b"", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guards = guards
        self._prefix = prefix
        self._head = b""
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse one too many; begin to wait for the head."""
        super().connection_made(_Corked(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self._guards.max_connections:
            transport.write(_FULL)
            transport.close()
            return
        self._watch_head()
        if self._prefix:
            prefix, self._prefix = self._prefix, b""
            self._take(prefix)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._unwatch_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; at its beginning it is decided whose it is."""
        if self._guards.hand_over is not None and self._between_requests():
            self._unset_keepalive_if_required()
            data, self._head = self._head + data, b""
            if b"\n" not in data and len(data) < _LINE_MAX:
                self._head = data
                self._watch_head()
                return
            if self._hand_over(data):
                return
        self._take(data)

    def send_400_response(self, msg: str) -> None:
        """As JSON, like every other answer."""
        body = json.dumps({"error": msg}).encode()
        headers = [("Content-Type", "application/json"), ("Connection", "close"), ("Content-Length", str(len(body)))]
        head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch_head()
        else:
            self._unwatch_head()

    def _between_requests(self) -> bool:
        conn = self.conn
        return conn.their_state is h11.IDLE and conn.our_state is h11.IDLE and not conn.trailing_data[0]

    def _hand_over(self, data: bytes) -> bool:
        words = data.split(b"\n", 1)[0].split(b" ")
        if len(words) < 2 or self._guards.hand_over is None:
            return False
        path = unquote(words[1].split(b"?", 1)[0].decode("ascii", "replace"))  # as it is routed later
        connection = self.transport.get_extra_info("socket")
        fd = os.dup(connection.fileno())
        try:
            if not self._guards.hand_over(path, fd, data):
                return False
        finally:
            os.close(fd)
        self._unwatch_head()
        self.transport.abort()  # our descriptor of it; the connection lives on with the other process
        return True

    def _watch_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._guards.head_s, self._too_late)

    def _unwatch_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()


class _Server(Server):
    """Uvicorn's, without signal handlers (the connector has its own) and without a clock that ticks while idle."""

    def __init__(self, config: Config, stopped: asyncio.Event, on_close: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopped = stopped
        self._on_close = on_close

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    async def main_loop(self) -> None:
        """Until told to stop."""
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The address is free at once; requests under way have their time."""
        for server in self.servers:
            server.close()
        self._on_close()
        await super().shutdown(sockets)


def make_server(
    app: Any,
    guards: Guards,
    *,
    stopped: asyncio.Event,
    on_close: Callable[[], None],
    keep_alive_s: int,
    backlog: int,
    drain_s: int,
) -> Server:
    """A server of the running loop, with every connection under guard."""
    config = Config(
        app,
        http=partial(GuardedProtocol, guards=guards),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",  # what strangers send must not fill the log
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        interface="asgi3",
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=drain_s,
        backlog=backlog,
    )
    config.load()
    return _Server(config, stopped, on_close)


async def listen(server: Server, sock: socket.socket) -> None:
    """Serve one more address."""
    loop = asyncio.get_running_loop()
    server.servers.append(
        await loop.create_server(partial(_protocol, server), sock=sock, backlog=server.config.backlog)
    )


def adopt(server: Server, loop: asyncio.AbstractEventLoop, sock: socket.socket, data: bytes) -> None:
    """Serve a connection that another process accepted, beginning with what that one has read."""
    protocol = partial(_protocol, server, prefix=data)
    task = loop.create_task(loop.connect_accepted_socket(protocol, sock))
    server.server_state.tasks.add(task)  # type: ignore[arg-type]
    task.add_done_callback(server.server_state.tasks.discard)


def _protocol(server: Server, **more: Any) -> asyncio.Protocol:
    make: Any = server.config.http_protocol_class
    made: asyncio.Protocol = make(config=server.config, server_state=server.server_state, app_state={}, **more)
    return made
