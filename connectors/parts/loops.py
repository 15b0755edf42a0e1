"""Bots that answer each other: how much of one bot is let in."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

#: So many events of one bot in one conversation, within so many seconds.
EVENTS = 20
WINDOW_S = 60.0
_MOST_KEYS = 1000  # the least recent one is forgotten


class LoopCap:
    """At most `EVENTS` within `WINDOW_S` for each (conversation, bot), in a sliding window. Threads may share it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def take(self, key: tuple[str, str]) -> bool:
        """Whether one more fits; it is then counted."""
        now = self._monotonic()
        with self._lock:
            times = self._times.setdefault(key, deque())
            self._times.move_to_end(key)
            if len(self._times) > _MOST_KEYS:
                self._times.popitem(last=False)
            while times and now - times[0] >= WINDOW_S:
                times.popleft()
            if len(times) >= EVENTS:
                return False
            times.append(now)
            return True
