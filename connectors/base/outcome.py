"""What became of an outgoing that somebody has just written: wait for its receipt or its reason."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.base.files import read_json
from connectors.base.home import Home
from connectors.base.store import UNDER_WAY, OutRow, OutState, Store

#: Notifications are a hint: the store is looked at anyway after this time.
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """How it ended. `record` is the receipt, or the reason; empty when it is kept no more."""

    state: OutState
    record: dict[str, Any]
    path: Path | None

    @property
    def sent(self) -> bool:
        return self.state in (OutState.SENT, OutState.DUPLICATE, OutState.HANDED_OVER)


def last_claim(home: Home, instance: str, outgoing_id: str) -> int:
    """The number of the newest claim of this id so far; 0 when there is none. See `wait_for_outcome`."""
    rows = _rows(home, instance, outgoing_id)
    return rows[-1].seq if rows else 0


def wait_for_outcome(
    home: Home, instance: str, outgoing_id: str, timeout_s: float, *, after: int = 0
) -> Outcome | None:
    """How the first claim of this id with a number above `after` ended; None when it has not within `timeout_s`."""
    from connectors.base.watch import Watch

    news = threading.Event()
    watch = Watch([folder for folder in (home.sent(instance), home.failed) if folder.is_dir()], news.set)
    watch.start()
    end = time.monotonic() + timeout_s
    try:
        while True:
            news.clear()
            for row in _rows(home, instance, outgoing_id):
                if row.seq > after and row.state not in UNDER_WAY:
                    return outcome_of(home, instance, row)
            left = end - time.monotonic()
            if left <= 0:
                return None
            news.wait(min(left, _LOOK_EVERY_S))
    finally:
        watch.stop()


def outcome_of(home: Home, instance: str, row: OutRow) -> Outcome:
    """The end of an outgoing whose row says that it has ended, with its record as far as that is kept."""
    if row.result is None:
        return Outcome(row.state, {}, None)
    folder, name = home.sent(instance), row.result
    if row.state == OutState.DEAD:
        folder, name = home.failed, f"{row.result}.reason.json"
    path = folder / os.path.basename(name)
    return Outcome(row.state, read_json(path), path if path.exists() else None)


def _rows(home: Home, instance: str, outgoing_id: str) -> list[OutRow]:
    store = Store.open_readonly(home, instance)
    if store is None:
        return []
    try:
        return store.by_id(outgoing_id)
    finally:
        store.close()
