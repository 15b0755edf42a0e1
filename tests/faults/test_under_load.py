"""Bursts, random kills under load, two at once, a clock that steps back, and what cannot be read."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.account import World, running, start, status
from tests.helpers import requires, wait_for


def drop_many(world: World, count: int, conversations: int = 20) -> None:
    for number in range(count):
        world.drop(f"m{number:06d}.json", f"m-{number}", f"C{number % conversations}")


@pytest.fixture
def in_memory() -> Iterator[World]:
    """A world where fsync costs nothing, so that thousands of messages take seconds."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    yield World(folder / "world")
    shutil.rmtree(folder)


# ── random kills ──────────────────────────────────────────────────────────────────────────────────────────────


def kill_at_random(world: World, events: int, outgoings: int, seconds: float, pause: tuple[float, float]) -> int:
    """Events and outgoings come in while the process is killed again and again; returns how many kills there were."""
    chance = random.Random(7)
    ended = threading.Event()

    def feed() -> None:
        for number in range(max(events, outgoings)):
            if number < events:
                world.offer(f"e{number}")
            if number < outgoings:
                drop_one(world, number)
            if number % 50 == 49 and ended.wait(0.01):
                return
        ended.set()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        process = start(world, loop=True)
        progress = len(world.sends()) + len(world.acked())
        try:
            wait_for(lambda: len(world.sends()) + len(world.acked()) > progress or process.poll() is not None)  # noqa: B023
            threading.Event().wait(chance.uniform(*pause))
        except AssertionError:  # nothing left to do
            break
        finally:
            process.kill()
            process.wait()
        kills += 1
        world.check_now()
    feeder.join(60)
    return kills


def drop_one(world: World, number: int) -> None:
    """Some in one conversation, some in parts, some that can never be sent; published by a rename."""
    name = f"m{number:06d}.json"
    if number % 97 == 0:
        world.drop_bad(name)
    elif number % 89 == 0:
        world.drop(name, f"reject {number}", f"C{number % 7}")
    elif number % 13 == 0:
        world.drop(name, f"t{number}.1|t{number}.2", f"C{number % 7}")
    else:
        world.drop(name, f"t{number}", f"C{number % 7}", **({"id": f"id-{number}"} if number % 2 else {}))


def all_done(world: World) -> bool:
    folders = (world.home.outbox(world.name), world.home.sending(world.name))
    return len(world.acked()) >= len(world.offered) and not any(map(os.listdir, folders))


def all_sent(world: World) -> bool:
    """By size: reading thousands of lines every few milliseconds would be the greatest load of all."""
    sends = world.platform / "sends"
    return sends.exists() and sends.stat().st_size >= sum(len(text) + 1 for text in world.dropped.values())


def finish(world: World) -> None:
    with running(world) as process:
        connected = {"pid": process.pid, "state": "connected"}
        wait_for(lambda: connected.items() <= status(world).items(), deadline_s=20, what="the last process is up")
        wait_for(lambda: all_done(world), deadline_s=120, what="everything is handled")
    crashed = {reason["file"] for reason in world.reasons() if reason["class"] == "crashed"}
    for name in crashed:  # three kills inside one send: allowed, and said
        world.dropped[name] = "reject"
    world.check_at_the_end()


def test_killed_at_random_under_load(tmp_path: Path) -> None:
    world = World(tmp_path)
    kills = kill_at_random(world, events=400, outgoings=400, seconds=6, pause=(0.0, 0.15))
    assert kills >= 3
    finish(world)
    assert len(world.sends()) >= 390


@pytest.mark.long
def test_killed_at_random_under_load_for_a_minute(tmp_path: Path) -> None:
    world = World(tmp_path)
    kills = kill_at_random(world, events=20_000, outgoings=20_000, seconds=60, pause=(0.0, 0.6))
    assert kills >= 20
    finish(world)


# ── bursts ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_burst_of_20000_files_is_handled_and_none_is_missed(in_memory: World) -> None:
    """More than inotify(7) queues (16,384 by default), while the connector runs."""
    world = in_memory
    world.offer("first")
    with running(world, quiet_s=2.0):
        wait_for(lambda: world.acked() == ["first"])
        drop_many(world, 20_000)
        wait_for(lambda: all_sent(world), deadline_s=90)
        wait_for(lambda: all_done(world))
    assert len(world.sends()) == 20_000
    assert len(list(world.home.sent(world.name).iterdir())) == 20_000
    assert world.reasons() == []
    order = [int(text.rpartition("-")[2]) for text in world.sends()]
    for conversation in range(20):
        got = [number for number in order if number % 20 == conversation]
        assert got == sorted(got)


