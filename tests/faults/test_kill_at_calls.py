"""SIGKILL, and errors of the disk, at exact system calls of the whole run: start, recovery, both protocols, end."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.account import KILLED, Nursery, World, fill, nursery, start
from tests.helpers import requires

#: The calls that change what is on the disk.
CHANGES = "write,pwrite64,fsync,fdatasync,rename,renameat2,unlink,ftruncate"


@pytest.fixture(scope="module")
def runs() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many of `CHANGES` one run makes."""
    world = World(tmp_path_factory.mktemp("count"))
    fill(world)
    log = world.root / "calls"
    tracer = [requires("strace"), "-f", "-qq", "-e", f"trace={CHANGES}", "-o", str(log)]
    assert start(world, *tracer).wait(60) == 0, world.log.read_text()
    world.check_at_the_end()
    return len(re.findall(r"^\d+ +\w+\(", log.read_text(), re.MULTILINE))


def killed_at(runs: Nursery, world: World, nth: int) -> None:
    fill(world)
    inject = ["-e", f"trace={CHANGES}", "-e", f"inject={CHANGES}:signal=SIGKILL:when={nth}"]
    start(world, requires("strace"), "-f", "-qq", "-o", "/dev/null", *inject).wait(60)
    world.check_now()
    assert runs.run(world) == 0, world.log.read_text()
    world.check_at_the_end()


def test_killed_at_some_calls(runs: Nursery, calls: int, tmp_path: Path) -> None:
    """Another choice each time, but in CI, where a failure has to come again; the number is in the folder's name."""
    assert calls > 100
    chance = random.Random(1 if os.environ.get("CI") == "true" else None)
    for nth in sorted(chance.sample(range(1, calls + 1), 12)):
        killed_at(runs, World(tmp_path / str(nth)), nth)


@pytest.mark.long
def test_killed_at_every_call(runs: Nursery, calls: int, tmp_path: Path) -> None:
    for nth in range(1, calls + 1):
        killed_at(runs, World(tmp_path / str(nth)), nth)


# ── errors of the disk ────────────────────────────────────────────────────────────────────────────────────────


def failing(world: World, inject: str, *more: str) -> int:
    return start(world, requires("strace"), "-f", "-qq", "-o", "/dev/null", *more, "-e", f"inject={inject}").wait(60)


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6, 8, 10, 13, 17])
def test_an_fsync_that_fails_ends_the_process_with_nothing_acknowledged_after_it(
    runs: Nursery, tmp_path: Path, nth: int
) -> None:
    """After a failed fsync the pages may be gone though the next fsync succeeds: only a new start is safe."""
    world = World(tmp_path)
    fill(world)
    code = failing(world, f"fsync:error=EIO:when={nth}")
    assert code == 1, world.log.read_text()
    world.check_now()
    assert runs.run(world) == 0, world.log.read_text()
    world.check_at_the_end()


def test_the_first_event_whose_file_cannot_be_synced_is_not_acknowledged(runs: Nursery, tmp_path: Path) -> None:
    world = World(tmp_path)
    assert runs.run(world) == 0
    world.offer("e1")
    assert failing(world, "fsync:error=EIO:when=1+") == 1
    assert world.acked() == []
    assert world.inbox() == []
    assert runs.run(world) == 0
    world.check_at_the_end()


def test_a_store_that_cannot_be_synced_keeps_the_platform_from_being_called(runs: Nursery, tmp_path: Path) -> None:
    world = World(tmp_path)
    assert runs.run(world) == 0
    world.drop("a.json", "a")
    assert failing(world, "fdatasync:error=EIO:when=1+") == 1
    assert world.sends() == []
    assert runs.run(world) == 0
    world.check_at_the_end()


@pytest.mark.parametrize(
    "inject",
    ["fsync:error=EDQUOT:when=3", "renameat2:error=ENOSPC:when=3", "rename:error=ENOSPC:when=2..3",
     "pwrite64:error=ENOSPC:when=3..4"],
)  # fmt: skip
def test_a_full_disk_for_a_while_is_waited_out_in_the_same_process(runs: Nursery, tmp_path: Path, inject: str) -> None:
    """A call or two fail in the middle, then there is room again. No restart is needed."""
    world = World(tmp_path)
    assert runs.run(world) == 0
    fill(world)
    store = ["-P", str(world.home.state_dir(world.name) / "store.db-wal")] if inject.startswith("pwrite64") else []
    assert failing(world, inject, *store) == 0, world.log.read_text()
    world.check_at_the_end()


def test_a_staged_event_that_cannot_be_read_at_the_start_is_kept(runs: Nursery, tmp_path: Path) -> None:
    """A held event is acknowledged while it is only staged: an I/O error is no verdict on it."""
    world = World(tmp_path)
    world.offer("held-1")
    assert runs.run(world, kill={"step": "intake.recorded", "nth": 1}) == KILLED
    (staged,) = world.home.staging(world.name).iterdir()
    assert failing(world, "read:error=EIO:when=1+", "-P", str(staged)) in {0, 1}
    assert staged.exists()
    assert runs.run(world) == 0, world.log.read_text()
    world.check_at_the_end()
