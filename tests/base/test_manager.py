"""The manager, with real processes: what is started, what is started again, and that nothing is left."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.base import control
from connectors.base.errors import ConfigError, ConnectorError, InstanceLocked
from connectors.base.files import read_json
from connectors.base.home import Home
from connectors.base.manager import CONNECTOR_REGISTRY, ConnectorManager, Workings
from connectors.base.states import Clock
from connectors.base.status import StatusFile
from connectors.base.suspended import is_suspended
from tests.base.test_process import gone, started
from tests.helpers import wait_for

ROOT = Path(__file__).parents[2]
ENTRY = "tests.base.children:serve"
TYPE = "tests.base.children"
CANARY = "canary-55d1-secret"


def write_config(home: Path, *entries: dict[str, Any], **sections: Any) -> None:
    """A connectors.yml, in one step, as a careful editor does it."""
    data = {"connectors": [{"type": TYPE, **entry} for entry in entries], **sections}
    write_text(home, yaml.safe_dump(data, sort_keys=False))


def write_text(home: Path, text: str) -> None:
    temporary = home / "connectors.yml.new"
    temporary.write_text(text)
    temporary.rename(home / "connectors.yml")


class Running:
    """A manager process; `lines` are what it has shown."""

    def __init__(self, home: Path, options: dict[str, Any], **kwargs: Any) -> None:
        self.home = home
        self.output = home.parent / f"{home.name}.err"
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **kwargs.pop("env", {})}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.base.run_manager", str(home), json.dumps(options)],
                stderr=output,
                env=environ,
                **kwargs,
            )

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def says(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def expect(self, text: str) -> None:
        try:
            wait_for(lambda: self.says(text), what=f"the manager says {text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.lines}") from None

    def pid(self, name: str, *, at_least: int = 1) -> int:
        """The process of an instance, once it has been started `at_least` times and its handler is there."""
        wait_for(lambda: len(started(self.home, name)) >= at_least, what=f"{name} starts: {self.lines}")
        return started(self.home, name)[-1]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=15)


Start = Callable[..., Running]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    made: list[Running] = []

    def begin(_home: Path = home, /, *, popen: dict[str, Any] | None = None, **options: Any) -> Running:
        made.append(Running(_home, options, **(popen or {})))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
    for one in made:
        for starts in one.home.glob("*.starts"):
            pids = [int(pid) for pid in starts.read_text().split()]
            wait_for(lambda pids=pids: all(map(gone, pids)), deadline_s=3)  # type: ignore[misc]  # bound now


def status_of(home: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((home / "state" / name / "status.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def record_of(home: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((home / "state" / name / "restarts.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def states(home: Path) -> dict[str, str]:
    answer = control.request(Home(home), "status")
    return {name: one["state"] for name, one in answer["instances"].items()}


# -- living and dying

METHODS = ["fork", "exec"] if sys.platform.startswith("linux") else ["exec"]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_connector_runs_again_and_the_others_do_not_notice(method: str, home: Path, start: Start) -> None:
    write_config(home, {"name": "a"}, {"name": "b"})
    manager = start(workings={"method": method})
    a, b = manager.pid("a"), manager.pid("b")
    os.kill(a, signal.SIGKILL)
    assert manager.pid("a", at_least=2) != a
    wait_for(lambda: states(home) == {"a": "running", "b": "running"})
    assert started(home, "b") == [b]
    assert record_of(home, "a")["crashes"] == 1
    assert manager.stop() == 0
    assert gone(b)
    assert states_after_stop(home) == {"a": "stopped", "b": "stopped"}
    assert not (home / "state" / "manager.sock").exists()


def states_after_stop(home: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["state"] for path in home.glob("state/*/restarts.json")}


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_when_the_manager_is_killed_and_the_next_one_starts(
    method: str, home: Path, start: Start
) -> None:
    write_config(home, {"name": "a", "grandchild": True}, {"name": "deaf", "deaf": True})
    manager = start(workings={"method": method})
    pids = [manager.pid("a"), manager.pid("deaf")]
    grandchild = int(wait_for(lambda: (home / "a.grandchild").exists() and (home / "a.grandchild").read_text()))
    manager.process.kill()
    manager.process.wait()
    second = start()
    wait_for(lambda: all(map(gone, [*pids, grandchild])), deadline_s=3)
    second.pid("a", at_least=2)


def test_a_stop_drains_and_leaves_no_grandchild_and_no_zombie(home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "grandchild": True})
    manager = start()
    child = manager.pid("a")
    grandchild = int(wait_for(lambda: (home / "a.grandchild").exists() and (home / "a.grandchild").read_text()))
    assert manager.stop() == 0
    wait_for(lambda: gone(grandchild))
    assert not Path(f"/proc/{child}").exists()
    assert record_of(home, "a")["exit_status"] == 0


def test_a_second_sigint_kills_at_once_what_does_not_want_to_end(home: Path, start: Start) -> None:
    write_config(home, {"name": "deaf", "deaf": True})
    manager = start()
    deaf = manager.pid("deaf")
    manager.process.send_signal(signal.SIGINT)
    wait_for(lambda: states(home) == {"deaf": "stopping"})
    assert not gone(deaf)
    manager.process.send_signal(signal.SIGINT)
    assert manager.process.wait(timeout=8) == 0
    assert gone(deaf)


@pytest.mark.long
def test_what_does_not_want_to_end_is_killed_within_10_s(home: Path, start: Start) -> None:
    write_config(home, {"name": "deaf", "deaf": True})
    manager = start()
    deaf = manager.pid("deaf")
    assert manager.stop() == 0
    assert gone(deaf)
    assert record_of(home, "deaf")["exit_status"] == -9


@pytest.mark.parametrize(
    ("code", "state", "cause"),
    [(0, "exited", None), (2, "fatal", "dependency"), (77, "fatal", "auth"), (78, "fatal", "config")],
)
def test_a_final_exit_code_is_final(code: int, state: str, cause: str | None, home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "exit": code}, {"name": "other"})
    manager = start()
    wait_for(lambda: status_of(home, "a").get("state") == state)
    manager.pid("other")
    assert states(home) == {"a": state, "other": "running"}
    assert status_of(home, "a")["cause"] == cause
    assert len(started(home, "a")) == 1
    if cause:
        assert status_of(home, "a")["last_error"]["hint"]
    assert manager.stop() == 0


def test_the_cause_of_an_end_is_what_the_process_said_of_it_and_nothing_older(home: Path, start: Start) -> None:
    """Given a dead letter in the status and a line that was printed, when the process is killed, then it was killed."""
    write_config(home, {"name": "a", "print": "no cause"}, {"name": "b", "exit": 1})
    manager = start()
    pid = manager.pid("a")
    wait_for(lambda: states(home)["a"] == "running")
    StatusFile(Home(home), "a").error("an old dead letter")
    os.kill(pid, signal.SIGKILL)
    manager.pid("a", at_least=2)
    manager.expect("a: killed by SIGKILL; starts again at once")
    assert status_of(home, "a")["last_error"]["text"] == "killed by SIGKILL"
    manager.expect("b: exit 1 (crash); starts again")
    assert manager.stop() == 0


@pytest.mark.parametrize("event", ["error", "auth"])
def test_what_a_process_reports_of_its_end_is_shown(event: str, home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "report": event, "exit": 77})
    manager = start()
    wait_for(lambda: status_of(home, "a").get("state") == "fatal")
    assert status_of(home, "a")["last_error"]["text"] == "told by the child"
    manager.expect("a: told by the child; not started again")
    assert manager.stop() == 0


def test_a_crash_loop_waits_longer_and_longer_and_another_manager_goes_on_waiting(home: Path, start: Start) -> None:
    """A crash loop must not burn a platform's login budget, whoever restarts what."""
    write_config(home, {"name": "a", "exit": 1}, {"name": "other"}, manager={"restart": {"initial_delay_s": 100}})
    first = start()
    wait_for(lambda: record_of(home, "a").get("crashes") == 2)
    # Full jitter may draw a wait of nothing; then the next one is more.
    wait_for(lambda: record_of(home, "a")["state"] == "backoff" and record_of(home, "a")["wait_s"] > 5)
    waiting = record_of(home, "a")
    wait_for(lambda: status_of(home, "a").get("state") == "backoff" and status_of(home, "a")["next_start"])
    first.process.kill()
    first.process.wait()
    starts = started(home, "a")
    second = start()
    second.pid("other", at_least=2)
    assert states(home)["a"] == "backoff"
    assert started(home, "a") == starts
    assert record_of(home, "a")["next_start"] == waiting["next_start"]


