"""Killed in the middle of things, and what gets out of the process."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.base.message import Message, Receipt
from connectors.slack.connector import SlackConnector
from connectors.testing.process import RunningConnector
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for

NAME = "slack-killed"


@pytest.fixture
def where(home: Path) -> Home:
    found = Home(home)
    delivery = {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}
    found.config_file.write_text(json.dumps({"connectors": [], "delivery": delivery}))
    return found


@contextlib.contextmanager
def running(fake: FakeSlack, home: Home, **options: Any) -> Iterator[RunningConnector]:
    config = {
        "bot_token": fake.bot_token,
        "app_token": fake.app_token,
        "base_url": fake.api_url,
        "allow": {"conversations": ["C1"]},
        "groups": "all",
        "timeout_s": 5,
        "post_interval_s": 0,
        **options,
    }
    with RunningConnector(SlackConnector, home.root, NAME, config) as process:
        yield process.connected()


def events(home: Home) -> list[Message]:
    return [Message.from_file(path) for path in sorted(home.inbox.glob("*.json"))]


def enough_events(home: Home, count: int) -> bool:
    return len(events(home)) >= count


def enough_said(fake: FakeSlack, count: int) -> bool:
    return len(fake.said("C1")) >= count


def test_a_kill_in_a_burst_loses_nothing_and_doubles_nothing(where: Home) -> None:
    with FakeSlack(ack_timeout_s=0.5, retry_waits_s=(0.0, *[0.1] * 200)) as fake:
        for burst in range(2):
            with running(fake, where) as process:
                for n in range(60):
                    fake.post("C1", "U1", f"{burst}.{n}", files={"a.txt": b"x"} if n % 10 == 0 else None)
                wait_for(partial(enough_events, where, burst * 60 + 20))
                process.kill()
        with running(fake, where):
            wait_for(lambda: not fake.unacknowledged, deadline_s=20)
            wait_for(lambda: len(events(where)) >= 120, deadline_s=20)
            texts = Counter(event.content.text for event in events(where))
            assert texts == Counter(f"{burst}.{n}" for burst in range(2) for n in range(60))


def test_a_kill_while_sending_a_burst_posts_each_once(where: Home) -> None:
    with FakeSlack() as fake:
        for round_number in range(3):
            with running(fake, where) as process:
                for n in range(30):
                    name = f"{round_number}-{n:02d}.json"
                    staged = where.root / name
                    staged.write_text(json.dumps({"id": name, "conversation_id": "C1", "text": name}))
                    staged.rename(where.outbox(NAME) / name)
                wait_for(partial(enough_said, fake, round_number * 30 + 10))
                process.kill()
        with running(fake, where):
            wait_for(lambda: len(list(where.sent(NAME).glob("*.json"))) == 90, deadline_s=20)
        said = fake.said("C1")
        assert said == [f"{r}-{n:02d}.json" for r in range(3) for n in range(30)]
        assert not any(Receipt.from_file(path).ambiguous for path in where.sent(NAME).glob("*.json"))


def test_no_token_gets_into_anything_that_is_written(where: Home) -> None:
    bot, app = "xoxb-canary-1234567890-bot", "xapp-canary-1234567890-app"
    with FakeSlack(bot_token=bot, app_token=app) as fake:
        with running(fake, where) as process:
            fake.post("C1", "U1", "look", files={"a.txt": b"x"})
            fake.fail_next("reject", "chat.postMessage", error="invalid_arguments")
            (where.outbox(NAME) / "a.json").write_text('{"conversation_id": "C1", "text": "x"}')
            wait_for(lambda: list(where.failed.glob("*.reason.json")))
            wait_for(lambda: events(where))
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            fake.abort()
            wait_for(lambda: len([socket for socket in fake.all_sockets if socket.greeted]) == 2)
            fake.fail_next("auth", "chat.postMessage", always=True)
            (where.outbox(NAME) / "b.json").write_text('{"conversation_id": "C1", "text": "x"}')
            assert process.wait() == Exit.AUTH
            output = process.output
        files = [path for path in where.root.rglob("*") if path.is_file()]
        texts = [output.encode(), arguments, *(path.read_bytes() for path in files)]
        assert not [text for text in texts if bot.encode() in text or app.encode() in text]
        assert "ticket=" not in output, "the address of a socket is a credential, too"
