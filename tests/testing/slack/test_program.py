"""`python -m connectors.testing.slack`, as somebody uses it who has no Slack."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import yaml
from slack_sdk import WebClient

from connectors.base.config import check_options, load
from connectors.testing.slack import FakeSlack
from connectors.testing.slack.screen import Screen, shown
from connectors.testing.waiting import wait_for
from tests.testing.slack.conftest import App


class Program:
    """The program, running."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "connectors.testing.slack", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout
        self.introduction = "".join(
            iter(
                self.stdout.readline, "Type something: alice (U1) says it to the bot. /help lists what else there is.\n"
            )
        )
        self.stdout.readline()

    def type(self, line: str) -> None:
        """Type a line."""
        self.stdin.write(f"{line}\n")
        self.stdin.flush()


@pytest.fixture
def program() -> Iterator[Program]:
    """Started on a free port."""
    program = Program()
    yield program
    program.process.kill()
    program.process.communicate()


def settings(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The entry of connectors.yml and the lines of .env that it printed."""
    entry = text.partition("connectors.yml:\n")[2].partition(".env:\n")
    (connector,) = yaml.safe_load(entry[0])["connectors"]
    return connector, dict(re.findall(r"^(SLACK_\w+)=(\S+)$", entry[2], re.MULTILINE))


def test_it_says_how_to_connect_and_shows_what_the_bot_says(program: Program) -> None:
    entry, env = settings(program.introduction)
    web = WebClient(env["SLACK_BOT_TOKEN"], base_url=entry["base_url"])

    program.type("hello")
    assert program.stdout.readline() == "[D1] alice: hello\n"
    web.chat_postMessage(channel="D1", text="hi alice")
    assert program.stdout.readline() == "[D1] fakebot: hi alice\n"

    program.type("/quit")
    assert program.process.wait(20) == 0


def test_what_it_says_to_paste_is_valid(program: Program, home: Path) -> None:
    entry, env = program.introduction.partition("connectors.yml:\n")[2].split("\n.env:\n")
    (home / "connectors.yml").write_text(entry)
    (home / ".env").write_text("\n".join(line for line in env.splitlines() if line.startswith("SLACK_")))

    config, problems = check_options(load(home, {}), home)

    assert [problem.text for problem in problems] == []
    assert [entry.name for entry in config.entries] == ["slack-fake"]


def test_it_ends_by_sigterm_also_when_nobody_types() -> None:
    program = Program()
    program.stdin.close()
    entry, env = settings(program.introduction)
    assert WebClient(env["SLACK_BOT_TOKEN"], base_url=entry["base_url"]).auth_test()["ok"]

    program.process.send_signal(signal.SIGTERM)

    assert program.process.wait(20) == 0
    program.stdout.close()


def test_a_port_that_is_taken_is_said(fake: FakeSlack) -> None:
    port = fake.url.rpartition(":")[2]

    done = subprocess.run(
        [sys.executable, "-m", "connectors.testing.slack", "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")


def test_the_demo_begins_when_the_bot_is_there() -> None:
    program = Program("--demo")
    entry, env = settings(program.introduction)

    web = WebClient(env["SLACK_BOT_TOKEN"], base_url=entry["base_url"])
    url = web.apps_connections_open(app_token=env["SLACK_APP_TOKEN"])["url"]
    assert str(url).startswith("ws://127.0.0.1:")
    from slack_sdk.socket_mode.builtin import SocketModeClient

    client = SocketModeClient(app_token=env["SLACK_APP_TOKEN"], web_client=web)
    client.connect()

    assert program.stdout.readline() == "[D1] alice: Hello! Are you there?\n"
    program.type("/quit")
    client.close()
    program.process.communicate(timeout=20)


def test_what_is_typed_is_done_where_and_by_whom_it_says(fake: FakeSlack, app: App, web: WebClient) -> None:
    screen = Screen(fake)

    for line in ("/in general", "/as U2", "@fakebot hello"):
        assert screen.typed(f"{line}\n").strip() in (
            "",
            "you are alice, in #general (C1)",
            "you are bob, in #general (C1)",
        )
    assert screen.typed("/react eyes") == "  there is no such message here"
    web.chat_postMessage(channel="C1", text="yes?")
    for line in ("/react wave", "/react eyes", "/unreact eyes", "/thread", "in a thread", "/ask why", "/press yes"):
        assert "there is no" not in screen.typed(line)

    mention, answer, reply = fake.messages("C1")
    assert (mention["text"], mention["user"]) == ("<@UBOT> hello", "U2")
    assert answer["reactions"] == [{"name": "wave", "users": ["U2"], "count": 1}]
    assert reply["thread_ts"] == answer["ts"]
    wait_for(lambda: not fake.unacknowledged)
    assert sorted(request.type for request in app.requests if request.type != "events_api") == [
        "interactive",
        "slash_commands",
    ]
    assert "no channel nowhere" in screen.typed("/in nowhere")
    assert "nobody is called U9" in screen.typed("/as U9")
    assert "No such file" in screen.typed("/file /nonsense")
    assert screen.typed("/in random") == "  you are bob, in #random (C2)"
    assert screen.typed("hello") == "  (the bot is not in this channel)"


def test_a_file_an_edit_and_a_deletion_can_be_typed(fake: FakeSlack, app: App, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"milk")
    screen = Screen(fake)

    for line in (f"/file {tmp_path}/a.txt to buy", "hullo", "/edit hello", "oops", "/delete"):
        assert screen.typed(line) == ""

    shared, edited = fake.messages("D1")
    assert (shared["text"], shared["files"][0]["name"]) == ("to buy", "a.txt")
    assert (edited["text"], edited["edited"]["user"]) == ("hello", "U1")
    wait_for(lambda: not fake.unacknowledged)
    told = [request.payload["event"].get("subtype", "") for request in app.requests]
    assert told == ["file_share", "", "message_changed", "", "message_deleted"]


def test_all_that_the_bot_does_is_shown(fake: FakeSlack, web: WebClient) -> None:
    lines: list[str] = []
    fake.world.watchers.append(lambda *happened: lines.append(shown(fake, *happened)))
    theirs = fake.post("C1", "U1", "what do you think of this long question, which goes on and on?")
    button = {"type": "button", "action_id": "yes", "text": {"type": "plain_text", "text": "Yes"}}
    ts = web.chat_postMessage(channel="C1", text="well", blocks=[{"type": "actions", "elements": [button]}])["ts"]
    web.reactions_add(channel="C1", timestamp=theirs, name="eyes")
    web.reactions_remove(channel="C1", timestamp=theirs, name="eyes")
    web.chat_update(channel="C1", ts=str(ts), text="good")
    web.chat_postMessage(channel="C1", text="more", thread_ts=theirs)
    web.chat_postEphemeral(channel="C1", user="U2", text="psst")
    web.assistant_threads_setStatus(channel_id="C1", thread_ts=theirs, status="is thinking")
    web.chat_delete(channel="C1", ts=str(ts))

    assert lines == [
        "[general] alice: what do you think of this long question, which goes on and on?",
        "[general] fakebot: well [yes]",
        "[general] fakebot reacts :eyes: to “what do you think of this long question…”",
        "[general] fakebot takes :eyes: back from “what do you think of this long question…”",
        "[general] fakebot (edited): good",
        "[general] fakebot (in a thread): more",
        "[general] fakebot (only to bob): psst",
        "[general] fakebot shows “is thinking” below “what do you think of this long question…”",
        "[general] fakebot (deleted): good",
    ]


def test_what_was_pasted_stays_valid_over_a_restart_on_the_same_port() -> None:
    one = Program()
    one.type("/quit")
    one.process.communicate(timeout=20)
    (port,) = re.findall(r"--port (\d+)", one.introduction)

    two = Program("--port", port)
    two.type("/quit")
    two.process.communicate(timeout=20)

    assert settings(two.introduction) == settings(one.introduction)


def test_without_aiohttp_the_command_that_installs_it_is_said() -> None:
    program = (
        "import sys\n"
        "sys.modules['aiohttp'] = None\n"
        "from connectors.testing.slack.__main__ import main\n"
        "sys.exit(main([]))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert done.stderr == "the fake Slack needs aiohttp: pip install 'mailbox-connectors[testing]'\n"
