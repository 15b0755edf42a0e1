"""The manager's death ends all, also what was suspended. And the manager as process 1: what loses its parent is buried,
and nobody's exit status is taken from anybody."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base import launch, orphans
from connectors.base.suspended import is_suspended
from tests.base.test_manager import METHODS, ROOT, Running, write_config
from tests.base.test_process import gone
from tests.helpers import missing, requires, wait_for


@contextmanager
def run(home: Path, method: str) -> Iterator[Running]:
    """A manager that the test kills, and its connectors: suspended ones do not end with a test that fails."""
    running = Running(home, {"workings": {"method": method}})
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        for starts in home.glob("*.starts"):
            for pid in filter(lambda pid: not gone(pid), map(int, starts.read_text().split())):
                os.kill(pid, signal.SIGKILL)


def suspend(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda pid=pid: is_suspended(pid))  # type: ignore[misc]  # bound now


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("method", METHODS)
def test_who_was_suspended_does_not_outlive_the_manager(method: str, home: Path) -> None:
    """Nor does what he has started, nor who hears no SIGTERM."""
    write_config(home, {"name": "a", "grandchild": True}, {"name": "deaf", "deaf": True}, {"name": "awake"})
    with run(home, method) as manager:
        grandchild = int(wait_for(lambda: (home / "a.grandchild").exists() and (home / "a.grandchild").read_text()))
        pids = [manager.pid("a"), manager.pid("deaf"), manager.pid("awake")]
        suspend(grandchild, *pids[:2])
        manager.process.kill()
        manager.process.wait()
        wait_for(lambda: all(map(gone, [*pids, grandchild])), deadline_s=3, what=f"{pids}, {grandchild} end")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("method", METHODS)
def test_who_was_suspended_with_the_manager_does_not_outlive_it(method: str, home: Path) -> None:
    write_config(home, {"name": "a"})
    with run(home, method) as manager:
        child = manager.pid("a")
        suspend(manager.process.pid, child)
        manager.process.kill()
        manager.process.wait()
        wait_for(lambda: gone(child), deadline_s=3)


@contextmanager
def as_process_1(home: Path) -> Iterator[int]:
    """A manager in a pid namespace of its own, as in a container; gives its process id here."""
    if not sys.platform.startswith("linux"):
        pytest.skip("pid namespaces are Linux's")
    if os.geteuid() != 0:
        pytest.skip("a pid namespace needs root")
    unshare = [requires("unshare"), "--pid", "--fork", "--mount-proc"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        missing(f"this machine lets nobody make a pid namespace: {probe.stderr.strip()}")
    command = [*unshare, sys.executable, "-m", "tests.base.run_manager", str(home)]
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    try:
        (first,) = wait_for(lambda: children(process.pid))
        yield first
        os.kill(first, 15)
        assert process.wait(15) == 0, (home / "said").read_text()
    finally:
        for pid in children(process.pid):
            os.kill(pid, 9)
        process.wait(15)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return False


def test_what_the_connectors_leave_behind_is_buried_and_their_own_ends_are_seen(home: Path) -> None:
    os.mkfifo(home / "orphan")
    write_config(home, {"name": "a", "orphan": True}, {"name": "ends", "exit": 77})
    with as_process_1(home) as first:
        wait_for(lambda: (home / "state/ends/status.json").exists() and state_of(home, "ends") == "fatal")
        wait_for(lambda: (home / "a.starts").exists() and len(children(first)) == 2, what="the orphan has a new parent")
        before = children(first)
        (home / "orphan").write_text("end\n")
        wait_for((home / "orphaned").exists)
        wait_for(lambda: len(children(first)) == 1, what=f"{before} without the orphan")
        assert not any(is_zombie(pid) for pid in children(first))
    assert cause_of(home, "ends") == "auth"
    assert all(gone(pid) for pid in before)


def state_of(home: Path, name: str) -> str:
    return str(json.loads((home / "state" / name / "status.json").read_text()).get("state"))


def cause_of(home: Path, name: str) -> str:
    return str(json.loads((home / "state" / name / "restarts.json").read_text()).get("cause"))


def test_elsewhere_nobody_is_buried() -> None:
    """Whoever uses the manager as a library has children of its own."""
    assert not orphans.is_first()


def test_the_end_of_our_own_child_is_left_to_be_seen() -> None:
    """In a process without other children, as process 1 is at first."""
    program = (
        "import os\n"
        "from connectors.base import launch, orphans\n"
        "ours = launch.launch('tests.base.test_orphans:end', {}, name='x', stdio=(None, 1, 2), method='exec')\n"
        "os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)\n"
        "assert orphans.bury() == 0\n"
        "assert ours.poll() == 7 and not launch.unburied\n"
        "other = os.fork() or os._exit(3)\n"
        "os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)\n"
        "assert orphans.bury() == 1\n"
        "assert orphans.bury() == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def end(argument: dict[str, object]) -> int:
    """In the child."""
    return 7


def test_a_buried_child_is_not_counted_as_ours_any_more() -> None:
    child = launch.launch("tests.base.test_orphans:end", {}, name="x", stdio=(None, 1, 2), method="exec")
    assert child.pid in launch.unburied
    wait_for(lambda: child.poll() is not None)
    assert child.pid not in launch.unburied
    child.close()
