"""A source: a connector that asks its platform for what is new, again and again.

    class FeedConnector(SourceConnector):
        connector_type = "feed"
        schedule = "15m"
        kinds = ("article",)

        def poll(self, checkpoint):
            entries = fetch(since=checkpoint)
            events = [Event(entry.id, entry.text, platform_event="article") for entry in entries]
            return PollResult(events, checkpoint=entries[-1].date if entries else checkpoint)

The part owns the rest. A run is due `schedule` after the last success, at once when that is past, also after a
restart; `connectors sync` and an outbox file `{"action": "sync"}` run it now. One run at a time. The checkpoint moves
in the transaction of the last of its events, never ahead of them. A run that fails leaves it where it was and comes
again after a growing wait; its error is in the status.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from pydantic import field_validator

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.options import option
from connectors.base.sending import Sending
from connectors.parts.checking import BadBatch
from connectors.parts.emitting import KEEP, Counts, Emitter
from connectors.parts.events import Event, Kinds
from connectors.parts.once import Once
from connectors.parts.runner import Hung, Plan, Runner
from connectors.parts.runs import PollResult, Report
from connectors.parts.schedule import parse, parse_interval, usual_jitter_s, zone

__all__ = ["KEEP", "BadBatch", "Counts", "Event", "Hung", "PollResult", "Report", "SourceConnector", "SourceOptions"]

#: How often an outgoing that asked for a run looks whether it has ended.
ASK_S = 0.1


class SourceOptions(options.Options):
    """The options of every source; a source's own inherit them."""

    schedule: str | None = option(
        None, description="When to poll: 30s, 5m, 6 hours, or five cron fields. The type has a default."
    )
    timezone: str | None = option(None, description="The time zone of cron fields, such as Europe/Berlin; else UTC.")
    jitter: str | None = option(
        None, description="Poll up to so much later, so that not all come at once; by default 10 % of an interval."
    )
    poll_limit_s: float | None = option(None, gt=0, description="A poll that brings nothing for so many seconds hangs.")

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str | None) -> str | None:
        if value is not None:
            parse(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone(value)
        return value

    @field_validator("jitter")
    @classmethod
    def _is_jitter(cls, value: str | None) -> str | None:
        if value is not None:
            parse_interval(value, least_s=0.0)
        return value


class SourceConnector(Connector):
    """Base of all sources: `poll` is all that one must write.

    `poll` runs in a thread of its own, the same one for all polls. Where it takes long it should look at
    `self._running`. Another `version` than the one that made the checkpoint starts afresh.
    """

    schedule: ClassVar[str] = "5m"
    timezone: ClassVar[str] = "UTC"
    kinds: ClassVar[Kinds] = ()
    #: A poll that brings nothing for so long hangs: an alert, and the process starts anew.
    poll_limit_s: ClassVar[float] = 600.0
    #: Seconds since 1970.
    clock: ClassVar[Callable[[], float]] = time.time
    Options: ClassVar[type[SourceOptions]] = SourceOptions

    @abstractmethod
    def poll(self, checkpoint: Any) -> PollResult:
        """Ask the platform what is new since `checkpoint`, which is None at first.

        Raises RetryLater (with `after_s`, when the platform says how long), AuthError, ConfigError; anything else is a
        failure too. Nothing that it raises moves the checkpoint.
        """

    def emit(self, events: Iterable[Event], checkpoint: Any = KEEP) -> Counts:
        """Make events durable now: out of a long poll, with how far it is, or out of a webhook, without.

        Raises BadBatch as `Emitter.emit` does, RetryLater when stopped, ValueError for a checkpoint outside of a poll.
        """
        if checkpoint is not KEEP and not self._once.polling:
            raise ValueError("a checkpoint moves in a poll only: elsewhere nobody knows where it is")
        counts = self._emitter.emit(events, checkpoint)
        if self._once.polling:
            self._once.count(counts)
        return counts

    def sync(self) -> Report:
        """Run now, in this thread, whatever the schedule says: for scripts and tests without `run()`. Raises what the
        poll raises, InstanceLocked when another process runs this instance."""
        self._open_runtime()  # its lock before that of the run
        self._emitter.open()
        return self._once.run()

    def poll_soon(self) -> None:
        """Run as soon as possible: a webhook said that there is something. Returns at once."""
        self._runner.ask("")

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Nothing is acquired. To override."""

    def disconnect(self) -> None:
        """Nothing was acquired. To override."""

    def send_message(self, msg: OutgoingMessage) -> bool | Receipt:
        """A source sends nothing, unless it overrides this."""
        raise Rejected(f"{self.connector_type} brings events in and sends nothing", hint='it knows {"action": "sync"}')

    def stop(self) -> None:
        """Also out of the wait for the next run."""
        super().stop()
        self._runner.nudge()

    def run_loop(self) -> None:
        """Poll when it is due, until stopped. Raises AuthError and ConfigError of a poll, and Hung."""
        self._runner.loop()

    # ── its parts ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _emitter(self) -> Emitter:
        return Emitter(self, self.kinds)

    @cached_property
    def _once(self) -> Once:
        return Once(self, self.poll, self._emitter, clock=type(self).clock)

    @cached_property
    def _runner(self) -> Runner:
        return Runner(
            self,
            self._once,
            self._emitter,
            plan=self._plan,
            show=self._show,
            clock=type(self).clock,
        )

    def _show(self, **fields: Any) -> None:
        self._open_runtime().status.update(**fields)

    def _plan(self) -> Plan:
        """From the options, or the class where they say nothing. Raises ConfigError."""
        found = self.options
        text = str(getattr(found, "schedule", None) or self.schedule)
        schedule = parse(text, getattr(found, "timezone", None) or self.timezone)
        jitter = getattr(found, "jitter", None)
        return Plan(
            schedule,
            text,
            usual_jitter_s(schedule) if jitter is None else parse_interval(jitter, least_s=0.0),
            float(getattr(found, "poll_limit_s", None) or self.poll_limit_s),
        )

    def _sending(self) -> Sending:
        """The action `sync` is the part's own; everything else is the connector's."""
        own = super()._sending()

        def pace(msg: OutgoingMessage) -> float:
            if msg.action == "sync":
                # The run is the worker's: who asked for it keeps no other outgoing waiting meanwhile.
                return 0.0 if not self._in_run or self._runner.ask(_key(msg)) else ASK_S
            return own.pace(msg) if own.pace is not None else 0.0

        def send(msg: OutgoingMessage) -> object:
            return self._synced(msg) if msg.action == "sync" else own.send(msg)

        return replace(own, send=send, pace=pace, actions=own.actions | {"sync"})

    def _synced(self, msg: OutgoingMessage) -> Receipt:
        if not self._in_run:
            return Receipt(metadata=self.sync().to_dict())
        answer = self._runner.requests.collect(_key(msg))
        if answer is None:
            raise RetryLater("the run has not ended", after_s=ASK_S)
        if isinstance(answer, str):
            raise Rejected(answer, hint="the source goes on by itself: connectors status says when")
        return Receipt(metadata=answer.to_dict())


def _key(msg: OutgoingMessage) -> str:
    return msg.idempotency_key or msg.id
