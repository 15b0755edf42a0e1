"""Socket Mode: the sockets of one app, from hello to their end.

https://docs.slack.dev/apis/events-api/using-socket-mode : a URL from apps.connections.open for each, `hello` first,
`disconnect` with a reason, ten sockets at most (the eleventh gets `too_many_websockets`:
https://github.com/slackapi/bolt-js/issues/2225). A `warning` comes about ten seconds before `refresh_requested`, which
ends the connection; `link_disabled`: Socket Mode was turned off. `approximate_connection_time` says when a refresh is
due. Slack pings every ten seconds.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from connectors.testing.slack.api import SlackError
from connectors.testing.slack.deliveries import Ack, Deliveries, Timing
from connectors.testing.slack.state import Json, World
from connectors.testing.slack.wire import Socket, Wire


class Hub:
    """The sockets. Everything but the tickets and the views runs in the server's event loop."""

    def __init__(self, world: World, timing: Timing, answered: Callable[[Ack], None]) -> None:
        self.world, self.timing = world, timing
        self.all_sockets: list[Socket] = []
        self._tickets: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries = Deliveries(
            world, timing, sockets=lambda: self.open_sockets, spawn=self.spawn, answered=answered
        )

    @property
    def open_sockets(self) -> list[Socket]:
        """Those that Slack believes to be open, oldest first."""
        with self.world.lock:
            return [socket for socket in self.all_sockets if socket.open]

    def ticket(self) -> str:
        """What one connection may be made with."""
        ticket = secrets.token_hex(8)
        with self.world.lock:
            self._tickets.add(ticket)
        return ticket

    def admit(self, ticket: str) -> Json:
        """A ticket is good for one connection. Raises SlackError otherwise."""
        with self.world.lock:
            if ticket not in self._tickets:
                raise SlackError("invalid_ticket", status=401)
            self._tickets.discard(ticket)
        return {}

    def opened(self, loop: asyncio.AbstractEventLoop) -> None:
        """The server runs."""
        self.deliveries.opened(loop)

    async def closed(self) -> None:
        """The server ends."""
        self.deliveries.closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self.all_sockets:
            socket.abort()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside everything else until the server ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, wire: Wire) -> None:
        """One socket, from hello to its end."""
        socket = Socket(len(self.all_sockets) + 1, wire)
        with self.world.lock:
            full = len(self.open_sockets) >= self.timing.max_sockets
            self.all_sockets.append(socket)
        if full:
            await socket.send({"type": "disconnect", "reason": "too_many_websockets", "debug_info": self._host()})
            await socket.close()
            return
        self.spawn(self._greet(socket))
        self.spawn(self._ping(socket))
        self.spawn(self._age(socket))
        try:
            async for text in socket.texts():
                self.deliveries.acknowledged(socket, text)
        finally:
            with self.world.lock:
                socket.open = False
                self.world.changed.notify_all()

    async def _greet(self, socket: Socket) -> None:
        if self.timing.hello_delay_s:
            await asyncio.sleep(self.timing.hello_delay_s)
        with self.world.lock:
            number = len(self.open_sockets)
        await socket.send(
            {
                "type": "hello",
                "num_connections": number,
                "connection_info": {"app_id": self.world.app_id},
                "debug_info": {**self._host(), "approximate_connection_time": int(self.timing.connection_time_s)},
            }
        )
        with self.world.lock:
            socket.greeted = True
            self.world.changed.notify_all()

    def _host(self) -> Json:
        return {"host": "applink-fake", "build_number": 1}

    async def _ping(self, socket: Socket) -> None:
        while socket.open:
            await asyncio.sleep(self.timing.ping_interval_s)
            await socket.ping(b"Ping from applink-fake")

    async def _age(self, socket: Socket) -> None:
        """A socket is refreshed when its time is over."""
        await asyncio.sleep(max(0.0, self.timing.connection_time_s - self.timing.warning_s))
        await self.refresh(socket)

    async def refresh(self, socket: Socket) -> None:
        """`warning`, and when its time is over `refresh_requested` and the end."""
        if not socket.open:
            return
        await self.disconnect(socket, "warning", close=False)
        await asyncio.sleep(self.timing.warning_s)
        await self.disconnect(socket, "refresh_requested")

    async def disconnect(self, socket: Socket, reason: str, *, close: bool = True) -> None:
        """Say that the connection ends; end it."""
        socket.leaving = close
        await socket.send({"type": "disconnect", "reason": reason, "debug_info": self._host()})
        if close and not socket.frozen:
            await socket.close()
