"""The states of an instance's process: one test per promise, and the promises over random histories."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import states
from connectors.base.errors import Exit
from connectors.base.settings import RestartPolicy
from connectors.base.states import Action, Cause, Event, Now, Record, State, transition

POLICY = RestartPolicy(initial_delay_s=1, max_delay_s=300, reset_after_s=60)
T0 = Now(wall=1_000_000.0, monotonic=50.0)


def at(seconds: float, *, stepped: float = 0) -> Now:
    """A moment `seconds` after the start; the wall clock was stepped by `stepped`."""
    return Now(T0.wall + seconds + stepped, T0.monotonic + seconds)


def longest(low: float, high: float) -> float:
    return high


def run(record: Record, *events: tuple[Event, float], policy: RestartPolicy = POLICY) -> tuple[Record, list[Action]]:
    """The record after events at their times, with the longest jitter, and all actions."""
    done: list[Action] = []
    for event, seconds in events:
        record, actions = transition(record, event, at(seconds), policy, uniform=longest)
        done += actions
    return record, done


STARTED, _ = transition(Record(), states.Start(), T0, POLICY)
RUNNING, _ = transition(STARTED, states.Connected(), at(1), POLICY)


def crash(record: Record, seconds: float, policy: RestartPolicy = POLICY, status: int = 1) -> tuple[Record, float]:
    """One more end of the process; the record, back in BACKOFF, and the wait."""
    if record.state is State.BACKOFF:
        assert record.due is not None
        record, actions = transition(record, states.Tick(), replace(T0, monotonic=record.due), policy)
        assert actions == (Action.SAVE, Action.SPAWN)
    record, _ = transition(record, states.Exited(status), at(seconds), policy, uniform=longest)
    return record, record.wait_s


def test_a_start_spawns_and_a_report_makes_it_running() -> None:
    assert STARTED.state is State.STARTING
    assert RUNNING.state is State.RUNNING
    assert transition(RUNNING, states.Start(), at(2), POLICY) == (RUNNING, ())


def test_the_first_restart_is_at_once_and_later_ones_wait_longer_and_longer_up_to_the_cap() -> None:
    record, waits = RUNNING, []
    for _ in range(12):
        record, wait = crash(record, 2)
        waits.append(wait)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_stable_time_makes_it_a_first_restart_again() -> None:
    record = replace(RUNNING, crashes=7)
    calm, actions = run(record, (states.Tick(), 61.5))
    assert (calm.crashes, actions) == (0, [Action.SAVE])
    assert crash(record, 61.5)[1] == 0
    assert crash(record, 60.5)[1] == 64


def test_a_long_connect_is_no_stable_time() -> None:
    assert crash(replace(STARTED, crashes=7), 1000)[1] == 64


def test_a_stepped_wall_clock_changes_nothing_while_the_manager_runs() -> None:
    record, _ = crash(replace(RUNNING, crashes=5), 2)
    assert record.wait_s == 16
    for stepped in (-1e6, 1e6):
        early, _ = transition(record, states.Tick(), at(17.9, stepped=stepped), POLICY)
        assert early.state is State.BACKOFF
        late, _ = transition(record, states.Tick(), at(18, stepped=stepped), POLICY)
        assert late.state is State.STARTING


@pytest.mark.parametrize(
    ("status", "state", "cause"),
    [
        (0, State.EXITED, None),
        (1, State.BACKOFF, None),
        (2, State.FATAL, Cause.DEPENDENCY),
        (75, State.BACKOFF, None),
        (77, State.FATAL, Cause.AUTH),
        (78, State.FATAL, Cause.CONFIG),
        (3, State.BACKOFF, None),
        (-9, State.BACKOFF, None),
        (-15, State.BACKOFF, None),
    ],
)
@pytest.mark.parametrize("record", [STARTED, RUNNING], ids=["starting", "running"])
def test_the_exit_code_decides(record: Record, status: int, state: State, cause: Cause | None) -> None:
    ended, actions = transition(record, states.Exited(status), at(2), POLICY)
    assert (ended.state, ended.cause, ended.exit_status) == (state, cause, status)
    assert (Action.ALERT_AUTH in actions) == (status == 77)


def test_a_fatal_end_waits_for_a_person() -> None:
    ended, _ = run(RUNNING, (states.Exited(78), 2), (states.Tick(), 1e6), (states.Connected(), 1e6))
    assert ended.state is State.FATAL
    assert states.due_at(ended, POLICY) is None
    for event in (states.Start(), states.Restart()):
        again, actions = transition(ended, event, at(3), POLICY)
        assert (again.state, again.cause) == (State.STARTING, None)
        assert Action.SPAWN in actions


def test_a_locked_instance_is_tried_again_with_growing_waits_and_is_no_crash_loop() -> None:
    record, waits = RUNNING, []
    alerts: list[Action] = []
    policy = replace(POLICY, max_restarts=1)
    for _ in range(6):
        record, wait = crash(record, 2, policy, status=Exit.LOCKED)
        waits.append(wait)
    assert waits == [1, 2, 4, 8, 16, 32]
    assert (record.crashes, alerts) == (0, [])


def test_the_third_crash_in_a_row_is_told_once() -> None:
    record, told = RUNNING, []
    for _ in range(6):
        if record.due is not None:
            record, _ = transition(record, states.Tick(), replace(T0, monotonic=record.due), POLICY)
        record, actions = transition(record, states.Exited(1), at(2), POLICY, uniform=longest)
        told.append(Action.ALERT_CRASH_LOOP in actions)
    assert told == [False, False, True, False, False, False]


def test_max_restarts_is_a_limit_that_a_person_lifts() -> None:
    policy = replace(POLICY, max_restarts=2)
    record = RUNNING
    for _ in range(3):
        assert record.state is not State.FATAL
        record, _ = crash(record, 2, policy)
    assert (record.state, record.cause) == (State.FATAL, Cause.RESTARTS)
    again, _ = transition(record, states.Restart(), at(3), policy)
    assert (again.state, again.crashes) == (State.STARTING, 0)


def test_no_restarts_at_all() -> None:
    record, _ = crash(RUNNING, 2, replace(POLICY, max_restarts=0))
    assert record.cause is Cause.RESTARTS


def test_a_stop_is_asked_for_then_enforced_and_whatever_its_exit_is_it_is_stopped() -> None:
    stopping, actions = transition(RUNNING, states.Stop(), at(10), POLICY)
    assert (stopping.state, actions) == (State.STOPPING, (Action.TERMINATE,))
    assert run(stopping, (states.Tick(), 19.4)) == (stopping, [])
    killing, done = run(stopping, (states.Tick(), 19.5), (states.Tick(), 20))
    assert done == [Action.KILL]
    for status in (0, 1, 78, -9):
        stopped, _ = transition(killing, states.Exited(status), at(20), POLICY)
        assert (stopped.state, stopped.cause) == (State.STOPPED, None)


def test_a_restart_starts_again_after_the_end_and_a_stop_takes_it_back() -> None:
    stopping, actions = transition(RUNNING, states.Restart(), at(10), POLICY)
    assert actions == (Action.TERMINATE,)
    again, actions = transition(stopping, states.Exited(1), at(11), POLICY)
    assert (again.state, again.crashes) == (State.STARTING, 0)
    assert Action.SPAWN in actions
    stopped, _ = run(stopping, (states.Stop(), 10.5), (states.Exited(0), 11))
    assert stopped.state is State.STOPPED
    wanted, _ = run(stopping, (states.Stop(), 10.5), (states.Start(), 10.6), (states.Exited(0), 11))
    assert wanted.state is State.STARTING


def test_a_stop_ends_a_backoff_and_a_start_does_not_wait_for_it() -> None:
    waiting, _ = crash(replace(RUNNING, crashes=7), 2)
    stopped, actions = transition(waiting, states.Stop(), at(3), POLICY)
    assert (stopped.state, actions) == (State.STOPPED, (Action.SAVE,))
    started, _ = transition(waiting, states.Start(), at(3), POLICY)
    assert (started.state, started.crashes) == (State.STARTING, 8)


def test_a_backoff_goes_on_after_a_restart_of_the_manager() -> None:
    waiting, wait = crash(replace(RUNNING, crashes=7), 2)
    assert wait == 64
    later = Now(wall=waiting.next_start - 10 if waiting.next_start else 0, monotonic=3.0)
    read = Record.from_dict(json.loads(json.dumps(waiting.to_dict())), later, POLICY)
    resumed, actions = transition(read, states.Resume(), later, POLICY)
    assert (resumed.state, resumed.crashes, actions) == (State.BACKOFF, 8, ())
    assert resumed.due == pytest.approx(13.0)


@pytest.mark.parametrize("stepped", [-1e9, -100, 0, 100, 1e9])
def test_a_clock_that_was_stepped_never_makes_it_wait_longer_than_was_drawn(stepped: float) -> None:
    waiting, wait = crash(replace(RUNNING, crashes=7), 2)
    now = Now(T0.wall + 3 + stepped, 3.0)
    read = Record.from_dict(waiting.to_dict(), now, POLICY)
    assert read.due is not None
    assert 3.0 <= read.due <= 3.0 + wait
    shorter = Record.from_dict(waiting.to_dict(), now, replace(POLICY, max_delay_s=5))
    assert shorter.due is not None
    assert shorter.due <= 8.0


@pytest.mark.parametrize("record", [STARTED, RUNNING, replace(RUNNING, state=State.FATAL, cause=Cause.AUTH, crashes=4)])
def test_a_manager_that_starts_tries_everything_else_once_and_the_crashes_count(record: Record) -> None:
    read = Record.from_dict(record.to_dict(), T0, POLICY)
    started, actions = transition(read, states.Resume(), T0, POLICY)
    assert (started.state, started.crashes) == (State.STARTING, record.crashes)
    assert Action.SPAWN in actions


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3)


@given(st.dictionaries(st.sampled_from([*Record().to_dict()]), ANYTHING))
def test_a_file_of_any_content_gives_a_record_that_works(data: dict[str, Any]) -> None:
    record = Record.from_dict(data, T0, POLICY)
    resumed, _ = transition(record, states.Resume(), T0, POLICY)
    assert resumed.state in (State.STARTING, State.BACKOFF)
    if resumed.due is not None:
        assert T0.monotonic <= resumed.due <= T0.monotonic + POLICY.max_delay_s
    json.dumps(resumed.to_dict())


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(states.Start),
    st.builds(states.Resume),
    st.builds(states.Stop),
    st.builds(states.Restart),
    st.builds(states.Kill),
    st.builds(states.Connected),
    st.builds(states.Exited, st.sampled_from([0, 1, 2, 75, 77, 78, 3, -9, -15])),
    st.builds(states.Tick),
)
HISTORIES = st.lists(st.tuples(EVENTS, st.floats(0, 400), st.floats(-1e5, 1e5)), max_size=60)
POLICIES = st.builds(
    RestartPolicy,
    initial_delay_s=st.floats(0, 100),
    max_delay_s=st.floats(0, 300),
    reset_after_s=st.floats(0, 300),
    max_restarts=st.none() | st.integers(0, 5),
)


@given(HISTORIES, POLICIES, st.floats(0, 1))
def test_over_any_history(history: list[tuple[Event, float, float]], policy: RestartPolicy, jitter: float) -> None:
    """There is a process exactly in the living states; a wait is bounded; nothing is ever due in a final state."""
    record, process = Record(), False
    seconds = 0.0
    for event, later, stepped in history:
        seconds += later
        now = at(seconds, stepped=stepped)
        before = record
        record, actions = transition(record, event, now, policy, uniform=lambda low, high: low + (high - low) * jitter)
        if isinstance(event, states.Exited) and before.state in states.ALIVE:
            process = False
        if Action.SPAWN in actions:
            assert not process, "never two processes of one instance"
            process = True
            assert actions.index(Action.SAVE) < actions.index(Action.SPAWN), "a start is counted before it happens"
        if Action.TERMINATE in actions or Action.KILL in actions:
            assert process
        assert process == (record.state in states.ALIVE)
        assert (record.cause is not None) == (record.state is State.FATAL)
        assert (record.next_start is not None) == (record.state is State.BACKOFF)
        if record.state is State.BACKOFF:
            assert record.due is not None
            assert 0 <= record.wait_s <= policy.max_delay_s
            assert record.due <= now.monotonic + policy.max_delay_s
        if record.state in (State.STOPPED, State.EXITED, State.FATAL):
            assert states.due_at(record, policy) is None
        if before.state is State.EXITED and isinstance(event, states.Tick | states.Connected | states.Exited):
            assert record is before, "a clean exit is final"
        assert record == transition(before, event, now, policy, uniform=lambda a, b: a + (b - a) * jitter)[0]


@given(st.lists(st.floats(0, 59), min_size=1, max_size=40), POLICIES)
def test_a_crash_loop_logs_in_no_more_often_than_the_policy_says(runs: list[float], policy: RestartPolicy) -> None:
    """With the longest jitter, n crashes without a stable time take at least the sum of the waits."""
    policy = replace(policy, reset_after_s=60, max_restarts=None)
    record, seconds, waited = STARTED, 0.0, 0.0
    for number, length in enumerate(runs):
        seconds += length
        record, _ = transition(record, states.Exited(1), at(seconds), policy, uniform=longest)
        ceiling = min(policy.max_delay_s, policy.initial_delay_s * 2.0 ** (number - 1)) if number else 0.0
        assert record.wait_s == pytest.approx(ceiling)
        waited += ceiling
        assert record.due is not None
        seconds = record.due - T0.monotonic
        record, _ = transition(record, states.Tick(), replace(at(seconds), monotonic=record.due), policy)
        record, _ = transition(record, states.Connected(), at(seconds), policy)
    assert seconds == pytest.approx(sum(runs) + waited)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "not started yet"),
        (0, "exit 0 (ok)"),
        (78, "exit 78 (config)"),
        (42, "exit 42"),
        (-9, "killed by SIGKILL"),
        (-200, "killed by signal 200"),
    ],
)
def test_an_exit_in_words(status: int | None, words: str) -> None:
    assert states.describe_exit(status) == words
