"""Conversations that their platform gave a new id: `state/<instance>/moved.json`, {old: new}."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from connectors.base.files import read_json, replace_private

FILE = "moved.json"
_MAX = 1000


class Moves:
    """Which id a conversation has now. The newest 1000 moves are kept, durable when `note` returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._moved = {
            old: new
            for old, new in read_json(self._path).items()
            if isinstance(new, str) and old and new and old != new
        }

    def note(self, old_id: str, new_id: str) -> bool:
        """False when it was known. Raises OSError when it cannot be written; it counts from now on nevertheless."""
        if not old_id or not new_id or old_id == new_id or self._moved.get(old_id) == new_id:
            return False
        self._moved.pop(new_id, None)  # it is where conversations are now, whatever was said before
        self._moved.pop(old_id, None)
        self._moved[old_id] = new_id
        while len(self._moved) > _MAX:
            del self._moved[next(iter(self._moved))]
        replace_private(self._path, json.dumps(self._moved).encode() + b"\n", durable=True)
        return True

    def current(self, conversation_id: str) -> str:
        """Its newest id; the same one when it has not moved."""
        seen = {conversation_id}
        while (new := self._moved.get(conversation_id)) is not None and new not in seen:
            seen.add(new)
            conversation_id = new
        return conversation_id

    def with_current(self, ids: Iterable[str]) -> frozenset[str]:
        """The ids and what they became."""
        listed = frozenset(ids)
        return listed | {self.current(id_) for id_ in listed}
