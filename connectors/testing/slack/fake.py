"""`FakeSlack`: a Slack workspace with one app in it, on 127.0.0.1, to test against.

    with FakeSlack() as fake:
        client = WebClient(fake.bot_token, base_url=fake.api_url)
        ts = fake.post("C1", "U1", f"{fake.mention} hello")

There from the start: people U1 (alice) and U2 (bob), the channels C1 (general), C2 (random, without the bot), G1
(secret, private), D1 and D2 (the bot's direct conversations with U1 and U2). As Slack does, it gives the app its own
messages back as events, and gives up an event that was not acknowledged at its fourth delivery.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, Self

from connectors.testing.slack.calls import Calls
from connectors.testing.slack.deliveries import Timing
from connectors.testing.slack.failures import Failure, Failures, Planned
from connectors.testing.slack.gestures import Gestures
from connectors.testing.slack.places import Places
from connectors.testing.slack.server import Server, require_aiohttp
from connectors.testing.slack.sockets import Hub
from connectors.testing.slack.state import World
from connectors.testing.slack.views import Views
from connectors.testing.slack.wire import Socket

#: Long enough for anything that the server's loop does at once.
_LOOP_S = 10


class FakeSlack(Places, Gestures, Views):
    """The server, in a thread of this process. Every method may be called from any thread.

    `app_token`: by default another one for each fake, since a machine runs one connector a token.
    `retry_waits_s`: how long after a failed delivery the next one is; as many retries as there are values.
    `rates`: {"chat.postMessage": (1, 1.0)} allows one call a second and channel, and answers 429 to more.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        bot_token: str = "xoxb-fake-bot-token",  # noqa: S107 - opens nothing but this fake
        app_token: str | None = None,
        retry_after_s: int = 1,
        ack_timeout_s: float = 3.0,
        retry_waits_s: tuple[float, ...] = (0.0, 60.0, 300.0),
        ping_interval_s: float = 10.0,
        hello_delay_s: float = 0.0,
        warning_s: float = 10.0,
        connection_time_s: float = 18_060.0,
        rates: Mapping[str, tuple[int, float]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        require_aiohttp()
        app_token = app_token or f"xapp-1-A1-{secrets.token_hex(16)}"
        self.world = World(bot_token=bot_token, app_token=app_token, clock=clock)
        self.timing = Timing(
            ack_timeout_s=ack_timeout_s,
            retry_waits_s=retry_waits_s,
            ping_interval_s=ping_interval_s,
            hello_delay_s=hello_delay_s,
            warning_s=warning_s,
            connection_time_s=connection_time_s,
        )
        self._failures = Failures()
        self._hub = Hub(self.world, self.timing, self._answered)
        self._calls = Calls(self.world, self._failures, retry_after_s=retry_after_s, rates=rates or {})
        self._server = Server(self.world, self._calls, self._hub)
        self._port = port
        self.world.emit = self.event
        self.world.new_socket_url = self._socket_url

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Listen on 127.0.0.1. Started again after `stop`, it has the same port and remembers everything."""
        self._port = self._server.start(self._port)
        self.world.origin = f"http://127.0.0.1:{self._port}"
        return self

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`."""
        return self.world.origin

    @property
    def api_url(self) -> str:
        """What slack-sdk's clients take as `base_url`."""
        return f"{self.world.origin}/api/"

    @property
    def bot_token(self) -> str:
        """The bot's token."""
        return self.world.bot_token

    @property
    def app_token(self) -> str:
        """The app-level token."""
        return self.world.app_token

    @property
    def mention(self) -> str:
        """What people write to mention the bot."""
        return f"<@{self.world.bot_user}>"

    @property
    def scopes(self) -> set[str]:
        """What the bot's token may do; a test adds and discards."""
        return self.world.scopes

    @property
    def subscriptions(self) -> set[str] | None:
        """The events that the app subscribed to, as `message.channels` or `app_mention`; None: all."""
        return self.world.subscriptions

    @subscriptions.setter
    def subscriptions(self, names: set[str] | None) -> None:
        self.world.subscriptions = names

    def revoke(self, error: str | None = "token_revoked") -> None:
        """Refuse both tokens with this error from now on; None: accept them again."""
        self.world.revoked = error

    def _socket_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/link/?ticket={self._hub.ticket()}&app_id={self.world.app_id}"

    # ── failures ──────────────────────────────────────────────────────────────────────────────────────────────

    def fail_next(
        self,
        kind: Failure,
        method: str | None = None,
        *,
        n: int = 1,
        error: str | None = None,
        retry_after_s: int | None = None,
        always: bool = False,
    ) -> None:
        """Fail the next `n` calls (with `always`: all until `heal`) in the way that `failures.Failure` describes.

        `method`: a method's name, or `upload`, `download`, `response_url`, `socket` (the WebSocket's handshake), or
        `*` for any; None: the next call that people would see something of.
        """
        self._failures.plan(Planned(kind, method, error, retry_after_s), n, always=always)

    def heal(self) -> None:
        """Nothing fails from now on."""
        self._failures.heal()

    def release(self) -> None:
        """End the calls that `timeout` keeps hanging; their connections are cut off."""
        self._server.release()

    # ── what happens to sockets; without `which`, to all that are open ────────────────────────────────────────

    def freeze(self, *which: Socket) -> None:
        """Half open: read nothing, answer no ping, send nothing, and do not notice; events still get assigned."""
        self._each(which, lambda socket: _plain(socket.freeze))

    def thaw(self, *which: Socket) -> None:
        """The network remembers: what was sent meanwhile is read."""
        self._each(which, lambda socket: _plain(socket.thaw))

    def abort(self, *which: Socket) -> None:
        """End connections with no word, as a network does."""
        self._each(which, lambda socket: _plain(socket.abort))

    def close(self, *which: Socket) -> None:
        """End connections with a close frame and no `disconnect` message."""
        self._each(which, lambda socket: socket.close())

    def disconnect(
        self,
        reason: Literal["refresh_requested", "warning", "link_disabled", "too_many_websockets"] = "refresh_requested",
        *which: Socket,
    ) -> None:
        """Send a `disconnect` message; end the connection, unless it is a `warning`."""
        self._each(which, lambda socket: self._hub.disconnect(socket, reason, close=reason != "warning"))

    def refresh(self, *which: Socket) -> None:
        """The whole course of it: `warning`, after `warning_s` `refresh_requested`, and the end. Returns at once."""

        async def begin(socket: Socket) -> None:
            self._hub.spawn(self._hub.refresh(socket))

        self._each(which, begin)

    def retry_now(self) -> None:
        """Let every redelivery that waits for its time happen now."""
        self._in_loop(_plain(self._hub.deliveries.retry_now))

    def _each(self, which: tuple[Socket, ...], work: Callable[[Socket], Coroutine[Any, Any, None]]) -> None:
        for socket in which or self.sockets:
            self._in_loop(work(socket))

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        loop = self._server.loop
        if loop is None:
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, loop).result(_LOOP_S)


async def _plain(work: Callable[[], None]) -> None:
    work()
