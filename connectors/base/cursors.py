"""Independent readers: each has a cursor by name and gets every event, whatever the others do.

A cursor is the set of the file names that it has acknowledged and that are still there. It is no "newest
name": connectors run side by side, and a name may become visible after a later one.

When does a file go? When every reader is done with it. All workers together are one reader, each cursor is
one:

- workers and cursors: after a worker's ack it waits in `messages/.acked/` until every cursor has
  acknowledged it;
- cursors alone (`messages/claimed/` has no folder that was used within 7 days): when every cursor has
  acknowledged it;
- observers (programs that read beside the agents) count as cursors, but what they alone acknowledged stays;
- a plain agent's delete is final for everybody: the plain way is for an agent that is alone.

A cursor that nobody used for 7 days no longer counts, and is dropped with a line in the log.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from connectors.base.holds import worker_folders
from connectors.base.home import Home
from connectors.base.readers import READER_EXPIRES_S, acked_folder, event_names, private_folder

#: What the names of observers begin with, and those of other cursors cannot: what they alone have acknowledged stays.
OBSERVER = "."
#: How often at most "this cursor is in use" is written down, and expired ones are looked for.
USED_EVERY_S = 60.0
#: A name that is in no folder may be on its way between two: it is forgotten only after so long.
_FORGET_AFTER_S = 600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, used_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acked (
    cursor TEXT NOT NULL, file BLOB NOT NULL, gone_at REAL, PRIMARY KEY (cursor, file)) WITHOUT ROWID;
"""


class Cursors:
    """What all cursors of a home have acknowledged.

    One SQLite file. Thread-safe; costs nothing where none exist.
    """

    def __init__(self, home: Home, *, logger: logging.Logger, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._logger = logger
        self.clock = clock
        self._path = private_folder(home) / "cursors.db"
        self._db: sqlite3.Connection | None = None
        self._mutex = threading.RLock()
        self._expired_at = float("-inf")

    def register(self, name: str) -> bool:
        """Begin, or go on, as `name`. True when it is new: it then gets all that nobody has acknowledged."""
        with self._mutex:
            self.expire()
            db = self._create()
            new = db.execute("INSERT OR IGNORE INTO cursors VALUES (?, ?)", (name, self.clock())).rowcount == 1
            if new:
                self.ack(name, event_names(acked_folder(self._home)))
            else:
                self.used(name)
            return new

    def names(self) -> list[str]:
        with self._mutex:
            db = self._open()
            return [row[0] for row in db.execute("SELECT name FROM cursors ORDER BY name")] if db else []

    def used(self, name: str) -> bool:
        """Say that the cursor is in use. False when it has expired meanwhile."""
        with self._mutex:
            db = self._open()
            if db is None:
                return False
            now = self.clock()
            return db.execute("UPDATE cursors SET used_at = ? WHERE name = ?", (now, name)).rowcount == 1

    def ack(self, name: str, files: Iterable[str]) -> None:
        with self._mutex:
            db = self._create()
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(
                    "INSERT OR IGNORE INTO acked (cursor, file) VALUES (?, ?)",
                    [(name, _blob(file)) for file in files],
                )
            finally:
                db.execute("COMMIT")

    def acked(self, name: str) -> set[str]:
        with self._mutex:
            db = self._open()
            rows = db.execute("SELECT file FROM acked WHERE cursor = ?", (name,)) if db else ()
            return {_name(row[0]) for row in rows}

    def pending(self, file: str) -> list[str]:
        """The cursors that have not acknowledged this file."""
        with self._mutex:
            db = self._open()
            if db is None:
                return []
            self.expire()
            rows = db.execute(
                "SELECT name FROM cursors WHERE NOT EXISTS"
                " (SELECT 1 FROM acked WHERE acked.cursor = cursors.name AND acked.file = ?)",
                (_blob(file),),
            )
            return [row[0] for row in rows]

    def settle(self, file: str) -> None:
        """Delete the file if it waits for cursors alone, and each of them has acknowledged it."""
        if self.pending(file):
            return
        gone = _unlink(acked_folder(self._home) / file)
        if not gone and self._alone():
            gone = _unlink(self._home.inbox / file)
        if gone:
            self.forget(file)

    def forget(self, file: str) -> None:
        """The file is gone."""
        with self._mutex:
            if db := self._open():
                db.execute("DELETE FROM acked WHERE file = ?", (_blob(file),))

    def drop(self, name: str) -> None:
        """End a cursor; what waited for it alone goes."""
        with self._mutex:
            if db := self._open():
                db.execute("DELETE FROM cursors WHERE name = ?", (name,))
                db.execute("DELETE FROM acked WHERE cursor = ?", (name,))
        self.settle_orphans()

    def expire(self) -> list[str]:
        """Drop the cursors that nobody used for 7 days; returns their names. Looks at most once a minute."""
        with self._mutex:
            now = self.clock()
            db = self._open()
            if db is None or abs(now - self._expired_at) < USED_EVERY_S:
                return []
            self._expired_at = now
            rows = db.execute("SELECT name FROM cursors WHERE used_at < ?", (now - READER_EXPIRES_S,)).fetchall()
        for (name,) in rows:
            self._logger.warning("the cursor %r was not used for 7 days and has expired", name)
            self.drop(name)
        return [name for (name,) in rows]

    def compact(self, name: str, present: Collection[str]) -> None:
        """Forget what the cursor acknowledged and that has been in no folder for a while."""
        with self._mutex:
            db = self._open()
            if db is None:
                return
            now = self.clock()
            db.execute("BEGIN IMMEDIATE")
            try:
                rows = db.execute("SELECT file, gone_at FROM acked WHERE cursor = ?", (name,)).fetchall()
                gone = [(now, name, file) for file, at in rows if at is None and _name(file) not in present]
                back = [(None, name, file) for file, at in rows if at is not None and _name(file) in present]
                db.executemany("UPDATE acked SET gone_at = ? WHERE cursor = ? AND file = ?", [*gone, *back])
                db.execute("DELETE FROM acked WHERE cursor = ? AND gone_at < ?", (name, now - _FORGET_AFTER_S))
            finally:
                db.execute("COMMIT")

    def close(self) -> None:
        """Safe twice; the next call opens again."""
        with self._mutex:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def __del__(self) -> None:
        # A reader that is dropped without close() must not leave a warning about its database behind.
        self.close()

    def settle_orphans(self) -> None:
        """Settle the files that waited for a reader who no longer counts."""
        for file in event_names(acked_folder(self._home)):
            self.settle(file)
        if self._alone():
            waiting = set(event_names(self._home.inbox))
            for name in self.names():
                waiting &= self.acked(name)
            for file in waiting:
                self.settle(file)

    def _alone(self) -> bool:
        """Whether cursors are the only readers: no workers, and not observers only."""
        return any(not name.startswith(OBSERVER) for name in self.names()) and not worker_folders(
            self._home, self.clock()
        )

    def _open(self) -> sqlite3.Connection | None:
        return self._create() if self._db is not None or self._path.exists() else None

    def _create(self) -> sqlite3.Connection:
        if self._db is None:
            self._home.make(self._path.parent, private=True)
            db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            # NORMAL: a power cut may take back the last acks; those events are read again.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
            self._db = db
        return self._db


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _blob(file: str) -> bytes:
    # Names are bytes; those that are no UTF-8 cannot be SQLite text.
    return file.encode("utf-8", "surrogateescape")


def _name(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogateescape")
