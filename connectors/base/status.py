"""What an instance says of itself: `state/<instance>/status.json`, a view that anybody may read at any time.

state          starting, connecting, waiting, connected, backpressure, stopping; and the manager's words for a process
               that is not there: backoff, fatal, exited, stopped
since          when that state began (ISO 8601, UTC)
pid            the process; null when there is none
last_received  last_sent   ISO 8601 or null
last_error     {text, hint, at, class} or null
backlog        {outbox, sending}: files that wait
counters       {received, duplicates, sent, failed, retried}
note           why it is in this state, for example which disk is full
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from connectors.base.files import read_json, replace_private
from connectors.base.home import Home
from connectors.base.message import utc_now


class StatusFile:
    """One instance's status. Writing is put off to once in `min_interval_s`, unless the state changes."""

    def __init__(
        self,
        home: Home,
        name: str,
        *,
        redact: Callable[[Any], Any] = lambda data: data,
        min_interval_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = home.state_dir(name) / "status.json"
        self._home = home
        self._folder = home.state_dir(name)
        self._redact = redact
        self._min_interval_s = min_interval_s
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._data: dict[str, Any] | None = None
        self._written_at = float("-inf")
        self._dirty = False
        self._timer: threading.Timer | None = None

    def read(self) -> dict[str, Any]:
        """What the file says; empty when there is none."""
        return read_json(self.path)

    def update(self, **fields: Any) -> None:
        """Set fields; a changed `state` gets its `since` and is written at once."""
        with self._lock:
            data = self._load()
            changed = fields.get("state", data.get("state")) != data.get("state")
            if changed:
                fields.setdefault("since", utc_now())
            data.update(fields)
            self._dirty = True
            self._flush_soon(now=changed or "last_error" in fields)

    def count(self, counter: str, by: int = 1, **fields: Any) -> None:
        """Add to a counter, and set fields."""
        with self._lock:
            counters = self._load().setdefault("counters", {})
            counters[counter] = counters.get(counter, 0) + by
            self._data = {**self._load(), **fields}
            self._dirty = True
            self._flush_soon()

    def error(self, text: str, *, hint: str = "", kind: str = "") -> None:
        """Record what went wrong last and what to do about it."""
        self.update(last_error={"text": text, "hint": hint, "class": kind, "at": utc_now()})

    def flush(self, *, now: bool = False) -> float | None:
        """Write if something changed and it is time (or `now`). Returns in how many seconds it will be time."""
        with self._lock:
            if not self._dirty:
                return None
            wait = self._written_at + self._min_interval_s - self._monotonic()
            if wait > 0 and not now:
                return wait
            try:
                data = json.dumps(self._redact(self._data), indent=2, ensure_ascii=False)
                replace_private(self.path, data.encode("utf-8", "backslashreplace") + b"\n")
            except OSError as error:
                # A full disk must not stop what the status reports on; the next flush writes it.
                logging.getLogger("connectors.status").debug("status of %s not written: %s", self._folder.name, error)
                self._written_at = self._monotonic()
                return self._min_interval_s
            self._written_at = self._monotonic()
            self._dirty = False
            return None

    def _flush_soon(self, *, now: bool = False) -> None:
        """Write now or, when it is too early, a little later."""
        wait = self.flush(now=now)
        if wait is not None and self._timer is None:
            self._timer = threading.Timer(wait, self._late)
            self._timer.daemon = True
            self._timer.start()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            self._flush_soon()

    def close(self) -> None:
        """Write what is left; no timer fires after it."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.flush(now=True)

    def _load(self) -> dict[str, Any]:
        if self._data is None:
            try:
                self._home.make(self._folder, private=True)
            except OSError:
                pass
            self._data = self.read()
        return self._data
