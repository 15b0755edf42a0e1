"""The SQLite file of one instance, in WAL mode: its schema, its number, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from connectors.base.errors import ConfigError

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


def storable(values: Sequence[Any]) -> tuple[Any, ...]:
    """`values` as SQLite takes them: JSON's lone surrogates have no UTF-8, so they are kept as their escapes."""
    return tuple(v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def connect(path: Path, synchronous: Literal["NORMAL", "FULL"], readonly: bool) -> sqlite3.Connection:
    uri = path.as_uri() + ("?mode=ro" if readonly else "?mode=rw")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    # Each checkpoint costs fsyncs of its own; a log of 4,000 pages is 16 MB.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -512")  # half a MB: ten idle connectors must stay small
    return connection


def create(path: Path) -> None:
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
            with transaction(connection):
                # Another thread, or another program, may have done it meanwhile.
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                for script in [_SCHEMA] if found == 0 else [_UPGRADES[number] for number in range(found, VERSION)]:
                    for statement in script.split(";"):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {max(found, VERSION)}")
    finally:
        connection.close()