def test_a_wall_clock_that_was_stepped_back_holds_nobody_up(home: Path) -> None:
    """Given a backoff that was saved in what is now the far future, it is waited for no longer than was drawn."""
    (home / "state" / "a").mkdir(parents=True)
    saved = {"state": "backoff", "crashes": 3, "wait_s": 0.2, "next_start": 4_000_000_000.0}
    (home / "state" / "a" / "restarts.json").write_text(json.dumps(saved))
    manager = ConnectorManager(home, workings=Workings(entry=ENTRY, clock=Clock(wall=lambda: 1_000_000_000.0)))
    manager.add_connector("a", TYPE, {"exit": 0})
    assert manager.start(say=lambda _: None) == 0
    assert len(started(home, "a")) == 1


def test_restarts_can_be_switched_off_as_the_seeds_users_do(home: Path) -> None:
    manager = ConnectorManager(home, workings=Workings(entry=ENTRY))
    manager.add_connector("a", TYPE, {"exit": 1})
    assert manager.start(restart_on_crash=False, restart_delay=0.1, once=True, say=lambda _: None) == 1
    assert len(started(home, "a")) == 1


def test_the_manager_ends_when_every_connector_has_ended_cleanly(home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "exit": 0}, {"name": "b", "exit": 0})
    manager = start()
    assert manager.process.wait(timeout=10) == 0
    assert states_after_stop(home) == {"a": "exited", "b": "exited"}


