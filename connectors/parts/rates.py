"""How often something may be called: sliding windows by key and over all keys, and the waits that a platform asks for.

    rates = Rates(conversation=[(1, 1.0)], overall=[(30, 1.0)])
    wait_s = rates.acquire("C1")       # 0.0: the slot is taken, call now

Nothing here waits: a connector returns the seconds from `pace`, and the engine does other things meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

#: (count, seconds): so many calls in any stretch of so many seconds.
Window = tuple[int, float]

#: Keys that are idle are looked for when there are this many more than after the last look.
_SWEEP_EVERY = 256
#: Who was told to wait and has not come back this long after its time has given up.
_GIVEN_UP_S = 5.0


class Rates:
    """The calls of the last windows, by key. Thread-safe.

    Memory: for each key that was called within its longest window, as many times as the largest window counts.
    """

    def __init__(
        self,
        *,
        conversation: Sequence[Window] = (),
        overall: Sequence[Window] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = _checked(conversation)
        self._overall = _checked(overall)
        self._now = monotonic
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()
        self._penalties: dict[str, float] = {}
        self._penalty = 0.0
        self._waiting: dict[str, tuple[float, bool]] = {}  # key -> (until when, whether for the overall windows)
        self._kept = _Kept(self._windows)
        self._kept_of_all = _Kept(self._overall)
        self._sweep_at = _SWEEP_EVERY

    def wait_s(self, key: str, extra: Sequence[Window] = ()) -> float:
        """In how many seconds `key` may be called; 0.0: now. `extra`: more windows for this key, as in a group.

        Takes no slot: between threads that must not get the same one, use `acquire`.
        """
        with self._lock:
            return self._wait_s(key, _checked(extra), self._now())

    def acquire(self, key: str, extra: Sequence[Window] = ()) -> float:
        """`wait_s`, and `take` in the same moment when that is 0.0."""
        with self._lock:
            now = self._now()
            wait_s = self._wait_s(key, _checked(extra), now)
            if not wait_s:
                self._take(key, now)
            return wait_s

    def take(self, key: str | None) -> None:
        """A call is made now. None: one that counts for the overall windows alone."""
        with self._lock:
            self._take(key, self._now())

    def penalise(self, key: str | None, seconds: float) -> None:
        """The platform asks for a wait (Retry-After), for one key or, with None, for all. A shorter one changes
        nothing."""
        with self._lock:
            until = self._now() + seconds
            if key is None:
                self._penalty = max(self._penalty, until)
            else:
                self._penalties[key] = max(self._penalties.get(key, 0.0), until)
                self._sweep(self._now())

    def free(self, key: str) -> bool:
        """Whether a call that nobody needs (typing) may be made now: nobody waits, and a slot stays for who comes next.

        A window that has a single slot only has to be empty. Takes nothing: call `take(None)`, or `take(key)` where
        the platform counts such calls by conversation too.
        """
        with self._lock:
            now = self._now()
            if max(self._penalty, self._penalties.get(key, 0.0)) > now:
                return False
            for waiting, (until, overall) in list(self._waiting.items()):
                if now >= until + _GIVEN_UP_S:
                    del self._waiting[waiting]
                elif overall or waiting == key:
                    return False
            spared = [(max(1, count - 1), per_s) for count, per_s in self._windows]
            spared_of_all = [(max(1, count - 1), per_s) for count, per_s in self._overall]
            calls = self._calls.get(key, deque())
            return not (_wait_s(calls, spared, now) or _wait_s(self._all, spared_of_all, now))

    def __len__(self) -> int:
        """How many keys are remembered."""
        with self._lock:
            return len(self._calls.keys() | self._penalties.keys() | self._waiting.keys())

    def _wait_s(self, key: str, extra: Sequence[Window], now: float) -> float:
        self._kept.see(extra)
        calls = self._calls.get(key, deque())
        own_s = max(_wait_s(calls, (*self._windows, *extra), now), self._penalties.get(key, 0.0) - now)
        overall_s = max(_wait_s(self._all, self._overall, now), self._penalty - now)
        wait_s = max(own_s, overall_s, 0.0)
        if wait_s:
            self._waiting[key] = now + wait_s, overall_s > 0
            self._sweep(now)
        return wait_s

    def _take(self, key: str | None, now: float) -> None:
        self._kept_of_all.add(self._all, now)
        if key is None:
            return
        self._waiting.pop(key, None)
        self._kept.add(self._calls.setdefault(key, deque()), now)
        self._sweep(now)

    def _sweep(self, now: float) -> None:
        if len(self._calls) + len(self._penalties) + len(self._waiting) < self._sweep_at:
            return
        idle_since = now - self._kept.span_s
        self._calls = {key: calls for key, calls in self._calls.items() if calls and calls[-1] > idle_since}
        self._penalties = {key: until for key, until in self._penalties.items() if until > now}
        self._waiting = {key: found for key, found in self._waiting.items() if found[0] + _GIVEN_UP_S > now}
        self._sweep_at = len(self._calls) + len(self._penalties) + len(self._waiting) + _SWEEP_EVERY


class _Kept:
    """How many calls have to be remembered, and for how long, for the windows seen so far."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.count, self.span_s = 0, 0.0
        self.see(windows)

    def see(self, windows: Sequence[Window]) -> None:
        for count, per_s in windows:
            self.count, self.span_s = max(self.count, count), max(self.span_s, per_s)

    def add(self, calls: deque[float], now: float) -> None:
        calls.append(now)
        while len(calls) > self.count:
            calls.popleft()


def _wait_s(calls: deque[float], windows: Sequence[Window], now: float) -> float:
    """Until the n-th last call has left each window of n."""
    waits = (calls[-count] + per_s - now for count, per_s in windows if len(calls) >= count)
    return max(0.0, max(waits, default=0.0))


def _checked(windows: Sequence[Window]) -> tuple[Window, ...]:
    for count, per_s in windows:
        if count < 1 or per_s <= 0:
            raise ValueError(f"a window is (1 or more calls, more than 0 seconds), not {(count, per_s)}")
    return tuple(windows)
