"""Counts what a connector did not let in, so that an operator can find out why nobody answers."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
#: So many events are known by their ids, the newest ones: what a platform brings again is counted once.
MAX_KNOWN = 4000
#: The reason that ends when an operator approves somebody's code.
NOT_PAIRED = "not paired"


class Drops:
    """The drops of one instance, in memory and in `drops.json`, which is a view: it is never fsynced.

    At most `MAX_ENTRIES` of (conversation, sender, reason) are kept; the least recent one goes. The first drop of each
    conversation and reason is a warning in the log, with the key to edit. `settled` says of a drop that its reason is
    gone: it is forgotten when the file is written next.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settled: Callable[[Drop], bool] = lambda _: False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        logger: logging.Logger | None = None,
    ) -> None:
        self._path = folder / dropped.FILE
        self._settled = settled
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
        found = read_json(self._path)
        self._known: OrderedDict[str, None] = OrderedDict.fromkeys(_known(found))
        for drop in dropped.parse(found):
            if self._clock() - drop.last < FORGET_AFTER_S:
                self._entries[(drop.conversation_id, drop.sender_id, drop.reason)] = drop
        for left in folder.glob(f".{dropped.FILE}.*"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)

    def count(self, drop: Drop, event_id: str = "") -> Drop:
        """Count one more of `drop` (its count and times are ignored). Returns the entry as it is now.

        `event_id`: what was dropped, where it can come again; the same one is counted once, across restarts too.
        """
        now = self._clock()
        key = (_short(drop.conversation_id), _short(drop.sender_id), drop.reason)
        with self._lock:
            if event_id and self._is_known(event_id):
                return self._entries.get(key, drop)
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

    def _is_known(self, event_id: str) -> bool:
        """Whether it was counted; from now on it is."""
        digest = hashlib.blake2b(event_id.encode(errors="replace"), digest_size=8).hexdigest()
        known = digest in self._known
        self._known[digest] = None
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known

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
        for key in [key for key, drop in self._entries.items() if self._settled(drop)]:
            del self._entries[key]
        try:
            _replace(self._path, self._entries.values(), self._known)
            self._dirty = False
        except OSError as error:
            # It is only a count; the next drop tries again.
            self._logger.debug("%s was not written: %s", self._path, error)


def forget_stranger(folder: Path, user_id: str) -> None:
    """Take out of the file what of this user was dropped as not paired. Raises OSError.

    For who has just paired him, in another process: the connector's own forgets it by `settled`.
    """
    found = read_json(folder / dropped.FILE)
    drops = list(dropped.parse(found))
    others = [drop for drop in drops if (drop.sender_id, drop.reason) != (user_id, NOT_PAIRED)]
    if len(others) < len(drops):
        _replace(folder / dropped.FILE, others, _known(found))


def _replace(path: Path, drops: Iterable[Drop], known: Iterable[str]) -> None:
    data = {"drops": [drop.to_dict() for drop in drops], "known": list(known)}
    replace_private(path, json.dumps(data).encode() + b"\n")


def _known(found: Mapping[str, Any]) -> list[str]:
    """The digests in the file's content, whatever it holds."""
    items = found.get("known")
    return [item for item in items if isinstance(item, str)][-MAX_KNOWN:] if isinstance(items, list) else []


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT]
