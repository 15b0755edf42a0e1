"""Back-pressure: while there is no room for an event it waits, the state says so, and it goes on by itself.

There is none while too many events wait in the inbox, while less than `limits.min_free_bytes` is free, and while
something else is in the way of writing (`obstacle`).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from connectors.base.errors import RetryLater
from connectors.base.home import Home
from connectors.base.obstacle import obstacle
from connectors.base.pause import LOOK_AGAIN_S
from connectors.base.readers import consumer_folders, event_names
from connectors.base.settings import Limits

#: Other instances fill the same inbox: its events are counted at least this often.
RECOUNT_S = 30.0


class Room:
    """Lets work be done when there is room for it. The caller holds `lock`, which is free during every wait: an
    event that is exempt must not wait behind one that is not."""

    def __init__(
        self,
        home: Home,
        name: str,
        limits: Limits,
        lock: threading.Lock,
        *,
        stop: threading.Event,
        on_pressure: Callable[[str | None], None],
        before_wait: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._home = home
        self._state = home.state_dir(name)
        self._limits = limits
        self._lock = lock
        self._stop = stop
        self._on_pressure = on_pressure
        self._before_wait = before_wait
        self._logger = logger
        self._pressure: str | None = None
        self._waiting = 0
        self._left = 0
        self._recount_at = 0.0

    def insist(self, work: Callable[[], None]) -> None:
        """Do repeatable `work`, whatever the limits are, waiting while something is in the way.

        Raises RetryLater when stopped meanwhile, as `attempt` does.
        """
        while not self.attempt(work):
            pass

    def attempt(self, work: Callable[[], None], *, events: int = 0, exempt: bool = True) -> bool:
        """Do `work` if there is room for so many events (always if it is `exempt` from the limits).

        False after a wait because there was none: look at everything anew.
        """
        reason = None if exempt else self._exceeded(events)
        if reason is None:
            try:
                work()
            except (OSError, sqlite3.OperationalError) as error:
                found = obstacle(error, self._state)
                if found is None:
                    raise
                reason = str(found)
            else:
                if not self._waiting:
                    self._say(None)
                return True
        self._wait(reason)
        return False

    def taken(self, events: int) -> None:
        """So many are in the inbox now."""
        self._left -= events

    def _wait(self, reason: str) -> None:
        self._say(reason)
        self._before_wait()
        self._waiting += 1
        self._lock.release()
        try:
            stopped = self._stop.wait(LOOK_AGAIN_S)
        finally:
            self._lock.acquire()
            self._waiting -= 1
        if stopped:
            raise RetryLater(f"stopped while {reason}: nothing was accepted")

    def _exceeded(self, events: int) -> str | None:
        free = _free_bytes(self._home.inbox)
        if free < self._limits.min_free_bytes:
            return f"only {free} bytes are free; limits.min_free_bytes is {self._limits.min_free_bytes}"
        now = time.monotonic()
        if self._left < events or now >= self._recount_at or self._pressure is not None:
            folders = (self._home.inbox, *consumer_folders(self._home))
            waiting = sum(len(event_names(folder)) for folder in folders)
            # Look again after using up half of the room.
            self._left = (self._limits.inbox_max_files - waiting + 1) // 2
            self._recount_at = now + RECOUNT_S
            if waiting + max(events, 1) > self._limits.inbox_max_files and waiting > 0:
                return f"{waiting} events wait in the inbox; limits.inbox_max_files is {self._limits.inbox_max_files}"
            self._left = max(self._left, events)
        return None

    def _say(self, reason: str | None) -> None:
        if (reason is None) != (self._pressure is None):
            if reason is None:
                self._logger.info("there is room again; receiving goes on")
            else:
                self._logger.warning("receiving is paused: %s", reason)
            self._on_pressure(reason)
        self._pressure = reason


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
