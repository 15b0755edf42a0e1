"""Group commit: events of many requests become durable together, in one batch after the other.

A batch costs little more than a single event, and while one is being written the next one gathers. A lone event is
written at once; after a batch those who were in it are given a moment to send their next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import RetryLater

#: Events in one batch; what is more waits for the next.
_BATCH = 256
#: After a batch of several: so long the next one gathers, or until it has half as many.
_GATHER_S = 0.003


class Busy(Exception):
    """Nothing is acknowledged: the disk or the inbox is full, or the connector is stopping. Try again later."""


@dataclass(frozen=True)
class _Waiting:
    messages: Sequence[Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Committer:
    """Writes in a thread of its own. `patience_s`: so long an event may take before its sender is told to try again.

    `write` makes a batch durable; by default a batch is of messages, for the inbox.
    """

    def __init__(
        self,
        connector: Connector,
        write: Callable[[Sequence[Any]], object] | None = None,
        *,
        patience_s: float = 5.0,
        max_waiting: int = 2000,
    ) -> None:
        self._connector = connector
        self._write_batch = write or connector.write_all_to_inbox
        self._patience_s = patience_s
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._writing_since: float | None = None
        self._wanted = 1
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; safe twice."""
        with self._changed:
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._write_all, name="committer", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is queued, then end; safe twice. After a stop nothing waits for room any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    @property
    def stuck(self) -> bool:
        """Whether writing has been under way for longer than anybody should wait: there is no room."""
        since = self._writing_since
        return since is not None and time.monotonic() - since > self._patience_s

    async def commit(self, messages: Sequence[Any]) -> None:
        """Returns when they are durable. Raises Busy; what was being written then may still become durable, and the
        sender's second try has the same id."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(messages, loop, loop.create_future())
        with self._changed:
            if self._closed or self.stuck or len(self._queue) >= self._max_waiting:
                raise Busy
            self._queue.append(waiting)
            if len(self._queue) == self._wanted:
                self._changed.notify()
        try:
            async with asyncio.timeout(self._patience_s):
                await waiting.done
        except TimeoutError:
            with self._changed:
                if waiting in self._queue:
                    self._queue.remove(waiting)
            raise Busy from None

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._writing_since = None
                if self._wanted > 1:
                    self._changed.wait_for(lambda: len(self._queue) >= self._wanted or self._closed, _GATHER_S)
                    self._wanted = 1
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                batch = [self._queue.popleft()]
                count = len(batch[0].messages)
                while self._queue and count + len(self._queue[0].messages) <= _BATCH:
                    batch.append(self._queue.popleft())
                    count += len(batch[-1].messages)
                self._writing_since = time.monotonic()
                self._wanted = max(1, len(batch) // 2)
            self._tell(self._write(batch))

    def _write(self, batch: Sequence[_Waiting]) -> list[tuple[_Waiting, Exception | None]]:
        try:
            self._write_batch([message for waiting in batch for message in waiting.messages])
        except RetryLater:
            return [(waiting, Busy()) for waiting in batch]
        except Exception as error:
            if len(batch) > 1:  # one that cannot be written must not take the others with it
                return [told for waiting in batch for told in self._write([waiting])]
            self._connector.logger.exception("an event could not be written")
            return [(batch[0], error)]
        return [(waiting, None) for waiting in batch]

    @staticmethod
    def _tell(results: Sequence[tuple[_Waiting, Exception | None]]) -> None:
        """One wake-up of the loop for a whole batch."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}
        for waiting, error in results:
            by_loop.setdefault(waiting.loop, []).append((waiting.done, error))
        for loop, ends in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, ends)
            except RuntimeError:
                return  # the loop ended; its requests got no answer, and will be repeated


def _resolve(ends: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, error in ends:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