def test_with_once_it_ends_with_the_code_of_what_cannot_run(home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "exit": 77})
    assert start(once=True).process.wait(timeout=10) == 77


def test_a_fatal_connector_alone_is_waited_for(home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "exit": 78})
    manager = start()
    manager.expect("a: exit 78 (config); not started again")
    (home / "spared").touch()
    write_config(home, {"name": "a", "exit": 78, "exit_unless": str(home / "spared")})
    manager.expect("a: restarted (options changed)")
    wait_for(lambda: states(home) == {"a": "running"})


# -- one manager per home


def test_a_second_manager_on_one_home_is_refused_and_names_the_first(home: Path, start: Start) -> None:
    write_config(home, {"name": "a"})
    first = start()
    first.pid("a")
    second = start(workings={"lock_wait_s": 0.2})
    assert second.process.wait(timeout=10) == 75
    second.expect(f"another manager (pid {first.process.pid}")
    second.expect("connectors stop")
    assert first.process.poll() is None
    assert len(started(home, "a")) == 1


def test_a_second_manager_says_at_once_that_it_waits_and_starts_when_the_first_has_ended(
    home: Path, start: Start
) -> None:
    write_config(home, {"name": "a"})
    first = start()
    pid = first.pid("a")
    second = start(workings={"lock_wait_s": 60})
    second.expect(f"another manager (pid {first.process.pid}, since ")
    second.expect(f") runs on {home}: waiting up to 60 s for it to end")
    first.process.terminate()
    wait_for(lambda: len(started(home, "a")) == 2)
    assert gone(pid)
    assert second.process.poll() is None


def test_two_managers_in_one_process_exclude_each_other_too(home: Path) -> None:
    manager, other = (ConnectorManager(home, workings=Workings(entry=ENTRY, lock_wait_s=0.1)) for _ in range(2))
    manager.add_connector("a", TYPE, {"grandchild": False})
    thread = threading.Thread(target=manager.start, kwargs={"say": lambda _: None})
    thread.start()
    try:
        wait_for(lambda: started(home, "a"))
        with pytest.raises(InstanceLocked, match="another manager"):
            other.start()
    finally:
        manager.stop()
        thread.join(15)
    assert not thread.is_alive()
    assert gone(started(home, "a")[0])


# -- reloading


