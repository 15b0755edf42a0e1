"""Counts what a connector did not let in, so that an operator can find out why nobody answers."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from connectors.base import dropped
from connectors.base.dropped import MAX_ENTRIES, Drop, named
from connectors.base.files import read_json, replace_private
from connectors.base.logbook import visible

#: The file is written at most this often.
INTERVAL_S = 1.0
#: What has not come again for so long is forgotten at the next start.
FORGET_AFTER_S = 7 * 86_400.0
_MAX_TEXT = 200  # characters of an id or a name
_MAX_KEY = 600
NAME_SHOWN = 80


class Drops:
    """The drops of one instance, in memory and in `drops.json`, which is a view: it is never fsynced.

    At most `MAX_ENTRIES` of (conversation, sender, reason) are kept; the least recent one goes. The first drop of each
    conversation and reason is a warning in the log, with the key to edit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        logger: logging.Logger | None = None,
    ) -> None:
        self._folder = folder
        self._path = folder / dropped.FILE
        self._clock = clock
        self._monotonic = monotonic
        self._logger = logger or logging.getLogger("connectors.drops")
        self._lock = threading.Lock()
        self._written_at = float("-inf")
        self._dirty = False
        self._timer: threading.Timer | None = None
        self._closed = False
        self._logged: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._entries: OrderedDict[tuple[str, str, str], Drop] = OrderedDict()
        for drop in dropped.parse(read_json(self._path)):
            if self._clock() - drop.last < FORGET_AFTER_S:
                self._entries[(drop.conversation_id, drop.sender_id, drop.reason)] = drop
        for left in folder.glob(f".{dropped.FILE}.*"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)

    def count(self, drop: Drop) -> Drop:
        """Count one more of `drop` (its count and times are ignored). Returns the entry as it is now."""
        now = self._clock()
        key = (_short(drop.conversation_id), _short(drop.sender_id), drop.reason)
        with self._lock:
            before = self._entries.pop(key, None)
            entry = replace(
                drop,
                conversation_id=key[0],
                sender_id=key[1],
                conversation_name=_short(drop.conversation_name),
                sender_name=_short(drop.sender_name),
                key=drop.key[:_MAX_KEY],
                count=before.count + 1 if before else 1,
                first=before.first if before else now,
                last=now,
            )
            self._entries[key] = entry
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
            self._dirty = True
            self._write_soon()
            fresh = self._is_first(entry)
        self._logger.log(
            logging.WARNING if fresh else logging.DEBUG,
            "dropped what %s wrote in %s: %s%s",
            visible(named(entry.sender_id, entry.sender_name[:NAME_SHOWN])) or "nobody",
            visible(named(entry.conversation_id, entry.conversation_name[:NAME_SHOWN])),
            entry.reason,
            f"; to let it in: {visible(entry.key)}" if entry.key else "",
        )
        return entry

    def entries(self) -> list[Drop]:
        """All of them, the least recent first."""
        with self._lock:
            return list(self._entries.values())

    def close(self) -> None:
        """Write what is left; safe twice, and counting goes on to work."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._write()

    def _is_first(self, entry: Drop) -> bool:
        """Whether the log has nothing yet of this conversation and reason."""
        chat = (entry.conversation_id, entry.reason)
        known = chat in self._logged
        self._logged[chat] = None
        self._logged.move_to_end(chat)
        if len(self._logged) > MAX_ENTRIES:
            self._logged.popitem(last=False)
        return not known

    def _write_soon(self) -> None:
        wait_s = self._written_at + INTERVAL_S - self._monotonic()
        if wait_s <= 0 or self._closed:
            self._write()
        elif self._timer is None:
            self._timer = threading.Timer(wait_s, self._late)
            self._timer.daemon = True
            self._timer.start()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            if not self._closed:
                self._write()

    def _write(self) -> None:
        if not self._dirty:
            return
        self._written_at = self._monotonic()
        data = json.dumps({"drops": [drop.to_dict() for drop in self._entries.values()]}).encode()
        try:
            replace_private(self._path, data + b"\n")
            self._dirty = False
        except OSError as error:
            # It is only a count; the next drop tries again.
            self._logger.debug("%s was not written: %s", self._path, error)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT]
