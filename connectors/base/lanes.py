"""Which outgoing is next: order within a conversation, and no conversation waits for another."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from connectors.base.errors import BadMessage
from connectors.base.message import OutgoingMessage


@dataclass(slots=True)
class Item:
    """A claimed outgoing. `due` is on the monotonic clock (0: at once); `seq` is its place in the order of arrival.

    `known`: what was read at the claim, with the file's identity then. `error`: why it was judged to be no outgoing.
    `end`: it is ended by this, which could not be done yet.
    """

    key: str
    file: str
    lane: str
    seq: int
    due: float = 0.0
    known: tuple[OutgoingMessage, tuple[int, int, int]] | None = None
    error: BadMessage | None = None
    end: Callable[[], None] | None = None


class Lanes:
    """One queue a conversation; the head that is due and came first is next. The caller brings the time and a lock."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Item]] = {}
        self._ready: list[tuple[int, str]] = []
        self._waiting: list[tuple[float, int, str]] = []
        self._busy: set[str] = set()
        self._asleep: set[str] = set()
        self._count = 0
        self._sleeping = 0

    def __len__(self) -> int:
        """How many are queued, those in hand included."""
        return self._count

    def add(self, item: Item) -> None:
        """Behind the others of its conversation. Items come in order of `seq`."""
        self._count += 1
        lane = self._lanes.setdefault(item.lane, deque())
        lane.append(item)
        self._sleeping += item.lane in self._asleep
        if len(lane) == 1 and item.lane not in self._busy:
            self._schedule(item)

    def take(self, now: float) -> Item | None:
        """The next one that is due; its conversation is busy until `done` or `put_back`."""
        while self._waiting and self._waiting[0][0] <= now:
            _, seq, lane = heapq.heappop(self._waiting)
            heapq.heappush(self._ready, (seq, lane))
            self._asleep.discard(lane)
            self._sleeping -= len(self._lanes[lane])
        if not self._ready:
            return None
        _, lane = heapq.heappop(self._ready)
        self._busy.add(lane)
        return self._lanes[lane][0]

    def done(self, item: Item) -> None:
        """It has ended."""
        lane = self._lanes[item.lane]
        lane.popleft()
        self._count -= 1
        self._busy.discard(item.lane)
        if lane:
            self._schedule(lane[0])
        else:
            del self._lanes[item.lane]

    def put_back(self, item: Item, due: float) -> None:
        """It stays at the head of its conversation, and is next tried at `due`."""
        item.due = due
        self._busy.discard(item.lane)
        self._schedule(item)

    def hurry(self, only: str | None = None) -> None:
        """All that wait are due now, or those of one conversation."""
        self._waiting = [(0.0 if only in (None, lane) else due, seq, lane) for due, seq, lane in self._waiting]
        heapq.heapify(self._waiting)

    def next_due(self) -> float | None:
        """When the next waiting one is due; None when none waits. Those that are due already do not count."""
        return self._waiting[0][0] if self._waiting else None

    def runnable(self) -> int:
        """How many conversations could send now."""
        return len(self._ready)

    def sendable(self) -> int:
        """How many items are in conversations that do not wait."""
        return self._count - self._sleeping

    def _schedule(self, item: Item) -> None:
        if item.due:
            heapq.heappush(self._waiting, (item.due, item.seq, item.lane))
            self._asleep.add(item.lane)
            self._sleeping += len(self._lanes[item.lane])
        else:
            heapq.heappush(self._ready, (item.seq, item.lane))
