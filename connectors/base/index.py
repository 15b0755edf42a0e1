"""What waits in the inbox, by conversation, without reading every file for every claim.

Names are listed once a look; a file is opened once, in name order, when its turn may have come.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import NamedTuple

from connectors.base.errors import BadMessage
from connectors.base.readers import Event, event_names, is_quiet, read_event

_Key = tuple[str, str]
_Signature = tuple[int, int, int]


class Header(NamedTuple):
    """What a choice needs to know of an event. `key` is (instance, conversation)."""

    name: str
    key: _Key
    kind: str


class Index:
    """The inbox of one consumer. Not thread-safe. What it says is a hint: the rename decides."""

    def __init__(self, folder: Path, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._logger = logger
        self._clock = clock
        self._kinds: frozenset[str] | None = None
        self._instance: str | None = None
        self._headers: dict[str, Header | None] = {}
        self._unparsed: list[str] = []
        self._queues: dict[_Key, list[str]] = {}
        self._heads: list[tuple[str, _Key]] = []
        self._rubbish: dict[str, _Signature] = {}
        self._warned: set[str] = set()
        #: Events that the filter leaves out, by name; `Claims.sweep` decides about them.
        self.others: dict[str, Header] = {}
        #: How many files were opened so far.
        self.parsed = 0
        self.listed_at = float("-inf")

    def filter(self, kinds: Collection[str] | None, instance: str | None) -> None:
        """Choose only among these from now on; None is all."""
        wanted = frozenset(kinds) if kinds is not None else None
        if (wanted, instance) == (self._kinds, self._instance):
            return
        self._kinds, self._instance = wanted, instance
        self._queues, self._heads, self.others = {}, [], {}
        for header in self._headers.values():
            if header is not None:
                self._sort(header)

    def refresh(self) -> None:
        """List the folder and take note of what came and went."""
        self.listed_at = self._clock()
        names = set(event_names(self._folder))
        for name in self._headers.keys() - names:
            self.drop(name)
        for name, signature in list(self._rubbish.items()):
            if name in names and _signature(self._folder / name) != signature:
                self.drop(name)
        known = self._headers.keys()
        self._unparsed = [name for name in names if name not in known]
        heapify(self._unparsed)

    def oldest(self, blocked: Collection[_Key]) -> Header | None:
        """The first event by name whose conversation is not blocked; None when this listing has none."""
        aside: list[tuple[str, _Key]] = []
        try:
            while True:
                while self._unparsed and not (self._heads and self._heads[0][0] <= self._unparsed[0]):
                    self._parse(heappop(self._unparsed))
                if not self._heads:
                    return None
                name, key = self._heads[0]
                queue = self._queues.get(key)
                if not queue or queue[0] != name:
                    heappop(self._heads)  # an entry that a removal, or an older arrival, has overtaken
                elif self._headers.get(name) is None:
                    self._advance(key)
                elif key in blocked:
                    aside.append(heappop(self._heads))
                else:
                    return self._headers[name]
        finally:
            for head in aside:
                heappush(self._heads, head)

    def drop(self, name: str) -> None:
        """It is gone, or has to be read anew."""
        header = self._headers.pop(name, None)
        self.others.pop(name, None)
        self._rubbish.pop(name, None)
        if header is not None:
            queue = self._queues.get(header.key)
            if queue and queue[0] == name:
                self._advance(header.key)

    def spoil(self, name: str, why: object) -> None:
        """This file is no event; say so once, and look again only when it has changed."""
        self.drop(name)
        self._headers[name] = None
        self._rubbish[name] = _signature(self._folder / name)
        if name not in self._warned and is_quiet(self._folder / name):
            self._warned.add(name)
            self._logger.warning("inbox: %r is no event and is left alone: %s", name, why)

    def add(self, event: Event, name: str) -> None:
        """Note what is known of a file anew."""
        self.drop(name)
        header = Header(name, event.key, event.kind)
        self._headers[name] = header
        self._sort(header)

    def _parse(self, name: str) -> None:
        if name in self._headers:
            return
        self.parsed += 1
        try:
            event = read_event(self._folder / name)
        except FileNotFoundError:
            return
        except (BadMessage, OSError) as error:
            self.spoil(name, error)
            return
        self.add(event, name)

    def _sort(self, header: Header) -> None:
        if self._kinds is not None and header.kind not in self._kinds:
            self.others[header.name] = header
            return
        if self._instance is not None and header.key[0] != self._instance:
            return
        queue = self._queues.setdefault(header.key, [])
        heappush(queue, header.name)
        if queue[0] == header.name:
            heappush(self._heads, (header.name, header.key))

    def _advance(self, key: _Key) -> None:
        queue = self._queues[key]
        heappop(queue)
        # Names deeper in the queue whose file went are met here, one by one.
        while queue and self._headers.get(queue[0]) is None:
            heappop(queue)
        if queue:
            heappush(self._heads, (queue[0], key))
        else:
            del self._queues[key]


def _signature(path: Path) -> _Signature:
    try:
        status = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    return status.st_ctime_ns, status.st_ino, status.st_size
