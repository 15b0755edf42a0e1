"""How often each event was tried by one agent; survives restarts."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from pathlib import Path

from connectors.base.files import read_json, replace_private


class Attempts:
    """Attempts by file name. Counted when an attempt begins: an event that kills the agent must not come for ever."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._counts: dict[str, int] = {}

    def load(self) -> None:
        """Go on with what an earlier process counted."""
        with self._mutex:
            found = read_json(self._path)
            self._counts = {name: count for name, count in found.items() if isinstance(count, int) and count > 0}

    def begin(self, name: str) -> int:
        """Count one more; returns its number, 1 for the first."""
        return self._add(name, 1)

    def undo(self, name: str) -> None:
        """The attempt was cut short by us: it does not count."""
        self._add(name, -1)

    def clear(self, name: str) -> None:
        """The event has ended."""
        with self._mutex:
            if self._counts.pop(name, None) is not None:
                self._save()

    def keep(self, names: Collection[str]) -> None:
        """Forget all others: their files are gone."""
        with self._mutex:
            self._counts = {name: count for name, count in self._counts.items() if name in names}
            self._save()

    def _add(self, name: str, number: int) -> int:
        with self._mutex:
            count = self._counts[name] = max(0, self._counts.get(name, 0) + number)
            if count == 0:
                del self._counts[name]
            self._save()
            return count

    def _save(self) -> None:
        replace_private(self._path, json.dumps(self._counts).encode())
