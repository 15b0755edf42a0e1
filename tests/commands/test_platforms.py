"""Slack and Telegram as people run them: alone by their module, or by the manager; one account, or several."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.message import Message, OutgoingMessage
from connectors.testing.slack import FakeSlack
from connectors.testing.telegram import FakeTelegram
from tests.commands.program import DEADLINE_S, manager, status_of
from tests.helpers import wait_for

NAMES = ("one", "two")


class Slack:
    """An account there, with Ada, who may write to it."""

    def __init__(self) -> None:
        # A token is locked for one process of the machine: every account has its own.
        word = secrets.token_hex(8)
        self.fake = FakeSlack(bot_token=f"xoxb-{word}", app_token=f"xapp-{word}")
        self.env = {"bot_token": self.fake.bot_token, "app_token": self.fake.app_token}

    def options(self) -> dict[str, Any]:
        return {"base_url": self.fake.api_url, "allow": {"conversations": ["C1"]}, "groups": "all"}

    def post(self, text: str) -> None:
        self.fake.post("C1", "U1", text)

    def said(self) -> list[str]:
        return [message["text"] for message in self.fake.messages("C1") if message.get("bot_id")]


class Telegram:
    """The same."""

    def __init__(self) -> None:
        self.fake = FakeTelegram(token=f"{secrets.randbelow(10**9) + 10**9}:AA{secrets.token_hex(16)}x")
        self.env = {"token": self.fake.token}

    def options(self) -> dict[str, Any]:
        return {"base_url": self.fake.base_url, "poll_timeout_s": 1, "allow": {"users": ["501"]}}

    def post(self, text: str) -> None:
        ada = self.fake.user("Ada", id=501)
        self.fake.post(self.fake.private(ada), ada, text)

    def said(self) -> list[str]:
        return [sent.text for sent in self.fake.sent]


@contextmanager
def configured(home: Path, kind: type[Slack | Telegram], names: tuple[str, ...]) -> Iterator[list[Any]]:
    """As the READMEs say: options in connectors.yml, tokens in .env."""
    accounts = [kind() for _ in names]
    entries, lines = [], []
    for name, account in zip(names, accounts, strict=True):
        account.fake.__enter__()
        variables = {option: f"{name}_{option}".upper() for option in account.env}
        lines += [f"{variable}={account.env[option]}\n" for option, variable in variables.items()]
        given = {option: f"${{{variable}}}" for option, variable in variables.items()}
        entries.append({"name": name, "type": kind.__name__.lower(), **given, **account.options()})
    (home / "connectors.yml").write_text(json.dumps({"connectors": entries}))
    (home / ".env").touch(mode=0o600)
    (home / ".env").write_text("".join(lines))
    try:
        yield accounts
    finally:
        for account in accounts:
            account.fake.__exit__(None, None, None)


def converses(home: Path, name: str, account: Any) -> None:
    """What is said there is an event, and its answer is said there."""

    def events() -> list[Message]:
        found = [Message.from_file(path) for path in sorted(Home(home).inbox.glob("*.json"))]
        return [event for event in found if event.connector.instance == name]

    account.post(f"hello {name}")
    [event] = wait_for(events, deadline_s=DEADLINE_S)
    assert event.content.text == f"hello {name}"
    OutgoingMessage(reply_to=event.id, text=f"hello from {name}").write_to(Home(home).outbox(name))
    wait_for(account.said, deadline_s=DEADLINE_S)
    assert account.said() == [f"hello from {name}"]


@pytest.mark.parametrize("kind", [Slack, Telegram])
def test_one_runs_alone_by_its_module(home: Path, kind: type[Slack | Telegram]) -> None:
    with configured(home, kind, ("one",)) as [account]:
        module = f"connectors.{kind.__name__.lower()}.connector"
        command = [sys.executable, "-P", "-m", module, "--seed-home", ".", "--name", "one"]
        with subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                wait_for(lambda: status_of(home, "one").get("state") == "connected", deadline_s=DEADLINE_S)
                converses(home, "one", account)
            finally:
                process.terminate()
            assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("kind", [Slack, Telegram])
def test_several_accounts_of_one_platform_run_managed_and_mix_nothing_up(
    home: Path, kind: type[Slack | Telegram]
) -> None:
    with configured(home, kind, NAMES) as accounts, manager(home):
        for name in NAMES:
            wait_for(lambda name=name: status_of(home, name).get("state") == "connected", deadline_s=DEADLINE_S)  # type: ignore[misc]  # binds it now
        for name, account in zip(NAMES, accounts, strict=True):
            converses(home, name, account)
        assert [account.said() for account in accounts] == [[f"hello from {name}"] for name in NAMES]
