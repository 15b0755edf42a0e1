"""Waiting for something to appear in the inbox."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from connectors.base.home import Home

if TYPE_CHECKING:
    from connectors.base.watch import Watch


class Arrivals:
    """Counts hints that the inbox has news. A hint is never the truth: `wait` also ends after a while without one."""

    def __init__(self, home: Home, logger: logging.Logger) -> None:
        self._home = home
        self._logger = logger
        self._news = threading.Condition()
        self._mutex = threading.Lock()
        self._watch: Watch | None = None
        self._closed = False
        #: How many hints there were. Read it before a look at the inbox, and hand it to the `wait` after that look.
        self.count = 0

    def start(self) -> None:
        """Begin to watch; safe twice."""
        from connectors.base.watch import Watch

        with self._mutex:
            if self._watch is None:
                self._home.make(self._home.inbox)
                self._watch = Watch([self._home.inbox], self._ring, logger=self._logger)
                self._watch.start()

    def wait(self, since: int, timeout_s: float, look_s: float) -> bool:
        """Wait for a hint after `since`, `look_s` seconds at most. False when `timeout_s` is over, or on close."""
        with self._news:
            came = self._news.wait_for(lambda: self._closed or self.count != since, max(0.0, min(timeout_s, look_s)))
            return not self._closed and (came or look_s < timeout_s)

    def changed_at(self) -> int:
        """When the inbox changed last, in ns; 0 when there is none."""
        try:
            return self._home.inbox.stat().st_mtime_ns
        except OSError:
            return 0

    def close(self) -> None:
        """End every wait. Safe twice."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        with self._mutex:
            if self._watch is not None:
                self._watch.stop()

    def _ring(self) -> None:
        with self._news:
            self.count += 1
            self._news.notify_all()
