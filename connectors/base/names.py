"""The names of inbox files: they sort in the order of arrival."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime


class Names:
    """Inbox names that sort in arrival order, also when the clock steps back.

    `20260131T120000.000001Z-<instance>-<8 hex of the id's sha256>.json`; the time never goes back below the newest
    name that this process saw in the inbox or gave itself.
    """

    def __init__(self, instance: str, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._clock = clock
        self._last_us = 0
        self._second, self._stamp = -1, ""

    def seen(self, name: str) -> bool:
        """Later names sort after `name`. False: it is none of ours, or claims to come from another year."""
        try:
            # Not strptime: it makes a regular expression first, 0.3 MB in every connector's process.
            stamp = datetime.fromisoformat(name[:23])
        except ValueError:
            return False
        if stamp.tzinfo is not UTC or stamp.timestamp() >= self._clock() + 365 * 86_400:
            return False
        self._last_us = max(self._last_us, int(stamp.timestamp() * 1_000_000))
        return True

    def own(self, name: str) -> bool:
        """Whether this instance gave `name`."""
        return name.startswith(f"Z-{self._instance}-", 22)

    def new(self, event_id: str) -> str:
        self._last_us = max(int(self._clock() * 1_000_000), self._last_us + 1)
        second = self._last_us // 1_000_000
        if second != self._second:
            self._second, self._stamp = second, datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%S")
        digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{self._stamp}.{self._last_us % 1_000_000:06d}Z-{self._instance}-{digest}.json"