def test_an_edit_touches_only_what_it_changes_and_says_so(home: Path, start: Start) -> None:
    write_config(home, {"name": "same", "print": "1"}, {"name": "changed", "print": "1"}, {"name": "gone"})
    manager = start()
    before = {name: manager.pid(name) for name in ("same", "changed", "gone")}
    write_config(
        home,
        {"name": "new"},
        {"name": "changed", "print": "2"},
        {"name": "same", "print": "1"},
        manager={"restart": {"max_delay_s": 10}},
    )
    for verdict in (
        "new: started",
        "changed: restarted (options changed)",
        "same: unchanged",
        "gone: stopped (removed)",
    ):
        manager.expect(verdict)
    manager.pid("new")
    manager.pid("changed", at_least=2)
    wait_for(lambda: gone(before["gone"]))
    assert started(home, "same") == [before["same"]]
    wait_for(lambda: states(home) == {"same": "running", "changed": "running", "new": "running"})
    write_config(home, {"name": "new", "enabled": False}, {"name": "changed", "print": "2"}, {"name": "same"})
    manager.expect("new: stopped (disabled)")
    manager.expect("same: restarted (options changed)")
    assert json.loads((home / "state" / "manager.json").read_text())["pid"] == manager.process.pid


@pytest.mark.parametrize("how", ["gone", "truncated", "other"])
def test_manager_json_is_written_again_when_it_is_not_what_was_written(home: Path, start: Start, how: str) -> None:
    write_config(home, {"name": "one"})
    manager, file = start(), home / "state" / "manager.json"
    manager.pid("one")
    wait_for(lambda: read_json(file).get("pid") == manager.process.pid)
    if how == "truncated":
        os.truncate(file, 0)
    elif how == "other":
        file.write_text('{"pid": 1}')
    else:
        file.unlink()
    wait_for(lambda: read_json(file).get("pid") == manager.process.pid)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "is empty"),
        ("connectors: [", "connectors.yml:"),
        (
            f"connectors:\n  - name: a\n    type: {TYPE}\n    prnt: x\n",
            "a: kept as it was: connectors.yml:4: a: unknown option",
        ),
        (
            f"connectors:\n  - name: a\n    type: {TYPE}\n    print: ${{NO_SUCH}}\n",
            "a: kept as it was: connectors.yml:4:",
        ),
        (f"connectors:\n  - name: a\n    type: {TYPE}\n  - name: x\n    type: nosuch\n", "connectors.yml:5: x: "),
        ("other: 1\n", "connectors.yml:"),
        (None, "connectors.yml"),
    ],
    ids=["empty", "broken", "option", "unset", "type", "no-entries", "missing"],
)
def test_an_invalid_file_changes_nothing_and_says_why(text: str | None, verdict: str, home: Path, start: Start) -> None:
    write_config(home, {"name": "a"}, {"name": "b"})
    manager = start()
    before = manager.pid("a"), manager.pid("b")
    if text is None:
        (home / "connectors.yml").unlink()
    else:
        write_text(home, text)
    manager.expect(verdict)
    assert manager.says("nothing is changed") or manager.says("kept as it was")
    write_config(home, {"name": "a"}, {"name": "b"}, {"name": "c"})
    manager.expect("c: started")
    assert (started(home, "a"), started(home, "b")) == ([before[0]], [before[1]])


def test_a_changed_variable_restarts_whom_it_concerns(home: Path, start: Start) -> None:
    """Whether connectors.yml names it or the connector's class declares it."""
    (home / ".env").write_text("ONE=1\n")
    given = {"secret": "given-here"}
    write_config(
        home, {"name": "named", "print": "${ONE}", **given}, {"name": "declared"}, {"name": "explicit", **given}
    )
    manager = start()
    pids = [manager.pid(name) for name in ("named", "declared", "explicit")]
    (home / ".env").write_text("ONE=2\n")
    manager.expect("named: restarted (options changed)")
    manager.expect("declared: unchanged")
    (home / ".env").write_text("ONE=2\nCHILD_SECRET=abcdefgh\n")
    manager.expect("declared: restarted (variables changed)")
    manager.pid("declared", at_least=2)
    assert started(home, "explicit") == pids[2:]
    assert len(started(home, "named")) == 2


def test_a_refused_credential_is_tried_again_when_it_changes(home: Path, start: Start) -> None:
    (home / ".env").write_text("ONE=1\n")
    write_config(home, {"name": "a", "exit": 77, "exit_unless": str(home / "fixed")}, {"name": "other"})
    manager = start()
    manager.expect("a: exit 77 (auth); not started again")
    write_config(home, {"name": "a", "exit": 77, "exit_unless": str(home / "fixed")}, {"name": "other"}, alerts={})
    manager.expect("a: unchanged")
    (home / "fixed").touch()
    (home / ".env").write_text("ONE=2\n")
    manager.expect("a: restarted (connectors.yml or .env changed)")
    wait_for(lambda: states(home) == {"a": "running", "other": "running"})


