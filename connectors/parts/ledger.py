"""What became of every action: the connector's own memory of what was asked, decided, begun and answered.

`state/<instance>/actions.db`: where the agent cannot change it. Each change is durable when the call returns, for an
action must not run twice after a power cut either.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from connectors.base.errors import ConfigError

FILE = "actions.db"
#: Answers are kept for so long at least, and the newest ones for longer: that long the same key is answered by them.
KEEP_S = 30 * 86_400.0
KEEP = 10_000
_PRUNE_EVERY = 1000
VERSION = 1
_COLUMNS = "key, claim, round, action, given, input, contract, state, origin, request, decision, result, updated_at"
_SCHEMA = """
CREATE TABLE actions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, claim TEXT NOT NULL, round INTEGER NOT NULL,
    action TEXT NOT NULL, given TEXT NOT NULL, input TEXT NOT NULL, contract TEXT NOT NULL, state TEXT NOT NULL,
    origin TEXT NOT NULL, request TEXT, decision TEXT, result TEXT, updated_at REAL NOT NULL);
CREATE INDEX actions_open ON actions (state) WHERE state <> 'done';
CREATE INDEX actions_by_claim ON actions (claim);
"""


class State(StrEnum):
    """Where an action stands."""

    WAITING = "waiting"  #: for a person
    READY = "ready"  #: a person agreed; it was not begun, or an attempt at it did nothing
    RUNNING = "running"  #: begun; found so by a later process, nobody knows whether it was done
    DONE = "done"  #: answered


@dataclass(frozen=True)
class Entry:
    """One action. `given` is the input as asked for, `input` the one that runs: a person may have edited it.

    `claim` is the outgoing's; `round` counts how often a person put that back from failed/. `origin` says whom to
    answer. `request` and `decision` are what was put to a person and what he said; `result` the answer.
    """

    key: str
    claim: str
    round: int
    action: str
    given: str
    input: str
    contract: str
    state: State
    origin: dict[str, Any]
    request: dict[str, Any] | None = None
    decision: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    updated_at: float = 0.0

    @property
    def spent(self) -> bool:
        """Whether its key stands for an answer: it may have run, or a person refused. Otherwise nothing happened."""
        return self.result is not None and bool(self.result.get("spent"))


class Ledger:
    """One instance's actions. Thread-safe. Raises ConfigError when a newer program wrote the file."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._lock = threading.RLock()
        self._puts = 0
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cache_size = -512")
            self._create()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Safe twice."""
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def get(self, key: str) -> Entry | None:
        return next(iter(self._find("key = ?", (key,))), None)

    def of_claim(self, claim: str) -> list[Entry]:
        """Those that this outgoing stands for; more than one when its file was changed while it waited."""
        return self._find("claim = ?", (claim,))

    def open(self, state: State | None = None) -> list[Entry]:
        """Those that have no answer yet, in order of arrival; all, or those in that state."""
        if state is None:
            return self._find("state <> 'done'", ())
        return self._find("state <> 'done' AND state = ?", (state,))

    def put(self, entry: Entry) -> None:
        """Durable on return. Takes the place of what was known under its key."""
        values = (
            entry.key, entry.claim, entry.round, entry.action, entry.given, entry.input, entry.contract, entry.state,
            json.dumps(entry.origin), _text(entry.request), _text(entry.decision), _text(entry.result), self._clock(),
        )  # fmt: skip
        names = _COLUMNS.split(", ")
        sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        with self._lock:
            self._db.execute(
                f"INSERT INTO actions ({_COLUMNS}) VALUES ({','.join('?' * len(names))})"  # noqa: S608 - only our own names and marks
                f" ON CONFLICT (key) DO UPDATE SET {sets}",
                values,
            )
            self._puts += 1
            if self._puts % _PRUNE_EVERY == 0:
                self.prune()

    def prune(self) -> int:
        """Forget answers that are old and not among the newest."""
        with self._lock:
            return self._db.execute(
                "DELETE FROM actions WHERE state = 'done' AND updated_at < ?"
                " AND seq <= (SELECT coalesce(max(seq), 0) FROM actions) - ?",
                (self._clock() - KEEP_S, KEEP),
            ).rowcount

    def _find(self, where: str, values: Sequence[Any]) -> list[Entry]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM actions WHERE {where} ORDER BY seq",  # noqa: S608 - only our own names and marks
                tuple(values),
            ).fetchall()
        return [_entry(row) for row in rows]

    def _create(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise ConfigError(
                f"{self.path} was written by a newer version (actions {found}; this program knows up to {VERSION})",
                hint="install the newer mailbox-connectors again",
            )
        if found == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _text(data: dict[str, Any] | None) -> str | None:
    return None if data is None else json.dumps(data)


def _entry(row: Sequence[Any]) -> Entry:
    key, claim, number, action, given, used, contract, state, *texts, updated_at = row
    origin, request, decision, result = (text and json.loads(text) for text in texts)
    return Entry(
        key, claim, number, action, given, used, contract, State(state), origin, request, decision, result, updated_at
    )
