"""The manager has the home pruned: when it is due by its clock, by a child, and nothing is disturbed by it."""

import json
import os
import selectors
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.instance import Host
from connectors.base.manager import ConnectorManager, Workings
from connectors.base.process import SERVE, Lifeline, spawn
from connectors.base.pruning import EVERY_S, FIRST_AFTER_S, LIMIT_S, PRUNE, Pruning
from connectors.base.secrets import Redactor
from connectors.base.settings import Config, Limits
from connectors.base.states import Clock
from tests.base.test_manager import ENTRY, TYPE
from tests.helpers import wait_for


class Bench:
    """A Pruning with a clock that is set by hand."""

    def __init__(self, home: Path, entry: str) -> None:
        self.now_s = 1000.0
        self.said: list[str] = []
        self.lifeline = Lifeline()
        self.errors_fd, self._write_fd = os.pipe()
        home_ = Home(home)
        home_.make_common()
        host = Host(
            home=home_,
            selector=selectors.DefaultSelector(),
            clock=Clock(monotonic=lambda: self.now_s),
            redactor=Redactor(),
            lifeline_fd=self.lifeline.fd,
            config=Config(limits=Limits(keep_receipts=1)),
            spawn=spawn,
            entry=SERVE,
            method="exec",
            say=self.said.append,
            report=lambda *_: None,
        )
        self.pruning = Pruning(host, error_fd=self._write_fd, entry=entry)

    def after(self, seconds: float) -> None:
        self.now_s += seconds
        self.pruning.look(self.now_s)

    @property
    def busy(self) -> bool:
        self.pruning.look(self.now_s)
        return self.pruning._child is not None

    def close(self) -> None:
        self.pruning.close()
        self.lifeline.close()
        os.close(self.errors_fd)
        os.close(self._write_fd)


@pytest.fixture
def bench(home: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(home, getattr(request, "param", PRUNE))
    yield made
    made.close()


def receipts(home: Path, number: int) -> list[Path]:
    folder = Home(home).sent("a")
    folder.mkdir(parents=True, exist_ok=True)
    found = [folder / f"{one}.json" for one in range(number)]
    for path in found:
        path.write_text("{}")
    return found


def fail(argument: dict[str, Any]) -> int:
    """In the child."""
    sys.stderr.write("no such disk\n")
    return 3


def hang(argument: dict[str, Any]) -> int:
    """In the child."""
    (Path(argument["home"]) / "hangs").touch()
    threading.Event().wait()
    return 0


def rubbish(argument: dict[str, Any]) -> int:
    """In the child."""
    print(json.dumps([1]))
    return 0


def test_it_is_done_some_minutes_after_the_start_and_then_every_hour(bench: Bench, home: Path) -> None:
    receipts(home, 3)
    bench.after(FIRST_AFTER_S - 1)
    assert not bench.busy
    bench.after(1)
    assert bench.busy
    wait_for(lambda: not bench.busy)
    assert bench.said == ["pruned: 2 receipts"]
    receipts(home, 3)
    bench.after(EVERY_S - 1)
    assert not bench.busy
    bench.after(1)
    wait_for(lambda: not bench.busy)
    assert bench.said == ["pruned: 2 receipts"] * 2
    bench.after(EVERY_S)
    wait_for(lambda: not bench.busy)
    assert len(bench.said) == 2, "nothing was deleted, nothing is said"


@pytest.mark.parametrize("bench", [f"{__name__}:fail"], indirect=True)
def test_a_failure_is_said_and_it_is_tried_again(bench: Bench) -> None:
    for times in (1, 2):
        bench.after(EVERY_S)
        wait_for(lambda: not bench.busy)
        assert bench.said == ["pruning ended with 3: tried again in an hour"] * times
    assert os.read(bench.errors_fd, 100) == b"no such disk\n" * 2


@pytest.mark.parametrize("bench", [f"{__name__}:hang"], indirect=True)
def test_one_that_hangs_is_given_up(bench: Bench, home: Path) -> None:
    bench.after(FIRST_AFTER_S)
    wait_for((home / "hangs").exists)
    bench.after(LIMIT_S - 1)
    assert bench.busy
    bench.after(1)
    assert not bench.busy
    assert bench.said == ["pruning did not end within 1800 s: given up until the next hour"]


@pytest.mark.parametrize("bench", [f"{__name__}:rubbish"], indirect=True)
def test_what_it_prints_disturbs_nobody(bench: Bench) -> None:
    bench.after(FIRST_AFTER_S)
    wait_for(lambda: not bench.busy)
    assert bench.said == []


def test_the_manager_does_it_and_runs_on(home: Path) -> None:
    """By the limits that it runs with, though no file says them."""
    kept = receipts(home, 10_002)
    offset_s = 0.0
    said: list[str] = []
    clock = Clock(monotonic=lambda: time.monotonic() + offset_s)
    manager = ConnectorManager(home, workings=Workings(entry=ENTRY, clock=clock))
    manager.add_connector("a", TYPE)
    thread = threading.Thread(target=manager.start, kwargs={"say": said.append})
    thread.start()
    try:
        wait_for(lambda: manager.status()["a"]["state"] == "running")
        pid = manager.status()["a"]["pid"]
        assert all(path.exists() for path in kept)
        offset_s = FIRST_AFTER_S
        wait_for(lambda: "pruned: 2 receipts" in said, deadline_s=30, what=f"it is said: {said}")
        assert manager.status()["a"]["pid"] == pid
    finally:
        manager.stop()
        thread.join(15)
    assert sum(path.exists() for path in kept) == 10_000
