"""The queue of updates, until the bot confirms them.

https://core.telegram.org/bots/api#getting-updates: an update is kept until it is confirmed, not longer than 24 hours.
https://core.telegram.org/bots/api#getupdates: an offset higher than an update's id confirms it and all before it; a
negative one counts from the end of the queue and forgets what lies before; `allowed_updates` is remembered between
calls, touches only updates made later, and by default leaves out chat_member and the two kinds for reactions.

From the server (do_get_updates in telegram-bot-api's Client.cpp, tddb/td/db/TQueue.cpp in tdlib/td): an offset that
lies more than ten above the next update's id is taken for a mistake, and answered as if none was named; an answer has
at most 4 MiB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
KEPT_S = 24 * 3600.0
MAX_AHEAD = 10
MAX_ANSWER_BYTES = 1 << 22


class Updates:
    """What waits for the bot. Not thread safe by itself: the world's lock guards it."""

    def __init__(self, clock: Callable[[], float], *, keep_s: float = KEPT_S, first_id: int = 1) -> None:
        self.keep_s = keep_s
        self.confirmed = 0  #: the highest offset that was taken
        self.allowed: tuple[str, ...] = ()  #: empty: the default
        self.handed: dict[int, int] = {}  #: update id → how often it was handed out
        self.next_id = first_id
        self._clock = clock
        self._waiting: dict[int, tuple[float, dict[str, Any]]] = {}

    def allow(self, kinds: Iterable[str]) -> None:
        """From now on only these kinds; none: the default."""
        self.allowed = tuple(kinds)

    def wanted(self, kind: str) -> bool:
        """Whether an update of this kind is made at all."""
        return kind in self.allowed if self.allowed else kind not in NOT_BY_DEFAULT

    def add(self, kind: str, payload: Any) -> int | None:
        """The new update's id; None when the bot does not want this kind."""
        return self.put({kind: payload}) if self.wanted(kind) else None

    def put(self, body: dict[str, Any], update_id: int | None = None) -> int:
        """Queue it as it is, wanted or not."""
        found = self.next_id if update_id is None else update_id
        self.next_id = max(self.next_id, found + 1)
        self._waiting[found] = (self._clock(), {"update_id": found, **deepcopy(body)})
        return found

    def take(self, offset: int, limit: int) -> list[dict[str, Any]]:
        """Confirm what lies below the offset; then up to `limit` of what waits, oldest first."""
        self.expire()
        if offset < 0:
            waiting = sorted(self._waiting)
            offset = waiting[max(0, len(waiting) + offset)] if waiting else 0
        if 0 < offset <= self.next_id + MAX_AHEAD:
            self.confirm(offset)
        return self.peek(limit)

    def confirm(self, offset: int) -> None:
        """Forget everything below the offset."""
        self.confirmed = max(self.confirmed, offset)
        for update_id in [i for i in self._waiting if i < offset]:
            del self._waiting[update_id]

    def peek(self, limit: int) -> list[dict[str, Any]]:
        """Up to `limit` updates, oldest first, counted as handed out."""
        found, size = [], 0
        for update in self.pending[: min(max(limit, 1), 100)]:
            size += 50 + len(json.dumps(update).encode())
            if size > MAX_ANSWER_BYTES:
                break
            found.append(update)
            self.handed[update["update_id"]] = self.handed.get(update["update_id"], 0) + 1
        return found

    def clear(self) -> None:
        """Forget everything that waits (drop_pending_updates)."""
        self._waiting.clear()

    def expire(self) -> None:
        """Forget what nobody fetched in time."""
        oldest = self._clock() - self.keep_s
        for update_id in [i for i, (at, _) in self._waiting.items() if at < oldest]:
            del self._waiting[update_id]

    @property
    def pending(self) -> list[dict[str, Any]]:
        """What is not confirmed yet, oldest first."""
        self.expire()
        return [self._waiting[i][1] for i in sorted(self._waiting)]
