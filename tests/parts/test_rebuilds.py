"""A connection is made anew a bounded number of times an hour."""

from __future__ import annotations

import pytest

from connectors.parts.rebuilds import Rebuilds


def test_in_any_hour_there_are_at_most_so_many() -> None:
    now = 5000.0
    rebuilds = Rebuilds(3, lambda: now)
    for _ in range(3):
        assert rebuilds.allowed()
        rebuilds.note()
        now += 600
    assert not rebuilds.allowed()
    assert rebuilds.wait_s() == 1800
    now += 1800
    assert rebuilds.allowed()
    rebuilds.note()
    assert rebuilds.wait_s() == 600, "the hour slides: the second was ten minutes after the first"


def test_one_that_was_made_in_spite_of_it_counts_too() -> None:
    now = 5000.0
    rebuilds = Rebuilds(1, lambda: now)
    rebuilds.note()
    now += 1000
    rebuilds.note()
    assert rebuilds.wait_s() == 3600


def test_none_an_hour_is_no_number() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Rebuilds(0)
