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
from collections.abc import Callable, Iterable, Sequence
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
from connectors.parts.runner import Hung, Runner
from connectors.parts.runs import PollResult, Report, together
from connectors.parts.schedule import parse, parse_interval, usual_jitter_s, zone
from connectors.parts.turns import Plan, Turn

__all__ = ["KEEP", "BadBatch", "Counts", "Event", "Hung", "PollResult", "Report", "SourceConnector", "SourceOptions"]

#: How often an outgoing that asked for a run looks whether it has ended.
ASK_S = 0.1


class TimingOptions(options.Options):
    """When to poll."""

    schedule: str | None = option(
        None, description="When to poll: 30s, 5m, 6 hours, or five cron fields. The type has a default."
    )
    timezone: str | None = option(None, description="The time zone of cron fields, such as Europe/Berlin; else UTC.")
    jitter: str | None = option(
        None, description="Poll up to so much later, so that not all come at once; by default 10 % of an interval."
    )

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


class SourceOptions(TimingOptions):
    """The options of every source; a source's own inherit them."""

    poll_limit_s: float | None = option(None, gt=0, description="A poll that brings nothing for so many seconds hangs.")


class SourceConnector(Connector):
    """Base of all sources: `poll` is all that one must write. For several feeds: `connectors.parts.feeds`.

    `poll` runs in a thread of its own, the same one for all polls. Where it takes long it should look at
    `self._running`. Another `version` than the one that made the checkpoint starts afresh.
    """

    schedule: ClassVar[str] = "5m"
    timezone: ClassVar[str] = "UTC"
    kinds: ClassVar[Kinds] = ()
    #: A poll that brings nothing for so long hangs: an alert, and the process starts anew.
    poll_limit_s: ClassVar[float] = 600.0
    #: How many may be polled at once, each in a thread; matters only where there is more than one to poll.
    parallel: ClassVar[int] = 1
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
        return self._turns[0].emit(events, checkpoint)

    def sync(self) -> Report:
        """Run now, in this thread, whatever the schedule says: for scripts and tests without `run()`. Raises what the
        poll raises, InstanceLocked when another process runs this instance."""
        return self._run_now(self._turns)

    def poll_soon(self) -> None:
        """Run as soon as possible: a webhook said that there is something. Returns at once."""
        self._runner.ask("", self._turns)

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
        if "_runner" in vars(self):  # also when it cannot be made, since an option is wrong
            self._runner.nudge()

    def run_loop(self) -> None:
        """Poll when it is due, until stopped. Raises AuthError and ConfigError of a poll, and Hung."""
        self._runner.loop()

    # ── its parts ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _turns(self) -> tuple[Turn, ...]:
        """What is polled, each with a checkpoint of its own; here only one."""
        emitter = Emitter(self, self.kinds)
        return (Turn(self, self.poll, emitter, make_plan=self._plan, clock=type(self).clock),)

    @cached_property
    def _runner(self) -> Runner:
        return Runner(self, self._turns, show=self._show, clock=type(self).clock, parallel=self.parallel)

    def _run_now(self, turns: Iterable[Turn]) -> Report:
        self._open_runtime()  # its lock before that of the run
        reports = []
        for turn in turns:
            turn.emitter.open()
            reports.append(turn.once.run())
        return together(reports)

    def _show(self, **fields: Any) -> None:
        self._open_runtime().status.update(**fields)

    def _plan(self) -> Plan:
        """From the options, or the class where they say nothing. Raises ConfigError."""
        return self._plan_of(self.options)

    def _plan_of(self, *sources: object, schedule: str | None = None) -> Plan:
        """From the first of these options that says something, then `schedule`, then the class."""

        def said(name: str) -> Any:
            return next((value for source in sources if (value := getattr(source, name, None)) is not None), None)

        text = str(said("schedule") or schedule or self.schedule)
        parsed = parse(text, said("timezone") or self.timezone)
        jitter = said("jitter")
        jitter_s = usual_jitter_s(parsed) if jitter is None else parse_interval(jitter, least_s=0.0)
        return Plan(parsed, text, jitter_s, float(said("poll_limit_s") or self.poll_limit_s))

    def _asked(self, msg: OutgoingMessage) -> Sequence[Turn]:
        """The turns that an outgoing asks to be run. Raises Rejected."""
        return self._turns

    def _sending(self) -> Sending:
        """The action `sync` is the part's own; everything else is the connector's."""
        own = super()._sending()

        def pace(msg: OutgoingMessage) -> float:
            if msg.action == "sync":
                # The run is the worker's: who asked for it keeps no other outgoing waiting meanwhile.
                return 0.0 if self._answered(msg) else ASK_S
            return own.pace(msg) if own.pace is not None else 0.0

        def send(msg: OutgoingMessage) -> object:
            return self._synced(msg) if msg.action == "sync" else own.send(msg)

        return replace(own, send=send, pace=pace, actions=own.actions | {"sync"})

    def _answered(self, msg: OutgoingMessage) -> bool:
        """Whether the runs that it asks for have ended, or will never begin."""
        if not self._in_run:
            return True
        try:
            return self._runner.ask(_key(msg), self._asked(msg))
        except Rejected:
            return True

    def _synced(self, msg: OutgoingMessage) -> Receipt:
        turns = self._asked(msg)
        if not self._in_run:
            return Receipt(metadata=self._run_now(turns).to_dict())
        if not self._runner.ask(_key(msg), turns):
            raise RetryLater("the run has not ended", after_s=ASK_S)
        answers = [(turn, turn.requests.collect(_key(msg))) for turn in turns]
        if failed := [turn.said(answer) for turn, answer in answers if isinstance(answer, str)]:
            raise Rejected("; ".join(failed), hint="the source goes on by itself: connectors status says when")
        return Receipt(metadata=together([answer for _, answer in answers if isinstance(answer, Report)]).to_dict())


def _key(msg: OutgoingMessage) -> str:
    return msg.idempotency_key or msg.id
