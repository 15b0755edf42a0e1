"""From an envelope to the inbox, and then its acknowledgement; one after the other, in the order of their arrival.

Slack waits three seconds for the acknowledgement and delivers again otherwise, at once, after one minute, after five
(https://docs.slack.dev/apis/events-api/). What cannot be made durable now is not acknowledged, and comes again; what
comes again has the same id and makes no second event.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.base.errors import RetryLater
from connectors.base.message import Message
from connectors.parts.access import Verdict
from connectors.parts.lateness import mark_late
from connectors.slack.bookmarks import Bookmarks
from connectors.slack.gate import Gate
from connectors.slack.incoming import Incoming, Known, Me, dress, mapping, stamp, text
from connectors.slack.names import Names
from connectors.slack.normalise import as_it_came, normalise, occurrence
from connectors.slack.session import Session

#: Envelopes that wait while the disk or the inbox is full. Slack keeps the others, and delivers them again.
MAX_WAITING = 200
#: Names are waited for until an envelope is this old; its acknowledgement is due after three seconds.
NAMES_BY_S = 1.0
STRANGERS_NAME_S = 0.3

Envelope = Mapping[str, Any]


@dataclass(frozen=True)
class Sinks:
    """Where things go. `accept` makes an event durable; `say(user, channel, text)` answers a stranger; `fail` ends the
    connector."""

    accept: Callable[[Message], None]
    say: Callable[[str, str, str], None]
    fail: Callable[[Exception], None]


class Receiver:
    """`take` puts an envelope into the queue, from any thread; one thread works it off."""

    def __init__(
        self,
        instance: str,
        *,
        gate: Gate,
        names: Names,
        bookmarks: Bookmarks,
        sinks: Sinks,
        download: bool,
        logger: logging.Logger,
    ) -> None:
        self.me = Me("", "")
        self.up_since = datetime.now(UTC)
        self._instance = instance
        self._gate = gate
        self._names = names
        self._bookmarks = bookmarks
        self._sinks = sinks
        self._download = download
        self._logger = logger
        self._queue: queue.Queue[tuple[Session, Envelope, float] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._full = False
        self._stopped = False

    def take(self, session: Session, envelope: Envelope) -> None:
        """An envelope came. When too many wait, Slack keeps it."""
        try:
            self._queue.put_nowait((session, envelope, time.monotonic()))
            self._full = False
        except queue.Full:
            if not self._full:
                self._logger.warning("%d envelopes wait; more are left to Slack, which delivers again", MAX_WAITING)
            self._full = True

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._work, name="receiver", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Begin with no further envelope; safe twice."""
        self._stopped = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            pass  # it looks at `_stopped` before the next one
        if self._thread is not None:
            self._thread.join(timeout_s)

    def fetched(self, post: Envelope, channel: str) -> None:
        """A post from a conversation's history. Raises RetryLater when stopped."""
        place = self._names.place(channel)
        kind = {"channel_type": place.kind} if place is not None and place.kind else {}
        found = occurrence({**post, "type": "message", "channel": channel, **kind}, self.me, self._instance)
        if found is not None:
            self._deliver(found, NAMES_BY_S)

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        try:
            while True:
                item = self._queue.get()
                if item is None or self._stopped:
                    return
                self._handle(*item)
                if self._queue.empty():
                    self._bookmarks.flush()
        except RetryLater as error:
            self._logger.info("receiving ends: %s", error)
        except Exception as error:  # noqa: BLE001 - the connector's own thread raises it
            self._sinks.fail(error)

    def _handle(self, session: Session, envelope: Envelope, came_at: float) -> None:
        envelope_id = text(envelope.get("envelope_id"))
        if not envelope:
            self._logger.warning("something that is no JSON object came through the socket")
        if not envelope_id:
            return
        found = self._normalised(envelope)
        if found is not None:
            self._deliver(found, NAMES_BY_S - (time.monotonic() - came_at))
        try:
            session.acknowledge(envelope_id)
        except RetryLater as error:
            self._logger.info("an event is in the inbox, and Slack could not be told: %s", error)

    def _normalised(self, envelope: Envelope) -> Incoming | None:
        """The event in it. What this connector stumbles over is passed on as it came, rather than lost."""
        try:
            return normalise(envelope, self._who(envelope), self._instance)
        except Exception:  # a payload that nobody foresaw
            self._logger.exception("an envelope of type %r is passed on as it came", envelope.get("type"))
            return as_it_came(envelope, self.me, self._instance)

    def _who(self, envelope: Envelope) -> Me:
        if self.me.app_id:
            return self.me
        app_id = text(mapping(envelope.get("payload")).get("api_app_id"))
        return Me(self.me.team_id, self.me.user_id, self.me.bot_id, app_id)

    def _deliver(self, incoming: Incoming, budget_s: float) -> None:
        message = incoming.message
        # A stranger's name is worth a moment: the operator sees it beside the pairing code.
        moment_s = min(budget_s, STRANGERS_NAME_S) if message.conversation.type == "dm" else 0.0
        verdict = self._gate.admit(incoming, self._names.known(incoming.users, incoming.places, moment_s))
        ts, channel = stamp(message.metadata.get("ts")), message.conversation.id
        if not verdict.ok:
            self._logger.debug("%s is not let in: %s", message.id, verdict.why)
            if message.kind == "message" and ts:
                self._bookmarks.see(channel, ts, None, begin=False)
            if verdict.say is not None:
                self._answer(message, verdict.say)
            return
        if "retry" in message.metadata and self._gate.knows(message.id):
            budget_s = 0.0  # its names are in the inbox already
        known = self._names.known(incoming.users, incoming.places, budget_s)
        self._sinks.accept(self._finished(dress(incoming, known), verdict, known))
        if message.kind == "message" and ts:
            self._bookmarks.see(channel, ts, message.conversation.thread_id, begin=True)

    def _finished(self, message: Message, verdict: Verdict, known: Known) -> Message:
        changes: dict[str, Any] = {}
        if verdict.trust:
            changes["sender"] = message.sender.model_copy(update={"trust": verdict.trust})
        if verdict.why:
            changes["metadata"] = {**message.metadata, "why": verdict.why}
        if not self._download and message.content.attachments:
            files = [f if f.get("error") else {**f, "error": _LATER} for f in message.content.attachments]
            changes["content"] = message.content.model_copy(update={"attachments": files})
        return mark_late(message.model_copy(update=changes), self.up_since)

    def _answer(self, message: Message, words: str) -> None:
        """Tell a stranger how to be let in, in a thread of its own: an envelope waits for its acknowledgement."""
        channel = message.conversation.id if message.kind == "message" else ""
        arguments = (message.sender.id, channel, words)
        threading.Thread(target=self._sinks.say, args=arguments, name="answer", daemon=True).start()


_LATER = 'not fetched: "download" is off; the action fetch gets it'
