"""Keeps one good socket open, whatever happens to it.

Slack ends every socket after some hours, and says so before (`disconnect`: warning, refresh_requested). The next one is
opened first, the old one goes on until it ends by itself or has had its time: no event falls between the two, and none
is left behind for a socket that nobody reads (Slack hands each envelope to ONE of the open sockets). An end without a
word is followed by a new socket with growing waits; a socket that is up and answers no ping is replaced, so many times
an hour.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.retry import Backoff
from connectors.parts.rebuilds import Rebuilds
from connectors.slack.session import CLOSED, Session

#: The old socket is read for so long after the new one has taken over.
DRAIN_S = 15.0
#: `hello` comes within this time of the handshake, or the socket is no good.
HELLO_S = 10.0
#: A socket that was up for so long is followed by the next one at once; otherwise that waits, longer and longer.
STEADY_S = 30.0
#: Slack counts a socket that ended without a word for some time.
GHOST_S = 600.0
#: Of sockets that answer no ping, so many are replaced in an hour.
STALLS_PER_HOUR = 12

_WHY = {
    "link_disabled": "Socket Mode is switched off for this app: https://api.slack.com/apps, Socket Mode",
    "too_many_websockets": "this app has ten sockets open already: stop the other programs that use its app_token",
}


@dataclass(frozen=True)
class Hooks:
    """What the sockets need, and whom they tell. `open` gives a connected session that has not been started."""

    open: Callable[[int, Callable[[Session, str, Mapping[str, Any]], None]], Session]
    envelope: Callable[[Session, Mapping[str, Any]], None]
    state: Callable[[str, str | None], None]
    stall: Callable[[str], None]
    up: Callable[[Mapping[str, Any], float], None]  #: hello, and for how many seconds there was no socket before
    stopped: Callable[[], bool]
    log: Callable[..., None]


class Sockets:
    """`start` opens the first; `run` keeps one open until stopped; `close` ends all."""

    def __init__(
        self, hooks: Hooks, *, ping_s: float, drain_s: float = DRAIN_S, rebuilds: Rebuilds | None = None
    ) -> None:
        self._hooks = hooks
        self._ping_s = ping_s
        self._drain_s = drain_s
        self._replaced_at: float | None = None  # since when leaving sockets have a successor
        self._rebuilds = rebuilds or Rebuilds(STALLS_PER_HOUR)
        self._backoff = Backoff(0.5, 60.0)
        self._news: queue.SimpleQueue[tuple[Session | None, str, Mapping[str, Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._numbers = 0
        self._failures = 0
        self._retry_at: float | None = None
        self._down_since: float | None = None
        self._refused = ""
        self._deaf = 0
        self._closed = False
        self._cut_off: deque[float] = deque(maxlen=20)  # ends that Slack may not know of

    # ── what the connector calls ──────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Open the first socket and wait for its hello. Raises RetryLater, AuthError, Rejected."""
        session = self._open()
        until = time.monotonic() + HELLO_S
        while not session.greeted:
            try:
                self._handle(*self._news.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                raise RetryLater(f"the socket is open and said no hello within {HELLO_S:g} s") from None
            if self._hooks.stopped():
                raise RetryLater("stopped")
            if session.ended.is_set() and not session.greeted:
                raise RetryLater(self._refused or "the socket ended before its hello")

    def run(self) -> None:
        """Until `hooks.stopped`; call `wake` when that changes. Raises what makes a new socket impossible."""
        while not self._hooks.stopped():
            try:
                session, what, message = self._news.get(timeout=self._pause_s())
                self._handle(session, what, message)
            except queue.Empty:
                pass
            if not self._hooks.stopped():
                self._tend()

    def wake(self) -> None:
        """Look at `stopped` now."""
        self._news.put((None, "wake", {}))

    def close(self) -> None:
        """End every socket; safe twice."""
        self._closed = True
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self, session: Session, what: str, message: Mapping[str, Any]) -> None:
        """In the reading threads."""
        if what == "envelope":
            self._hooks.envelope(session, message)
        else:
            self._news.put((session, what, message))

    def _handle(self, session: Session | None, what: str, message: Mapping[str, Any]) -> None:
        if session is None:
            return
        if what == "hello":
            self._greeted(message)
        elif what == "disconnect":
            self._asked_to_go(session, str(message.get("reason", "")))
        elif what == "ended":
            self._ended(session, str(message.get("reason") or "ended"))

    def _greeted(self, hello: Mapping[str, Any]) -> None:
        down_s = 0.0 if self._down_since is None else time.monotonic() - self._down_since
        self._retry_at, self._down_since, self._refused = None, None, ""
        self._replaced_at = time.monotonic()
        lately = sum(1 for at in self._cut_off if time.monotonic() - at < GHOST_S)
        ours, told = len(self._sessions) + lately, hello.get("num_connections")
        note = None
        if isinstance(told, int) and told > ours:
            note = (
                f"{told} sockets of this app are open and only {ours} from here: each gets a part of the events; "
                "stop the other program that uses this app_token"
            )
        self._hooks.state("connected", note)
        self._hooks.up(hello, down_s)

    def _asked_to_go(self, session: Session, why: str) -> None:
        self._hooks.log("the socket is to be replaced: %s", why or "no reason given")
        if why in _WHY:
            self._refused = _WHY[why]
        if session.leaving_since is None:
            session.leaving_since = time.monotonic()
            self._replaced_at = None
            if why not in _WHY:
                self._retry_at = time.monotonic()

    def _ended(self, session: Session, why: str) -> None:
        with self._lock:
            known = session in self._sessions
            if known:
                self._sessions.remove(session)
        session.close()
        if not known or self._closed:
            return
        now = time.monotonic()
        if why != CLOSED:
            self._cut_off.append(now)
        if self._down_since is None and not any(other.greeted for other in list(self._sessions)):
            self._down_since = now
        if self._of_service():
            return
        # A socket that was up for a while is followed at once.
        if session.greeted and now - session.opened_at > STEADY_S and not self._refused:
            self._failures, self._retry_at = 0, now
        elif self._retry_at is None:
            self._again_later()
        self._hooks.state("reconnecting", self._refused or why)

    def _of_service(self) -> list[Session]:
        """Those that are not leaving."""
        with self._lock:
            return [session for session in self._sessions if session.leaving_since is None]

    # ── what is to be done ────────────────────────────────────────────────────────────────────────────────────

    def _pause_s(self) -> float:
        now = time.monotonic()
        times = [now + self._ping_s]
        for session in list(self._sessions):
            times.append(session.pinged_at + self._ping_s)
            if session.leaving_since is not None and self._replaced_at is not None:
                times.append(self._replaced_at + self._drain_s)
        if self._retry_at is not None:
            times.append(self._retry_at)
        return max(0.0, min(times) - now)

    def _tend(self) -> None:
        now = time.monotonic()
        for session in list(self._sessions):
            replaced = session.leaving_since is not None and self._replaced_at is not None
            if replaced and now >= (self._replaced_at or now) + self._drain_s:
                self._drop(session)
            elif not session.greeted and now >= session.opened_at + HELLO_S:
                session.cut()
            elif session.quiet_s() > 2 * self._ping_s:
                self._stalled(session)
            elif now >= session.pinged_at + self._ping_s:
                session.ping()
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            if not self._of_service():
                self._reopen()

    def _drop(self, session: Session) -> None:
        with self._lock:
            if session in self._sessions:
                self._sessions.remove(session)
        session.close()

    def _stalled(self, session: Session) -> None:
        """Connected, and deaf: the peer answers no ping."""
        wait_s = self._rebuilds.wait_s()
        if wait_s:
            if session.number != self._deaf:
                self._deaf = session.number
                self._hooks.stall(f"sockets go deaf again and again; the next one is opened in {wait_s:.0f} s")
            session.ping()
            return
        self._rebuilds.note()
        self._hooks.log("the socket answers no ping for %.0f s; it is replaced", session.quiet_s())
        self._hooks.stall("the socket was up and answered no ping")
        session.cut()  # the reading thread says that it ended

    def _reopen(self) -> None:
        try:
            self._open()
        except RetryLater as error:
            self._again_later(error.after_s)
            self._hooks.log("no new socket yet: %s", error)
            if not self._sessions:
                self._hooks.state("reconnecting", self._refused or str(error))
        # Anything else (a refused credential) ends the process with its own code.

    def _again_later(self, after_s: float | None = None) -> None:
        self._failures += 1
        wait_s = self._backoff.wait_s(self._failures) if after_s is None else after_s
        if self._refused:
            wait_s = max(wait_s, 30.0)
        self._retry_at = time.monotonic() + wait_s

    def _open(self) -> Session:
        self._numbers += 1
        session = self._hooks.open(self._numbers, self._listen)
        with self._lock:
            closed = self._closed
            if not closed:
                self._sessions.append(session)
        if closed:
            with contextlib.suppress(ConnectorError):
                session.close()
            raise RetryLater("closed")
        session.start()
        return session
