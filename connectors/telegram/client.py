"""The only module that knows the SDK: python-telegram-bot, its event loop in a thread, its errors as the project's.

Updates and answers are the Bot API's own objects, as dictionaries: the SDK's classes drop what they do not know.
Requests for updates and all others have pools of their own: neither waits for a connection of the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from typing import Any, cast

import httpx
from telegram import Bot, InputFile
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from connectors.base.errors import ConfigError, ConnectorError, RetryLater
from connectors.base.secrets import MASK
from connectors.telegram.faults import Stalled, fault_of
from connectors.telegram.filehost import CONNECT_S, FileHost
from connectors.telegram.media import Out
from connectors.telegram.options import TelegramOptions

#: httpx logs every address, and the token is in each (https://core.telegram.org/bots/api#authorizing-your-bot).
_TALKATIVE = ("httpx", "httpcore", "telegram")


class Client:
    """One bot. Every method may be called from any thread; none may be called in the loop's own."""

    def __init__(self, options: TelegramOptions, logger: logging.Logger) -> None:
        self._options = options
        self._token = options.token.reveal()
        self._logger = logger
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="telegram", daemon=True)
        self._polling: Future[Any] | None = None
        self._closed = self._interrupted = False
        self._known = False  # the token was accepted
        self._tls = httpx.create_ssl_context()
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            self._bot, self._poller = self._build(options.timeout_s), self._build(self._poll_s)
            self.files = FileHost(options, self._tls)
        except Exception as error:
            self._loop.close()
            scrub(error, self._token)
            raise ConfigError(f"no client for Telegram: {error}", hint="see the options proxy and base_url") from error
        self._thread.start()

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, method: str, *, files: Mapping[str, Out] | None = None, **parameters: Any) -> Any:
        """The call's `result`. Raises Rejected, AuthError, RetryLater and the classes of `faults`."""
        limit_s = self._options.upload_timeout_s if files else 3 * self._options.timeout_s
        return self._await(self._call(method, parameters, files or {}, limit_s), method)

    def later(self, method: str, **parameters: Any) -> None:
        """A call whose outcome nobody waits for; a failure is logged."""
        if self._closed:
            return
        future = asyncio.run_coroutine_threadsafe(self._call(method, parameters, {}, 60.0), self._loop)
        future.add_done_callback(lambda done: self._told(method, done))

    def poll(self, offset: int | None, allowed: Sequence[str], timeout_s: int) -> list[dict[str, Any]]:
        """The next updates. Raises Stalled when no answer came in time; `renew` is the remedy."""
        parameters: dict[str, Any] = {"timeout": timeout_s, "allowed_updates": list(allowed)}
        if offset is not None:
            parameters["offset"] = offset
        limit_s = timeout_s + self._options.stall_s
        future = self._submit(self._poll(parameters, limit_s))
        self._polling = future
        if self._interrupted:  # while this one began
            future.cancel()
        return cast(list[dict[str, Any]], self._result(future, "getUpdates"))

    def renew(self) -> None:
        """New connections for `poll`; sends have theirs and go on."""
        self._submit(self._renew()).result()

    def interrupt(self) -> None:
        """End the `poll` that is under way in another thread, and each that begins after this."""
        self._interrupted = True
        polling = self._polling
        if polling is not None:
            polling.cancel()

    def close(self) -> None:
        """End everything; safe twice."""
        if self._closed:
            return
        self._closed = True
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            self._thread.join(5.0)
        self.files.close()
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()

    # ── in the loop ───────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _build(self, read_s: float) -> _Bot:
        """A bot with connections of its own."""
        options = self._options
        request = _Request(
            connection_pool_size=16,
            connect_timeout=CONNECT_S,
            read_timeout=read_s,
            write_timeout=options.timeout_s,
            pool_timeout=options.timeout_s,
            media_write_timeout=options.upload_timeout_s,
            proxy=options.proxy,
            httpx_kwargs={"verify": self._tls},
        )
        return _Bot(
            token=self._token,
            base_url=options.base_url,
            base_file_url=options.file_url,
            get_updates_request=request,
            request=request,
            local_mode=options.local_mode,
        )

    @property
    def _poll_s(self) -> float:
        """When a request for updates has stalled."""
        return self._options.poll_timeout_s + self._options.stall_s

    async def _call(self, method: str, parameters: Mapping[str, Any], files: Mapping[str, Out], limit_s: float) -> Any:
        with ExitStack() as stack:
            data: dict[str, Any] = dict(parameters)
            for name, upload in files.items():
                handle = stack.enter_context(upload.path.open("rb"))
                data[name] = InputFile(handle, filename=upload.name, read_file_handle=False)
            read_s = self._options.upload_timeout_s if files else self._options.timeout_s
            return await asyncio.wait_for(self._bot.ask(method, data, read_s), limit_s)

    async def _poll(self, parameters: dict[str, Any], limit_s: float) -> Any:
        try:
            return await asyncio.wait_for(self._poller.ask("getUpdates", parameters, limit_s), limit_s)
        except TimeoutError as error:
            raise Stalled(f"no answer to getUpdates within {limit_s:g} s") from error

    async def _renew(self) -> None:
        old, self._poller = self._poller, self._build(self._poll_s)
        await _close(old)

    async def _end(self) -> None:
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.gather(_close(self._bot), _close(self._poller))
        self._loop.stop()

    # ── between the threads ───────────────────────────────────────────────────────────────────────────────────

    def _submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        if self._closed:
            coroutine.close()
            raise RetryLater("the connector was stopped")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _await(self, coroutine: Coroutine[Any, Any, Any], method: str) -> Any:
        return self._result(self._submit(coroutine), method)

    def _result(self, future: Future[Any], method: str) -> Any:
        try:
            result = future.result()
        except CancelledError as error:
            raise RetryLater("the connector was stopped", ambiguous=True) from error
        except Stalled:
            raise
        except (TelegramError, httpx.HTTPError, OSError) as error:
            raise self._error(error, method) from error
        self._known = True
        return result

    def _told(self, method: str, done: Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception):
            self._logger.warning("%s: %s", method, self._error(error, method))

    def _error(self, error: Exception, method: str) -> ConnectorError:
        """What it means here. The error itself is kept as the cause, without the token."""
        scrub(error, self._token)
        if isinstance(error, Refused):
            return fault_of(method, error.status, error.description, error.parameters, known=self._known)
        cause = error.__cause__ or error
        said = str(error) or type(error).__name__
        if isinstance(cause, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return ConfigError(f"base_url is no address: {cause}", hint="such as https://api.telegram.org/bot")
        # What did not get a connection cannot have arrived; of everything else only Telegram knows.
        before = httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
        if isinstance(cause, before):
            return RetryLater(f"Telegram is not reachable: {said}")
        return RetryLater(f"{method}: no answer: {said}", ambiguous=True)


class Refused(TelegramError):
    """An answer that is no success: the HTTP status, the Bot API's description and parameters."""

    def __init__(self, status: int, payload: bytes) -> None:
        try:
            answer = json.loads(payload)
        except ValueError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        parameters = answer.get("parameters")
        self.status = status
        self.description = str(answer.get("description") or "")
        self.parameters: dict[str, Any] = parameters if isinstance(parameters, dict) else {}
        super().__init__(self.description or f"HTTP {status}")


class _Bot(Bot):
    """The SDK's bot, asked for the Bot API's own objects."""

    async def ask(self, method: str, parameters: Mapping[str, Any], read_s: float) -> Any:
        """The `result` of a call. Values are texts, numbers, files, or what becomes JSON."""
        data = {name: _plain(value) for name, value in parameters.items() if value is not None}
        return await self._post(method, data, read_timeout=read_s)

    def _insert_defaults(self, data: dict[str, object]) -> None:
        """There are none; the SDK would look for its own objects in what is JSON already."""


class _Request(HTTPXRequest):
    """The SDK's requests. Its own errors tell neither 401 from 404 nor a refusal from an outage; these do."""

    async def do_request(self, *args: Any, **named: Any) -> tuple[int, bytes]:
        status, payload = await super().do_request(*args, **named)
        if not 200 <= status < 300:
            raise Refused(status, payload)
        return status, payload


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | InputFile) else json.dumps(value)


def scrub(error: BaseException | None, token: str) -> None:
    """Take the token out of an error and its causes: the SDK puts it into some (InvalidToken)."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(arg.replace(token, MASK) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, TelegramError):
            error.message = error.message.replace(token, MASK)
        error = error.__cause__ or error.__context__


async def _close(bot: Bot) -> None:
    """A connection that hangs may hang here too."""
    # Bot.shutdown does nothing without Bot.initialize, which would call getMe once more.
    with suppress(Exception):  # nobody is left who could use it
        await asyncio.wait_for(bot.request.shutdown(), 2.0)
