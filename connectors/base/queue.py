"""All that is claimed and not ended, in its lanes: `lanes.Lanes` with the time and a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from connectors.base.errors import BadMessage
from connectors.base.lanes import Item, Lanes
from connectors.base.message import OutgoingMessage


class Queue:
    """Thread-safe. What is added came after all that was added before."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lanes = Lanes()
        self._keys: set[str] = set()
        self._seq = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def keys(self) -> frozenset[str]:
        """The claims that are in here."""
        with self._lock:
            return frozenset(self._keys)

    def add(
        self,
        key: str,
        file: str,
        lane: str,
        *,
        wait_s: float = 0.0,
        known: tuple[OutgoingMessage, tuple[int, int, int]] | None = None,
        error: BadMessage | None = None,
        end: Callable[[], None] | None = None,
    ) -> None:
        """See `Item` for what is told of it."""
        with self._lock:
            self._seq += 1
            self._keys.add(key)
            due = self._monotonic() + wait_s if wait_s > 0 else 0.0
            self._lanes.add(Item(key, file, lane, self._seq, due, known, error, end))

    def take(self) -> Item | None:
        """The next one that is due; then it is the caller's until `done` or `wait`."""
        with self._lock:
            return self._lanes.take(self._monotonic())

    def done(self, item: Item) -> None:
        """It has ended."""
        with self._lock:
            self._keys.discard(item.key)
            self._lanes.done(item)

    def wait(self, item: Item, wait_s: float) -> None:
        """It stays at the head of its conversation, and is next tried in so many seconds."""
        with self._lock:
            self._lanes.put_back(item, self._monotonic() + max(wait_s, 0.0))

    def hurry(self, lane: str | None = None) -> None:
        """All that wait are due now, or those of one lane."""
        with self._lock:
            self._lanes.hurry(lane)

    def runnable(self) -> int:
        """How many conversations could send now."""
        with self._lock:
            return self._lanes.runnable()

    def sendable(self) -> int:
        """How many items are in conversations that do not wait."""
        with self._lock:
            return self._lanes.sendable()

    def next_due_s(self) -> float | None:
        """In how many seconds the next waiting one is due; None when none waits."""
        with self._lock:
            due = self._lanes.next_due()
        return None if due is None else max(0.0, due - self._monotonic())


def apart(key: str) -> str:
    """The lane of an outgoing that keeps no order with others."""
    return f"\0{key}"
