"""What the store knows of events: which ones came, what they said, where their sources stand."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base.database import storable, transaction

_EVENT = "id, file, kind, conversation_id, thread_id, held, received_at, body"


@dataclass(frozen=True)
class EventRow:
    """A recorded event. `body` is the inbox file's content, until retention drops it.

    `held_s`: for how many seconds it may wait for its files, 0 when it waits for nothing.
    `origin` is the record of a source that it tells of, `digest` stands for that record's content then. They are
    written and not read back with the row: `newest_of` asks for them.
    """

    id: str
    file: str
    kind: str
    conversation_id: str
    thread_id: str | None
    held_s: float
    received_at: float
    body: bytes | None
    origin: str | None = None
    digest: str | None = None


class EventRows:
    """One half of a `Store`. `_in` commits with NORMAL: see there."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock, clock: Callable[[], float]) -> None:
        self._in = connection
        self._in_lock = lock
        self._clock = clock

    def known(self, ids: Sequence[str]) -> dict[str, str]:
        """{id: file} of those among `ids` that were recorded before."""
        found: dict[str, str] = {}
        with self._in_lock:
            for start in range(0, len(ids), 500):
                some = ids[start : start + 500]
                marks = ",".join("?" * len(some))
                found.update(self._in.execute(f"SELECT id, file FROM events WHERE id IN ({marks})", some))  # noqa: S608 - only our own names and marks
        return found

    def record_events(self, rows: Iterable[EventRow], checkpoint: tuple[str, Any] | None = None) -> None:
        """Record events, and a source's bookmark, in one transaction."""
        with self._in_lock, transaction(self._in):
            self._in.executemany(
                f"INSERT OR IGNORE INTO events ({_EVENT}, origin, digest) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - only our own names and marks
                [
                    storable(
                        (r.id, r.file, r.kind, r.conversation_id, r.thread_id, r.held_s, r.received_at, r.body,
                         r.origin, r.digest)
                    )
                    for r in rows
                ],
            )  # fmt: skip
            if checkpoint is not None:
                self._set_checkpoint(*checkpoint)

    def release(self, event_id: str, body: bytes) -> None:
        """A held event gets the content it is published with."""
        with self._in_lock, transaction(self._in):
            self._in.execute("UPDATE events SET held = 0, body = ? WHERE id = ?", (body, event_id))

    def renew(self, event_id: str, file: str, body: bytes) -> None:
        """A published event gets new content and the name under which that is published."""
        with self._in_lock, transaction(self._in):
            self._in.execute("UPDATE events SET file = ?, body = ? WHERE id = ?", (file, body, event_id))

    def event(self, event_id: str) -> EventRow | None:
        with self._in_lock:
            row = self._in.execute(f"SELECT {_EVENT} FROM events WHERE id = ?", storable((event_id,))).fetchone()  # noqa: S608 - only our own names and marks
        if row is None:
            return None
        return EventRow(*row)

    def newest_of(self, origins: Sequence[str]) -> dict[str, tuple[str, str]]:
        """{origin: (event id, digest)} of the newest event of each of these origins that had one."""
        found: dict[str, tuple[str, str]] = {}
        given = dict(zip(storable(origins), origins, strict=True))
        asked = list(given)
        with self._in_lock:
            for start in range(0, len(asked), 500):
                some = asked[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = self._in.execute(
                    f"SELECT origin, id, digest, max(seq) FROM events WHERE origin IN ({marks}) GROUP BY origin",  # noqa: S608 - only our own names and marks
                    some,
                )
                found.update({given[origin]: (event_id, digest or "") for origin, event_id, digest, _ in rows})
        return found

    def newest_event(self) -> EventRow | None:
        with self._in_lock:
            row = self._in.execute("SELECT id FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return self.event(row[0]) if row else None

    def forget_event(self, event_id: str) -> None:
        with self._in_lock, transaction(self._in):
            self._in.execute("DELETE FROM events WHERE id = ?", storable((event_id,)))

    def checkpoint(self, name: str) -> Any:
        """The bookmark that was committed last; None when there is none."""
        with self._in_lock:
            row = self._in.execute("SELECT value FROM checkpoints WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def checkpoints(self) -> dict[str, tuple[Any, float]]:
        """{name: (bookmark, when it was committed)}"""
        with self._in_lock:
            rows = self._in.execute("SELECT name, value, updated_at FROM checkpoints ORDER BY name").fetchall()
        return {name: (json.loads(value), at) for name, value, at in rows}

    def set_checkpoint(self, name: str, value: Any) -> None:
        with self._in_lock, transaction(self._in):
            self._set_checkpoint(name, value)

    def _set_checkpoint(self, name: str, value: Any) -> None:
        self._in.execute("INSERT OR REPLACE INTO checkpoints VALUES (?,?,?)", (name, json.dumps(value), self._clock()))

    def prune_events(self, *, keep_bodies: int, keep_ids: int, before: float) -> int:
        """Drop bodies beyond the newest `keep_bodies`, and ids beyond `keep_ids` that are older than `before`."""
        with self._in_lock, transaction(self._in):
            newest = self._in.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
            self._in.execute(
                "UPDATE events SET body = NULL WHERE body IS NOT NULL AND held = 0 AND (seq <= ? OR received_at < ?)",
                (newest - keep_bodies, before),
            )
            return self._in.execute(
                "DELETE FROM events WHERE seq <= ? AND received_at < ? AND held = 0", (newest - keep_ids, before)
            ).rowcount
