"""A disk without room, or that cannot be written: nothing is acknowledged, the state says so, it goes on by itself."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base.checks.finding import Level, Look
from connectors.base.checks.machine import disk
from connectors.base.checks.processes import stores
from connectors.base.settings import Config, Limits
from tests.faults.account import World, running, status
from tests.helpers import missing, wait_for

#: SQLite's journal alone takes about 20 kB an event until it is folded into the store.
SIZE = "2m"


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        missing(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world whose home is on a small disk of its own."""
    with _mounted(tmp_path / "world" / "home", f"size={SIZE},mode=700"):
        yield World(tmp_path / "world")


def fill_up(world: World) -> Path:
    """Leave not one byte."""
    ballast = world.home.root / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    return ballast


def test_below_the_limit_of_free_space_events_stop_and_go_on_when_there_is_room(small: World) -> None:
    small.offer(*[f"e{number}" for number in range(20)])
    small.drop("a.json", "still sent")
    ballast = small.home.root / "ballast"
    ballast.write_bytes(bytes(1_300_000))
    with running(small, min_free_bytes=500_000):
        wait_for(lambda: status(small).get("state") == "backpressure")
        assert "limits.min_free_bytes is 500000" in status(small)["note"]
        small.check_now()
        assert len(small.acked()) < 20
        wait_for(lambda: small.sends() == ["still sent"])
        ballast.unlink()
        wait_for(lambda: len(small.acked()) == 20)
        wait_for(lambda: status(small)["state"] == "connected")
    small.check_at_the_end()


def test_a_disk_that_is_full_to_the_last_byte_loses_nothing_in_either_direction(small: World) -> None:
    small.offer("first")
    with running(small, pad=3000):
        wait_for(lambda: small.acked() == ["first"])
        pool = [small.home.root / f"{number}.json" for number in range(5)]
        for number, path in enumerate(pool):
            path.write_text(f'{{"conversation_id": "C{number}", "text": "text {number}"}}')
            small.dropped[path.name] = f"text {number}"
        ballast = fill_up(small)
        for path in pool:
            path.rename(small.home.outbox(small.name) / path.name)  # takes no room
        small.offer(*[f"late-{number}" for number in range(20)])
        wait_for(lambda: "receiving is paused" in small.log.read_text())
        small.check_now()
        assert len(small.acked()) < len(small.offered)
        ballast.unlink()
        wait_for(lambda: len(small.acked()) == len(small.offered))
        wait_for(lambda: len(small.receipts()) == 5)
        wait_for(lambda: status(small)["state"] == "connected")
    small.check_at_the_end()
    assert sorted(small.sends()) == [f"text {number}" for number in range(5)]


@pytest.mark.parametrize("before", ["closed cleanly", "new"])
def test_a_start_on_a_disk_that_is_full_to_the_last_byte_waits_for_room(small: World, before: str) -> None:
    small.offer("first")
    if before == "closed cleanly":
        with running(small):
            wait_for(lambda: small.acked() == ["first"])
            wait_for(lambda: status(small)["state"] == "connected")
    small.offer("second")
    ballast = fill_up(small)
    with running(small) as process:
        wait_for(lambda: "the start waits: the disk is full" in small.log.read_text() or process.poll() is not None)
        assert process.poll() is None, small.log.read_text()
        ballast.unlink()
        wait_for(lambda: small.acked() == ["first", "second"])
        wait_for(lambda: status(small)["state"] == "connected")
        assert process.poll() is None
    small.check_at_the_end()


def test_a_store_on_a_full_disk_is_not_called_damaged(small: World) -> None:
    small.offer("first")
    with running(small):
        wait_for(lambda: small.acked() == ["first"])
    fill_up(small)
    found = list(stores(Look(small.home, Config(), time.time())))
    assert [(one.level, "the disk is full" in one.what) for one in found] == [(Level.WARNING, True)]


def test_doctor_says_that_a_disk_is_full_whatever_the_limit_is(small: World) -> None:
    small.home.make(small.home.messages)
    fill_up(small)
    found = list(disk(Look(small.home, Config(limits=Limits(min_free_bytes=0)), time.time())))
    assert [(one.level, one.what) for one in found][:1] == [(Level.ERROR, "the disk is full: 0 bytes are free")]


def test_a_stop_while_the_disk_is_full_is_a_clean_end(small: World) -> None:
    small.offer("first", "second")
    with running(small, min_free_bytes=1 << 40):
        wait_for(lambda: status(small).get("state") == "backpressure")
    assert small.acked() == []
    assert status(small)["state"] == "stopped"


def test_a_disk_that_becomes_read_only_is_waited_for_and_nothing_is_acknowledged(small: World) -> None:
    small.offer("first")
    small.drop("a.json", "a")
    small.home.make(small.home.inbox)
    messages = str(small.home.messages)
    subprocess.run(["mount", "--bind", messages, messages], check=True)
    try:
        with running(small) as process:
            wait_for(lambda: small.acked() == ["first"])
            wait_for(lambda: len(small.receipts()) == 1)
            subprocess.run(["mount", "-o", "remount,bind,ro", messages], check=True)
            small.offer("second")
            wait_for(lambda: status(small).get("state") == "backpressure")
            assert f"sudo mount -o remount,bind,rw {messages}" in status(small)["note"]
            assert small.acked() == ["first"]
            subprocess.run(["mount", "-o", "remount,bind,rw", messages], check=True)
            wait_for(lambda: small.acked() == ["first", "second"])
            wait_for(lambda: status(small)["state"] == "connected")
            assert process.poll() is None
    finally:
        subprocess.run(["umount", "-l", messages], check=True)
    small.check_at_the_end()
