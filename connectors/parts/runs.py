"""What the runs of a source are made of: see `connectors.parts.runner`.

`PollResult` is what a poll found, `Report` how its run went. `Note` is what is remembered of the runs across restarts,
in the instance's store; `Requests` are those who asked for one and wait for its end; `Worker` is the thread in which
they happen, so that a poll that hangs stops nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from queue import SimpleQueue
from typing import Any, Self

from connectors.parts.emitting import KEEP, Counts
from connectors.parts.events import Event
from connectors.parts.schedule import MAX_INTERVAL_S, Schedule, jitter_s

#: The bookmark's name under which the note lies. Names with a point are the project's own.
NOTE = ".runs"
#: What is remembered of an error.
_ERROR_CHARS = 500


@dataclass(frozen=True)
class PollResult:
    """What a poll found.

    `events` may be an iterator: it is then read, checked and written in chunks, and only those are in memory.
    `checkpoint` is any JSON, or a function that gives it after the last event; None: the next poll starts afresh; left
    out: it stays. `more`: poll again at once, as long as the checkpoint moves. `next_s`: not again before that.
    `problems`: what could not be read while the rest could; shown, and no failure.

    Raises TypeError for a `next_s` or `problems` that are none: before anything of it was written.
    """

    events: Iterable[Event] = ()
    checkpoint: Any = KEEP
    more: bool = False
    next_s: float | None = None
    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        given: Any = self.next_s  # whatever was given, not what should have been
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if given is not None and not (number and 0 <= given <= MAX_INTERVAL_S):
            raise TypeError(f"next_s must be seconds, from 0 to {MAX_INTERVAL_S:.0f}, not {given!r:.80}")
        if isinstance(self.problems, str) or not isinstance(self.problems, Sequence):
            raise TypeError(f"problems must be a list of texts, not of type {type(self.problems).__name__}")


@dataclass(frozen=True)
class Report:
    """A run that succeeded. `more`: there is more to read now. `next_s`: not again before that, says the platform.

    `problems`: what could not be read, while the rest could.
    """

    counts: Counts = field(default_factory=Counts)
    more: bool = False
    next_s: float | None = None
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For a receipt's metadata."""
        said = {"problems": list(self.problems)} if self.problems else {}
        return {**self.counts.to_dict(), "seconds": round(self.seconds, 3), **said}


def together(reports: Sequence[Report]) -> Report:
    """Several runs as one."""
    if len(reports) == 1:
        return reports[0]
    counts = sum((report.counts for report in reports), Counts())
    problems = tuple(problem for report in reports for problem in report.problems)
    return Report(counts, problems=problems, seconds=sum(report.seconds for report in reports))


@dataclass(frozen=True)
class Note:
    """What is remembered of the runs. Times are seconds since 1970."""

    version: str = ""  #: the connector's, when the checkpoint was made; empty: of any
    succeeded_at: float | None = None
    failures: int = 0  #: in a row
    failed_at: float | None = None
    wait_s: float = 0.0  #: after the last failure
    held: bool = False  #: that wait is the platform's own
    next_s: float = 0.0  #: how long to wait at least after the last success
    error: str = ""
    moved_at: float | None = None  #: when a run last left another checkpoint than it found

    @classmethod
    def read(cls, data: object) -> Self:
        """What was written before, by this version or another one."""
        known = {item.name for item in fields(cls)}
        return (
            cls(**{name: value for name, value in data.items() if name in known}) if isinstance(data, dict) else cls()
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def succeeded(self, version: str, now: float, next_s: float) -> Note:
        """After a run that succeeded."""
        return Note(version, now, next_s=next_s, moved_at=self.moved_at)

    def failed(self, error: str, now: float, wait_s: float, *, held: bool) -> Note:
        """After one that failed: the checkpoint is where it was. A wait that the platform gave is no failure."""
        data = {**self.to_dict(), "failed_at": now, "wait_s": wait_s, "held": held, "error": error[:_ERROR_CHARS]}
        return Note(**{**data, "failures": self.failures + (not held)})

    def not_ahead(self, now: float) -> Note:
        """As it is, unless its times lie ahead of `now`: the clock was wrong then, or has been set back. They count as
        now, so that nobody waits longer than was meant."""
        names = ("succeeded_at", "failed_at", "moved_at")
        return replace(self, **{name: min(at, now) for name in names if (at := getattr(self, name)) is not None})

    def due(self, schedule: Schedule, now: float, *, key: str, most_jitter_s: float) -> float:
        """When the next run is due; `now` or earlier: at once."""
        if self.failed_at is not None:
            return self.failed_at + self.wait_s
        if self.succeeded_at is None:
            return now
        due = max(schedule.next_after(self.succeeded_at), self.succeeded_at + self.next_s)
        return due + jitter_s(key, due, most_jitter_s)

    def held_s(self, now: float) -> float:
        """In how many seconds the platform may be asked again, whoever wants it."""
        if not self.held or self.failed_at is None:
            return 0.0
        return max(0.0, self.failed_at + self.wait_s - now)


class Requests:
    """Who asked for a run, by key, and the answer once there is one: a Report, or why there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answers: dict[str, Report | str | None] = {}

    def ask(self, key: str) -> bool:
        """Whether it is answered. The first time: it is asked."""
        with self._changed:
            return self._answers.setdefault(key, None) is not None

    def waiting(self) -> list[str]:
        """The keys that have no answer."""
        with self._changed:
            return [key for key, answer in self._answers.items() if answer is None]

    def answer(self, keys: list[str], answer: Report | str) -> None:
        with self._changed:
            self._answers.update({key: answer for key in keys if key in self._answers})

    def collect(self, key: str) -> Report | str | None:
        """The answer, which is then forgotten."""
        with self._changed:
            if self._answers.get(key) is None:
                return None
            self._changed.notify_all()
            return self._answers.pop(key)

    def collected(self, timeout_s: float) -> bool:
        """Wait until nobody waits and every answer was taken."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._answers, timeout_s)

    def forget(self) -> None:
        with self._changed:
            self._answers.clear()


class Job:
    """One piece of work in the worker's thread."""

    def __init__(self, work: Callable[[], Report], on_done: Callable[[], None]) -> None:
        self._work = work
        self._on_done = on_done
        self.done = threading.Event()
        self.report: Report | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Whatever the work raises, `sys.exit()` included, is kept for who waits for the end."""
        try:
            self.report = self._work()
        except BaseException as error:  # noqa: BLE001 - a poll must not end its thread unheard
            self.error = error
        finally:
            self.done.set()
            self._on_done()


class Worker:
    """Threads that do one job after the other; with one, the same for all, as some clients want. They end with the
    process, or after `close` and the jobs in hand."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = threads
        for _ in range(threads):
            threading.Thread(target=self._loop, name=name, daemon=True).start()

    def begin(self, job: Job) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
