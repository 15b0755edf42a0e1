"""The times at which schedules come due, and what becomes of those that nobody was there for. Pure: no I/O, no clock.

    found = due(schedule, after=mark, now=now, missed="last")

Times are seconds since 1970. A tick is told of at most once: its id is made of the schedule's name and its time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from connectors.parts.schedule import Cron, Interval, parse

Missed = Literal["skip", "last", "all"]

#: A tick that comes so much after its time is on time: a restart, or a machine that wakes up, is no downtime.
GRACE_S = 60.0
#: Of the ticks that one schedule missed so many are looked at, the newest.
MOST_MISSED = 1000


@dataclass(frozen=True)
class Grid:
    """The whole multiples of an interval since 1970, UTC: the same after a restart, and on another machine."""

    seconds: float

    def next_after(self, at: float) -> float:
        """The next time after `at`."""
        number = math.floor(at / self.seconds) + 1
        while (moment := round(number * self.seconds, 3)) <= at:
            number += 1
        return moment


@dataclass(frozen=True)
class Tick:
    """A schedule's time has come. `missed`: so many of its times before this one never came (or `MOST_MISSED` or more).
    `late_by_s` is 0 for one on time."""

    due: float
    missed: int = 0
    late_by_s: float = 0.0


def times_of(text: str, timezone: str) -> Cron | Grid:
    """The times of a schedule as it is written. Raises ScheduleError."""
    schedule = parse(text, timezone)
    return Grid(schedule.seconds) if isinstance(schedule, Interval) else schedule


def due(times: Cron | Grid, *, after: float, now: float, missed: Missed) -> list[Tick]:
    """What is to be told of the times after `after`, up to `now`, oldest first.

    Of several, or of one that is late, there was nobody at the time: `skip` tells of none of them, `last` of the
    newest, `all` of each. The newest one is no missed one while it is within `GRACE_S`.
    """
    found = _newest(times, after, now)
    if not found:
        return []
    late = [now - moment if now - moment > GRACE_S else 0.0 for moment in found]
    if missed == "all":
        return [Tick(moment, 0, round(by_s, 3)) for moment, by_s in zip(found, late, strict=True)]
    if missed == "skip" and late[-1]:
        return []
    return [Tick(found[-1], len(found) - 1, round(late[-1], 3))]


def _newest(times: Cron | Grid, after: float, until: float) -> list[float]:
    """The last `MOST_MISSED` times after `after`, up to `until`. Looks back only as far as it must."""
    span_s = 3600.0
    while True:
        start = max(after, until - span_s)
        found = list(_between(times, start, until))
        if start <= after or len(found) >= MOST_MISSED:
            return found[-MOST_MISSED:]
        span_s *= 4


def _between(times: Cron | Grid, after: float, until: float) -> Iterator[float]:
    while (after := times.next_after(after)) <= until:
        yield after


def iso(moment: float, where: tzinfo = UTC) -> str:
    """As ISO 8601; with milliseconds only where there are some."""
    time = datetime.fromtimestamp(round(moment, 3), where)
    text = time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")
    return text.replace("+00:00", "Z") if where is UTC else text
