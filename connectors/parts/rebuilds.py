"""How often a connection may be made anew: a platform counts them, and a loop of rebuilds must not use them up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_HOUR_S = 3600.0


class Rebuilds:
    """At most `per_hour` in any 60 minutes. Thread-safe; `clock` gives seconds that never go back."""

    def __init__(self, per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        if per_hour < 1:
            raise ValueError(f"per_hour is {per_hour}; 1 or more is needed")
        self._times: deque[float] = deque(maxlen=per_hour)
        self._clock = clock
        self._lock = threading.Lock()

    def allowed(self) -> bool:
        """Whether one more may be made now."""
        return self.wait_s() == 0

    def note(self) -> None:
        """One is made now."""
        with self._lock:
            self._times.append(self._clock())

    def wait_s(self) -> float:
        """In how many seconds the next one is allowed; 0.0: now."""
        with self._lock:
            if len(self._times) < (self._times.maxlen or 0):
                return 0.0
            return max(0.0, self._times[0] + _HOUR_S - self._clock())
