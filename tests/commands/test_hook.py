"""`connectors hook`: what a tool says reaches its connector, now or later, and the tool never notices."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.coding_agent.connector import ClaudeCodeConnector
from connectors.testing import RunningConnector, wait_for
from connectors.webhook.connector import WebhookConnector
from tests.commands.program import DEADLINE_S, PROGRAM, connectors, on_terminal
from tests.webhook.live import SECRET, Taker, free_port

START = {"session_id": "s1", "cwd": "/w", "hook_event_name": "SessionStart", "source": "startup"}


class Agent:
    """A home with one instance, which may run."""

    def __init__(self, home: Path, kind: str = "claude-code", **options: Any) -> None:
        self.home = Home(home)
        self.port = options.setdefault("port", free_port())
        entry = {"name": "agent", "type": kind, "secret": SECRET, **options}
        self.entry = {name: value for name, value in entry.items() if value is not None}
        self.configure(self.entry)

    def configure(self, *entries: dict[str, Any]) -> None:
        self.home.config_file.write_text(json.dumps({"connectors": list(entries)}))

    def run(self, cls: Any = ClaudeCodeConnector) -> RunningConnector:
        return RunningConnector(cls, self.home.root, "agent")

    @property
    def events(self) -> list[Message]:
        return [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]

    @property
    def phases(self) -> list[str]:
        return [event.event.payload["lifecycle"]["phase"] for event in self.events if event.event is not None]

    @property
    def waiting(self) -> list[Path]:
        folder = self.home.state_dir("agent") / "spool"
        return sorted(folder.glob("*.json")) if folder.is_dir() else []


@pytest.fixture
def agent(home: Path) -> Agent:
    return Agent(home)


def say(agent: Agent, said: Any, *arguments: str, name: str = "agent", **env: str) -> str:
    """Let a tool in some other folder run the hook; returns what it says on stderr."""
    text = said if isinstance(said, str) else json.dumps(said)
    elsewhere = agent.home.root.parent
    found = connectors(
        "hook", name, *arguments, home=elsewhere, text=text, env={"MAILBOX_HOME": str(agent.home.root), **env}
    )
    assert (found.returncode, found.stdout) == (0, "")
    assert SECRET not in found.stderr
    return found.stderr


# ── while the connector runs ──────────────────────────────────────────────────────────────────────────────────


def test_what_the_tool_says_is_signed_posted_and_an_event(agent: Agent) -> None:
    """Weakness: the hook never signed, so that with a secret it got 401 and failed."""
    with agent.run() as running:
        running.connected()
        assert say(agent, START) == ""
        assert say(agent, {**START, "hook_event_name": "Stop", "last_assistant_message": "Done."}) == ""
        assert say(agent, {**START, "hook_event_name": "SessionEnd"}) == ""
        assert agent.phases == ["started", "active", "completed"]
        assert agent.waiting == []
    assert agent.events[1].content.text == "Done."


@pytest.mark.parametrize("scheme", ["hmac", "github", "slack", "stripe", "standard", "bearer"])
def test_it_proves_itself_in_every_scheme(home: Path, scheme: str) -> None:
    secret = "whsec_c2VjcmV0IG9mIG91cnM=" if scheme == "standard" else SECRET
    agent = Agent(home, scheme=scheme, secret=secret)
    with agent.run() as running:
        running.connected()
        assert say(agent, START) == ""
        assert agent.phases == ["started"]


def test_a_secret_in_env_is_enough_and_none_is_enough_on_this_machine(home: Path) -> None:
    """Weakness: every secret had to be in the file, and an empty one was none."""
    agent = Agent(home, secret=None)
    for line in ("", f"CLAUDE_CODE_WEBHOOK_SECRET={SECRET}\n"):
        agent.home.env_file.write_text(line)
        with agent.run() as running:
            running.connected()
            assert say(agent, {**START, "session_id": line or "none"}) == ""
    assert len(agent.events) == 2


def test_the_word_and_the_exit_status_say_what_the_tool_does_not(agent: Agent) -> None:
    """Weakness: every stop was reported as a success, and start could not be said."""
    with agent.run() as running:
        running.connected()
        for words in (["start"], ["stop"], ["stop", "--exit-status", "3"], ["--exit-status", "143"], ["active"], []):
            assert say(agent, {"session_id": "s1"}, *words) == ""
        assert agent.phases == ["started", "completed", "failed", "stopped", "active", "completed"]


def test_the_json_may_be_the_last_argument_as_codex_gives_it(home: Path) -> None:
    agent = Agent(home, "codex")
    said = json.dumps({"type": "agent-turn-complete", "thread-id": "t1", "last-assistant-message": "Renamed."})
    with agent.run("connectors.coding_agent.connector:CodexConnector") as running:
        running.connected()
        assert say(agent, "", said) == ""
        assert say(agent, "", "stop", said) == ""
        assert agent.phases == ["active", "completed"]


def test_the_type_is_name_enough_while_there_is_one_instance_of_it(agent: Agent) -> None:
    """Weakness: the name of the source was wired into the command."""
    with agent.run() as running:
        running.connected()
        assert say(agent, START, name="claude-code") == ""
        assert agent.phases == ["started"]
    agent.configure(agent.entry, {**agent.entry, "name": "second"})
    assert "agent, second" in say(agent, START, name="claude-code")


def test_every_connector_that_listens_can_be_told(home: Path) -> None:
    agent = Agent(home, "webhook")
    say(agent, {"text": "kept"})
    with agent.run(WebhookConnector) as running:
        running.connected()
        say(agent, {"text": "posted"})
        wait_for(lambda: len(agent.events) == 2)
    assert {event.content.text for event in agent.events} == {"kept", "posted"}


# ── while it does not ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_said_while_nobody_listens_is_kept_and_comes_when_the_connector_starts(agent: Agent) -> None:
    """Weakness: the hook ended silently while the engine was down, and what it had to say was gone."""
    assert "nobody listens" in say(agent, {**START, "timestamp": "2026-01-01T00:00:00Z"})
    assert "agent takes it in" in say(agent, {**START, "hook_event_name": "SessionEnd"})
    assert len(agent.waiting) == 2
    assert {path.stat().st_mode & 0o777 for path in agent.waiting} == {0o600}
    with agent.run() as running:
        wait_for(lambda: not agent.waiting)
        running.connected()
    assert agent.phases == ["started", "completed"]
    assert agent.events[0].late


def test_what_was_kept_and_arrived_all_the_same_is_one_event(agent: Agent) -> None:
    say(agent, START)
    kept = {path.name: path.read_bytes() for path in agent.waiting}
    with agent.run() as running:
        wait_for(lambda: agent.phases == ["started"])
        wait_for(lambda: not agent.waiting)
        running.kill()
    for name, body in kept.items():  # as after a kill between the event and the end of its file
        (agent.home.state_dir("agent") / "spool" / name).write_bytes(body)
    with agent.run() as running:
        wait_for(lambda: not agent.waiting)
    assert agent.phases == ["started"]


def test_a_connector_that_dies_while_it_takes_in_what_was_kept_loses_and_doubles_nothing(agent: Agent) -> None:
    for n in range(3):
        say(agent, {**START, "session_id": f"s{n}"})
    for step in ("intake.staged", "intake.recorded", "intake.published"):
        config = {name: value for name, value in agent.entry.items() if name not in ("name", "type")}
        with RunningConnector(ClaudeCodeConnector, agent.home.root, "agent", config, kill_at=(step, 1)) as running:
            assert running.wait() == -signal.SIGKILL
    with agent.run():
        wait_for(lambda: not agent.waiting)
        assert sorted(event.conversation.id for event in agent.events) == ["s0", "s1", "s2"]


@contextmanager
def listener(answer: bytes | None, *, without_end: bool = False) -> Iterator[int]:
    """Accepts, answers with these bytes, or with none, or with them again and again, and never closes."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        held: list[socket.socket] = []
        over = threading.Event()

        def serve() -> None:
            while True:
                try:
                    connection = sock.accept()[0]
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.sendall(answer)
                while without_end and not over.wait(0.02):
                    try:
                        connection.sendall(b"X")
                    except OSError:
                        break

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(sock.getsockname()[1])
        over.set()
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"hello?\r\n\r\n"])
def test_a_listener_that_hangs_holds_nobody_up_and_the_event_is_kept(home: Path, answer: bytes | None) -> None:
    with listener(answer) as port:
        agent = Agent(home, port=port)
        assert say(agent, START, "--timeout", "0.3").startswith("kept:")
        assert len(agent.waiting) == 1


