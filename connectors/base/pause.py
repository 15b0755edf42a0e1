"""Sending stops while something is in the way of writing, says so, and goes on by itself: see `obstacle`."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from connectors.base.obstacle import obstacle

#: How long a full disk, or a folder that refuses, is left alone before it is tried again.
LOOK_AGAIN_S = 1.0
#: What something can be in the way of; none of them stops another.
CLAIMING, SENDING, DEAD_LETTERS = "claiming", "sending", "dead letters"


class Pause:
    """What is in the way, and of what."""

    def __init__(
        self,
        state: Path,
        *,
        on_event: Callable[..., None],
        monotonic: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._state = state
        self._on_event = on_event
        self._monotonic = monotonic
        self._logger = logger
        self._until = dict.fromkeys((CLAIMING, SENDING, DEAD_LETTERS), 0.0)
        self._because: dict[str, str] = {}

    def begin(self, error: Exception, what: str) -> None:
        """Leave it alone for a moment. Raises `error` when waiting does not mend it."""
        found = obstacle(error, self._state)
        if found is None and not _is_busy(error):
            raise error
        reason = str(found or error)
        if self._because.get(what) != reason:
            self._logger.warning("%s paused: %s", what, reason)
        self._because[what] = reason
        self._until[what] = self._monotonic() + LOOK_AGAIN_S
        self._on_event("pressure", error=reason, of=what)

    def over(self, what: str) -> None:
        """It could be done."""
        if self._because.pop(what, None) is not None:
            self._logger.info("%s goes on: nothing is in the way any more", what)
            self._on_event("pressure", error=None, of=what)

    def left_s(self, what: str) -> float:
        """In how many seconds it is to be tried again; 0 when nothing is known to be in the way."""
        return max(0.0, self._until[what] - self._monotonic())


def _is_busy(error: Exception) -> bool:
    """Another program has the store for longer than SQLite waits."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
