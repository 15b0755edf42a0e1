"""Starting child processes: what they inherit, how they end, and that none outlives the manager."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import process
from connectors.base.process import Child, Lifeline, Method, Spec
from connectors.base.settings import DeliveryPolicy, Limits
from tests.helpers import wait_for

SERVE = "tests.base.children:serve"
METHODS: list[Method] = ["fork", "exec"] if sys.platform.startswith("linux") else ["exec"]
CANARY = "canary-7f3a9c-secret"


def gone(pid: int) -> bool:
    """Whether the process is no more (a zombie that nobody has reaped does not run any more)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def output() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


def ended(child: Child) -> int:
    """Its status, once it has one."""
    wait_for(lambda: child.poll() is not None)
    assert child.status is not None
    return child.status


def started(home: Path, name: str) -> list[int]:
    try:
        return [int(line) for line in (home / f"{name}.starts").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("method", METHODS)
def test_a_child_gets_its_spec_whole_and_nothing_else(
    method: Method, home: Path, output: tuple[int, int], lifeline: Lifeline, tmp_path: Path
) -> None:
    """Own session, only the descriptors it needs, private umask, default signals, no secret that `ps` shows."""
    spec = Spec(
        name="slack-main-with-a-long-name",
        type="slack",
        home=str(home),
        options={"token": CANARY, "list": [1, 2], "nested": {"a": None}},
        delivery=DeliveryPolicy(max_attempts=3),
        limits=Limits(attachment_roots=("a", "b")),
        values=(CANARY,),
        environ={"TOKEN": CANARY},
        lifeline_fd=lifeline.fd,
    )
    with open(tmp_path / "other", "w") as other:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        try:
            child = process.spawn(spec, output_fd=output[1], entry="tests.base.children:describe", method=method)
        finally:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        other_fd = other.fileno()
        assert ended(child) == 42, os.read(output[0], 10_000).decode()
    seen: dict[str, Any] = json.loads((home / "seen.json").read_text())
    assert Spec.from_dict(seen["spec"]) == spec
    assert seen["pid"] == child.pid == seen["sid"] == seen["pgid"]
    assert seen["umask"] == 0o077
    assert other_fd not in seen["fds"]
    more = set(seen["fds"]) - {0, 1, 2, lifeline.fd}
    assert len(more) == 1, f"{more}: only the one of the listing itself"
    assert seen["comm"] == "slack-main-with\n"
    assert seen["stdin"] == "/dev/null"
    assert CANARY not in seen["cmdline"] + seen["environ"]
    assert CANARY not in repr(spec)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("options", "status"), [({"exit": 0}, 0), ({"exit": 77}, 77), ({"exit": "x"}, 1), ({"deaf": True}, -9)]
)
def test_poll_tells_how_it_ended(
    method: Method, options: dict[str, Any], status: int, home: Path, output: tuple[int, int]
) -> None:
    child = process.spawn(Spec("x", "t", str(home), options), output_fd=output[1], entry=SERVE, method=method)
    wait_for(lambda: started(home, "x"))
    if status == -9:
        assert child.poll() is None
        child.kill_group()
    assert ended(child) == status
    child.terminate()
    child.kill_group()
    assert child.poll() == status


@pytest.mark.parametrize("method", METHODS)
def test_what_a_child_leaves_behind_dies_with_it(method: Method, home: Path, output: tuple[int, int]) -> None:
    child = process.spawn(
        Spec("x", "t", str(home), {"grandchild": True}), output_fd=output[1], entry=SERVE, method=method
    )
    grandchild = wait_for(lambda: (home / "x.grandchild").exists() and (home / "x.grandchild").read_text())
    child.terminate()
    assert ended(child) == 0
    wait_for(lambda: gone(int(grandchild)), deadline_s=3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{}, {"deaf": True}], ids=["obedient", "deaf"])
def test_nothing_outlives_the_manager(method: Method, options: dict[str, Any], home: Path) -> None:
    """Given a manager with a child and a grandchild, when it is killed, then all of them are gone."""
    program = textwrap.dedent(
        f"""
        import signal
        from connectors.base import process
        line = process.Lifeline()
        spec = process.Spec("x", "t", {str(home)!r}, {{"grandchild": True, **{options!r}}}, lifeline_fd=line.fd)
        process.spawn(spec, output_fd=2, entry={SERVE!r}, method={method!r})
        signal.pause()
        """
    )
    manager = subprocess.Popen([sys.executable, "-c", program])
    grandchild = int(wait_for(lambda: (home / "x.grandchild").exists() and (home / "x.grandchild").read_text()))
    (child,) = started(home, "x")
    assert not gone(child)
    manager.kill()
    manager.wait()
    wait_for(lambda: gone(child) and gone(grandchild), deadline_s=3)


@pytest.mark.parametrize("method", METHODS)
def test_a_child_can_have_the_real_stdin(method: Method, home: Path, output: tuple[int, int]) -> None:
    program = textwrap.dedent(
        f"""
        from connectors.base import process
        spec = process.Spec("x", "t", {str(home)!r}, {{"echo_stdin": True, "exit": 3}}, stdin="pipe")
        child = process.spawn(spec, output_fd=2, entry={SERVE!r}, method={method!r}, own_stdout=True)
        import select
        select.select([child.pidfd], [], [])
        raise SystemExit(child.poll())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"one\ntwo\n", capture_output=True, check=False, timeout=20
    )
    assert done.stdout == b"got one\ngot two\n"
    assert done.returncode == 3


@pytest.mark.parametrize("method", METHODS)
def test_launch_runs_any_function_and_a_missing_one_is_exit_1(method: Method, output: tuple[int, int]) -> None:
    argument = {"big": "x" * 30_000}
    child = process.launch(
        "tests.base.children:check", argument, name="check", stdio=(None, output[1], output[1]), method=method
    )
    assert ended(child) == 0
    assert json.loads(os.read(output[0], 100_000)) == argument
    child = process.launch("tests.base.children:none", {}, name="n", stdio=(None, output[1], output[1]), method=method)
    assert ended(child) == 1
    assert b"AttributeError" in os.read(output[0], 100_000)


def test_a_forked_child_does_not_log_through_the_managers_handlers(
    tmp_path: Path, home: Path, output: tuple[int, int]
) -> None:
    handler = logging.FileHandler(tmp_path / "manager.log")
    logging.getLogger().addHandler(handler)
    try:
        child = process.launch(
            "tests.base.test_process:log_something", {}, name="n", stdio=(None, output[1], output[1]), method="fork"
        )
        assert ended(child) == 0
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert (tmp_path / "manager.log").read_text() == ""
    assert b"said by the child" in os.read(output[0], 10_000)


def log_something(argument: dict[str, Any]) -> int:
    logging.getLogger("connectors.x").warning("said by the child")
    return 0


def test_somebody_else_reaping_the_child_is_an_end_of_unknown_kind(home: Path, output: tuple[int, int]) -> None:
    child = process.spawn(Spec("x", "t", str(home), {"exit": 0}), output_fd=output[1], entry=SERVE, method="fork")
    os.waitpid(child.pid, 0)
    assert ended(child) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
def test_other_threads_forbid_a_fork() -> None:
    program = """
        import threading
        from connectors.base import process
        print(process.may_fork())
        stop = threading.Event()
        threading.Thread(target=stop.wait).start()
        print(process.may_fork())
        stop.set()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    assert subprocess.run(command, capture_output=True, check=True).stdout.split() == [b"True", b"False"]