def test_a_listener_that_dribbles_holds_nobody_up_either(home: Path) -> None:
    with listener(b"HTTP/1.1 200 OK\r\nX-Long: ", without_end=True) as port:
        agent = Agent(home, port=port)
        assert say(agent, START, "--timeout", "0.3").startswith("kept:  no answer")
        assert len(agent.waiting) == 1


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_refusal_that_may_pass_keeps_the_event(home: Path, status: int) -> None:
    """Weakness: a wrong secret was an exit code 1 for the tool."""
    with Taker((status, {}, b'{"error": "not now"}')) as taker:
        agent = Agent(home, port=int(taker.url.rpartition(":")[2]))
        assert f"answered {status}: not now" in say(agent, START)
        assert len(agent.waiting) == 1


def test_a_hook_that_is_killed_has_said_it(home: Path) -> None:
    """Weakness: tools kill hooks that take too long, and with them what they had to say."""
    with listener(None) as port:
        agent = Agent(home, port=port)
        environ = {**os.environ, "MAILBOX_HOME": str(home)}
        command = [*PROGRAM, "hook", "agent", "--timeout", "60"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)
        assert process.stdin is not None
        process.stdin.write(json.dumps(START).encode())
        process.stdin.close()
        wait_for(lambda: agent.waiting, deadline_s=DEADLINE_S)
        process.kill()
        process.wait()
    agent.configure({**agent.entry, "port": free_port()})
    with agent.run():
        wait_for(lambda: agent.phases == ["started"])


