"""Names for ids, from memory; what is not there is asked for in the background, and waited for only a moment.

An envelope has to be acknowledged within three seconds, so a name may come too late for the event that first needs it:
that event then shows the id. https://docs.slack.dev/reference/methods/users.info, …/conversations.info
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connectors.base.errors import ConnectorError, RetryLater
from connectors.slack.answers import word_of
from connectors.slack.incoming import Known, Person, Place, mapping, text

Call = Callable[..., Mapping[str, Any]]

#: So many people, and as many places, are remembered; the least recently needed go.
MAX_NAMES = 5000
#: A name is asked for again after this time: people change theirs.
FRESH_S = 6 * 3600.0
#: Who could not be found is not asked for again for so long.
MISSING_S = 600.0
_MAX_WAITING = 200


class Names:
    """Thread-safe. `close` ends its thread."""

    def __init__(self, call: Call, *, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._logger = logger
        self._now = monotonic
        self._changed = threading.Condition()
        self._found: OrderedDict[str, tuple[float, Person | Place | None]] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._pause_until = 0.0
        self._warned = False
        self._closed = False

    def known(self, users: Iterable[str], places: Iterable[str], budget_s: float) -> Known:
        """The names of these, as far as they are there within `budget_s` seconds."""
        users, places = set(users), set(places)
        until = self._now() + max(0.0, budget_s)
        with self._changed:
            missing = [name for name in users | places if not self._has(name)]
            for name in missing[:_MAX_WAITING]:
                if len(self._waiting) < _MAX_WAITING:
                    self._waiting[name] = None
            if missing:
                self._begin()
                self._changed.notify_all()
            while any(name in self._waiting for name in missing) and not self._closed and not self._paused():
                left = until - self._now()
                if left <= 0:
                    break
                self._changed.wait(left)
            people = {name: found for name in users if isinstance(found := self._get(name), Person)}
            found_places = {name: found for name in places if isinstance(found := self._get(name), Place)}
        return Known(people, found_places)

    def place(self, name: str) -> Place | None:
        """A conversation, from memory alone."""
        with self._changed:
            found = self._get(name)
        return found if isinstance(found, Place) else None

    def close(self) -> None:
        """Ask for nothing more; safe twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # ── with `_changed` held ──────────────────────────────────────────────────────────────────────────────────

    def _has(self, name: str) -> bool:
        entry = self._found.get(name)
        return entry is not None and self._now() - entry[0] < (MISSING_S if entry[1] is None else FRESH_S)

    def _get(self, name: str) -> Person | Place | None:
        entry = self._found.get(name)
        if entry is None:
            return None
        self._found.move_to_end(name)
        return entry[1]  # an old name is better than an id

    def _paused(self) -> bool:
        return self._now() < self._pause_until

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="names", daemon=True)
            self._thread.start()

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._waiting or self._paused()):
                    self._changed.wait(max(0.0, self._pause_until - self._now()) if self._waiting else None)
                if self._closed:
                    return
                name = next(iter(self._waiting))
            found, pause_s = self._ask(name)
            with self._changed:
                if pause_s is None:
                    self._waiting.pop(name, None)
                    if found is not None or name not in self._found:
                        self._found[name] = (self._now(), found)
                    while len(self._found) > 2 * MAX_NAMES:
                        self._found.popitem(last=False)
                else:
                    self._pause_until = self._now() + pause_s
                    self._waiting.clear()  # they are asked for again when somebody needs them
                self._changed.notify_all()

    def _ask(self, name: str) -> tuple[Person | Place | None, float | None]:
        """What was found, or for how long Slack is to be left alone."""
        try:
            if name[:1] in ("U", "W"):
                return _person(mapping(self._call("users.info", user=name).get("user"))), None
            return _place(mapping(self._call("conversations.info", channel=name).get("channel"))), None
        except RetryLater as error:
            return None, error.after_s or 5.0
        except ConnectorError as error:
            if word_of(error) == "missing_scope" and not self._warned:
                self._warned = True
                self._logger.warning("events show ids instead of names: %s (%s)", error, error.hint)
            return None, None
        except Exception:
            self._logger.exception("the name of %s could not be found out", name)
            return None, None


def _person(user: Mapping[str, Any]) -> Person:
    """https://docs.slack.dev/reference/objects/user-object"""
    profile = mapping(user.get("profile"))
    shown = text(profile.get("display_name")) or text(profile.get("real_name")) or text(user.get("real_name"))
    return Person(text(user.get("name")), shown, bool(user.get("is_bot")))


def _place(channel: Mapping[str, Any]) -> Place:
    """https://docs.slack.dev/reference/objects/conversation-object"""
    kinds = (("is_im", "im"), ("is_mpim", "mpim"), ("is_private", "group"), ("is_group", "group"))
    kind = next((word for flag, word in kinds if channel.get(flag)), "channel")
    return Place(text(channel.get("name")), kind)
