"""The suite for all connectors, against the fake GitHub: polled, and pushed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from connectors.base.home import Home
from connectors.github.connector import GithubConnector
from connectors.github.own import without_mark
from connectors.testing import ConnectorContract
from connectors.testing.github import Delivery, FakeGitHub
from connectors.testing.reaching import Reaching
from tests.github.live import REPOSITORY, SECRET
from tests.webhook.live import free_port


class Live:
    """The fake with two issues, which stand for the suite's conversations C1 and C2."""

    def __init__(self) -> None:
        self.fake = FakeGitHub()
        self.repository = self.fake.repository(REPOSITORY, team=["connector-bot"])

    def __enter__(self) -> Self:
        self.fake.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.fake.stop()

    def say(self, text: str) -> Any:
        return self.fake.open(self.repository, "An issue", text)

    def answered(self) -> None:
        """There is something to comment on."""
        if not self.repository.issues:
            self.fake.open(self.repository, "An issue", "to be answered", by=self.fake.account)


class TestGithubConnector(ConnectorContract):
    """What people open are events, what is sent are comments."""

    connector = GithubConnector
    reached = False

    def platform(self) -> Any:
        self.reached = True
        return Live()

    def options(self, platform: Any) -> dict[str, Any]:
        return {
            "token": platform.fake.token if platform else "ghp_nobody",
            "base_url": platform.fake.url if platform else "http://127.0.0.1:9",
            "repositories": [REPOSITORY],
            "schedule": "1s",
            "jitter": "0s",
            "own_posts": "drop_account",
        }

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.say(text)

    def redeliver(self, platform: Any, event: Any) -> None:
        pytest.skip("a poll delivers nothing again: see TestPushed")

    def acknowledged(self, platform: Any, event: Any) -> bool:
        pytest.skip("nobody tells GitHub what was received: see TestPushed")

    def sent(self, platform: Any) -> list[str]:
        return [without_mark(comment.body) for comment in platform.fake.written]

    def fail_next(self, platform: Any, kind: str) -> None:
        platform.fake.fail_next(kind, "^POST ")

    def drop(self, home: Home, name: str, content: bytes | Mapping[str, Any]) -> Path:
        if self.reached and not isinstance(content, bytes) and content.get("conversation_id") == "C1":
            content = {**content, "conversation_id": f"{REPOSITORY}#1"}
        return super().drop(home, name, content)

    @pytest.fixture(autouse=True)
    def _something_to_answer(self, request: pytest.FixtureRequest) -> None:
        if "live" in request.fixturenames:
            request.getfixturevalue("live").answered()


class Pushing(Live):
    """What happens is pushed, and again until it is taken, as somebody at the hook's page would do it."""

    def __init__(self) -> None:
        super().__init__()
        self.address = f"http://127.0.0.1:{free_port()}/in"
        self._over = threading.Event()
        self._helper = threading.Thread(target=self._help, daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self.hook = self.fake.hook(self.address, SECRET, events=["issues"])
        self._helper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._helper.join()
        super().__exit__()

    def say(self, text: str) -> Delivery:
        self.fake.open(self.repository, "An issue", text)
        return self.fake.deliveries[-1]

    def _help(self) -> None:
        seen: dict[str, int] = {}
        while not self._over.wait(0.02):
            for delivery in self.fake.deliveries:
                tries = len(delivery.statuses)
                if tries > seen.get(delivery.guid, 0) and delivery.status // 100 != 2:
                    seen[delivery.guid] = tries
                    self.fake.redeliver(delivery)


class TestPushed(Reaching):
    """As webhooks: acknowledged when durable."""

    connector = GithubConnector

    def platform(self) -> Any:
        return Pushing()

    def options(self, platform: Any) -> dict[str, Any]:
        where = httpx.URL(platform.address)
        more = {"listen": True, "port": where.port, "path": where.path, "secret": SECRET, "lookback": "0s"}
        return {**TestGithubConnector().options(platform), **more, "schedule": "1h"}

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.say(text)

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.fake.redeliver(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return bool(event.status // 100 == 2)

    def sent(self, platform: Any) -> list[str]:
        return TestGithubConnector().sent(platform)

    def fail_next(self, platform: Any, kind: str) -> None:
        platform.fake.fail_next(kind, "^POST ")

    def drop(self, home: Home, name: str, content: bytes | Mapping[str, Any]) -> Path:
        if not isinstance(content, bytes):
            content = {**content, "conversation_id": f"{REPOSITORY}#1"}
        return super().drop(home, name, content)

    @pytest.fixture(autouse=True)
    def _something_to_answer(self, request: pytest.FixtureRequest) -> None:
        if "live" in request.fixturenames:
            request.getfixturevalue("live").answered()
