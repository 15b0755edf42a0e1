"""The private memory of one instance: which events came, which outgoings are under way, where sources stand.

One SQLite file, `state/<instance>/store.db`, in WAL mode. Two connections, because the two directions need different
durability. SQLite's documentation of `PRAGMA synchronous`: in WAL mode NORMAL "is always consistent" but "a
transaction … might roll back following a power loss"; that is enough for events, where the platform then delivers
again under the same id. Attempts must survive a power cut, so they are committed with FULL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from connectors.base.database import VERSION, connect, create
from connectors.base.eventrows import EventRow, EventRows
from connectors.base.home import Home
from connectors.base.outrows import UNDER_WAY, Claim, OutRow, OutRows, OutState, PartRow

__all__ = ["UNDER_WAY", "VERSION", "Claim", "EventRow", "OutRow", "OutState", "PartRow", "Store"]


class Store(EventRows, OutRows):
    """One instance's store. Each half has its own connection and lock, so that sending never waits for receiving."""

    def __init__(self, path: Path, *, readonly: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        if not readonly:
            create(path)
        events = connect(path, "NORMAL", readonly)
        lock = threading.RLock()
        EventRows.__init__(self, events, lock, clock)
        if readonly:
            OutRows.__init__(self, events, lock, clock)
        else:
            OutRows.__init__(self, connect(path, "FULL", readonly), threading.RLock(), clock)

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
