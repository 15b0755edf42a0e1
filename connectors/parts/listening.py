"""An HTTP listener inside a connector: Uvicorn on one address, with limits, stopped by the connector.

`open` binds, so that a taken port is found while connecting; `run` serves until told to stop. What comes in between
waits in the listen queue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.base.errors import ConfigError, MissingDependency
from connectors.parts.sharing import Sharing
from connectors.parts.signatures import INSTALL

if TYPE_CHECKING:
    from uvicorn import Server

App = Callable[[Any, Any, Any], Awaitable[None]]
#: Longer than a proxy keeps its connections (nginx: 60 s), so that it is never the listener who closes first.
_KEEP_ALIVE_S = 75
_BACKLOG = 1024
#: After a stop, requests under way get this long; the base gives up after 8 s.
_DRAIN_S = 5
#: A front that is just starting has the port before it says so.
_FRONT_STARTS_S = 1.0


class Listener:
    """One HTTP server. Raises MissingDependency when Starlette or Uvicorn is not installed."""

    def __init__(
        self,
        app: App,
        *,
        host: str,
        port: int,
        path: str,
        folder: Path | None,
        head_s: float,
        max_connections: int,
        logger: logging.Logger,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._head_s = head_s
        self._max_connections = max_connections
        self._logger = logger
        self._socket: socket.socket | None = None
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sharing = Sharing(folder, host, port, path, logger) if folder is not None and port else None

    @property
    def port(self) -> int:
        """The real one, where 0 was asked for."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else self._port

    def open(self) -> None:
        """Bind, or join those who share the port. Raises ConfigError when somebody else has it."""
        try:
            import starlette
            import uvicorn  # noqa: F401 - is it there?
        except ImportError as error:
            raise MissingDependency("webhooks need Starlette and Uvicorn", install=INSTALL) from error
        del starlette
        if self._sharing is not None:
            self._sharing.open()
        try:
            if self._try_to_bind() or (self._sharing is not None and self._wait_for_front()):
                return
            raise ConfigError(
                f"cannot listen on {self._host}:{self._port}: another program has the port",
                hint="give another port; instances of one home share a port when they name the same host",
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back the address; safe twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._sharing is not None:
            self._sharing.close()

    def run(self, wait: Callable[[], object], on_start: Callable[[], None] = lambda: None) -> None:
        """Serve until `wait`, which is called in a thread of its own, returns."""
        asyncio.run(self._run(wait, on_start))

    def missing(self, path: str) -> bool:
        """Whether the path belongs to an instance that shares the port and is not running."""
        return self._sharing is not None and self._sharing.missing(path)

    # ── binding ───────────────────────────────────────────────────────────────────────────────────────────────

    def _try_to_bind(self) -> bool:
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, kind)
        except OSError as error:
            raise ConfigError(f"cannot listen on {self._host}: {error}", hint="see the option host") from error
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise ConfigError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}", hint="see the options host and port"
            ) from error
        self._socket = sock
        if self._sharing is not None:
            self._sharing.become_front()
        return True

    def _wait_for_front(self) -> bool:
        assert self._sharing is not None  # noqa: S101 - for the type checker; the caller has looked
        pause = threading.Event()
        for _ in range(20):
            if self._sharing.front_lives() or self._try_to_bind():
                return True
            pause.wait(_FRONT_STARTS_S / 20)
        return False

    # ── serving ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, wait: Callable[[], object], on_start: Callable[[], None]) -> None:
        self._loop = loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def watch() -> None:
            wait()
            with suppress(RuntimeError):  # the loop ended before
                loop.call_soon_threadsafe(stopped.set)

        threading.Thread(target=watch, name="listener-stop", daemon=True).start()
        server = self._server = self._make_server(stopped)
        following: asyncio.Task[None] | None = None
        if self._sharing is not None:
            self._sharing.serve(self._adopt)
            if self._socket is None:
                following = asyncio.create_task(self._follow())
        on_start()
        try:
            await server.serve([self._socket] if self._socket is not None else [])
        finally:
            if following is not None:
                following.cancel()
            self.close()

    def _make_server(self, stopped: asyncio.Event) -> Server:
        from connectors.parts.protocol import Guards, make_server

        share = self._sharing.hand_over if self._sharing is not None else None
        guards = Guards(max_connections=self._max_connections, head_s=self._head_s, hand_over=share)
        return make_server(
            self._app,
            guards,
            stopped=stopped,
            on_close=self._sharing.step_down if self._sharing is not None else lambda: None,
            keep_alive_s=_KEEP_ALIVE_S,
            backlog=_BACKLOG,
            drain_s=_DRAIN_S,
        )

    def _adopt(self, connection: socket.socket, data: bytes) -> None:
        from connectors.parts.protocol import adopt

        if self._server is None or self._loop is None:
            connection.close()
            return
        adopt(self._server, self._loop, connection, data)

    async def _follow(self) -> None:
        """Until the front ends and this process becomes it."""
        assert self._sharing is not None  # noqa: S101 - for the type checker; the caller has looked
        while True:
            await self._sharing.front_ends()
            if self._try_to_bind():
                break
        self._logger.info("listening on %s:%d: the process that had the port ended", self._host, self._port)
        from connectors.parts.protocol import listen

        self._sharing.serve_front(self._adopt)
        if self._server is not None and self._socket is not None:
            await listen(self._server, self._socket)
