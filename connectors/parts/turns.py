"""One thing that is polled: where it is, when it is due, who asked for it, and how its last run went.

A source has one turn, or one for each of its feeds. `connectors.parts.runner` gives them their runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from connectors.base.connector import Connector
from connectors.parts.emitting import KEEP, Counts, Emitter
from connectors.parts.events import Event
from connectors.parts.once import MAIN, Once
from connectors.parts.runs import Job, Note, Report, Requests
from connectors.parts.schedule import Schedule


@dataclass(frozen=True)
class Plan:
    """When and how long: `text` is the schedule as it was written."""

    schedule: Schedule
    text: str
    jitter_s: float
    limit_s: float


@dataclass(frozen=True)
class Trouble:
    """Why a person may want to look: the state to report, and what is wrong."""

    state: Literal["failing", "limited", "partial"]
    text: str


class Turn:
    """`name` is that of its checkpoint; `label` stands before what is said of it, where there are several."""

    def __init__(
        self,
        connector: Connector,
        poll: Callable[[Any], object],
        emitter: Emitter,
        *,
        make_plan: Callable[[], Plan],
        clock: Callable[[], float],
        name: str = MAIN,
        label: str = "",
    ) -> None:
        self.name = name
        self.label = label
        self.emitter = emitter
        self.once = Once(connector, poll, emitter, name=name, clock=clock)
        self.requests = Requests()
        self.job: Job | None = None  #: the run that is under way
        self.asked: list[str] = []  #: who asked for that run
        self.last: Report | None = None
        self.trouble: Trouble | None = None
        self._connector = connector
        self._make_plan = make_plan
        self._clock = clock

    @cached_property
    def plan(self) -> Plan:
        """Raises ConfigError."""
        return self._make_plan()

    def emit(self, events: Iterable[Event], checkpoint: Any = KEEP) -> Counts:
        """As `SourceConnector.emit`."""
        if checkpoint is not KEEP and not self.once.polling:
            raise ValueError("a checkpoint moves in a poll only: elsewhere nobody knows where it is")
        counts = self.emitter.emit(events, checkpoint, name=self.name)
        if self.once.polling:
            self.once.count(counts)
        return counts

    # ── when it runs ──────────────────────────────────────────────────────────────────────────────────────────

    def due_in_s(self) -> float:
        """In how many seconds there is something to do; 0 and less: a run is due, or was asked for."""
        now = self._clock()
        note = self.once.note_at(now)
        asked = self.requests.waiting()
        if asked and (held_s := note.held_s(now)) > 0:
            self.answer(asked, f"not run: {note.error}; the platform may be asked again in {held_s:.0f} s")
        elif asked or note.version not in ("", str(self._connector.version)):
            return min(0.0, self.due(note, now) - now)
        return self.due(note, now) - now

    def due(self, note: Note, now: float) -> float:
        """When the next run is due; `now` or earlier: at once."""
        key = f"{self._connector.name}/{self.name}" if self.label else self._connector.name
        return note.due(self.plan.schedule, now, key=key, most_jitter_s=self.plan.jitter_s)

    def begin(self, job: Job) -> None:
        """It runs now, for all who have asked so far."""
        self.asked = self.requests.waiting()
        self.once.progress()
        self.job = job

    def answer(self, keys: list[str], answer: Report | str, *, wait_s: float = 0.0) -> None:
        """`wait_s`: until those who asked have heard it, before the process ends."""
        self.requests.answer(keys, answer)
        self.requests.collect("")  # nobody waits for that one
        if wait_s and any(keys):
            self.requests.collected(wait_s)

    # ── what others see ───────────────────────────────────────────────────────────────────────────────────────

    def succeeded(self, report: Report) -> None:
        """What a run that succeeded leaves to be told."""
        self.last, self.trouble = report, None
        if report.problems:
            some = "; ".join(report.problems[:5]) + ("; …" if len(report.problems) > 5 else "")
            self.trouble = Trouble("partial", f"{len(report.problems)} could not be read: {some}")

    def failed(self, note: Note) -> None:
        """What a run that failed leaves to be told."""
        next_run = iso(self.due(note, self._clock()))
        if note.held:
            self.trouble = Trouble("limited", f"{note.error}; the next run is at {next_run}")
        else:
            text = f"{note.error}; {note.failures} in a row; the next run is at {next_run}"
            self.trouble = Trouble("failing", text)

    def failed_before(self, note: Note) -> None:
        """What is left of the runs before this start."""
        if note.failures and not note.held:
            self.trouble = Trouble("failing", f"{note.error}; {note.failures} in a row before this start")

    def said(self, text: str) -> str:
        """The text, with whose it is."""
        return f"{self.label}: {text}" if self.label else text

    def in_words(self, note: Note) -> dict[str, Any]:
        """For status.json."""
        return {
            "schedule": self.plan.text,
            "last_success": None if note.succeeded_at is None else iso(note.succeeded_at),
            "last_failure": None if note.failed_at is None else iso(note.failed_at),
            "next_run": iso(self.due(note, self._clock())),
            "failures": note.failures,
            "error": note.error,
            "checkpoint_moved": None if note.moved_at is None else iso(note.moved_at),
            "last_run": None if self.last is None else self.last.to_dict(),
        }


def iso(at: float) -> str:
    """For people and status.json; `never` for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "never"
