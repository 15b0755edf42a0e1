"""What the store knows of outgoings: which are under way, how far each has come, how it ended."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.base.database import storable, transaction

_OUT = (
    "seq, key, file, id, given, conversation_id, reply_to, state, attempts, deaths, ambiguous,"
    " claimed_at, next_at, wait_s, error, result, updated_at"
)


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


class OutRows:
    """One half of a `Store`. `_out` commits with FULL: attempts must survive a power cut."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock, clock: Callable[[], float]) -> None:
        self._out = connection
        self._out_lock = lock
        self._clock = clock

    def insert_claims(self, claims: Sequence[Claim]) -> None:
        """Record the keys of files that are about to be renamed into .sending/, in order of arrival."""
        with self._out_lock, self._relaxed(), transaction(self._out):
            now = self._clock()
            self._out.executemany(
                "INSERT INTO outgoings (key, file, id, given, conversation_id, reply_to, state, claimed_at, updated_at)"
                " VALUES (?,?,?,?,?,?,?,?,?)",
                [
                    (c.key, os.fsencode(c.file), c.id, c.given, *storable((c.conversation_id, c.reply_to)),
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
        with self._out_lock, nullcontext() if durable else self._relaxed(), transaction(self._out):
            for key, columns in changes:
                self._update(key, columns)

    def update_outgoing(self, key: str, *, durable: bool = False, note: str = "", **columns: Any) -> None:
        """`update_outgoings` of one; `note` goes into its history."""
        self.update_outgoings([(key, {**columns, "note": note} if note else columns)], durable=durable)

    def _update(self, key: str, columns: dict[str, Any]) -> None:
        now = self._clock()
        note = columns.pop("note", "")
        if note:
            self._out.execute("INSERT INTO history VALUES (?,?,?)", storable((key, now, note)))
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
        self._out.execute(f"UPDATE outgoings SET {sets} WHERE key = ?", storable((*columns.values(), key)))  # noqa: S608 - only our own names and marks

    def forget_outgoing(self, key: str) -> None:
        with self._out_lock, transaction(self._out):
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
            rows = self._out.execute(f"SELECT {_OUT} FROM outgoings WHERE {where}", storable(values)).fetchall()  # noqa: S608 - only our own names and marks
        for row in rows:
            yield OutRow(
                seq=row[0], key=row[1], file=os.fsdecode(row[2]), id=row[3], given=bool(row[4]), conversation_id=row[5],
                reply_to=row[6], state=OutState(row[7]), attempts=row[8], deaths=row[9], ambiguous=bool(row[10]),
                claimed_at=row[11], next_at=row[12], wait_s=row[13], error=row[14],
                result=None if row[15] is None else os.fsdecode(row[15]), updated_at=row[16],
            )  # fmt: skip

    def split(self, key: str, texts: Sequence[str]) -> None:
        """Persist where a long text was split."""
        with self._out_lock, transaction(self._out):
            self._out.executemany(
                "INSERT OR IGNORE INTO parts (key, n, text) VALUES (?,?,?)",
                [storable((key, n, text)) for n, text in enumerate(texts)],
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
        with self._out_lock, transaction(self._out):
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
        with self._out_lock, transaction(self._out):
            self._out.execute("DELETE FROM revived WHERE file = ?", (os.fsencode(file),))

    def prune_outgoings(self, *, keep: int, before: float) -> int:
        """Forget ended outgoings that are older than `before`, or beyond the newest `keep`."""
        ended = tuple(s for s in OutState if s not in UNDER_WAY)
        marks = ",".join("?" * len(ended))
        with self._out_lock, transaction(self._out):
            newest = self._out.execute("SELECT coalesce(max(seq), 0) FROM outgoings").fetchone()[0]
            count = self._out.execute(
                f"DELETE FROM outgoings WHERE state IN ({marks}) AND (updated_at < ? OR seq <= ?)",  # noqa: S608 - only our own names and marks
                (*ended, before, newest - keep),
            ).rowcount
            if count:
                self._out.execute("DELETE FROM parts WHERE key NOT IN (SELECT key FROM outgoings)")
                self._out.execute("DELETE FROM history WHERE key NOT IN (SELECT key FROM outgoings)")
            return count
