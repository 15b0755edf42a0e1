"""A call's way: token, failures on demand, the method, the journal, the answer."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from connectors.testing.telegram import chats, editing, media, sending, simple
from connectors.testing.telegram.errors import ApiError
from connectors.testing.telegram.failures import Failure, Failures
from connectors.testing.telegram.model import Call
from connectors.testing.telegram.needs import web
from connectors.testing.telegram.params import Params, read
from connectors.testing.telegram.polling import WEBHOOK_SET, Polling
from connectors.testing.telegram.registry import METHODS, NAMES
from connectors.testing.telegram.webhook import Deliveries
from connectors.testing.telegram.world import World

__all__ = ["Api", "chats", "editing", "media", "sending", "simple"]  # their methods enter themselves

#: parameters that are texts, even when they look like JSON
_TEXTS = frozenset({"text", "caption", "title", "address", "question", "secret_token"})
_TOKEN = re.compile(r"\d+:\S+")

log = logging.getLogger(__name__)


class Api:
    """What the server calls."""

    def __init__(self, world: World, token: str, failures: Failures) -> None:
        self.world = world
        self.token = token
        self.failures = failures
        self.polling = Polling(world)
        self.hangs: set[asyncio.Event] = set()
        self.deliveries = Deliveries(world)

    def wake(self) -> None:
        """Something changed; in the loop."""
        self.polling.wake()
        self.deliveries.woken()

    async def call(self, request: web.Request) -> web.StreamResponse:
        """POST or GET /bot<token>/METHOD."""
        try:
            params = await read(request)
        except ApiError as refusal:
            return _refuse(refusal)
        params.method = NAMES.get(request.match_info["method"].lower(), request.match_info["method"])
        params.bot_id = self.world.bot.id
        entry = self._enter(params)
        try:
            return await self._serve(request, params, entry)
        except ApiError as refusal:
            with self.world.lock:
                entry.outcome, entry.error_code = refusal.description, refusal.code
            return _refuse(refusal)
        except _Dropped:
            entry.outcome = "drop"
            return _cut(request)
        except asyncio.CancelledError:
            if entry.outcome == "under way":
                entry.outcome = "the caller went away"
            raise
        except Exception as problem:
            log.exception("the fake Telegram failed at %s", params.method)
            entry.outcome, entry.error_code = f"a mistake of the fake: {problem!r}", 500
            return _refuse(ApiError(500, "Internal Server Error"))

    async def _serve(self, request: web.Request, params: Params, entry: Call) -> web.StreamResponse:
        name, token = params.method.lower(), request.match_info["token"]
        if token != self.token:
            raise ApiError(401, "Unauthorized") if _TOKEN.fullmatch(token) else ApiError(404, "Not Found")
        if self.world.logged_out:
            raise ApiError(400, "Logged out")
        if name not in NAMES:
            raise ApiError(404, "Not Found: method not found")
        with self.world.lock:
            failure = self.failures.take(name)
        if failure is not None and failure.kind == "page":
            entry.outcome = "page"
            return _page()
        result = await self._run(name, params, failure)
        with self.world.lock:
            entry.result, entry.outcome = result, failure.kind if failure else "ok"
        if name == "setwebhook" and self.world.webhook:
            self.polling.end(WEBHOOK_SET)
        return await self._answer(request, result, failure)

    def _enter(self, params: Params) -> Call:
        seen = {name: _seen(params, name) for name in params.values}
        files = {name: (file.name or "", file.length) for name, file in params.files.items()}
        with self.world.lock:
            entry = Call(len(self.world.journal) + 1, params.method, seen, files)
            self.world.journal.append(entry)
            return entry

    async def _run(self, name: str, params: Params, failure: Failure | None) -> Any:
        if failure is not None:
            refusal = failure.error()
            if refusal is not None:
                raise refusal
            if failure.kind == "drop":
                raise _Dropped
        if name == "getupdates":
            if failure is not None:
                params.values["timeout"] = 0
            return await self.polling.get(params)
        with self.world.lock:
            return METHODS[name](self.world, params)

    async def _answer(self, request: web.Request, result: Any, failure: Failure | None) -> web.StreamResponse:
        if failure is not None and failure.kind == "timeout":
            await self._hang()
        if failure is not None:
            return _cut(request)
        return web.json_response({"ok": True, "result": result})

    async def _hang(self) -> None:
        event = asyncio.Event()
        self.hangs.add(event)
        try:
            await event.wait()
        finally:
            self.hangs.discard(event)

    def release(self) -> None:
        """End what hangs; in the loop."""
        for event in self.hangs:
            event.set()
        for poller in self.polling.pollers:
            poller.frozen = False
            poller.woken.set()

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET /file/bot<token>/<file_path>, as getFile named it."""
        if request.match_info["token"] != self.token:
            return _refuse(ApiError(401, "Unauthorized"))
        with self.world.lock:
            failure = self.failures.take("download")
        if failure is not None:
            return await self._fail_download(request, failure)
        path = request.match_info["path"]
        with self.world.lock:
            found = next((f for f in self.world.files.values() if f.path == path), None)
        if found is None or found.content.length > chats.MAX_DOWNLOAD_BYTES:
            return _refuse(ApiError(404, "Not Found"))
        data = found.content.data or bytes(found.content.length)
        return web.Response(body=data, content_type="application/octet-stream")

    async def _fail_download(self, request: web.Request, failure: Failure) -> web.StreamResponse:
        refusal = failure.error()
        if refusal is not None:
            return _refuse(refusal)
        if failure.kind == "page":
            return _page()
        if failure.kind == "timeout":
            await self._hang()
        if failure.kind == "cut":  # a part of the content, then nothing
            response = web.StreamResponse(headers={"Content-Length": "1000000"})
            await response.prepare(request)
            await response.write(b"torn")
        return _cut(request)


class _Dropped(Exception):
    """The connection is to end before anything was accepted."""


def _page() -> web.Response:
    return web.Response(text="<!DOCTYPE html><title>Proxy</title>Please sign in", content_type="text/html")


def _refuse(refusal: ApiError) -> web.Response:
    return web.json_response(refusal.body(), status=refusal.code)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # nobody gets it


def _seen(params: Params, name: str) -> Any:
    """As a reader of the journal wants it: objects, not their JSON."""
    value = params.values[name]
    if isinstance(value, str) and value[:1] in ("[", "{") and name not in _TEXTS:
        try:
            return params.decoded(name)
        except ApiError:
            return value
    return value
