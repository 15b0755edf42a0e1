"""Envelopes on their way: handed to one socket, acknowledged in time, or delivered again.

https://docs.slack.dev/apis/events-api/using-socket-mode : an envelope goes to ONE of the open sockets and is
acknowledged by its envelope_id.
https://docs.slack.dev/apis/events-api/ : an event that was not acknowledged within three seconds is delivered again,
nearly at once, after one minute and after five; `retry_attempt` and `retry_reason` say so.
Clicks and commands are not delivered again: the person who clicked sees an error.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from connectors.testing.slack.state import Json, World
from connectors.testing.slack.wire import Socket


@dataclass
class Timing:
    """How long things take; a test makes them shorter."""

    ack_timeout_s: float = 3.0
    retry_waits_s: tuple[float, ...] = (0.0, 60.0, 300.0)
    ping_interval_s: float = 10.0
    hello_delay_s: float = 0.0
    warning_s: float = 10.0
    connection_time_s: float = 18_060.0
    max_sockets: int = 10


@dataclass(eq=False)
class Pending:
    """An envelope's content until it was acknowledged or given up."""

    id: str
    type: str
    payload: Json
    accepts_response: bool = False
    retries: bool = True
    attempt: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Ack:
    """One acknowledgement. `late`: after its deadline, so that it did not count."""

    id: str
    type: str
    envelope_id: str
    attempt: int
    took_s: float
    late: bool
    socket: int
    payload: Json | None


@dataclass
class _Delivery:
    pending: Pending
    attempt: int
    socket: Socket
    at: float
    done: asyncio.Future[Json | None]
    over: bool = False


class Deliveries:
    """What was sent and is not settled. `submit` and the lists may be used from any thread, the rest in the loop."""

    def __init__(
        self,
        world: World,
        timing: Timing,
        *,
        sockets: Callable[[], list[Socket]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        answered: Callable[[Ack], None],
    ) -> None:
        self.world, self.timing = world, timing
        self.pending: list[Pending] = []
        self.known: dict[str, Pending] = {}
        self.lost: list[Pending] = []
        self.acks: list[Ack] = []
        self.stray: list[Json] = []
        self._sockets, self._spawn, self._answered = sockets, spawn, answered
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[str, _Delivery] = {}
        self._turn = itertools.count()
        self._hurry = asyncio.Event()

    def submit(self, pending: Pending) -> None:
        """Deliver this, as soon as the server runs."""
        with self.world.lock:
            self.pending.append(pending)
            self.known[pending.id] = pending
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._begin, pending)

    def opened(self, loop: asyncio.AbstractEventLoop) -> None:
        """The server runs: what was not acknowledged goes on."""
        with self.world.lock:
            self._loop = loop
            self._hurry = asyncio.Event()  # one belongs to the loop in which it was waited for
            waiting = list(self.pending)
        for pending in waiting:
            self._begin(pending)

    def closed(self) -> None:
        """The server ends."""
        with self.world.lock:
            self._loop = None

    def retry_now(self) -> None:
        """Let every redelivery that waits happen now."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    def _begin(self, pending: Pending) -> None:
        self._spawn(self._carry(pending))

    async def _carry(self, pending: Pending) -> None:
        """Deliver one thing until it is acknowledged or its attempts are used up."""
        while True:
            waits = (0.0, *self.timing.retry_waits_s) if pending.retries else (0.0,)
            if pending.attempt >= len(waits):
                break
            await self._rest(waits[pending.attempt])
            if await self._attempt(pending):
                break
            pending.attempt += 1
        with self.world.lock:
            if pending.attempt >= len(waits):
                self.lost.append(pending)
            self.pending.remove(pending)
            self.world.changed.notify_all()

    async def _rest(self, wait_s: float) -> None:
        if wait_s <= 0:
            return
        try:
            await asyncio.wait_for(self._hurry.wait(), wait_s)
        except TimeoutError:
            return

    async def _attempt(self, pending: Pending) -> bool:
        """Whether it was acknowledged in time."""
        socket = self._choose()
        if socket is None:
            pending.reason = "connection_failed"
            return False
        envelope_id = str(uuid.uuid4())
        done: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        delivery = _Delivery(pending, pending.attempt, socket, time.monotonic(), done)
        self._open[envelope_id] = delivery
        if not await socket.send(_envelope(pending, envelope_id)):
            pending.reason = "connection_failed"
            return False
        try:
            await asyncio.wait_for(asyncio.shield(done), self.timing.ack_timeout_s)
        except TimeoutError:
            delivery.over = True
            pending.reason = "timeout"
            return False
        return True

    def _choose(self) -> Socket | None:
        """The sockets take turns."""
        able = [socket for socket in self._sockets() if socket.greeted and not socket.leaving]
        return able[next(self._turn) % len(able)] if able else None

    def acknowledged(self, socket: Socket, text: str) -> None:
        """Something arrived on a socket."""
        try:
            body = json.loads(text)
        except ValueError:
            body = {"unreadable": text}
        delivery = self._open.get(body.get("envelope_id", ""))
        if delivery is None:
            self.stray.append(body)
            return
        ack = Ack(
            id=delivery.pending.id,
            type=delivery.pending.type,
            envelope_id=body["envelope_id"],
            attempt=delivery.attempt,
            took_s=time.monotonic() - delivery.at,
            late=delivery.over,
            socket=socket.number,
            payload=body.get("payload"),
        )
        with self.world.lock:
            self.acks.append(ack)
            self._answered(ack)
            self.world.changed.notify_all()
        if not delivery.done.done():
            delivery.done.set_result(ack.payload)


def _envelope(pending: Pending, envelope_id: str) -> Json:
    envelope: Json = {
        "envelope_id": envelope_id,
        "payload": pending.payload,
        "type": pending.type,
        "accepts_response_payload": pending.accepts_response,
    }
    if pending.type == "events_api":
        envelope.update(retry_attempt=pending.attempt, retry_reason=pending.reason)
    return envelope
