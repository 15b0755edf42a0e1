"""Fetches what was said while the connector was away, conversation by conversation, in a thread of its own.

https://docs.slack.dev/reference/methods/conversations.history, …/conversations.replies . Internal apps may ask 50 times
a minute, commercial ones outside of the marketplace once (https://docs.slack.dev/apis/web-api/rate-limits): a wait that
Slack asks for is kept, and what is not fetched yet stays noted over a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from connectors.base.errors import Rejected, RetryLater
from connectors.base.retry import Backoff
from connectors.slack.bookmarks import Bookmarks, Mark
from connectors.slack.incoming import order, stamp
from connectors.slack.lookup import pages

#: Slack tries again for so long, and events overtake each other: what is a little older than a bookmark may be missing.
OVERLAP_S = 360
#: The most recent ones of a conversation that was missed for long.
MAX_MESSAGES = 1000
_PAGE = 200
_MAX_TRIES = 6

Json = Mapping[str, Any]
Call = Callable[..., Json]


class Gaps:
    """`deliver(message, channel)` takes each post that was found, oldest first; known ones are its business."""

    def __init__(
        self,
        call: Call,
        bookmarks: Bookmarks,
        deliver: Callable[[Json, str], None],
        *,
        max_age_s: float,
        wait: Callable[[float], bool],
        fail: Callable[[Exception], None],
        logger: logging.Logger,
    ) -> None:
        self._call = call
        self._bookmarks = bookmarks
        self._deliver = deliver
        self._max_age_s = max_age_s
        self._wait = wait
        self._fail = fail
        self._logger = logger
        self._backoff = Backoff(1.0, 60.0)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False

    def fill(self) -> None:
        """Fetch what is missing, in the background; one run at a time."""
        with self._lock:
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gaps", daemon=True)
                self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, after `wait` says that it is to end."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._again:
                        self._thread = None
                        return
                    self._again = False
                for channel, mark in self._bookmarks.gaps():
                    if not self._patiently(channel, mark):
                        return
        except Exception as error:  # noqa: BLE001 - the connector's own thread raises it
            self._fail(error)

    def _patiently(self, channel: str, mark: Mark) -> bool:
        """False: stopped."""
        for failures in range(1, _MAX_TRIES + 1):
            try:
                count = self._fill(channel, mark)
            except RetryLater as error:
                self._logger.info("what was said in %s meanwhile: %s", channel, error)
                if self._wait(error.after_s if error.after_s is not None else self._backoff.wait_s(failures)):
                    return False
                continue
            except Rejected as error:
                self._logger.warning("what was said in %s meanwhile is not known: %s (%s)", channel, error, error.hint)
                count = 0
            self._bookmarks.filled(channel)
            self._bookmarks.flush()
            if count:
                self._logger.info("%d posts in %s are from the time of absence", count, channel)
            return not self._wait(0)
        self._logger.warning("what was said in %s meanwhile is fetched at the next start", channel)
        return True

    def _fill(self, channel: str, mark: Mark) -> int:
        since = max(earlier(mark.gap or mark.ts), mark.first, f"{time.time() - self._max_age_s:.6f}", key=order)
        found = self._posts("conversations.history", since, channel=channel)
        roots = set(mark.threads)
        for post in found.values():
            latest = stamp(post.get("latest_reply"))
            if latest and order(latest) > order(since):
                roots.add(str(post["ts"]))
        for root in roots:
            try:
                found |= self._posts("conversations.replies", since, channel=channel, ts=root)
            except Rejected as error:
                self._logger.info("the thread %s in %s: %s", root, channel, error)
        for ts in sorted(found, key=order):
            self._deliver(found[ts], channel)
        return len(found)

    def _posts(self, method: str, since: str, **place: Any) -> dict[str, Json]:
        """By ts, those after `since`; a thread's first post comes with its replies, however old it is."""
        found: dict[str, Json] = {}
        for messages, last in pages(self._call, method, oldest=since, limit=_PAGE, **place):
            found |= {str(m["ts"]): m for m in messages if stamp(m.get("ts")) and order(str(m["ts"])) > order(since)}
            if len(found) >= MAX_MESSAGES and not last:
                self._logger.warning("more than %d posts were missed; older ones are not fetched", MAX_MESSAGES)
                break
        return found


def earlier(ts: str) -> str:
    """OVERLAP_S before `ts`."""
    whole, micros = order(ts)
    return f"{max(0, whole - OVERLAP_S)}.{micros:06d}"
