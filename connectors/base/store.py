"""The private memory of one instance: which events came, which outgoings are under way, where sources stand.

One SQLite file, `state/<instance>/store.db`, in WAL mode. Two connections, because the two directions need different
durability. SQLite's documentation of `PRAGMA synchronous`: in WAL mode NORMAL "is always consistent" but "a
transaction … might roll back following a power loss"; that is enough for events, where the platform then delivers
again under the same id. Attempts must survive a power cut, so they are committed with FULL.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from connectors.base.errors import ConfigError
from connectors.base.home import Home

#: The store's own number; a newer program upgrades it in place, an older one refuses it.
VERSION = 2

_SCHEMA = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, kind TEXT NOT NULL,
    conversation_id TEXT NOT NULL, thread_id TEXT, held INTEGER NOT NULL DEFAULT 0,
    received_at REAL NOT NULL, body BLOB, origin TEXT, digest TEXT);
CREATE INDEX events_by_time ON events (received_at);
CREATE INDEX events_by_origin ON events (origin, seq) WHERE origin IS NOT NULL;
CREATE TABLE checkpoints (name TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at REAL NOT NULL);
CREATE TABLE outgoings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, file BLOB NOT NULL, id TEXT NOT NULL DEFAULT '',
    given INTEGER NOT NULL DEFAULT 0, conversation_id TEXT NOT NULL DEFAULT '', reply_to TEXT, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0, ambiguous INTEGER NOT NULL DEFAULT 0,
    claimed_at REAL NOT NULL, next_at REAL NOT NULL DEFAULT 0, wait_s REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', result BLOB, updated_at REAL NOT NULL);
CREATE INDEX outgoings_by_state ON outgoings (state, seq);
CREATE INDEX outgoings_by_id ON outgoings (id) WHERE id <> '';
CREATE TABLE parts (
    key TEXT NOT NULL, n INTEGER NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
    ids TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (key, n)) WITHOUT ROWID;
CREATE TABLE history (key TEXT NOT NULL, at REAL NOT NULL, what TEXT NOT NULL);
CREATE INDEX history_by_key ON history (key);
CREATE TABLE revived (file BLOB PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
"""
#: {the number of an older store: what makes the next one of it}
_UPGRADES = {
    1: """
ALTER TABLE events ADD COLUMN origin TEXT;
ALTER TABLE events ADD COLUMN digest TEXT;
CREATE INDEX events_by_origin ON events (origin, seq) WHERE origin IS NOT NULL;
"""
}


class OutState(StrEnum):
    """Where an outgoing stands. The first three are under way; the rest are ends."""

    CLAIMED = "claimed"  #: its key is recorded; the rename into .sending/ may not have happened
    QUEUED = "queued"  #: in .sending/, waiting for its turn or its next attempt
    SENDING = "sending"  #: send_message was called, or is about to be
    SENT = "sent"
    DUPLICATE = "duplicate"  #: answered by the receipt of an earlier outgoing with the same id
    HANDED_OVER = "handed_over"
    DYING = "dying"  #: on its way to failed/; each step is repeatable
    DEAD = "dead"
    CANCELLED = "cancelled"


UNDER_WAY = (OutState.CLAIMED, OutState.QUEUED, OutState.SENDING, OutState.DYING)


@dataclass(frozen=True)
class EventRow:
    """A recorded event. `body` is the inbox file's content, until retention drops it.

    `origin` is the record of a source that it tells of, `digest` stands for that record's content then. They are
    written and not read back with the row: `newest_of` asks for them.
    """

    id: str
    file: str
    kind: str
    conversation_id: str
    thread_id: str | None
    held: bool
    received_at: float
    body: bytes | None
    origin: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Claim:
    """What is recorded of an outgoing before its file is renamed into .sending/. `given`: the file carries its id."""

    key: str
    file: str
    id: str = ""
    given: bool = False
    conversation_id: str = ""
    reply_to: str | None = None


@dataclass(frozen=True)
class OutRow:
    """A recorded outgoing. `file` is its name in the outbox; `result` the receipt's or dead letter's name."""

    seq: int
    key: str
    file: str
    id: str
    given: bool
    conversation_id: str
    reply_to: str | None
    state: OutState
    attempts: int
    deaths: int
    ambiguous: bool
    claimed_at: float
    next_at: float
    wait_s: float
    error: str
    result: str | None
    updated_at: float


@dataclass(frozen=True)
class PartRow:
    """One part of a text that was split. `state`: waiting, begun, sent."""

    n: int
    text: str
    state: str
    ids: list[str]


_EVENT = "id, file, kind, conversation_id, thread_id, held, received_at, body"
_OUT = (
    "seq, key, file, id, given, conversation_id, reply_to, state, attempts, deaths, ambiguous,"
    " claimed_at, next_at, wait_s, error, result, updated_at"
)