def test_sighup_reloads_now(home: Path, start: Start) -> None:
    write_config(home, {"name": "a"})
    manager = start()
    manager.pid("a")
    wait_for(lambda: states(home))
    manager.process.send_signal(signal.SIGHUP)
    manager.expect("a: unchanged")
    assert manager.process.poll() is None


def test_at_the_first_start_the_valid_entries_run_and_the_bad_ones_show_their_errors(home: Path, start: Start) -> None:
    write_config(home, {"name": "good"}, {"name": "bad", "print": "${NO_SUCH}"}, {"name": "typo", "type": ""})
    manager = start()
    manager.pid("good")
    for name in ("bad", "typo"):
        wait_for(lambda name=name: status_of(home, name).get("state") == "fatal")  # type: ignore[misc]  # bound now
        assert "connectors.yml:" in status_of(home, name)["last_error"]["text"]
    manager.expect("bad: print: variable NO_SUCH is not set")


def test_a_connector_that_finds_its_configuration_wrong_is_explained_with_its_line(home: Path, start: Start) -> None:
    write_config(home, {"name": "a", "exit": 78, "prnt": "x"}, {"name": "other"})
    start().expect("connectors.yml:5: a: unknown option")
    wait_for(lambda: "connectors.yml:5" in status_of(home, "a")["last_error"]["text"])


def test_a_file_that_is_unusable_at_the_first_start_is_the_end(home: Path, start: Start) -> None:
    write_text(home, "connectors: [")
    manager = start()
    assert manager.process.wait(timeout=10) == 78
    assert manager.says("connectors.yml:")


# -- what connectors print


@pytest.mark.parametrize("method", METHODS)
def test_a_secret_that_a_connector_prints_raw_reaches_no_file(method: str, home: Path, start: Start) -> None:
    (home / ".env").write_text(f"TOKEN={CANARY}\n")
    write_config(
        home,
        {"name": "a", "print": "before ${TOKEN} after \x1b[31m"},
        {"name": "b", "print": "${TOKEN}", "exit": 1},
    )
    manager = start(workings={"method": method})
    manager.pid("b", at_least=2)
    wait_for(lambda: (home / "logs" / "a.log").exists() and (home / "logs" / "a.log").read_text().count("\n") == 2)
    assert (home / "logs" / "a.log").read_text() == "before **** after \\x1b[31m\n" * 2
    assert (home / "logs" / "a.log").stat().st_mode & 0o777 == 0o600
    manager.stop()
    for path in [manager.output, *home.rglob("*")]:
        if path.is_file() and path.name != ".env":
            assert CANARY not in path.read_text(errors="replace"), path


# -- standard input


def test_the_first_cli_gets_what_is_piped_in_and_its_output_is_the_managers(home: Path, start: Start) -> None:
    entries = [{"name": name, "type": "cli", "echo_stdin": True, "exit": 0} for name in ("one", "two")]
    write_config(home, *entries)
    manager = start(popen={"stdin": subprocess.PIPE, "stdout": subprocess.PIPE})
    out, _ = manager.process.communicate(b"hello\nagain\n", timeout=10)
    assert out == b"got hello\ngot again\n"
    assert manager.process.returncode == 0


def test_with_input_piped_in_a_fatal_cli_ends_the_manager(home: Path, start: Start) -> None:
    write_config(home, {"name": "one", "type": "cli", "exit": 78})
    manager = start(popen={"stdin": subprocess.PIPE})
    manager.process.communicate(b"hello\n", timeout=10)
    assert manager.process.returncode == 78


