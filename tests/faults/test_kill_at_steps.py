"""SIGKILL at every named step of both protocols: nothing is lost, and nothing happens twice without being said."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import steps
from tests.faults.account import KILLED, Nursery, World, fill, nursery

ALL = (*steps.INTAKE, *steps.OUTBOX, *steps.DEAD)
PAIRS = list(itertools.product(ALL, ALL))
#: One of each second step for every first step, another one for each; --long does all.
SAMPLE = [(first, ALL[(number * 7 + 3) % len(ALL)]) for number, first in enumerate(ALL)]


@pytest.fixture(scope="module")
def runs() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


def end_well(runs: Nursery, world: World) -> None:
    assert runs.run(world) == 0, world.log.read_text()
    world.check_at_the_end()
    before = world.sends()
    assert runs.run(world) == 0, world.log.read_text()
    assert world.sends() == before
    world.check_at_the_end()


def test_without_a_kill_everything_happens_exactly_once(runs: Nursery, tmp_path: Path) -> None:
    world = World(tmp_path)
    fill(world)
    end_well(runs, world)
    assert sorted(world.sends()) == ["a", "b1", "b2", "c"]
    assert not [r for r in world.receipts() if r.get("ambiguous")]


@pytest.mark.parametrize("step", ALL)
def test_killed_at_every_step_each_time_it_is_reached(runs: Nursery, tmp_path: Path, step: str) -> None:
    for nth in range(1, 20):
        world = World(tmp_path / str(nth))
        fill(world)
        code = runs.run(world, kill={"step": step, "nth": nth})
        world.check_now()
        end_well(runs, world)
        if code == 0:
            assert nth > 1, f"{step} was never reached"
            return
        assert code == KILLED, world.log.read_text()
    pytest.fail(f"{step} is reached without end")


def killed_twice(runs: Nursery, world: World, first: str, second: str) -> None:
    """The second kill hits the recovery where that passes the step, and else the ordinary run after it."""
    fill(world)
    runs.run(world, kill={"step": first, "nth": 1})
    world.check_now()
    runs.run(world, kill={"step": second, "nth": 1})
    world.check_now()
    end_well(runs, world)


@pytest.mark.parametrize(("first", "second"), SAMPLE)
def test_killed_twice_in_a_row(runs: Nursery, tmp_path: Path, first: str, second: str) -> None:
    killed_twice(runs, World(tmp_path), first, second)
    killed_twice(runs, World(tmp_path / "same"), first, first)


@pytest.mark.long
def test_killed_twice_in_a_row_at_every_pair_of_steps(runs: Nursery, tmp_path: Path) -> None:
    for first, second in PAIRS:
        killed_twice(runs, World(tmp_path / f"{first}-{second}"), first, second)


@pytest.mark.long
def test_killed_five_times_in_a_row_at_random(runs: Nursery, tmp_path: Path) -> None:
    """Up to two of the kills inside a send: the third makes a dead letter, which has its own test."""
    chance = random.Random(1)
    for number in range(300):
        world = World(tmp_path / str(number))
        fill(world)
        inside = 0
        for _ in range(5):
            step = chance.choice(ALL)
            inside += step in {"outbox.committed", "outbox.sent", "outbox.part", "outbox.receipt"}
            if inside > 2:
                break
            runs.run(world, kill={"step": step, "nth": chance.randint(1, 3)})
            world.check_now()
        end_well(runs, world)


@pytest.mark.parametrize("step", ["outbox.committed", "outbox.sent", "outbox.part"])
def test_killed_inside_a_send_and_on_hold_sends_nothing_twice(runs: Nursery, tmp_path: Path, step: str) -> None:
    world = World(tmp_path)
    world.drop("a.json", "a1|a2")
    world.drop("b.json", "b", "C2")
    assert runs.run(world, kill={"step": step, "nth": 1}) == KILLED
    assert runs.run(world, on_ambiguous="hold") == 0
    assert max(world.sends().count(text) for text in world.sends()) == 1
    (reason,) = world.reasons()
    assert reason["class"] == "ambiguous"
    assert len(world.receipts()) == 1


def test_three_kills_inside_one_send_make_a_dead_letter_and_the_rest_goes_on(runs: Nursery, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.drop("a.json", "poison", "C1")
    world.drop("b.json", "after it", "C1")
    for _ in range(3):
        assert runs.run(world, kill={"step": "outbox.committed", "nth": 1}) == KILLED
    assert runs.run(world) == 0
    (reason,) = world.reasons()
    assert reason["class"] == "crashed"
    assert world.sends() == ["after it"]
    assert len(world.receipts()) == 1


def test_a_killed_holder_of_the_lock_holds_it_no_more(runs: Nursery, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.drop("a.json", "a")
    assert runs.run(world, kill={"step": "outbox.claimed", "nth": 1}) == KILLED
    assert runs.run(world, lock_wait_s=0.0) == 0
    world.check_at_the_end()
