"""One WebSocket of Socket Mode, and what can go wrong with it: frozen, aborted, closed.

Slack pings its clients and answers their pings with the same bytes: RFC 6455, section 5.5.3. A frozen socket does
neither, and reads nothing: the connection is half open, as it is when a network in between forgot it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.testing.slack.state import Json

if TYPE_CHECKING:
    from aiohttp import web


@dataclass
class Wire:
    """What the server has of a connection."""

    ws: web.WebSocketResponse
    transport: asyncio.Transport


class Socket:
    """Used in the server's loop; its plain attributes may be read from anywhere."""

    def __init__(self, number: int, wire: Wire) -> None:
        self.number = number
        self.open = True
        self.greeted = False
        self.leaving = False
        self.frozen = False
        self.opened_at = time.monotonic()
        self.last_pong: float | None = None
        self.pings = 0
        self.sent: list[Json] = []
        self._wire = wire
        self._thawed = asyncio.Event()
        self._thawed.set()

    def __repr__(self) -> str:
        flags = [name for name in ("open", "greeted", "leaving", "frozen") if getattr(self, name)]
        return f"<socket {self.number}: {', '.join(flags) or 'closed'}>"

    def freeze(self) -> None:
        """Read and answer nothing from now on."""
        self.frozen = True
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on: what has arrived meanwhile is read now."""
        self.frozen = False
        self._thawed.set()

    def abort(self) -> None:
        """End the connection with no word."""
        self.open = False
        self._thawed.set()
        self._wire.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """End it with a close frame."""
        self.open = False
        self._thawed.set()
        await self._wire.ws.close(code=code)

    async def send(self, message: Json) -> bool:
        """False: the connection is gone. A frozen socket says True and sends nothing."""
        if not self.open:
            return False
        self.sent.append(message)
        if self.frozen:
            return True
        try:
            await self._wire.ws.send_str(json.dumps(message))
        except (ConnectionError, RuntimeError):
            return False
        return True

    async def ping(self, data: bytes) -> None:
        """One ping, unless it is frozen or gone."""
        if self.open and not self.frozen:
            try:
                await self._wire.ws.ping(data)
            except (ConnectionError, RuntimeError):
                return

    async def texts(self) -> AsyncIterator[str]:
        """What the app sends, until the connection ends."""
        from aiohttp import WSMsgType

        while True:
            message = await self._wire.ws.receive()
            await self._thawed.wait()
            if message.type is WSMsgType.TEXT:
                yield str(message.data)
            elif message.type is WSMsgType.PING:
                self.pings += 1
                await self._wire.ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self.last_pong = time.monotonic()
            elif message.type is WSMsgType.CLOSE:
                await self._wire.ws.close()
                return
            else:
                return