def test_a_closed_stdin_harms_nobody(home: Path, start: Start) -> None:
    write_config(home, {"name": "one", "type": "cli", "print": "x"})
    command = f'exec "{sys.executable}" -m tests.base.run_manager "{home}" <&- >&- 2>&-'
    process = subprocess.Popen(["sh", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: started(home, "one"))
        wait_for(lambda: (home / "logs" / "one.log").exists() and (home / "logs" / "one.log").read_text() == "x\nx\n")
    finally:
        process.terminate()
        process.wait(15)


def test_a_terminal_in_the_foreground_is_the_clis_and_one_that_is_closed_is_the_end(home: Path, start: Start) -> None:
    write_config(home, {"name": "one", "type": "cli", "echo_stdin": True})
    leader, follower = pty.openpty()

    def take_terminal() -> None:
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    manager = start(popen={"stdin": follower, "stdout": follower, "preexec_fn": take_terminal})
    os.close(follower)
    manager.pid("one")
    os.write(leader, b"typed\n")
    seen = bytearray()

    def shown() -> bool:
        seen.extend(os.read(leader, 100))
        return b"got typed" in seen

    wait_for(shown)
    os.close(leader)  # the terminal's window is closed: the kernel sends SIGHUP
    assert manager.process.wait(timeout=15) == 0


def test_a_terminal_in_the_background_is_left_to_the_shell(home: Path) -> None:
    leader, follower = pty.openpty()
    program = "from connectors.base.terminal import kind_of_stdin; print(kind_of_stdin())"
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdin=follower, capture_output=True, env=environ, check=True)
    os.close(leader)
    os.close(follower)
    assert done.stdout == b"none\n"


# -- control


def test_stop_and_restart_of_one_instance(home: Path, start: Start) -> None:
    write_config(home, {"name": "a"}, {"name": "b"})
    manager = start()
    a, b = manager.pid("a"), manager.pid("b")
    wait_for(lambda: states(home) == {"a": "running", "b": "running"})
    control.request(Home(home), "stop", "a")
    assert gone(a)
    assert states(home) == {"a": "stopped", "b": "running"}
    control.request(Home(home), "restart", "a")
    manager.pid("a", at_least=2)
    control.request(Home(home), "restart", "a")
    manager.pid("a", at_least=3)
    assert started(home, "b") == [b]
    with pytest.raises(ConnectorError, match="there is no instance nobody"):
        control.request(Home(home), "stop", "nobody")
    with pytest.raises(ConnectorError, match="unknown command"):
        control.request(Home(home), "dance")
    assert control.request(Home(home), "stop")["ok"]
    assert manager.process.wait(timeout=15) == 0
    with pytest.raises(control.NotRunning, match="no manager runs"):
        control.request(Home(home), "status")


def test_a_suspended_connector_can_be_restarted_and_stopped_and_drains(home: Path, start: Start) -> None:
    write_config(home, {"name": "a"})
    manager = start()
    for command, starts in (("restart", 1), ("stop", 2)):
        pid = manager.pid("a", at_least=starts)
        wait_for(lambda: states(home) == {"a": "running"})
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda pid=pid: is_suspended(pid))  # type: ignore[misc]  # bound now
        assert control.request(Home(home), command, "a")["ok"]
        assert gone(pid)
        assert not manager.says("a: killed")
    assert record_of(home, "a")["exit_status"] == 0
    assert manager.stop() == 0


def test_a_home_with_a_long_path_can_be_controlled(tmp_path: Path, start: Start) -> None:
    home = tmp_path / ("x" * 120) / "home"
    home.mkdir(parents=True)
    write_config(home, {"name": "a"})
    manager = start(home)
    manager.pid("a")
    wait_for(lambda: states(home) == {"a": "running"})
    assert (home / "state" / "manager.sock").stat().st_mode & 0o777 == 0o600


def test_rubbish_on_the_control_socket_harms_nobody(home: Path, start: Start) -> None:
    write_config(home, {"name": "a"})
    start().pid("a")
    path = home / "state" / "manager.sock"
    for rubbish in (b"\xff\xfe\n", b"[]\n", b'{"cmd": 5, "name": {}}\n', b"x" * 200_000, b""):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            try:
                sock.sendall(rubbish)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(10_000)
            except OSError:
                pass  # it hung up on us
    wait_for(lambda: states(home) == {"a": "running"})


# -- systemd and alerts


