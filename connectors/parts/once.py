"""One run of a source.

    the run's lock → the checkpoint → poll → its events, and with the last of them the checkpoint → the note of success

Whatever a poll does wrong, the checkpoint is where it was, and the note says what was wrong and when it is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import AuthError, ConfigError, RetryLater
from connectors.base.locks import Lock
from connectors.base.retry import Backoff
from connectors.base.steps import step
from connectors.parts.emitting import Counts, Emitter
from connectors.parts.runs import NOTE, Note, PollResult, Report
from connectors.parts.schedule import MAX_INTERVAL_S

MAIN = "main"
#: Held during a run, in the instance's state folder; `connectors checkpoint` takes it for a moment.
RUN_LOCK = "run.lock"
_LOCK_S = 10.0
#: After the first failure, and the longest wait.
BACKOFF = Backoff(10.0, 900.0)
#: The operator has to do something: the process ends, as with these errors anywhere. Then it is due at once.
FOR_A_PERSON = (AuthError, ConfigError, ImportError)


def note_name(name: str) -> str:
    """Where the note on the runs of this checkpoint lies, among the checkpoints."""
    return NOTE if name == MAIN else f"{NOTE}/{name}"


def run_lock(folder: Path, instance: str, name: str = MAIN) -> Lock:
    """What keeps every other run, and every other hand, from the checkpoint. `folder`: the instance's state."""
    if name == MAIN:
        return Lock(folder / RUN_LOCK, f"the checkpoint of {instance}")
    return Lock(folder / f"run.{name}.lock", f"the checkpoint of {instance}/{name}")


class Once:
    """The runs with one checkpoint, one at a time: the second caller waits for the end of the first one's."""

    def __init__(
        self,
        connector: Connector,
        poll: Callable[[Any], object],
        emitter: Emitter,
        *,
        name: str = MAIN,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connector = connector
        self._name = name
        self._poll = poll
        self._emitter = emitter
        self._clock = clock
        self._one = threading.Lock()
        self._counts = Counts()
        self.polling = False  #: a poll is under way
        self.progress_at = 0.0  #: when it last brought something, on the monotonic clock
        emitter.on_progress = self.progress

    def progress(self) -> None:
        """The poll does not hang."""
        self.progress_at = time.monotonic()

    def count(self, counts: Counts) -> None:
        """The poll emitted events by itself."""
        self._counts += counts

    def note(self) -> Note:
        """What is remembered of the runs so far."""
        return Note.read(self._connector.checkpoint(note_name(self._name)))

    def note_at(self, now: float) -> Note:
        """`note`, after a look at the clock: see `Note.not_ahead`. Not during a run."""
        found = self.note()
        note = found.not_ahead(now)
        if note != found:
            self._connector.logger.warning("the clock was set back: what is due is reckoned anew by its time")
            self._keep(note)
        return note

    def fail(self, error: BaseException) -> None:
        """Remember a failure."""
        self._keep(self._failed(self.note(), error))

    def run(self) -> Report:
        """Raises what the poll raises."""
        with self._one:
            lock = run_lock(self._connector.state_dir, self._connector.name, self._name)
            lock.acquire(_LOCK_S)
            try:
                return self._run()
            finally:
                lock.release()

    def _run(self) -> Report:
        began = time.monotonic()
        note, version = self._right_version(), str(self._connector.version)
        before = self._connector.checkpoint(self._name)
        try:
            report = replace(self._poll_once(before), seconds=time.monotonic() - began)
        except BaseException as error:
            if not self._connector.wait(0):  # what a stop cuts off is no failure
                self._keep(self._failed(self._moved(note, before), error))
            raise
        note = self._moved(note, before)
        step("source.committed")
        self._keep(note.succeeded(version, self._clock(), report.next_s or 0.0))
        step("source.noted")
        return report

    def _moved(self, note: Note, before: Any) -> Note:
        moved = self._connector.checkpoint(self._name) != before
        return replace(note, moved_at=self._clock()) if moved else note

    def _poll_once(self, before: Any) -> Report:
        self._counts, self.polling = Counts(), True
        self.progress()
        try:
            result = self._poll(before)
            self.progress()
            step("source.polled")
            if not isinstance(result, PollResult):
                raise TypeError(f"poll returned {type(result).__name__}: return PollResult(events, checkpoint)")
            self.count(self._emitter.emit(result.events, result.checkpoint, name=self._name))
        finally:
            self.polling = False
        more = result.more and self._connector.checkpoint(self._name) != before
        return Report(self._counts, more, result.next_s, tuple(map(str, result.problems)))

    def _right_version(self) -> Note:
        """Another version of the connector made the checkpoint: a fresh start. The instance's lock keeps every process
        of the other version away, and the run's lock every other run."""
        note, version = self.note(), str(self._connector.version)
        if note.version in ("", version):
            return note
        self._connector.logger.warning(
            "version %s made the checkpoint, this is %s: a fresh start", note.version, version
        )
        # In this order: dying in between does it once more, when nothing has been read since.
        self._connector.write_all_to_inbox([], (self._name, None))
        self._keep(Note(version))
        return Note(version)

    def _failed(self, note: Note, error: BaseException) -> Note:
        after_s = error.after_s if isinstance(error, RetryLater) else None
        wait_s = BACKOFF.wait_s(note.failures + 1) if after_s is None else min(after_s, MAX_INTERVAL_S)
        wait_s = max(1.0, wait_s)  # a platform that says 0 is not asked at full rate either
        if isinstance(error, FOR_A_PERSON):
            wait_s = 0.0
        return note.failed(text_of(error), self._clock(), wait_s, held=after_s is not None)

    def _keep(self, note: Note) -> None:
        self._connector.write_all_to_inbox([], (note_name(self._name), note.to_dict()))


def text_of(error: BaseException) -> str:
    """What went wrong, never empty."""
    return str(error) or type(error).__name__
