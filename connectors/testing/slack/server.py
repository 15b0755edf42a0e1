"""The HTTP side: /api/METHOD, the socket's address, uploads, downloads, response_url. aiohttp, in a thread of its own.

https://docs.slack.dev/apis/web-api/ : form, query and JSON bodies, the token in a header or as a parameter.
https://docs.slack.dev/messaging/working-with-files : the bytes go to upload_url by POST; `url_private_download` wants
the bearer token, and gives a login page otherwise, with status 200.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from connectors.base.errors import MissingDependency
from connectors.testing.slack import files, responses
from connectors.testing.slack.calls import Calls, Outcome
from connectors.testing.slack.sockets import Hub
from connectors.testing.slack.state import Json, World
from connectors.testing.slack.wire import Wire

if TYPE_CHECKING:
    from aiohttp import web

_MAX_BODY_BYTES = 1 << 30
#: How long the end of a WebSocket waits for the other side.
_CLOSE_S = 2.0


def require_aiohttp() -> None:
    """Raises MissingDependency with the command that installs it."""
    try:
        import aiohttp  # noqa: F401
    except ImportError as error:
        install = "pip install 'mailbox-connectors[testing]'"
        raise MissingDependency("the fake Slack needs aiohttp", install=install) from error


class Server:
    """Listens on 127.0.0.1 in a thread of its own."""

    def __init__(self, world: World, calls: Calls, hub: Hub) -> None:
        self._world, self._calls, self._hub = world, calls, hub
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None
        self._released = asyncio.Event()
        self._open: set[asyncio.Transport] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where everything runs; None while it is stopped."""
        return self._loop

    def start(self, port: int) -> int:
        """Returns the port that it listens on."""
        require_aiohttp()
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop,), name="fake-slack", daemon=True)
        self._thread.start()
        self._loop = loop
        try:
            return asyncio.run_coroutine_threadsafe(self._listen(port), loop).result(10)
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._end()

    def release(self) -> None:
        """End the requests that wait because of `timeout`."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release)

    def _end(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()

    def _release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    async def _listen(self, port: int) -> int:
        from aiohttp import web

        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link/", self._link)
        app.router.add_post("/upload/{ticket}", self._upload)
        app.router.add_get("/files-pri/{file}/download/{name}", self._download)
        app.router.add_post("/response/{ticket}", self._response_url)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self._hub.opened(asyncio.get_running_loop())
        bound: int = self._runner.addresses[0][1]
        return bound

    async def _close(self) -> None:
        self._release()
        await self._hub.closed()
        for transport in self._open:
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _api(self, request: web.Request) -> web.StreamResponse:
        values, token = await _arguments(request)
        outcome = self._calls.api(request.match_info["method"], values, token)
        return await self._answer(request, outcome)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        data = await _uploaded(request)
        ticket = request.match_info["ticket"]
        outcome = self._calls.other("upload", {"bytes": len(data)}, lambda: files.receive(self._world, ticket, data))
        return await self._answer(request, outcome)

    async def _response_url(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            body = {}
        ticket = request.match_info["ticket"]
        outcome = self._calls.other("response_url", body, lambda: responses.use(self._world, ticket, body))
        return await self._answer(request, outcome)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        file_id = request.match_info["file"]
        token = _bearer(request)
        outcome = self._calls.other("download", {"file": file_id}, lambda: files.download(self._world, file_id, token))
        if isinstance(outcome.body, bytes) and outcome.failure is None:
            return web.Response(body=outcome.body, content_type=outcome.content_type)
        return await self._answer(request, outcome)

    async def _link(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        ticket = request.query.get("ticket", "")
        outcome = self._calls.other("socket", {}, lambda: self._hub.admit(ticket))
        if outcome.failure is not None or outcome.status != 200:
            return await self._answer(request, outcome)
        ws = web.WebSocketResponse(timeout=_CLOSE_S, autoping=False, autoclose=False, compress=False, max_msg_size=0)
        await ws.prepare(request)
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            await self._hub.serve(Wire(ws, transport))
        return ws

    async def _answer(self, request: web.Request, outcome: Outcome) -> web.StreamResponse:
        from aiohttp import web

        transport = request.transport
        if outcome.failure == "timeout":
            if isinstance(transport, asyncio.Transport):
                self._open.add(transport)
            self._calls.hanging += 1
            await self._released.wait()
            self._calls.hanging -= 1
        if outcome.failure in ("drop", "cut", "timeout"):
            if isinstance(transport, asyncio.Transport):
                self._open.discard(transport)
                transport.abort()
            return web.Response()
        if isinstance(outcome.body, dict):
            return web.json_response(outcome.body, status=outcome.status, headers=outcome.headers)
        data = outcome.body if isinstance(outcome.body, bytes) else str(outcome.body).encode()
        return web.Response(
            body=data, status=outcome.status, headers=outcome.headers, content_type=outcome.content_type
        )


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _bearer(request: web.Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


async def _arguments(request: web.Request) -> tuple[Json, str | None]:
    """The arguments and, apart from them, the token."""
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = await request.json() if await request.read() else {}
        except ValueError:
            body = None
        values.update(body if isinstance(body, dict) else {"_invalid_json": True})
    elif request.method == "POST":
        values.update({name: value for name, value in (await request.post()).items() if isinstance(value, str)})
    token = values.pop("token", None)
    return values, _bearer(request) or token


async def _uploaded(request: web.Request) -> bytes:
    """The bytes of an upload: the body itself, or the first file of a form."""
    from aiohttp import web

    if request.content_type == "multipart/form-data":
        for value in (await request.post()).values():
            if isinstance(value, web.FileField):
                return bytes(value.file.read())
    return await request.read()
