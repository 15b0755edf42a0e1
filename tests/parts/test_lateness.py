"""What was sent while the connector was down says so, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.base.message import Message
from connectors.parts.lateness import mark_late
from tests.parts.filing import event

UP = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def sent(timestamp: str, received_at: str | None = None) -> Message:
    return event("1", []).model_copy(update={"timestamp": timestamp, "received_at": received_at})


def test_an_event_from_before_the_start_is_late_by_its_age_when_it_came() -> None:
    message = sent("2026-01-31T11:00:00+00:00", "2026-01-31T12:00:05.500000+00:00")
    marked = mark_late(message, UP)
    assert (marked.late, marked.late_by_s) == (True, 3605.5)
    assert (message.late, message.late_by_s) == (False, None)


def test_without_a_time_of_arrival_it_came_now() -> None:
    marked = mark_late(sent("2026-01-31T11:00:00Z"), UP, now=UP + timedelta(seconds=1))
    assert marked.late_by_s == 3601
    assert (mark_late(sent("2026-01-31T11:00:00Z"), UP).late_by_s or 0) > 3601


@pytest.mark.parametrize(
    ("timestamp", "late"),
    [
        ("2026-01-31T12:00:00+00:00", False),
        ("2026-01-31T11:59:58+00:00", False),
        ("2026-01-31T11:59:57.9+00:00", True),
        ("2026-01-31T13:00:00+02:00", True),
        ("2026-01-31T11:00:00", True),
        ("2099-01-01T00:00:00+00:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("0001-01-01T00:00:00+14:00", True),
        ("yesterday", False),
        ("", False),
        ("1733011200.000100", False),
    ],
)
def test_late_is_what_lies_more_than_the_grace_before_the_start(timestamp: str, late: bool) -> None:
    marked = mark_late(sent(timestamp), UP)
    assert marked.late is late
    assert (marked.late_by_s is not None) is late


def test_the_grace_is_the_callers() -> None:
    message = sent("2026-01-31T11:59:50+00:00")
    assert mark_late(message, UP).late
    assert not mark_late(message, UP, grace_s=10).late


def test_a_start_without_a_zone_is_utc() -> None:
    assert mark_late(sent("2026-01-31T11:00:00Z"), UP.replace(tzinfo=None)).late
