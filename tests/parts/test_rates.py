"""Sliding windows: never more calls than the platform allows in any stretch of time, and never a needless wait."""

from __future__ import annotations

import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.parts.rates import Rates


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_limits_nothing_waits(clock: Clock) -> None:
    rates = Rates(monotonic=clock)
    for _ in range(100):
        rates.take("C1")
    assert rates.wait_s("C1") == 0.0
    assert rates.free("C1")


def test_a_conversation_waits_for_its_own_window_and_delays_no_other(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0)], monotonic=clock)
    rates.take("C1")
    clock.now += 0.25
    assert rates.wait_s("C1") == 0.75
    assert rates.wait_s("C2") == 0.0
    clock.now += 0.75
    assert rates.wait_s("C1") == 0.0


def test_the_overall_window_holds_for_all_keys_together(clock: Clock) -> None:
    rates = Rates(overall=[(3, 2.0)], monotonic=clock)
    for key in ("C1", "C2", None):
        rates.take(key)
        clock.now += 0.5
    assert rates.wait_s("C3") == 0.5


def test_of_several_windows_the_longest_wait_counts_and_extra_ones_hold_for_one_key(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0)], monotonic=clock)
    group = [(3, 60.0)]
    for _ in range(3):
        assert rates.acquire("G1", group) == 0.0
        clock.now += 1.0
    assert rates.wait_s("G1", group) == 57.0
    assert rates.wait_s("G1") == 0.0


@given(
    st.integers(1, 5),
    st.floats(0.5, 10),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), min_size=1, max_size=80),
)
def test_in_no_stretch_of_time_are_there_more_calls_than_allowed(
    count: int, per_s: float, steps: list[tuple[str, float]]
) -> None:
    clock = Clock()
    rates = Rates(conversation=[(count, per_s)], overall=[(count + 1, per_s)], monotonic=clock)
    made: list[tuple[float, str]] = []
    for key, pause in steps:
        clock.now += pause
        if rates.acquire(key) == 0.0:
            made.append((clock.now, key))
    for key, most in (("a", count), ("b", count), ("ab", count + 1)):
        times = [when for when, who in made if who in key]
        for start in times:
            assert sum(start <= when < start + per_s * (1 - 1e-9) for when in times) <= most


def test_who_waits_as_long_as_told_waits_once(clock: Clock) -> None:
    rates = Rates(conversation=[(2, 3.0)], overall=[(5, 1.0)], monotonic=clock)
    for _ in range(50):
        clock.now += rates.wait_s("C1")
        assert rates.acquire("C1") < 1e-6
        clock.now += 1e-6


def test_between_threads_a_slot_goes_to_one(clock: Clock) -> None:
    rates = Rates(overall=[(10, 1.0)], monotonic=clock)
    got: list[float] = []

    def call(key: str) -> None:
        got.extend([rates.acquire(key) for _ in range(50)])

    threads = [threading.Thread(target=call, args=(f"C{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(0.0) == 10


def test_a_penalty_holds_one_key_or_all_and_is_never_shortened(clock: Clock) -> None:
    rates = Rates(monotonic=clock)
    rates.penalise("C1", 5.0)
    rates.penalise("C1", 1.0)
    assert (rates.wait_s("C1"), rates.wait_s("C2")) == (5.0, 0.0)
    rates.penalise(None, 2.0)
    rates.penalise(None, 1.0)
    assert (rates.wait_s("C1"), rates.wait_s("C2")) == (5.0, 2.0)
    clock.now += 5.0
    assert (rates.wait_s("C1"), rates.wait_s("C2")) == (0.0, 0.0)


def test_a_cosmetic_call_never_takes_the_last_slot(clock: Clock) -> None:
    rates = Rates(overall=[(3, 1.0)], monotonic=clock)
    assert rates.free("C1")
    rates.take("C1")
    assert rates.free("C1")
    rates.take(None)
    assert not rates.free("C1")
    assert rates.wait_s("C1") == 0.0, "the last slot is left for who needs it"


def test_a_cosmetic_call_waits_for_a_window_of_one_to_be_empty(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0)], monotonic=clock)
    assert rates.free("C1")
    rates.take("C1")
    assert not rates.free("C1")
    assert rates.free("C2")


def test_a_cosmetic_call_yields_to_who_waits_and_to_penalties(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0)], overall=[(9, 60.0)], monotonic=clock)
    rates.take("C1")
    clock.now += 0.5
    assert rates.wait_s("C1") == 0.5
    clock.now += 0.5
    assert not rates.free("C1"), "its turn has come, and it has not been made yet"
    assert rates.free("C2")
    rates.take("C1")
    clock.now += 1.0
    assert rates.free("C1")
    rates.penalise("C1", 1.0)
    assert not rates.free("C1")
    assert rates.free("C2")
    rates.penalise(None, 1.0)
    assert not rates.free("C2")


def test_who_was_told_to_wait_and_never_comes_back_is_forgotten(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0)], monotonic=clock)
    rates.take("C1")
    assert rates.wait_s("C1") == 1.0
    clock.now += 10
    assert rates.free("C1")


def test_idle_keys_are_forgotten_and_busy_ones_stay_small(clock: Clock) -> None:
    rates = Rates(conversation=[(1, 1.0), (20, 60.0)], monotonic=clock)
    for number in range(20_000):
        rates.take(f"C{number}")
        rates.wait_s(f"C{number}")
        rates.penalise(f"P{number}", 1.0)
        clock.now += 1.0
    assert len(rates) < 1000
    rates.take("busy")
    tracemalloc.start()
    try:
        for _ in range(20_000):
            clock.now += 0.001
            rates.take("busy")
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()
    clock.now += 1.0
    assert rates.wait_s("busy") == pytest.approx(59.0 - 0.001 * 19)


@pytest.mark.parametrize("window", [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_a_window_that_makes_no_sense_is_refused(window: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="a window is"):
        Rates(overall=[window])
