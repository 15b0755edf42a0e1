"""How far each conversation was read, so that what was said during an absence can be fetched afterwards.

Kept as the store's checkpoints, one for each conversation, written behind the events that they stand for. A bookmark
that is behind costs a few events that are recognised as known; one that is ahead would lose some, and never is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.slack.incoming import listing, mapping, order, stamp, text

#: The conversations that are followed, the most recent ones.
MAX_CHANNELS = 500
#: Threads that are followed in each: replies are not in a channel's history.
MAX_THREADS = 20
_INDEX = "slack:channels"


@dataclass
class Mark:
    """`first`: followed from here on. `ts`: the newest that was received. `gap`: what lies behind this ts has not been
    fetched yet; `next_gap`: nor behind this one, from an absence that began while the one before was looked after."""

    first: str
    ts: str
    gap: str | None = None
    next_gap: str | None = None
    threads: list[str] = field(default_factory=list)

    def value(self) -> dict[str, Any]:
        return {"first": self.first, "ts": self.ts, "gap": self.gap, "threads": self.threads}


class Bookmarks:
    """Thread-safe. `load` gives a checkpoint's value, `save` commits one."""

    def __init__(self, load: Callable[[str], Any], save: Callable[[str, Any], None]) -> None:
        self._save = save
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._marks: OrderedDict[str, Mark] = OrderedDict()
        self._dirty: set[str] = set()
        self._index_dirty = False
        for channel in listing(load(_INDEX)):
            found = mapping(load(_name(text(channel))))
            first, ts = stamp(found.get("first")), stamp(found.get("ts"))
            if first and ts:
                threads = [root for root in listing(found.get("threads")) if stamp(root)]
                self._marks[text(channel)] = Mark(first, ts, stamp(found.get("gap")) or None, None, threads)

    def follow(self, channel: str, ts: str) -> None:
        """Begin with this conversation, unless it is followed already."""
        with self._lock:
            if channel not in self._marks:
                self._add(channel, ts)

    def see(self, channel: str, ts: str, thread: str | None, *, begin: bool) -> None:
        """Something was received. `begin`: follow the conversation, and the thread, from now on."""
        with self._lock:
            mark = self._marks.get(channel)
            if mark is None:
                if not begin:
                    return
                mark = self._add(channel, ts)
            if order(ts) > order(mark.ts):
                mark.ts = ts
            if thread and begin:
                self._follow_thread(mark, thread)
            self._marks.move_to_end(channel)
            self._dirty.add(channel)

    def wrote(self, channel: str, thread: str, ts: str) -> None:
        """The bot posted into a thread. That says nothing of what was received."""
        with self._lock:
            mark = self._marks.get(channel) or self._add(channel, ts)
            self._follow_thread(mark, thread)
            self._dirty.add(channel)

    def away(self) -> None:
        """The connection was gone: from each conversation's ts on something may be missing."""
        with self._lock:
            for channel, mark in self._marks.items():
                if mark.gap is None:
                    mark.gap = mark.ts
                    self._dirty.add(channel)
                elif mark.next_gap is None:
                    mark.next_gap = mark.ts

    def gaps(self) -> list[tuple[str, Mark]]:
        """The conversations in which something may be missing, the most recent first."""
        with self._lock:
            found = [(c, replace(m, threads=list(m.threads))) for c, m in self._marks.items() if m.gap]
        return found[::-1]

    def filled(self, channel: str) -> None:
        """Nothing is missing there any more, of the absence that was looked after."""
        with self._lock:
            mark = self._marks.get(channel)
            if mark is not None:
                mark.gap, mark.next_gap = mark.next_gap, None
                self._dirty.add(channel)

    def flush(self) -> None:
        """Commit what changed."""
        with self._saving:
            with self._lock:
                values = {c: self._marks[c].value() for c in self._dirty if c in self._marks}
                index = list(self._marks) if self._index_dirty else None
                self._dirty.clear()
                self._index_dirty = False
            for channel, value in values.items():
                self._save(_name(channel), value)
            if index is not None:
                self._save(_INDEX, index)

    def _add(self, channel: str, ts: str) -> Mark:
        mark = self._marks[channel] = Mark(ts, ts)
        while len(self._marks) > MAX_CHANNELS:
            self._marks.popitem(last=False)
        self._dirty.add(channel)
        self._index_dirty = True
        return mark

    @staticmethod
    def _follow_thread(mark: Mark, thread: str) -> None:
        mark.threads = [*(root for root in mark.threads if root != thread), thread][-MAX_THREADS:]


def _name(channel: str) -> str:
    return f"slack:{channel}"
