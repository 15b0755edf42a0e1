"""`python -m connectors.testing.slack`, as somebody uses it who has no Slack."""

from __future__ import annotations

import io
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
from connectors.testing.slack.__main__ import Person
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
    out = io.StringIO()
    person = Person(fake, lambda text: print(text, file=out))

    for line in ("/in general", "/as U2", "@fakebot hello", "/react eyes"):
        assert person.type(line)
    web.chat_postMessage(channel="C1", text="yes?")
    for line in ("/react wave", "/thread", "in a thread", "/ask why", "/press yes", "/in nowhere"):
        assert person.type(line)
    assert not person.type("/quit")

    mention, answer, reply = fake.messages("C1")
    assert (mention["text"], mention["user"]) == ("<@UBOT> hello", "U2")
    assert answer["reactions"] == [{"name": "wave", "users": ["U2"], "count": 1}]
    assert reply["thread_ts"] == answer["ts"]
    wait_for(lambda: not fake.unacknowledged)
    assert sorted(request.type for request in app.requests if request.type != "events_api") == [
        "interactive",
        "slash_commands",
    ]
    assert out.getvalue().splitlines()[0].strip() == "there is no such message here"
    assert "no channel nowhere" in out.getvalue()


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
