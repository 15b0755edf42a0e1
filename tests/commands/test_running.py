"""run, status, stop, restart, logs and chat, with a real manager."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.commands.program import DEADLINE_S, PROGRAM, answer, connectors, done, manager, status_of
from tests.folders import refusing
from tests.helpers import wait_for

TWO = """\
connectors:
  - name: cli
    type: cli
  - name: second
    type: cli
    conversation: C2
"""


def test_lines_in_a_pipe_are_answered_by_an_agent_and_the_program_ends(box: Path) -> None:
    agent = [*PROGRAM, "agent", "--", "sh", "-c", 'printf "<%s>" "$MAILBOX_TEXT"']
    with subprocess.Popen(agent, cwd=box, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            result = connectors("run", home=box, text="one\ntwo\n")
        finally:
            running.terminate()

    assert (result.returncode, result.stdout) == (0, "<one>\n<two>\n")
    assert result.stderr == ""


def test_run_without_a_configuration_says_how_to_make_one(home: Path) -> None:
    (home / "messages").mkdir()

    result = connectors("run", home=home)

    assert result.returncode == 78
    assert f"there is no {home / 'connectors.yml'}" in result.stderr
    assert "connectors init" in result.stderr


def test_run_shows_what_the_connectors_log_when_nobody_chats_here(box: Path) -> None:
    with manager(box):
        wait_for(lambda: "cli | " in (box / "run.log").read_text(), deadline_s=DEADLINE_S)


def test_run_on_a_terminal_shows_them_too_when_no_connector_uses_it(home: Path) -> None:
    program = """
        from connectors.base.connector import Connector

        class Mine(Connector):
            connector_type = "mine"
            def connect(self): pass
            def disconnect(self): pass
            def run_loop(self): pass
            def send_message(self, msg): return True
    """
    (home / "mine.py").write_text(textwrap.dedent(program))
    (home / "connectors.yml").write_text("connectors: [{name: mine-main, type: ./mine.py}]\n")
    assert "mine-main | " in connectors("run", home=home, text="what is piped in, and nobody reads\n").stderr


def test_a_second_manager_on_the_home_is_refused_by_name(box: Path) -> None:
    with manager(box) as first:
        second = connectors("run", home=box)

    assert second.returncode == 75
    assert f"pid {first.pid}" in second.stderr


def test_a_connector_started_alone_says_at_once_that_it_waits_for_the_one_that_runs(box: Path) -> None:
    command = [sys.executable, "-P", "-m", "connectors.cli.connector", "--seed-home", str(box), "--name", "cli"]
    with manager(box):
        pid = status_of(box)["pid"]
        alone = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
        assert alone.stderr is not None
        first = alone.stderr.readline()
    with alone:
        try:
            assert f"instance cli is in use by process {pid} (since " in first
            assert any("connected" in line for line in iter(alone.stderr.readline, ""))
        finally:
            alone.terminate()


def test_status_of_a_running_home(box: Path) -> None:
    (box / "connectors.yml").write_text(TWO)
    with manager(box) as running:
        result = connectors("status", home=box)
        found = answer("status", home=box)

    assert result.returncode == 0
    assert f"manager: running (pid {running.pid}, " in result.stdout
    assert "cli\tcli\tconnected\t" in result.stdout
    assert found["manager"]["running"] is True
    assert found["well"] is True
    assert [one["name"] for one in found["instances"]] == ["cli", "second"]
    assert all(one["pid"] for one in found["instances"])


def test_status_works_when_nothing_runs_and_says_what_to_do(box: Path) -> None:
    before = connectors("status", home=box)
    with manager(box):
        pass
    after = connectors("status", home=box)

    assert (before.returncode, after.returncode) == (1, 1)
    assert "cli\tcli\tnever started" in before.stdout
    assert "cli\tcli\tstopped" in after.stdout
    assert "! no manager runs: connectors run" in after.stdout


def test_status_does_not_believe_the_last_words_of_what_was_killed(box: Path) -> None:
    with manager(box) as running:
        pid = status_of(box)["pid"]
        running.kill()
        running.wait(DEADLINE_S)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), deadline_s=DEADLINE_S)
        found = answer("status", home=box)

    assert json.loads((box / "state/cli/status.json").read_text())["state"] in ("connected", "stopped")
    assert found["manager"]["running"] is False
    assert found["instances"][0]["pid"] is None
    assert found["instances"][0]["state"] in ("not running", "stopped")
    assert found["well"] is False


def test_status_names_what_is_wrong_and_its_hint(box: Path) -> None:
    (box / "connectors.yml").write_text(TWO + "  - name: third\n    type: nonsense\n")
    with manager(box):
        wait_for(lambda: status_of(box, "third").get("state") == "fatal", deadline_s=DEADLINE_S)
        result = connectors("status", home=box)

    assert result.returncode == 1
    assert "third\tnonsense\tfatal" in result.stdout
    assert 'there is no connector type "nonsense"' in result.stdout


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[1]", b'{"state": 7, "source": [], "counters": "x", "since": {}}'])
def test_a_damaged_state_of_one_connector_hides_no_other(box: Path, text: bytes) -> None:
    """Weakness: one state file that could not be read, and the list of all was an error."""
    names = ("one", "two")
    (box / "connectors.yml").write_text("connectors:\n" + "".join(f"- {{name: {name}, type: cli}}\n" for name in names))
    for name in names:
        (box / "state" / name).mkdir(parents=True)
    (box / "state/one/status.json").write_bytes(text)
    (box / "state/one/store.db").write_bytes(text * 4096)
    (box / "state/two/status.json").write_text('{"state": "backoff", "note": "it crashed"}')
    for arguments in (("status",), ("status", "--json")):
        result = connectors(*arguments, home=box)
        assert (result.returncode, result.stderr) == (1, "")
    found = {one["name"]: one["state"] for one in answer("status", home=box)["instances"]}
    assert found.keys() == set(names)


def test_status_of_an_input_that_was_all_read_is_well(box: Path) -> None:
    connectors("run", home=box, text="")

    result = connectors("status", home=box)

    assert result.returncode == 0
    assert "cli\tcli\texited" in result.stdout


def test_files_that_wait_for_a_connector_that_is_not_configured_are_told(box: Path) -> None:
    with manager(box):
        pass
    (box / "connectors.yml").write_text("connectors: []\n")
    (box / "messages/outbox/cli/x.json").write_text("{}")

    result = connectors("status", home=box)

    assert result.returncode == 1
    assert "connectors.yml has no cli, and outgoings wait for it: 1" in result.stdout


def test_stop_and_restart_of_one_connector(box: Path) -> None:
    (box / "connectors.yml").write_text(TWO)
    with manager(box):
        pid = status_of(box)["pid"]

        assert done("stop", "cli", home=box) == "cli has stopped\n"
        assert status_of(box)["state"] == "stopped"
        assert status_of(box, "second")["state"] == "connected"
        assert done("restart", "cli", home=box) == "cli restarted\n"
        wait_for(lambda: status_of(box)["state"] == "connected", deadline_s=DEADLINE_S)
        assert status_of(box)["pid"] != pid
        unknown = connectors("stop", "clu", home=box)

    assert unknown.returncode == 1
    assert "there is no instance clu" in unknown.stderr


def test_stop_ends_the_manager_and_is_content_when_there_is_none(box: Path) -> None:
    with manager(box) as running:
        assert done("stop", home=box) == "the manager has stopped\n"
        assert running.wait(DEADLINE_S) == 0

    assert done("stop", home=box) == "no manager runs\n"
    assert connectors("restart", home=box).returncode == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("verb", ["stop", "restart cli"])
def test_a_suspended_manager_is_told_and_does_later_nothing_of_it(box: Path, verb: str) -> None:
    with manager(box) as running:
        pid = status_of(box)["pid"]
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            asked = connectors(*verb.split(), home=box)
            status = connectors("status", home=box)
        finally:
            running.send_signal(signal.SIGCONT)

        assert asked.returncode == 1
        assert f"the manager (pid {running.pid}) is suspended and does not answer" in asked.stderr
        assert f"kill -CONT {running.pid}" in asked.stderr
        assert f"! the manager is suspended (SIGSTOP): kill -CONT {running.pid}" in status.stdout
        assert status_of(box)["pid"] == pid


def test_logs_are_merged_by_time_and_can_be_followed(box: Path) -> None:
    logs = box / "logs"
    (logs / "b.log").write_text("2026-01-01T00:00:01.000Z INFO one\nTraceback\n2026-01-01T00:00:03.000Z INFO three\n")
    (logs / "a.log.1").write_text("2025-12-31T00:00:00.000Z INFO zero\n")
    (logs / "a.log").write_text("2026-01-01 00:00:02 manager: two\x1b[31m\n")

    assert done("logs", home=box).splitlines() == [
        "a | 2025-12-31T00:00:00.000Z INFO zero",
        "b | 2026-01-01T00:00:01.000Z INFO one",
        "b | Traceback",
        "a | 2026-01-01 00:00:02 manager: two\\x1b[31m",
        "b | 2026-01-01T00:00:03.000Z INFO three",
    ]
    assert done("logs", "b", "-n", 1, home=box) == "2026-01-01T00:00:03.000Z INFO three\n"
    assert json.loads(done("logs", "a", "-n", 1, "--json", home=box))["source"] == "a"


def test_followed_logs_go_on_after_a_rotation(box: Path) -> None:
    log = box / "logs" / "cli.log"
    log.write_text("old\n")
    command = [*PROGRAM, "logs", "--follow", "-n", "1"]
    with subprocess.Popen(command, cwd=box, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "cli | old\n"
        with log.open("a") as file:
            file.write("before\n")
        os.replace(log, log.with_name("cli.log.1"))
        log.write_text("after\n")
        assert process.stdout.readline() == "cli | before\n"
        assert process.stdout.readline() == "cli | after\n"
        (box / "logs" / "new.log").write_text("another\n")
        assert process.stdout.readline() == "new | another\n"
        process.send_signal(signal.SIGINT)


def test_logs_of_nobody_suggest_a_name(box: Path) -> None:
    (box / "logs" / "slack-main.log").write_text("x\n")

    result = connectors("logs", "slack-mian", home=box)

    assert result.returncode == 78
    assert 'did you mean "slack-main"?' in result.stderr


def test_chat_attaches_to_a_connector_without_a_terminal(box: Path) -> None:
    with manager(box):
        chat = subprocess.Popen(
            [*PROGRAM, "chat"], cwd=box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        assert chat.stdin is not None
        assert chat.stdout is not None
        chat.stdin.write("hello\n")
        chat.stdin.flush()
        event = wait_for(lambda: done("tail", home=box), deadline_s=DEADLINE_S)
        done("reply", json.loads(event)["id"], "hi there", home=box)
        assert chat.stdout.readline() == "hi there\n"
        chat.stdin.close()
        assert chat.wait(DEADLINE_S) == 0
        chat.stdout.close()


def test_chat_without_a_connector_says_how_to_start_one(box: Path) -> None:
    result = connectors("chat", home=box)

    assert result.returncode == 78
    assert "nothing listens" in result.stderr


def test_status_says_that_a_process_is_suspended(box: Path) -> None:
    """It lives, it holds its lock, its last words were good, and it does nothing."""
    with manager(box):
        pid = answer("status", home=box)["instances"][0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            found = answer("status", home=box)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert found["instances"][0]["state"] == "suspended"
        name, hint = found["instances"][0]["name"], found["instances"][0]["problem"]["hint"]
        assert hint == f"let it go on: kill -CONT {pid}; or: connectors restart {name}"
        assert not found["well"]


def test_a_connector_whose_state_cannot_be_written_waits_says_so_and_goes_on_by_itself(box: Path) -> None:
    """Given a folder into which not even the status can be written, when the connector starts, then it is not ended."""
    state = box / "state/cli"
    with manager(box):
        done("stop", "cli", home=box)
        with refusing(state):
            assert done("restart", "cli", home=box) == "cli restarted\n"
            wait_for(lambda: status_of(box)["problem"], deadline_s=DEADLINE_S)
            problem = status_of(box)["problem"]
            assert problem["text"].startswith(f"{state} cannot be written")
            assert str(state) in problem["hint"]
            said = f"the start waits: {state} cannot be written"
            wait_for(lambda: said in (box / "logs/cli.log").read_text(), deadline_s=DEADLINE_S)
        wait_for(lambda: status_of(box)["state"] == "connected", deadline_s=DEADLINE_S)
        assert status_of(box)["restarts"] == 0


def test_status_says_that_the_disk_is_full(box: Path) -> None:
    """A process on a full disk cannot write it into its own status."""
    text = (box / "connectors.yml").read_text()
    (box / "connectors.yml").write_text(f"{text}\nlimits:\n  min_free_bytes: {1 << 60}\n")
    said = next(problem for problem in answer("status", home=box)["problems"] if "the disk is full" in problem)
    assert "may be old" not in said, "its processes can still say how they are"
