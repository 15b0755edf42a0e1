"""Retry-After, however it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connectors.parts.retry_after import wait_of

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def waits(text: str) -> float:
    return wait_of(text, NOW, least_s=1, most_s=86_400, otherwise_s=60)


def test_it_is_seconds_or_a_date() -> None:
    assert waits("30") == 30
    assert waits(format_datetime(NOW + timedelta(hours=1), usegmt=True)) == 3600


def test_it_is_kept_within_its_bounds() -> None:
    assert waits(format_datetime(NOW - timedelta(hours=1), usegmt=True)) == 1
    assert waits("-5") == 1
    assert waits("9" * 400) == 86_400


@pytest.mark.parametrize(
    "text", ["", "soon", "nan", "Fri, 99 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:00 -0000"]
)
def test_what_is_neither_is_waited_for_as_if_nothing_was_said(text: str) -> None:
    assert waits(text) == 60