class Store:
    """One instance's store. Each half has its own connection and lock, so that sending never waits for receiving."""

    def __init__(self, path: Path, *, readonly: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        if not readonly:
            _create(path)
        self._in = _connect(path, "NORMAL", readonly)
        self._out = self._in if readonly else _connect(path, "FULL", readonly)
        self._in_lock = threading.RLock()
        self._out_lock = self._in_lock if readonly else threading.RLock()

    @classmethod
    def open(cls, home: Home, name: str, *, clock: Callable[[], float] = time.time) -> Store:
        """The store of the instance that this process runs. Raises ConfigError when a newer program wrote it."""
        home.make(home.state_dir(name), private=True)
        return cls(home.state_dir(name) / "store.db", clock=clock)

    @classmethod
    def open_readonly(cls, home: Home, name: str) -> Store | None:
        """For other programs' questions; None when the instance has never run."""
        path = home.state_dir(name) / "store.db"
        return cls(path, readonly=True) if path.exists() else None

    def close(self) -> None:
        with self._in_lock, self._out_lock:
            self._in.close()
            self._out.close()

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────

    def known(self, ids: Sequence[str]) -> dict[str, str]:
        """{id: file} of those among `ids` that were recorded before."""
        found: dict[str, str] = {}
        with self._in_lock:
            for start in range(0, len(ids), 500):
                some = ids[start : start + 500]
                marks = ",".join("?" * len(some))
                found.update(self._in.execute(f"SELECT id, file FROM events WHERE id IN ({marks})", some))  # noqa: S608
        return found

    def record_events(self, rows: Iterable[EventRow], checkpoint: tuple[str, Any] | None = None) -> None:
        """Record events, and a source's bookmark, in one transaction."""
        with self._in_lock, _transaction(self._in):
            self._in.executemany(
                f"INSERT OR IGNORE INTO events ({_EVENT}, origin, digest) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
                [
                    _texts(
                        (r.id, r.file, r.kind, r.conversation_id, r.thread_id, r.held, r.received_at, r.body,
                         r.origin, r.digest)
                    )
                    for r in rows
                ],
            )  # fmt: skip
            if checkpoint is not None:
                self._set_checkpoint(*checkpoint)

    def release(self, event_id: str, body: bytes) -> None:
        """A held event gets the content it is published with."""
        with self._in_lock, _transaction(self._in):
            self._in.execute("UPDATE events SET held = 0, body = ? WHERE id = ?", (body, event_id))

    def renew(self, event_id: str, file: str, body: bytes) -> None:
        """A published event gets new content and the name under which that is published."""
        with self._in_lock, _transaction(self._in):
            self._in.execute("UPDATE events SET file = ?, body = ? WHERE id = ?", (file, body, event_id))

    def event(self, event_id: str) -> EventRow | None:
        with self._in_lock:
            row = self._in.execute(f"SELECT {_EVENT} FROM events WHERE id = ?", _texts((event_id,))).fetchone()  # noqa: S608
        if row is None:
            return None
        event_id, file, kind, conversation_id, thread_id, held, received_at, body = row
        return EventRow(event_id, file, kind, conversation_id, thread_id, bool(held), received_at, body)

    def newest_of(self, origins: Sequence[str]) -> dict[str, tuple[str, str]]:
        """{origin: (event id, digest)} of the newest event of each of these origins that had one."""
        found: dict[str, tuple[str, str]] = {}
        given = dict(zip(_texts(origins), origins, strict=True))
        asked = list(given)
        with self._in_lock:
            for start in range(0, len(asked), 500):
                some = asked[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = self._in.execute(
                    f"SELECT origin, id, digest, max(seq) FROM events WHERE origin IN ({marks}) GROUP BY origin",  # noqa: S608
                    some,
                )
                found.update({given[origin]: (event_id, digest or "") for origin, event_id, digest, _ in rows})
        return found

    def newest_event(self) -> EventRow | None:
        with self._in_lock:
            row = self._in.execute("SELECT id FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return self.event(row[0]) if row else None

    def forget_event(self, event_id: str) -> None:
        with self._in_lock, _transaction(self._in):
            self._in.execute("DELETE FROM events WHERE id = ?", _texts((event_id,)))

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
        with self._in_lock, _transaction(self._in):
            self._set_checkpoint(name, value)

    def _set_checkpoint(self, name: str, value: Any) -> None:
        self._in.execute("INSERT OR REPLACE INTO checkpoints VALUES (?,?,?)", (name, json.dumps(value), self._clock()))

    def prune_events(self, *, keep_bodies: int, keep_ids: int, before: float) -> int:
        """Drop bodies beyond the newest `keep_bodies`, and ids beyond `keep_ids` that are older than `before`."""
        with self._in_lock, _transaction(self._in):
            newest = self._in.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
            self._in.execute(
                "UPDATE events SET body = NULL WHERE body IS NOT NULL AND held = 0 AND (seq <= ? OR received_at < ?)",
                (newest - keep_bodies, before),
            )
            return self._in.execute(
                "DELETE FROM events WHERE seq <= ? AND received_at < ? AND held = 0", (newest - keep_ids, before)
            ).rowcount

    # ── outgoings ─────────────────────────────────────────────────────────────────────────────────────────────

    def insert_claims(self, claims: Sequence[Claim]) -> None:
        """Record the keys of files that are about to be renamed into .sending/, in order of arrival."""
        with self._out_lock, self._relaxed(), _transaction(self._out):
            now = self._clock()
            self._out.executemany(
                "INSERT INTO outgoings (key, file, id, given, conversation_id, reply_to, state, claimed_at, updated_at)"
                " VALUES (?,?,?,?,?,?,?,?,?)",
                [
                    (c.key, os.fsencode(c.file), c.id, c.given, *_texts((c.conversation_id, c.reply_to)),
                     OutState.CLAIMED, now, now)
                    for c in claims
                ],
            )  # fmt: skip

    @contextmanager
    def _relaxed(self) -> Iterator[None]:
        """Commits within may be taken back by a power cut (never by the death of the process)."""
        self._out.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._out.execute("PRAGMA synchronous = FULL")

    def update_outgoings(self, changes: Iterable[tuple[str, dict[str, Any]]], *, durable: bool) -> None:
        """Set columns of outgoings by key, in one transaction. Not durable: a power cut may take it back."""
        with self._out_lock, nullcontext() if durable else self._relaxed(), _transaction(self._out):
            for key, columns in changes:
                self._update(key, columns)

    def update_outgoing(self, key: str, *, durable: bool = False, note: str = "", **columns: Any) -> None:
        """`update_outgoings` of one; `note` goes into its history."""
        self.update_outgoings([(key, {**columns, "note": note} if note else columns)], durable=durable)

    def _update(self, key: str, columns: dict[str, Any]) -> None:
        now = self._clock()
        note = columns.pop("note", "")
        if note:
            self._out.execute("INSERT INTO history VALUES (?,?,?)", _texts((key, now, note)))
        begun = columns.pop("begin_part", None)
        if begun is not None:
            self._out.execute("UPDATE parts SET state = 'begun' WHERE key = ? AND n = ?", (key, begun))
        ended = columns.pop("end_part", None)
        if ended is not None:
            self._out.execute(
                "UPDATE parts SET state = 'sent', ids = ? WHERE key = ? AND n = ?",
                (json.dumps(ended[1]), key, ended[0]),
            )
        if isinstance(columns.get("result"), str):
            columns["result"] = os.fsencode(columns["result"])
        columns["updated_at"] = now
        sets = ", ".join(f"{column} = ?" for column in columns)
        self._out.execute(f"UPDATE outgoings SET {sets} WHERE key = ?", _texts((*columns.values(), key)))  # noqa: S608

    def forget_outgoing(self, key: str) -> None:
        with self._out_lock, _transaction(self._out):
            self._out.execute("DELETE FROM outgoings WHERE key = ?", (key,))

    def outgoing(self, key_or_id: str) -> OutRow | None:
        """By claim key, or else the newest with this id."""
        # Two questions: one with OR cannot use the partial index on id, and reads the whole table for every send.
        for where in ("key = ?", "id = ? AND id <> '' ORDER BY seq DESC LIMIT 1"):
            for row in self._outgoings(where, (key_or_id,)):
                return row
        return None

    def by_id(self, outgoing_id: str) -> list[OutRow]:
        """All claims of this id, oldest first."""
        return list(self._outgoings("id = ? AND id <> '' ORDER BY seq", (outgoing_id,)))

    def under_way(self) -> list[OutRow]:
        """All that have not ended, in order of arrival."""
        marks = ",".join("?" * len(UNDER_WAY))
        return list(self._outgoings(f"state IN ({marks}) ORDER BY seq", UNDER_WAY))

    def find_file(self, name: str) -> list[OutRow]:
        return list(self._outgoings("file = ? ORDER BY seq", (os.fsencode(name),)))

    def _outgoings(self, where: str, values: Sequence[Any]) -> Iterator[OutRow]:
        with self._out_lock:
            rows = self._out.execute(f"SELECT {_OUT} FROM outgoings WHERE {where}", _texts(values)).fetchall()  # noqa: S608
        for row in rows:
            yield OutRow(
                seq=row[0], key=row[1], file=os.fsdecode(row[2]), id=row[3], given=bool(row[4]), conversation_id=row[5],
                reply_to=row[6], state=OutState(row[7]), attempts=row[8], deaths=row[9], ambiguous=bool(row[10]),
                claimed_at=row[11], next_at=row[12], wait_s=row[13], error=row[14],
                result=None if row[15] is None else os.fsdecode(row[15]), updated_at=row[16],
            )  # fmt: skip

    def split(self, key: str, texts: Sequence[str]) -> None:
        """Persist where a long text was split."""
        with self._out_lock, _transaction(self._out):
            self._out.executemany(
                "INSERT OR IGNORE INTO parts (key, n, text) VALUES (?,?,?)",
                [_texts((key, n, text)) for n, text in enumerate(texts)],
            )

    def parts(self, key: str) -> list[PartRow]:
        with self._out_lock:
            rows = self._out.execute(
                "SELECT n, text, state, ids FROM parts WHERE key = ? ORDER BY n", (key,)
            ).fetchall()
        return [PartRow(n, text, state, json.loads(ids)) for n, text, state, ids in rows]

    def history(self, key: str) -> list[tuple[float, str]]:
        """[(time, what happened)] of an outgoing, beyond what its row says."""
        with self._out_lock:
            return list(self._out.execute("SELECT at, what FROM history WHERE key = ? ORDER BY rowid", (key,)))

    def revive(self, file: str, key: str) -> None:
        """The dead letter `key` is about to go back to the outbox as `file`; its claim will go on where it stopped."""
        with self._out_lock, _transaction(self._out):
            self._out.execute("INSERT OR REPLACE INTO revived VALUES (?,?)", (os.fsencode(file), key))
            self._update(
                key,
                {"state": OutState.CLAIMED, "attempts": 0, "deaths": 0, "next_at": 0.0, "claimed_at": self._clock(),
                 "note": "put back into the outbox by hand"},
            )  # fmt: skip

    def revived(self, file: str) -> str | None:
        """The key under which `file` goes on; None for an ordinary file."""
        with self._out_lock:
            row = self._out.execute("SELECT key FROM revived WHERE file = ?", (os.fsencode(file),)).fetchone()
        return str(row[0]) if row else None

    def revived_keys(self) -> dict[str, str]:
        """{key: file} of all that wait in the outbox to go on."""
        with self._out_lock:
            return {key: os.fsdecode(file) for file, key in self._out.execute("SELECT file, key FROM revived")}

    def forget_revived(self, file: str) -> None:
        with self._out_lock, _transaction(self._out):
            self._out.execute("DELETE FROM revived WHERE file = ?", (os.fsencode(file),))

    def prune_outgoings(self, *, keep: int, before: float) -> int:
        """Forget ended outgoings that are older than `before`, or beyond the newest `keep`."""
        ended = tuple(s for s in OutState if s not in UNDER_WAY)
        marks = ",".join("?" * len(ended))
        with self._out_lock, _transaction(self._out):
            newest = self._out.execute("SELECT coalesce(max(seq), 0) FROM outgoings").fetchone()[0]
            count = self._out.execute(
                f"DELETE FROM outgoings WHERE state IN ({marks}) AND (updated_at < ? OR seq <= ?)",  # noqa: S608
                (*ended, before, newest - keep),
            ).rowcount
            if count:
                self._out.execute("DELETE FROM parts WHERE key NOT IN (SELECT key FROM outgoings)")
                self._out.execute("DELETE FROM history WHERE key NOT IN (SELECT key FROM outgoings)")
            return count


def _texts(values: Sequence[Any]) -> tuple[Any, ...]:
    """`values` as SQLite takes them: JSON's lone surrogates have no UTF-8, so they are kept as their escapes."""
    return tuple(v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path, synchronous: Literal["NORMAL", "FULL"], readonly: bool) -> sqlite3.Connection:
    uri = path.as_uri() + ("?mode=ro" if readonly else "?mode=rw")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    # Each checkpoint costs fsyncs of its own; a log of 4,000 pages is 16 MB.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -512")  # half a MB: ten idle connectors must stay small
    return connection


def _create(path: Path) -> None:
    """Make or upgrade the file. 0600 before SQLite writes into it; its -wal and -shm take the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise ConfigError(
                f"{path} was written by a newer version (store {found}; this program knows up to {VERSION})",
                hint="install the newer mailbox-connectors again",
            )
        if found < VERSION:
            with _transaction(connection):
                # Another thread, or another program, may have done it meanwhile.
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                for script in [_SCHEMA] if found == 0 else [_UPGRADES[number] for number in range(found, VERSION)]:
                    for statement in script.split(";"):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {max(found, VERSION)}")
    finally:
        connection.close()
