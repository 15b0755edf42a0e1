"""Files fetched in a few threads, none of which can be stopped from outside: a server that hangs costs a thread, never
the others' time.

A thread in which nothing moves for some seconds no longer counts, and another one takes its place; of those there are
a bounded number. A batch is over when its last file is there or has failed, or at its time limit, whichever is first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connectors.base.connector import Connector
from connectors.base.held import to_fetch
from connectors.base.retry import Backoff
from connectors.parts.fetching import Fetcher, FetchLater

#: A download without a byte for so long (or a quarter of the time limit) gets company; its own end is the limit.
STALL_S = 3.0
#: So many threads may hang besides those that work.
MAX_STALLED = 8
#: After a close, for who is about to end; who hangs is not waited for longer.
_CLOSE_S = 0.5


@dataclass(eq=False)
class File:
    """One entry that is to be fetched."""

    index: int
    due: float = 0.0
    tries: int = 0
    note: str = ""  # why the last try failed for now
    moved_at: float | None = None  # when the last bytes came; None while nobody fetches it
    stalled: bool = False


@dataclass(eq=False)
class Batch:
    """The files of one event. `entries` change as the files come; read them when it is `over`.

    `later` are those entries that failed for now and may be had another time.
    """

    entries: list[dict[str, Any]]
    until: float
    patient: bool = True  # what fails for now is tried again within the limit
    over: bool = False
    later: set[int] = field(default_factory=set)
    files: list[File] = field(default_factory=list)


class Pool:
    """The threads. `changed` guards everything, and tells of batches that are over; somebody has to call `tend`."""

    def __init__(self, connector: Connector, fetcher: Fetcher, *, timeout_s: float, workers: int) -> None:
        self.changed = threading.Condition()
        self._connector = connector
        self._fetcher = fetcher
        self._timeout_s = timeout_s
        self._stall_s = min(STALL_S, timeout_s / 4)
        self._workers = workers
        self._backoff = Backoff(0.5, 10.0)
        self._batches: list[Batch] = []
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stalled = 0
        self._closed = False

    # ── with `changed` held ───────────────────────────────────────────────────────────────────────────────────

    def add(self, batch: Batch) -> None:
        """Fetch what `to_fetch` says. A file whose entry announces too many bytes fails at once."""
        for index, entry in enumerate(batch.entries):
            if not to_fetch(entry):
                continue
            refusal = self._fetcher.refusal(entry)
            if refusal is not None:
                entry["error"] = refusal
            else:
                batch.files.append(File(index))
        self._batches.append(batch)
        self._end_if_done(batch)
        self._hire()
        self.changed.notify_all()

    def expire(self, batch: Batch, why: str) -> None:
        """End it now; what is missing becomes a placeholder."""
        for file in batch.files:
            note = f": {file.note}" if file.note else ""
            batch.entries[file.index]["error"] = f"{why}{note}"
            batch.later.add(file.index)
            self._give_up_on(file)
        batch.files.clear()
        self._end_if_done(batch)

    def tend(self, now: float) -> float | None:
        """Look for time limits and for threads that hang; returns when to look again, None: when `changed` says so."""
        for batch in [batch for batch in self._batches if batch.until <= now]:
            self.expire(batch, f"not fetched within {self._timeout_s:g} s")
        times = [batch.until for batch in self._batches]
        for batch in self._batches:
            for file in batch.files:
                moved_at = file.moved_at if file.moved_at is not None else max(now, file.due)
                if moved_at + self._stall_s > now:
                    times.append(moved_at + self._stall_s)
                else:
                    self._give_up_on(file)
        self._hire()
        return min(times, default=None)

    def _give_up_on(self, file: File) -> None:
        """The thread that fetches it, if one does, counts no more: it comes back when it can."""
        if file.moved_at is not None and not file.stalled:
            file.stalled = True
            self._stalled += 1
            if self._stalled == MAX_STALLED:
                self._connector.logger.warning("%d downloads hang; files that come now may not be fetched", MAX_STALLED)

    def _hire(self) -> None:
        """As many threads as there is work for, within the bounds."""
        waiting = sum(file.moved_at is None for batch in self._batches for file in batch.files)
        for _ in range(waiting - self._idle):
            if self._ended or len(self._threads) - min(self._stalled, MAX_STALLED) >= self._workers:
                return
            thread = threading.Thread(target=self._work, name="download", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the machine has no more threads: those that there are do it, or the limit
                self._connector.logger.warning("downloads: %s", error)
                return
            self._threads.append(thread)

    def _end_if_done(self, batch: Batch) -> None:
        if not batch.files and not batch.over:
            batch.over = True
            self._batches.remove(batch)
            self.changed.notify_all()

    def _next(self) -> tuple[Batch, File] | float | None:
        """The oldest file that is due; else when the next one is."""
        now, times = time.monotonic(), []
        for batch in self._batches:
            for file in batch.files:
                if file.moved_at is not None:
                    continue
                if file.due <= now:
                    return batch, file
                times.append(file.due)
        return min(times, default=None)

    # ── the threads ───────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """After a `close`, or before the first file."""
        with self.changed:
            self._closed = False

    def forget(self) -> None:
        """What was not fetched is nobody's business any more."""
        for batch in list(self._batches):
            self.expire(batch, "not fetched: the connector was stopped")

    def close(self) -> None:
        """Begin nothing more; safe twice. Threads that hang are left behind, they end with the process."""
        with self.changed:
            self._closed = True
            threads = list(self._threads)
            self.changed.notify_all()
        end = time.monotonic() + _CLOSE_S
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self.changed:
                found = self._next()
                while not isinstance(found, tuple):
                    if self._ended:
                        return self._leave()
                    self._idle += 1
                    self.changed.wait(None if found is None else max(0.0, found - time.monotonic()))
                    self._idle -= 1
                    found = self._next()
                if self._ended:
                    return self._leave()
                batch, file = found
                file.moved_at, file.tries = time.monotonic(), file.tries + 1
                entry = dict(batch.entries[file.index])
            change = self._fetcher.get(entry, partial(self._wanted, batch, file))
            with self.changed:
                self._enter(batch, file, change)
                file.moved_at = None
                if file.stalled:
                    file.stalled = False
                    self._stalled -= 1
                    if len(self._threads) - self._stalled > self._workers:
                        return self._leave()

    @property
    def _ended(self) -> bool:
        return self._closed or self._connector.wait(0)

    def _wanted(self, batch: Batch, file: File) -> bool:
        file.moved_at = time.monotonic()
        return not (batch.over or self._ended)

    def _leave(self) -> None:
        self._threads.remove(threading.current_thread())

    def _enter(self, batch: Batch, file: File, change: dict[str, Any] | FetchLater | None) -> None:
        """What came of a try goes into the entry; nothing when the batch ended meanwhile."""
        if file not in batch.files or change is None:
            return
        entry = batch.entries[file.index]
        if isinstance(change, FetchLater):
            file.note = str(change)
            wait_s = change.after_s if change.after_s is not None else self._backoff.wait_s(file.tries)
            file.due = time.monotonic() + wait_s
            if batch.patient and file.due < batch.until:
                self.changed.notify_all()
                return
            change = {"error": file.note}
            batch.later.add(file.index)
        entry.update(change)
        batch.files.remove(file)
        self._end_if_done(batch)


def missing(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that have no file: {name, error} each."""
    return [{"name": entry.get("name"), "error": entry.get("error")} for entry in entries if not entry.get("path")]