@pytest.mark.long
def test_100000_queued_files_are_all_sent(in_memory: World) -> None:
    world = in_memory
    drop_many(world, 100_000, conversations=1000)
    with running(world):
        wait_for(lambda: all_sent(world), deadline_s=400)
        wait_for(lambda: all_done(world))
    assert len(set(world.sends())) == len(world.sends()) == 100_000
    assert len(list(world.home.sent(world.name).iterdir())) == 100_000


def test_files_that_wait_delay_nobody(tmp_path: Path) -> None:
    """A file in the future, and one that may still be being written, in front of a thousand others."""
    world = World(tmp_path)
    world.drop("a.json", "later", "C0", not_before="2999-01-01T00:00:00Z")
    world.drop_raw("b.json", b'{"conversation_id": "C0", "te')
    drop_many(world, 1000)
    with running(world, quiet_s=3600.0):
        wait_for(lambda: len(world.sends()) == 1000, deadline_s=30)
    assert "later" not in world.sends()
    assert sorted(p.name for p in world.home.outbox(world.name).iterdir()) == ["a.json", "b.json"]


@pytest.mark.long
def test_20000_events_arrive_each_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.offer(*[f"e{number}" for number in range(20_000)])
    with running(world):
        wait_for(lambda: len(world.acked()) == 20_000, deadline_s=120)
    world.check_at_the_end()


# ── two at once ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_process_of_the_same_instance_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.offer("e1")
    with running(world) as first:
        wait_for(lambda: world.acked() == ["e1"])
        second = start(world, loop=True, lock_wait_s=0.2)
        assert second.wait(30) == 75
        assert f"process {first.pid}" in world.log.read_text()
        world.drop("a.json", "a")
        wait_for(lambda: world.sends() == ["a"])
        assert status(world)["pid"] == first.pid
    world.check_at_the_end()


def test_two_instances_on_one_home_share_inbox_and_failed_and_mix_nothing_up(tmp_path: Path) -> None:
    """The same file names, dying at the same time: each letter keeps its own reason."""
    one, two = World(tmp_path, "one"), World.__new__(World)
    two.__dict__.update({**one.__dict__, "name": "two", "platform": tmp_path / "other", "offered": [], "dropped": {}})
    two.platform.mkdir()
    two.home.make(two.home.outbox("two"))
    for world in (one, two):
        for number in range(60):
            text = f"reject {world.name} {number}"
            world.drop_raw(f"m{number}.json", json.dumps({"conversation_id": world.name, "text": text}).encode())
    with running(one), running(two):
        wait_for(lambda: len(one.reasons()) == 120, deadline_s=30)
        wait_for(lambda: all_done(one) and all_done(two))
    for reason in one.reasons():
        letter = json.loads((one.home.failed / reason["file"]).read_bytes())
        assert letter["conversation_id"] == reason["connector_instance"] == reason["conversation_id"]
    told = [event["metadata"]["delivery"] for event in one.inbox()]
    assert len({reason["key"] for reason in told}) == len(told) == 120


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_steps_back_between_two_starts_keeps_order_and_waits(tmp_path: Path) -> None:
    faketime = requires("faketime")
    world = World(tmp_path)
    world.offer("e1", "e2")
    world.drop("a.json", "a")
    assert start(world, faketime, "-f", "+3d").wait(60) == 0, world.log.read_text()
    world.offer("e3", "e4")
    world.drop("b.json", "b")
    assert start(world, faketime, "-f", "-30d").wait(60) == 0, world.log.read_text()
    world.check_at_the_end()
    assert [event["id"] for event in world.inbox()] == ["e1", "e2", "e3", "e4"]


# ── what cannot be read ───────────────────────────────────────────────────────────────────────────────────────


def test_files_that_the_connector_may_not_read_stay_and_delay_nobody(tmp_path: Path) -> None:
    """Strays of root are what `sudo` leaves behind. Root itself is tried without its right to read everything."""
    before = []
    if os.geteuid() == 0:
        before = [requires("setpriv"), "--bounding-set=-dac_override,-dac_read_search", "--"]
    world = World(tmp_path)
    world.offer("e1")
    world.drop("b.json", "b")
    world.home.make_common()
    world.home.make(world.home.sending(world.name), world.home.staging(world.name))
    strays = [
        world.home.outbox(world.name) / "a.json",
        world.home.sending(world.name) / "0123456789abcdef.json",
        world.home.staging(world.name) / "20260101T000000.000000Z-fake-main-00000000.json",
        world.home.inbox / "20260101T000000.000000Z-other-00000000.json",
    ]
    for stray in strays:
        stray.write_text('{"conversation_id": "C", "text": "unreadable"}')
        stray.chmod(0)
    with running(world, *before):
        wait_for(lambda: world.sends() == ["b"] and world.acked() == ["e1"])
        world.drop("c.json", "c")
        wait_for(lambda: world.sends() == ["b", "c"])
    assert [stray for stray in strays if not stray.exists()] == []
    assert "cannot be read" in world.log.read_text()
