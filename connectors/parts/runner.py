"""Runs a source when it is due or somebody asks, each run with an end that somebody hears of.

A run that fails is tried again after a growing wait, or the platform's own. The process ends by AuthError and
ConfigError, as everywhere, and when a poll hangs: nothing else ends a thread.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from connectors.base.connector import Connector
from connectors.base.errors import ConnectorError, InstanceLocked
from connectors.parts.checking import BadBatch
from connectors.parts.emitting import Emitter
from connectors.parts.once import FOR_A_PERSON, Once, text_of
from connectors.parts.runs import Job, Note, Report, Requests, Worker
from connectors.parts.schedule import Schedule

#: A wait never lasts longer without a look at the clock, which may jump.
SLICE_S = 30.0
#: A poll that does not notice a stop is left behind after this time.
STOP_S = 1.0
#: So many failures in a row are an alert.
ALERT_FAILURES = 5
#: How long those who asked have to hear the answer before the process ends.
_TELL_S = 2.0
_FATAL = (*FOR_A_PERSON, InstanceLocked, sqlite3.Error)


class Hung(ConnectorError):
    """A poll brought nothing for too long. Only the end of the process ends its thread; the manager starts it anew."""


@dataclass(frozen=True)
class Plan:
    """When and how long: `text` is the schedule as it was written."""

    schedule: Schedule
    text: str
    jitter_s: float
    limit_s: float


class Runner:
    """The runs of one connector. `show(**fields)` sets fields of its status."""

    def __init__(
        self,
        connector: Connector,
        once: Once,
        emitter: Emitter,
        *,
        plan: Callable[[], Plan],
        show: Callable[..., None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connector = connector
        self._once = once
        self._emitter = emitter
        self._make_plan = plan
        self._show_fields = show
        self._clock = clock
        self._nudge = threading.Event()
        self._last: Report | None = None
        self._well = True
        self.requests = Requests()

    @cached_property
    def _plan(self) -> Plan:
        return self._make_plan()

    # ── from other threads ────────────────────────────────────────────────────────────────────────────────────

    def ask(self, key: str) -> bool:
        """Whether the run that was asked for under this key has ended; the first time it is asked for."""
        if self.requests.ask(key):
            return True
        self._nudge.set()
        return False

    def nudge(self) -> None:
        """Look whether there is something to do, or to stop."""
        self._nudge.set()

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def loop(self) -> None:
        """Run when it is due, until the connector stops."""
        self._emitter.open()
        self._show_start()
        worker = Worker("poll")
        try:
            while not self._stopped():
                self._nudge.clear()
                wait_s = self._wait_s()
                if self._stopped():
                    break
                if wait_s > 0:
                    self._nudge.wait(min(wait_s, SLICE_S))
                    continue
                asked = self.requests.waiting()
                self._supervise(worker.begin(Job(self._once.run, self._nudge.set)), asked)
        finally:
            worker.close()
            self._emitter.close()
            self.requests.forget()

    def _stopped(self) -> bool:
        return self._connector.wait(0)

    def _wait_s(self) -> float:
        """In how many seconds there is something to do; 0: a run is due, or was asked for."""
        now = self._clock()
        note = self._once.note_at(now)
        asked = self.requests.waiting()
        if asked and (held_s := note.held_s(now)) > 0:
            self._answer(asked, f"not run: {note.error}; the platform may be asked again in {held_s:.0f} s")
        elif asked or note.version not in ("", str(self._connector.version)):
            return 0.0
        return self._due(note, now) - now

    def _due(self, note: Note, now: float) -> float:
        return note.due(self._plan.schedule, now, key=self._connector.name, most_jitter_s=self._plan.jitter_s)

    # ── around a run ──────────────────────────────────────────────────────────────────────────────

    def _supervise(self, job: Job, asked: list[str]) -> None:
        """Wait for the end of the run, for a stop, or until it hangs."""
        self._once.progress()
        while not job.done.is_set():
            self._nudge.clear()
            if self._stopped() and not job.done.wait(STOP_S):
                self._connector.logger.info("a poll was left behind by the stop; what it had not written comes again")
                return
            if self._emitter.writing:
                self._once.progress()  # to wait for room is no fault of the source
            left_s = self._once.progress_at + self._plan.limit_s - time.monotonic()
            if left_s <= 0:
                self._end_hung(asked)
            if not job.done.is_set():
                self._nudge.wait(min(left_s, SLICE_S))
        self._end(job, asked)

    def _end_hung(self, asked: list[str]) -> None:
        text = f"poll has brought nothing for {self._plan.limit_s:g} s; the process ends, to be started anew"
        error = Hung(text, hint="give what poll waits for a time limit of its own, or raise poll_limit_s")
        self._connector.report_stall(text)
        self._once.fail(error)
        self._answer(asked, f"the run failed: {text}", wait_s=_TELL_S)
        raise error

    def _end(self, job: Job, asked: list[str]) -> None:
        if job.report is not None:
            self._end_well(job.report, asked)
            return
        error = job.error or RuntimeError("the run has no end")
        if self._stopped():
            self._connector.logger.info("stopped in a run: %s", error)
            return
        self._log(error)
        text = f"the run failed: {text_of(error)}"
        if isinstance(error, _FATAL):
            self._answer(asked, text, wait_s=_TELL_S)
            raise error
        self._answer(asked, text)
        self._show_failure(self._once.note(), error)

    def _end_well(self, report: Report, asked: list[str]) -> None:
        self._last = report
        self._answer(asked, report)
        self._show(self._once.note())
        self._connector.logger.info("polled in %.1f s: %s", report.seconds, report.counts)
        if report.problems:
            self._well = False
            some = "; ".join(report.problems[:5]) + ("; …" if len(report.problems) > 5 else "")
            self._connector.report_state("partial", f"{len(report.problems)} could not be read: {some}")
        elif not self._well:
            self._well = True
            self._connector.report_state("connected")
        if report.more:
            self.ask("")

    def _log(self, error: BaseException) -> None:
        if isinstance(error, BadBatch):
            for problem in error.problems:
                self._connector.logger.error("refused: %s", problem)
        elif not isinstance(error, ConnectorError | OSError):
            self._connector.logger.error("poll failed", exc_info=error)

    def _answer(self, keys: list[str], answer: Report | str, *, wait_s: float = 0.0) -> None:
        """`wait_s`: until those who asked have heard it, before the process ends."""
        self.requests.answer(keys, answer)
        self.requests.collect("")  # nobody waits for that one
        if wait_s and any(keys):
            self.requests.collected(wait_s)

    # ── what others see ───────────────────────────────────────────────────────────────────────────────────────

    def _show_failure(self, note: Note, error: BaseException) -> None:
        self._show(note)
        self._well = False
        next_run = _iso(self._due(note, self._clock()))
        if note.held:
            self._connector.report_state("limited", f"{note.error}; the next run is at {next_run}")
            return
        hint = error.hint if isinstance(error, ConnectorError) else ""
        at = _iso(self._clock())
        self._show_fields(last_error={"text": text_of(error), "hint": hint, "class": type(error).__name__, "at": at})
        said = f"{note.error}; {note.failures} in a row; the next run is at {next_run}"
        self._connector.report_state("failing", said)
        if note.failures == ALERT_FAILURES:
            self._connector.report_stall(f"{note.failures} runs in a row have failed; the last one: {note.error}")

    def _show_start(self) -> None:
        note = self._once.note()
        self._show(note)
        if note.failures and not note.held:
            self._well = False
            self._connector.report_state("failing", f"{note.error}; {note.failures} in a row before this start")

    def _show(self, note: Note) -> None:
        self._show_fields(
            source={
                "schedule": self._plan.text,
                "last_success": None if note.succeeded_at is None else _iso(note.succeeded_at),
                "next_run": _iso(self._due(note, self._clock())),
                "failures": note.failures,
                "last_run": None if self._last is None else self._last.to_dict(),
            }
        )


def _iso(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "never"
