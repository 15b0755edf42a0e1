"""The GitHub connector against the fake, and views of its home."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.base.home import Home
from connectors.base.message import Message, Reason, Receipt
from connectors.base.status import StatusFile
from connectors.github.connector import GithubConnector
from connectors.parts.runs import Report
from connectors.testing.github import FakeGitHub, Repository
from connectors.testing.process import RunningConnector
from connectors.testing.waiting import wait_for

NAME = "gh"
REPOSITORY = "acme/app"
FEED = "acme.app"
SECRET = "a secret of the tests"


class Clock:
    """The fake's: it stands, so that what happens, happens in one second."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def tick(self, seconds: float = 1.0) -> None:
        """So much later."""
        self.at += seconds


class Place:
    """A home, a fake with a repository, and the connector's options for them."""

    def __init__(self, root: Path, fake: FakeGitHub, repository: Repository, clock: Clock) -> None:
        self.home = Home(root)
        self.fake = fake
        self.repository = repository
        self.clock = clock
        self.options: dict[str, Any] = {
            "token": fake.token,
            "base_url": fake.url,
            "repositories": [REPOSITORY],
            "schedule": "1s",
            "jitter": "0s",
        }
        self._here: list[GithubConnector] = []
        self._running: list[RunningConnector] = []
        delivery = {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}
        self.home.config_file.write_text(json.dumps({"connectors": [], "delivery": delivery}))

    # ── the connector ─────────────────────────────────────────────────────────────────────────────────────────

    def here(self, **options: Any) -> GithubConnector:
        """In this process, not running; as after a restart, each time."""
        self.leave()
        given = {name: value for name, value in {**self.options, **options}.items() if value is not None}
        self._here.append(GithubConnector(NAME, self.home.root, given))
        return self._here[-1]

    def sync(self, **options: Any) -> Report:
        """One poll by a new process's connector."""
        return self.here(**options).sync()

    def leave(self) -> None:
        while self._here:
            connector = self._here.pop()
            connector.disconnect()
            connector.close()

    def start(self, **options: Any) -> RunningConnector:
        """In a process of its own; waits until it is connected."""
        return self.process(**options).connected(40)

    def process(self, *, kill_at: tuple[str, int] | None = None, **options: Any) -> RunningConnector:
        """In a process of its own."""
        self.leave()
        given = {name: value for name, value in {**self.options, **options}.items() if value is not None}
        running = RunningConnector(GithubConnector, self.home.root, NAME, given, kill_at=kill_at)
        self._running.append(running)
        return running

    def close(self) -> None:
        """What processes printed is shown if the test failed."""
        self.leave()
        for running in self._running:
            print(running.output)
            running.close()

    # ── the mailbox ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def all_events(self) -> list[Message]:
        """What is in the inbox, in order of arrival."""
        return [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]

    @property
    def events(self) -> list[Message]:
        """Those of GitHub."""
        return [message for message in self.all_events if message.kind == "event"]

    @property
    def texts(self) -> list[str]:
        return [message.content.text for message in self.events]

    @property
    def titles(self) -> list[str]:
        return [str(source(message).title) for message in self.events]

    def checkpoint(self, feed: str = FEED) -> Any:
        return self.here().checkpoint(feed)

    @property
    def status(self) -> dict[str, Any]:
        """What `connectors status` reads."""
        return StatusFile(self.home, NAME).read()

    def drop(self, outgoing: dict[str, Any], name: str = "a.json") -> None:
        """Into the outbox, whole at once."""
        folder = self.home.outbox(NAME)
        temporary = folder / ".being-written"
        temporary.write_text(json.dumps(outgoing))
        temporary.rename(folder / name)

    @property
    def receipts(self) -> list[Receipt]:
        """In order of their writing."""
        found = [Receipt.from_file(path) for path in self.home.sent(NAME).glob("*.json")]
        return sorted(found, key=lambda receipt: receipt.sent_at)

    @property
    def reasons(self) -> list[Reason]:
        """Of all dead letters."""
        return [Reason.from_file(path) for path in sorted(self.home.failed.glob("*.reason.json"))]

    def wait(self, condition: Callable[[], Any], deadline_s: float = 30) -> Any:
        """Until it is true; returns what it gave."""
        return wait_for(condition, deadline_s=deadline_s)


def source(message: Message) -> Any:
    """The event's own part, which every event of GitHub has."""
    assert message.event is not None
    return message.event
