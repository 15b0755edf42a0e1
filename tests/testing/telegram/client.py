"""python-telegram-bot against the fake: unchanged, in a loop in a thread, so that tests read from top to bottom."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import httpx
import telegram
from telegram.request import HTTPXRequest

from connectors.testing.telegram import FakeTelegram

T = TypeVar("T")


def _request() -> HTTPXRequest:
    """There is no TLS: loading certificates would be most of a test's time."""
    return HTTPXRequest(read_timeout=10, connection_pool_size=8, httpx_kwargs={"verify": False})


class Client:
    """`bot` is a telegram.Bot; `do` waits for what it does, `later` does not."""

    def __init__(self, fake: FakeTelegram, token: str | None = None) -> None:
        self.fake = fake
        self.bot = telegram.Bot(
            token or fake.token,
            base_url=fake.base_url,
            base_file_url=fake.base_file_url,
            request=_request(),
            get_updates_request=_request(),
        )
        self._http = httpx.Client(timeout=10, verify=False)  # noqa: S501 - as below
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._http.close()

    async def _shutdown(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for request in self.bot._request:
            await request.shutdown()

    def do(self, doing: Coroutine[Any, Any, T]) -> T:
        """What it gives, or what it raises."""
        return self.later(doing).result(20)

    def later(self, doing: Coroutine[Any, Any, T]) -> "Future[T]":
        """It goes on while the test does."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop)

    def raw(self, method: str, **how: Any) -> httpx.Response:
        """A call without the SDK."""
        verb = how.pop("verb", "POST")
        return self._http.request(verb, f"{self.fake.base_url}{self.fake.token}/{method}", **how)

    def refusal(self, method: str, **params: Any) -> tuple[int, str]:
        """Code and description of the refusal of a call."""
        answer = self.raw(method, json=params).json()
        assert answer["ok"] is False
        return answer["error_code"], answer["description"]