# ── what a tool, or its operator, gets wrong ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("", "nothing came on stdin"),
        ("  \n", "nothing came on stdin"),
        ("{", "is not JSON"),
        ('{"a": "\x00"}', "is not JSON"),
        ('{"a": 1e999}', "is not JSON"),
        ("[1]", "no JSON object"),
        ("null", "no JSON object"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": "' + "x" * 10_000_001 + '"}', "more than 10000000 bytes"),
    ],
)
def test_bad_input_is_named_and_is_no_failure(agent: Agent, said: str, named: str) -> None:
    assert named in say(agent, said)
    assert agent.waiting == []


def test_what_the_connector_cannot_take_is_named_and_set_aside(agent: Agent) -> None:
    with agent.run() as running:
        running.connected()
        assert "session_id is missing" in say(agent, {"cwd": "/w"})
        assert "larger than 1000000" in say(agent, {"session_id": "s", "summary": "x" * 1_000_001})
    with agent.run() as running:
        wait_for(lambda: not agent.waiting)
        running.connected()
        assert "session_id is missing" in running.output
    assert len(list((agent.home.state_dir("agent") / "spool").glob("*.refused"))) == 2
    assert agent.events == []


def test_a_pipe_that_nobody_closes_holds_nobody_up(agent: Agent) -> None:
    environ = {**os.environ, "MAILBOX_HOME": str(agent.home.root)}
    command = [*PROGRAM, "hook", "agent", "--timeout", "0.3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(START).encode())
        process.stdin.flush()
        assert process.wait(DEADLINE_S) == 0
    assert len(agent.waiting) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nobody"],
        ["../agent"],
        ["manager"],
        ["agent", "--seed-home", "/nonexistent"],
        ["agent", "--seed-home"],
    ],
)
def test_a_wrong_call_is_named_and_is_no_failure(agent: Agent, arguments: list[str]) -> None:
    """Weakness: exit code 2, which some tools take as an order to go on working."""
    found = connectors("hook", *arguments, home=agent.home.root, text=json.dumps(START))
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr.startswith("error: ")
    assert "hint: " in found.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["strat"], "'strat' is none of start, stop, active"),
        (["start", "stop"], "'start stop' is none of"),
        (["--no-such-option"], "'--no-such-option' is none of"),
        (["--exit-status", "soon"], "--exit-status 'soon' is no number"),
        (["--exit-status", ""], "--exit-status '' is no number"),
        (["--timeout", "soon"], "--timeout 'soon' is not from 0.1 to 60"),
        (["--timeout", "nan"], "--timeout 'nan' is not from 0.1 to 60"),
    ],
)
def test_what_is_wrong_in_a_call_is_ignored_aloud_and_the_event_is_kept(
    agent: Agent, arguments: list[str], named: str
) -> None:
    said = say(agent, START, *arguments)
    assert named in said
    assert "ignored" in said
    assert "kept:" in said
    assert len(agent.waiting) == 1