def test_systemd_is_told(home: Path, tmp_path: Path, start: Start) -> None:
    write_config(home, {"name": "a"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        manager = start(popen={"env": variables})
        seen: list[str] = []

        def told(text: str, times: int = 1) -> bool:
            seen.append(sock.recv(4096).decode())
            return len([one for one in seen if one.startswith(text)]) >= times

        wait_for(lambda: told("WATCHDOG=1", 3))
        assert seen[0].startswith("READY=1\nSTATUS=1 of 1")
        assert not [line for line in seen if "RELOADING" in line]
        write_config(home, {"name": "a"}, {"name": "b"})
        wait_for(lambda: told("RELOADING=1"))
        wait_for(lambda: told("READY=1", 2))
        manager.process.terminate()
        wait_for(lambda: told("STOPPING=1"))
        assert manager.process.wait(timeout=15) == 0


def test_a_person_is_told_of_a_refused_credential_a_crash_loop_and_what_a_connector_reports(
    home: Path, start: Start
) -> None:
    program = home / "tell.py"
    program.write_text(
        "import json, sys; a = json.load(sys.stdin); open('told', 'a').write(a['instance'] + ' ' + a['kind'] + '\\n')"
    )
    write_config(
        home,
        {"name": "auth", "exit": 77},
        {"name": "loop", "exit": 1},
        {"name": "dead", "report": "dead_letter"},
        alerts={"command": f"{sys.executable} {program}"},
        manager={"restart": {"initial_delay_s": 0.01}},
    )
    start()

    def told() -> set[str]:
        return set((home / "told").read_text().splitlines()) if (home / "told").exists() else set()

    wait_for(lambda: told() == {"auth auth", "loop crash_loop", "dead dead_letter"}, what="three alerts")


# -- the names that the seed's users know


def test_from_config_takes_a_file_of_any_validity(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match="connectors init"):
        ConnectorManager.from_config(home / "connectors.yml", home)
    write_text(home, "connectors:\n  - name: a\n    type: slack\n    bot_token: ${TOKEN}\n  - 5\n  - {}\n")
    manager = ConnectorManager.from_config(str(home / "connectors.yml"), seed_home=str(home))
    assert manager.connectors[0] == {"name": "a", "type": "slack", "config": {"bot_token": "${TOKEN}"}}
    assert manager.connectors[1] == {"name": None, "type": None, "config": {}}
    write_text(home, "connectors: [")
    assert ConnectorManager.from_config(home / "connectors.yml").connectors == []


def test_add_connector_and_status(home: Path) -> None:
    manager = ConnectorManager(home)
    assert manager.status() == {}
    assert manager.processes == {}
    manager.add_connector("a", "cli", {"x": 1})
    assert manager.connectors == [{"name": "a", "type": "cli", "config": {"x": 1}}]
    assert manager.status() == {"a": {"type": "cli", "pid": None, "alive": False, "state": "stopped"}}
    with pytest.raises(ConfigError, match="already"):
        manager.add_connector("A", "cli")
    with pytest.raises(ConfigError, match="cannot be"):
        manager.add_connector("../a", "cli")
    assert list(home.iterdir()) == [], "nothing is made before it is started"


def test_a_manager_in_a_thread_of_a_program(home: Path) -> None:
    """No signal handlers there, and no fork; status() and processes can be read meanwhile."""
    handler = signal.getsignal(signal.SIGTERM)
    manager = ConnectorManager(home, workings=Workings(entry=ENTRY))
    manager.add_connector("a", TYPE)
    thread = threading.Thread(target=manager.start, kwargs={"say": lambda _: None})
    thread.start()
    try:
        wait_for(lambda: manager.status()["a"]["state"] == "running")
        assert manager.status()["a"]["alive"]
        assert manager.processes["a"].pid == manager.status()["a"]["pid"] == started(home, "a")[0]
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        manager.stop()
        thread.join(15)
    assert manager.status()["a"]["state"] == "stopped"


def test_the_registry_and_the_loader_are_there() -> None:
    assert "cli" in CONNECTOR_REGISTRY
    loaded = ConnectorManager()._load_connector_class(TYPE)
    assert loaded.connector_type == "child"


def test_the_manager_imports_no_connector(home: Path) -> None:
    write_config(home, {"name": "a", "type": "cli"})
    program = (
        "import sys; from connectors.base.manager import ConnectorManager\n"
        f"ConnectorManager.from_config({str(home / 'connectors.yml')!r}).status()\n"
        "print(*[m for m in sys.modules if m.startswith('connectors.') and not m.startswith('connectors.base')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


def test_no_descriptor_is_left_open(home: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    manager = ConnectorManager(home, workings=Workings(entry=ENTRY))
    manager.add_connector("a", TYPE, {"exit": 0})
    manager.start(say=lambda _: None)
    assert set(os.listdir("/proc/self/fd")) == before
