"""Which event was the first of those that a route counts as the same."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS firsts (
    route TEXT NOT NULL, key TEXT NOT NULL, event TEXT NOT NULL, at REAL NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (route, key)) WITHOUT ROWID;
"""


class Firsts:
    """A private SQLite file. Not thread-safe. `clock` gives seconds since 1970."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Durable when it says so: an event that was called the first must still be it after a power cut.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._clock = clock

    def first(self, route: str, key: str, event_id: str, window_s: float) -> str:
        """The id of the first event with this key; this one's if there was none within `window_s`.

        The same event is told the same again. A clock that was set back does not make a window longer.
        """
        now = self._clock()
        row = self._db.execute(
            "SELECT event, at, until FROM firsts WHERE route = ? AND key = ?", (route, key)
        ).fetchone()
        if row is not None and (row[0] == event_id or row[1] <= now < row[2]):
            return str(row[0])
        self._db.execute(
            "INSERT OR REPLACE INTO firsts VALUES (?, ?, ?, ?, ?)", (route, key, event_id, now, now + window_s)
        )
        self._db.execute("DELETE FROM firsts WHERE until < ?", (now,))
        return event_id

    def close(self) -> None:
        """Safe twice."""
        self._db.close()
