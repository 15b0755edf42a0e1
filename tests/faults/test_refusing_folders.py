"""A folder that lets nothing be written: what needs it waits and says so, all else goes on, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.account import World, start, status
from tests.folders import mounted_read_only, refusing
from tests.helpers import wait_for

Refuse = Callable[[Path], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """What goes on while `folders`, below the home, refuse."""

    folders: tuple[str, ...]
    receives: bool = False
    sends: bool = False
    buries: bool = False

    @property
    def everything(self) -> bool:
        return self.receives and self.sends and self.buries


CASES = (
    Case(("messages/inbox",), sends=True),
    Case(("messages/.staging/fake-main",)),
    Case(("messages/outbox/fake-main",), receives=True),
    Case(("messages/.sending/fake-main",), receives=True),
    Case(("messages/sent/fake-main",), receives=True),
    Case(("messages/failed",), receives=True, sends=True),
    Case(
        ("messages/claimed", "messages/attachments", "messages", "state/fake-main", "state", "logs"),
        receives=True,
        sends=True,
        buries=True,
    ),
)


@contextmanager
def process(world: World) -> Iterator[subprocess.Popen[bytes]]:
    child = start(world, loop=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def is_suspended(pid: int) -> bool:
    """Whether all of its threads are (proc_pid_stat(5): the state comes after the name in parentheses)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def story(root: Path, case: Case, refuse: Refuse) -> None:
    """One process meets the folders that refuse and is killed; the next one meets them at its start, and goes on."""
    world = World(root)
    world.offer("e1")
    world.drop("a.json", "a")
    with ExitStack() as refused:
        with process(world) as first:
            wait_for(
                lambda: world.acked() == ["e1"] and ended(world) == {"a.json"}, what=f"{case.folders}: all is well"
            )
            first.send_signal(signal.SIGSTOP)
            # The other threads run on until one of them has taken the signal.
            wait_for(lambda: is_suspended(first.pid))
            world.offer("e2", "held-1", "batch-1", "batch-2")
            world.drop("b.json", "b", "C2")
            world.drop("c.json", "reject c", "C3")
            world.drop_bad("bad.json")
            world.drop("d.json", "d", "C4")  # behind all that may have to wait
            for folder in case.folders:
                refused.enter_context(refuse(world.home.root / folder))
            first.send_signal(signal.SIGCONT)
            meet(world, case, first)
        world.check_now()
        world.offer("e3")
        with process(world) as second:
            meet(world, case, second)
            refused.close()
            drain(world, case, second)
    world.check_at_the_end()
    assert sorted(world.sends()) == ["a", "b", "d"], f"{case.folders}: sent while nobody could have recorded that"


def meet(world: World, case: Case, child: subprocess.Popen[bytes]) -> None:
    where = f"{case.folders} refuse: "
    if case.receives:
        wait_for(lambda: set(world.offered) == set(world.acked()), what=where + "it receives")
    if case.sends:
        wait_for(lambda: ended(world) >= {"a.json", "b.json", "d.json"}, what=where + "it sends")
    if case.buries:
        wait_for(lambda: len(world.reasons()) == 2, what=where + "there are dead letters")
    if not case.everything:
        wait_for(lambda: {"pid": child.pid, "state": "backpressure"}.items() <= status(world).items(), what=where)
        note = status(world)["note"]
        assert str(world.home.root / case.folders[0]) in note
        assert " cannot be written: " in note
    assert child.poll() is None, world.log.read_text()


def drain(world: World, case: Case, child: subprocess.Popen[bytes]) -> None:
    """Everything goes on by itself."""
    folders = (world.home.outbox(world.name), world.home.sending(world.name))
    wait_for(lambda: len(world.acked()) == len(world.offered), deadline_s=20, what=f"{case.folders}: all came")
    wait_for(lambda: not any(map(os.listdir, folders)), deadline_s=20, what=f"{case.folders}: all went")
    well = {"pid": child.pid, "state": "connected"}
    wait_for(lambda: well.items() <= status(world).items(), what=f"{case.folders}: the status says so")
    child.terminate()
    assert child.wait(15) == 0, world.log.read_text()


def ended(world: World) -> set[str]:
    """What was sent, and nothing is left of it to be recorded."""
    claimed = {path.stem for path in world.home.sending(world.name).glob("*.json")}
    return {receipt["file"] for receipt in world.receipts() if receipt["key"] not in claimed}


def test_every_folder_that_refuses_stops_what_needs_it_and_loses_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        stories = [pool.submit(story, tmp_path / str(number), case, refusing) for number, case in enumerate(CASES)]
    for one in stories:
        one.result()


@pytest.mark.parametrize("folder", ["messages", "messages/inbox", "messages/sent/fake-main"])
def test_a_mount_that_is_read_only_is_such_a_folder(tmp_path: Path, folder: str) -> None:
    """One below messages/ is also on another file system than the rest: no file could be moved into it."""
    sends = folder == "messages/inbox"
    story(tmp_path, Case((folder,), receives=folder.startswith("messages/sent"), sends=sends), mounted_read_only)
