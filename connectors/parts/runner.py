"""Runs a source when it is due or somebody asks, each run with an end that somebody hears of.

A run that fails is tried again after a growing wait, or the platform's own. The process ends by AuthError and
ConfigError, as everywhere, and when a poll hangs: nothing else ends a thread. Of several turns each has its own runs,
failures and waits, and what one does delays no other, as long as a thread is free.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import ConnectorError, InstanceLocked
from connectors.parts.checking import BadBatch
from connectors.parts.once import FOR_A_PERSON, text_of
from connectors.parts.runs import Job, Note, Report, Worker
from connectors.parts.turns import Plan, Turn, iso

__all__ = ["ALERT_FAILURES", "SLICE_S", "STOP_S", "Hung", "Plan", "Runner"]

#: A wait never lasts longer without a look at the clock, which may jump.
SLICE_S = 30.0
#: A poll that does not notice a stop is left behind after this time.
STOP_S = 1.0
#: So many failures in a row are an alert.
ALERT_FAILURES = 5
#: How long those who asked have to hear the answer before the process ends.
_TELL_S = 2.0
#: Of so many turns the trouble is told.
_TOLD = 3
_FATAL = (*FOR_A_PERSON, InstanceLocked, sqlite3.Error)


class Hung(ConnectorError):
    """A poll brought nothing for too long. Only the end of the process ends its thread; the manager starts it anew."""


class Runner:
    """The runs of one connector, at most `parallel` at once. `show(**fields)` sets fields of its status."""

    def __init__(
        self,
        connector: Connector,
        turns: Sequence[Turn],
        *,
        show: Callable[..., None],
        clock: Callable[[], float] = time.time,
        parallel: int = 1,
    ) -> None:
        self._connector = connector
        self._turns = turns
        self._show_fields = show
        self._clock = clock
        self._parallel = parallel
        self._nudge = threading.Event()
        self._well = True
        self._blocks: dict[str, dict[str, Any]] = {}

    # ── from other threads ────────────────────────────────────────────────────────────────────────────────────

    def ask(self, key: str, turns: Sequence[Turn]) -> bool:
        """Whether the runs that were asked for under this key have ended; the first time they are asked for."""
        answered = [turn.requests.ask(key) for turn in turns]
        if not all(answered):
            self._nudge.set()
        return all(answered)

    def nudge(self) -> None:
        """Look whether there is something to do, or to stop."""
        self._nudge.set()

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def loop(self) -> None:
        """Run what is due, until the connector stops."""
        for turn in self._turns:
            turn.emitter.open()
        self._show_start()
        worker = Worker("poll", self._parallel)
        try:
            while not self._stopped():
                self._nudge.clear()
                wait_s = min((*self._look_after_runs(), *self._begin_runs(worker)), default=SLICE_S)
                if not self._stopped():
                    self._nudge.wait(min(max(wait_s, 0.0), SLICE_S))
            self._leave()
        finally:
            worker.close()
            for turn in self._turns:
                turn.emitter.close()
                turn.requests.forget()

    def _stopped(self) -> bool:
        return self._connector.wait(0)

    def _begin_runs(self, worker: Worker) -> list[float]:
        """Begin what is due as long as a thread is free, the most overdue first. Returns the waits of the others."""
        waits = []
        idle = [(turn.due_in_s(), number, turn) for number, turn in enumerate(self._turns) if turn.job is None]
        free = self._parallel - (len(self._turns) - len(idle))
        for due_in_s, _, turn in sorted(idle, key=lambda item: item[:2]):
            if due_in_s > 0:
                waits.append(due_in_s)
            elif free > 0 and not self._stopped():
                free -= 1
                job = Job(turn.once.run, self._nudge.set)
                turn.begin(job)
                worker.begin(job)
                waits.append(turn.plan.limit_s)
        return waits

    def _look_after_runs(self) -> list[float]:
        """Hear of the ends of runs, and end those that hang. Returns when to look again."""
        waits = []
        for turn in self._turns:
            job = turn.job
            if job is None:
                continue
            if job.done.is_set():
                turn.job = None
                self._end(turn, job)
                continue
            if turn.emitter.writing:
                turn.once.progress()  # to wait for room is no fault of the source
            left_s = turn.once.progress_at + turn.plan.limit_s - time.monotonic()
            if left_s <= 0:
                self._end_hung(turn)
            waits.append(left_s)
        return waits

    def _leave(self) -> None:
        """The stop: those that notice it may end."""
        until = time.monotonic() + STOP_S
        for turn in self._turns:
            if turn.job is None:
                continue
            if turn.job.done.wait(max(0.0, until - time.monotonic())):
                self._end(turn, turn.job)
            else:
                text = "a poll was left behind by the stop; what it had not written comes again"
                self._connector.logger.info("%s", turn.said(text))

    # ── around a run ──────────────────────────────────────────────────────────────────────────────────────────

    def _end_hung(self, turn: Turn) -> None:
        text = turn.said(f"poll has brought nothing for {turn.plan.limit_s:g} s; the process ends, to be started anew")
        error = Hung(text, hint="give what poll waits for a time limit of its own, or raise poll_limit_s")
        self._connector.report_stall(text)
        turn.once.fail(error)
        turn.answer(turn.asked, f"the run failed: {text}", wait_s=_TELL_S)
        raise error

    def _end(self, turn: Turn, job: Job) -> None:
        if job.report is not None:
            self._end_well(turn, job.report)
            return
        error = job.error or RuntimeError("the run has no end")
        if self._stopped():
            self._connector.logger.info("%s", turn.said(f"stopped in a run: {error}"))
            return
        self._log(turn, error)
        text = f"the run failed: {text_of(error)}"
        if isinstance(error, _FATAL):
            turn.answer(turn.asked, text, wait_s=_TELL_S)
            raise error
        turn.answer(turn.asked, text)
        self._end_badly(turn, turn.once.note(), error)

    def _end_well(self, turn: Turn, report: Report) -> None:
        turn.succeeded(report)
        turn.answer(turn.asked, report)
        self._show(turn)
        self._connector.logger.info("%s", turn.said(f"polled in {report.seconds:.1f} s: {report.counts}"))
        self._report()
        if report.more:
            self.ask("", [turn])

    def _end_badly(self, turn: Turn, note: Note, error: BaseException) -> None:
        turn.failed(note)
        self._show(turn)
        if not note.held:
            hint = error.hint if isinstance(error, ConnectorError) else ""
            said = {"text": turn.said(text_of(error)), "hint": hint, "class": type(error).__name__}
            self._show_fields(last_error={**said, "at": iso(self._clock())})
        self._report()
        if note.failures == ALERT_FAILURES and not note.held:
            text = f"{note.failures} runs in a row have failed; the last one: {note.error}"
            self._connector.report_stall(turn.said(text))

    def _log(self, turn: Turn, error: BaseException) -> None:
        if isinstance(error, BadBatch):
            for problem in error.problems:
                self._connector.logger.error("%s", turn.said(f"refused: {problem}"))
        elif not isinstance(error, ConnectorError | OSError):
            self._connector.logger.error("%s", turn.said("poll failed"), exc_info=error)

    # ── what others see ───────────────────────────────────────────────────────────────────────────────────────

    def _report(self) -> None:
        """The worst state of all turns, and why. A source that was well and is says nothing: it may have a word of its
        own."""
        for state in ("failing", "limited", "partial"):
            troubled = [(turn, turn.trouble) for turn in self._turns if turn.trouble is not None]
            said = [turn.said(trouble.text) for turn, trouble in troubled if trouble.state == state]
            if said:
                self._well = False
                more = f"; and {len(said) - _TOLD} more" if len(said) > _TOLD else ""
                self._connector.report_state(state, "; ".join(said[:_TOLD]) + more)
                return
        if not self._well:
            self._well = True
            self._connector.report_state("connected")

    def _show_start(self) -> None:
        for turn in self._turns:
            turn.failed_before(turn.once.note())
        self._show(*self._turns)
        self._report()

    def _show(self, *turns: Turn) -> None:
        for turn in turns:
            self._blocks[turn.name] = turn.in_words(turn.once.note())
        blocks = list(self._blocks.values())
        if len(self._turns) == 1 and not self._turns[0].label:
            self._show_fields(source=blocks[0])
            return
        latest = max((block["last_success"] or "" for block in blocks), default="")
        together = {
            "last_success": latest or None,
            "next_run": min((block["next_run"] for block in blocks), default=None),
            "failures": sum(block["failures"] for block in blocks),
        }
        self._show_fields(source={**together, "feeds": dict(self._blocks)})
