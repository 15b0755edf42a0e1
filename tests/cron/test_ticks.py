"""When schedules come due: pure, without a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cron.ticks import GRACE_S, MOST_MISSED, Grid, Missed, due, iso, times_of

HOUR = 3600.0
DAY = 24 * HOUR
BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    """Seconds since 1970 of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def local(schedule: str, begin: str, end: str, missed: Missed = "all") -> list[str]:
    """The ticks between two times of UTC, as the clocks in Berlin show them."""
    found = due(times_of(schedule, BERLIN), after=at(begin), now=at(end), missed=missed)
    return [datetime.fromtimestamp(tick.due, ZoneInfo(BERLIN)).strftime("%m-%d %H:%M%z") for tick in found]


def test_nothing_is_due_before_its_time_and_everything_at_it() -> None:
    times = times_of("0 9 * * *", "UTC")
    assert due(times, after=at("2026-01-01T08:00"), now=at("2026-01-01T08:59"), missed="all") == []
    [tick] = due(times, after=at("2026-01-01T08:00"), now=at("2026-01-01T09:00"), missed="skip")
    assert (iso(tick.due), tick.missed, tick.late_by_s) == ("2026-01-01T09:00:00Z", 0, 0.0)
    assert due(times, after=at("2026-01-01T09:00"), now=at("2026-01-01T09:30"), missed="all") == []


def test_of_missed_times_the_last_one_comes_all_come_or_none() -> None:
    times = times_of("0 9 * * *", "UTC")
    before, now = at("2026-01-01T12:00"), at("2026-01-05T12:00")
    [last] = due(times, after=before, now=now, missed="last")
    assert (iso(last.due), last.missed, last.late_by_s) == ("2026-01-05T09:00:00Z", 3, 3 * HOUR)
    every = due(times, after=before, now=now, missed="all")
    assert [iso(tick.due)[:10] for tick in every] == [f"2026-01-0{day}" for day in (2, 3, 4, 5)]
    assert [tick.late_by_s for tick in every] == [3 * DAY + 3 * HOUR, 2 * DAY + 3 * HOUR, DAY + 3 * HOUR, 3 * HOUR]
    assert due(times, after=before, now=now, missed="skip") == []


def test_a_time_within_the_grace_is_no_missed_one() -> None:
    times = times_of("0 9 * * *", "UTC")
    [tick] = due(times, after=at("2026-01-01T12:00"), now=at("2026-01-03T09:00") + GRACE_S, missed="skip")
    assert (iso(tick.due), tick.missed, tick.late_by_s) == ("2026-01-03T09:00:00Z", 1, 0.0)


def test_a_time_that_summer_time_skips_comes_right_after_it() -> None:
    # In Berlin there is no 02:30 on 2026-03-29: the clocks go from 02:00 to 03:00.
    assert local("30 2 * * *", "2026-03-28T12:00", "2026-03-30T12:00") == ["03-29 03:00+0200", "03-30 02:30+0200"]


def test_a_time_that_comes_twice_comes_once() -> None:
    # On 2026-10-25 there are two: at 03:00 the clocks go back to 02:00.
    found = local("30 2 * * *", "2026-10-24T12:00", "2026-10-26T12:00")
    assert [text[:11] for text in found] == ["10-25 02:30", "10-26 02:30"]


def test_an_interval_takes_no_notice_of_summer_time() -> None:
    assert len(local("30m", "2026-03-28T23:00", "2026-03-29T23:00")) == 48
    assert len(local("30m", "2026-10-24T22:00", "2026-10-25T22:00")) == 48


def test_every_hour_of_a_day_of_25_comes_once() -> None:
    moments = [
        tick.due for tick in due(times_of("0 * * * *", BERLIN), after=0, now=at("2026-10-26T12:00"), missed="all")
    ]
    assert all(later - earlier in (HOUR, 2 * HOUR) for earlier, later in pairwise(moments))
    assert len(moments) == len(set(moments)) == MOST_MISSED


@pytest.mark.parametrize("schedule", ["* * * * *", "1s", "0 0 29 2 *", "@monthly"])
def test_years_of_downtime_are_looked_at_as_far_as_it_matters(schedule: str) -> None:
    now = at("2026-06-01T00:00:30")
    found = due(times_of(schedule, "UTC"), after=0.0, now=now, missed="all")
    assert 0 < len(found) <= MOST_MISSED
    assert sorted(tick.due for tick in found) == [tick.due for tick in found]
    [last] = due(times_of(schedule, "UTC"), after=0.0, now=now, missed="last")
    assert (last.due, last.missed) == (found[-1].due, len(found) - 1)


def test_an_interval_is_on_a_grid_that_a_restart_does_not_move() -> None:
    """Weakness: an interval began anew at every start."""
    hours = [iso(tick.due)[11:16] for tick in due(Grid(6 * HOUR), after=0.0, now=DAY, missed="all")]
    assert hours == ["06:00", "12:00", "18:00", "00:00"]


@given(st.floats(0, 4e9), st.sampled_from([1.0, 1.1, 0.1 * 13, 5400.0, 7 * DAY]))
def test_the_next_time_of_a_grid_lies_ahead_and_within_one_interval(moment: float, seconds: float) -> None:
    following = Grid(seconds).next_after(moment)
    assert moment < following <= moment + seconds + 0.001
    assert Grid(seconds).next_after(following) - following == pytest.approx(seconds, abs=0.002)


@given(st.lists(st.integers(1, 5000), max_size=30), st.sampled_from(["*/7 * * * *", "45s", "30 2 * * *"]))
def test_however_often_one_looks_every_time_comes_once(steps: list[int], schedule: str) -> None:
    times = times_of(schedule, BERLIN)
    begin = now = at("2026-03-28T20:00")
    piecewise: list[float] = []
    for step in steps:
        piecewise += [tick.due for tick in due(times, after=now, now=now + step, missed="all")]
        now += step
    whole = [tick.due for tick in due(times, after=begin, now=now, missed="all")]
    assert piecewise[-len(whole) :] == whole or not whole
    assert len(piecewise) == len(set(piecewise))
