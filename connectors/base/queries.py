"""Questions that other programs ask of an instance's store. Each opens the file for reading alone, and only briefly."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.obstacle import Obstacle, obstacle


def stores(home: Home) -> list[str]:
    """The instances that have a store, configured or not."""
    try:
        names = os.listdir(home.state)
    except OSError:
        return []
    return sorted(name for name in names if INSTANCE_NAME.match(name) and _file(home, name).is_file())


def bodies(home: Home, name: str) -> Iterator[bytes]:
    """The contents of all events that are kept."""
    for (body,) in _ask(home, name, "SELECT body FROM events WHERE body IS NOT NULL"):
        yield bytes(body)


def answers_to(home: Home, name: str, event_id: str) -> list[str]:
    """The keys of outgoings that say `reply_to` of this event, in order of arrival."""
    return [key for (key,) in _ask(home, name, "SELECT key FROM outgoings WHERE reply_to = ? ORDER BY seq", event_id)]


def event_of_file(home: Home, name: str, file: str) -> str | None:
    """The id of the event that was published under this name."""
    return next((str(row[0]) for row in _ask(home, name, "SELECT id FROM events WHERE file = ?", file)), None)


def keys_of_end(home: Home, name: str, file: str) -> list[str]:
    """The keys of outgoings whose receipt or dead letter has this name."""
    return [row[0] for row in _ask(home, name, "SELECT key FROM outgoings WHERE result = ?", os.fsencode(file))]


def quick_check(home: Home, name: str) -> str | Obstacle:
    """`ok`, or what SQLite says is broken, or what keeps it from looking."""
    try:
        found = next(_ask(home, name, "PRAGMA quick_check(1)"), ("it cannot be read",))
    except sqlite3.Error as error:
        return obstacle(error, home.state_dir(name)) or str(error)
    return str(found[0])


def _file(home: Home, name: str) -> Path:
    return home.state_dir(name) / "store.db"


def _ask(home: Home, name: str, question: str, *values: object) -> Iterator[tuple[Any, ...]]:
    path = _file(home, name)
    if not path.is_file():
        return
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        yield from connection.execute(question, values)