@pytest.mark.parametrize(
    "broken", ["connectors: [", "", None, '{"connectors": [{"nam": "agent", "type": "claude-code"}]}', "option"]
)
def test_a_configuration_in_error_keeps_the_event_until_it_is_mended(agent: Agent, broken: str | None) -> None:
    agent.home.make_common()
    if broken == "option":
        agent.configure({**agent.entry, "prot": 1})
    elif broken is None:
        agent.home.config_file.unlink()
    else:
        agent.home.config_file.write_text(broken)
    assert say(agent, START).startswith("kept:")
    assert len(agent.waiting) == 1
    agent.configure(agent.entry)
    with agent.run() as running:
        wait_for(lambda: not agent.waiting)
        running.connected()
    assert agent.phases == ["started"]


def test_what_was_kept_under_the_type_goes_to_its_instance_with_the_next_hook(agent: Agent) -> None:
    text = agent.home.config_file.read_text()
    agent.home.config_file.write_text("connectors: [")
    assert say(agent, START, name="claude-code").startswith("kept:")
    assert agent.waiting == []
    agent.home.config_file.write_text(text)
    assert say(agent, {**START, "hook_event_name": "Stop"}, name="claude-code").startswith("kept:")
    assert len(agent.waiting) == 2


def test_a_body_above_max_bytes_is_told_at_once_and_not_called_kept(home: Path) -> None:
    agent = Agent(home, max_bytes=100)
    said = say(agent, {**START, "summary": "x" * 100})
    assert "larger than 100 bytes" in said
    assert "kept" not in said


def test_a_closed_stdin_is_an_empty_one(agent: Agent) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "hook", "agent"]
    environ = {**os.environ, "MAILBOX_HOME": str(agent.home.root)}
    found = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=DEADLINE_S, check=False)
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr.startswith("error: nothing came on stdin")
    assert "Errno" not in found.stderr


def test_an_instance_that_cannot_be_told_says_why_and_nothing_is_left(home: Path) -> None:
    agent = Agent(home, "cli", port=None, secret=None)
    assert "does not listen" in say(agent, START)
    agent.configure({**agent.entry, "type": "claude-code", "enabled": False})
    assert "disabled" in say(agent, START)
    assert agent.waiting == []


def test_a_folder_that_cannot_be_written_is_no_failure(agent: Agent) -> None:
    agent.home.state.write_text("a file where a folder should be")
    assert "could not be kept" in say(agent, START)
    agent.home.state.unlink()
    assert agent.waiting == []


def test_nobody_who_reads_stderr_is_no_failure(agent: Agent) -> None:
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(
        [*PROGRAM, "hook", "agent"],
        input=b"",
        stdout=subprocess.PIPE,
        stderr=write,
        env={**os.environ, "MAILBOX_HOME": str(agent.home.root)},
        timeout=DEADLINE_S,
        check=False,
    )
    os.close(write)
    assert (found.returncode, found.stdout) == (0, b"")


def test_on_a_terminal_it_says_how_it_went(agent: Agent) -> None:
    said = json.dumps({"session_id": "s1"})
    kept = on_terminal("hook", "agent", "start", said, home=agent.home.root)
    assert kept.startswith("kept:  nobody listens")
    assert max(map(len, kept.splitlines())) <= 80
    with agent.run() as running:
        running.connected()
        assert "told:  agent has it as evt_" in on_terminal("hook", "agent", "stop", said, home=agent.home.root)
