"""The HTTP side: aiohttp on 127.0.0.1, in an event loop in a thread of its own.

https://core.telegram.org/bots/api#making-requests: /bot<token>/METHOD, method names in any case;
https://core.telegram.org/bots/api#file: /file/bot<token>/<file_path>.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from connectors.testing.telegram.needs import web

MAX_BODY_BYTES = 51 * 1024 * 1024
#: how long a request under way may go on when the server stops; 0 would be for ever
_PATIENCE_S = 0.01
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Started again after `stop`, it has the same port."""

    def __init__(
        self, port: int, call: Handler, download: Handler, background: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.port = port
        self.loop: asyncio.AbstractEventLoop | None = None
        self._call = call
        self._download = download
        self._background = background
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._problem: BaseException | None = None

    def start(self) -> None:
        """Returns when it listens."""
        ready = threading.Event()
        self._problem = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fake-telegram", daemon=True)
        self._thread.start()
        ready.wait()
        if self._problem is not None:
            self._thread.join()
            self._thread = None
            raise self._problem

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, stopping = self.loop, self._stopping
        if loop is not None and stopping is not None:
            loop.call_soon_threadsafe(stopping.set)
        thread.join()

    def soon(self, callback: Callable[[], object]) -> None:
        """Call it in the loop; nothing happens while there is no loop."""
        loop = self.loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return  # it was closed between the two lines

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as problem:
            self._problem = problem
        finally:
            self.loop = None
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/bot{token:[^/]*}/{method:.*}", self._call)
        app.router.add_get("/file/bot{token:[^/]*}/{path:.+}", self._download)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_PATIENCE_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = int(runner.addresses[0][1])
            self.loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            task = asyncio.create_task(self._background())
            ready.set()
            await self._stopping.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            self.loop = None
            await runner.cleanup()
