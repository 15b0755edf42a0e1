"""What the parts of the contract suite share: the hooks that an author overrides, and views of the folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.base.connector import Connector
from connectors.base.home import Home
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Reason, Receipt, Sender
from connectors.testing.process import RunningConnector
from connectors.testing.script import Script, scripted
from connectors.testing.waiting import wait_for

#: Quick enough for tests; every test that is about a wait sets its own.
QUICK = {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}


class ContractBasis:
    """The hooks. Only `connector` must be given; what a default cannot know becomes a skip that says so."""

    #: The class under test.
    connector: ClassVar[type[Connector]]
    #: The instance's name in the tests.
    instance: ClassVar[str] = "contract-main"

    # ── hooks ─────────────────────────────────────────────────────────────────────────────────────────────────

    def options(self, platform: Any) -> dict[str, Any]:
        """The options, valid also when `platform` is None (then nothing is connected)."""
        return {}

    def platform(self) -> AbstractContextManager[Any] | None:
        """A fake of the platform, entered for each test that needs one. None: there is none."""
        return None

    def make(self, home: Path, platform: Any = None) -> Connector:
        """The connector under test, constructed and no more."""
        return self.connector(name=self.instance, seed_home=home, config=self.options(platform))

    def incoming(self, platform: Any, text: str) -> Any:
        """Cause an event; returns what `redeliver` and `acknowledged` need to know of it."""
        return self._ask(platform, "post")(text)

    def redeliver(self, platform: Any, event: Any) -> None:
        """Make the platform deliver an event again that was acknowledged."""
        self._ask(platform, "redeliver")(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        """Whether the platform was told that the event was received."""
        if not hasattr(platform, "waiting"):
            pytest.skip("nobody can say whether an event was acknowledged: override acknowledged()")
        return event not in platform.waiting

    def sent(self, platform: Any) -> list[str]:
        """The texts that people on the platform see, oldest first."""
        if not hasattr(platform, "sent"):
            pytest.skip("nobody can say what was sent: override sent()")
        return [entry.text for entry in platform.sent]

    def fail_next(self, platform: Any, kind: str) -> None:
        """Let the next send fail: `reject`, `auth`, `rate_limit`, `unavailable`, `cut` or `timeout`.

        As `connectors.testing.platform` describes them. Call `pytest.skip` for what the platform never does.
        """
        self._ask(platform, "fail_next")(kind)

    def take_down(self, platform: Any) -> None:
        """Let nobody reach the platform, until `bring_back`."""
        self._ask(platform, "stop")()

    def bring_back(self, platform: Any) -> None:
        """The platform is there again, at the same address."""
        self._ask(platform, "start")()

    @property
    def idempotent(self) -> bool:
        """Whether a repeated send is exactly once."""
        return self.connector.capabilities.idempotent_send

    @staticmethod
    def _ask(platform: Any, method: str) -> Callable[..., Any]:
        found: Callable[..., Any] | None = getattr(platform, method, None)
        if found is None:
            pytest.skip(f"the fake platform has no {method}(): override the hook of that name")
        return found

    # ── fixtures ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        """A home with quick delivery."""
        home = Home(tmp_path / "contract-home")
        home.root.mkdir()
        self.configure(home)
        return home

    @pytest.fixture
    def live(self) -> Iterator[Any]:
        """The fake platform."""
        platform = self.platform()
        if platform is None:
            pytest.skip("no fake platform: override platform()")
        with platform as entered:
            yield entered

    @pytest.fixture(autouse=True)
    def _end_all(self) -> Iterator[None]:
        """Nothing that a test started or opened outlives it. What the processes printed is shown if it failed."""
        self._opened: list[Connector] = []
        self._running: list[RunningConnector] = []
        yield
        for connector in self._opened:
            connector.close()
        for running in self._running:
            code = running.process.poll()
            sys.stderr.write(f"--- process {running.pid}: {'still runs' if code is None else code}\n{running.output}")
            running.close()

    # ── starting ──────────────────────────────────────────────────────────────────────────────────────────────

    def configure(self, home: Home, *, delivery: Mapping[str, Any] | None = None, **sections: Any) -> None:
        """Write a connectors.yml with these sections and no entries. JSON is YAML."""
        data = {"connectors": [], "delivery": {**QUICK, **(delivery or {})}, **sections}
        home.config_file.write_text(json.dumps(data))

    def open(self, home: Home) -> Connector:
        """The connector, used without `run()`: nothing is connected."""
        connector = self.make(home.root)
        self._opened.append(connector)
        return connector

    def scripted(self, home: Home, *outcomes: str) -> tuple[Connector, Script]:
        """As `open`, with sends that end as `connectors.testing.script` says."""
        cls: Any = scripted(self.connector, *outcomes)
        connector: Connector = cls(name=self.instance, seed_home=home.root, config=self.options(None))
        self._opened.append(connector)
        return connector, cls.script

    def start(self, home: Home, platform: Any = None, **how: Any) -> RunningConnector:
        """The connector in a process of its own; `how` as RunningConnector takes it."""
        how.setdefault("receive", "block" if platform is None else "own")
        config = how.pop("config", self.options(platform))
        running = RunningConnector(self.connector, home.root, self.instance, config, **how)
        self._running.append(running)
        return running

    # ── the folder ────────────────────────────────────────────────────────────────────────────────────────────

    def event(self, event_id: str, text: str = "hello", conversation: str = "C1") -> Message:
        """An event of this instance."""
        return Message(
            id=event_id,
            connector=ConnectorInfo(type=self.connector.connector_type, instance=self.instance),
            sender=Sender(id="U1", username="someone"),
            content=Content(text=text),
            conversation=Conversation(id=conversation),
        )

    def drop(self, home: Home, name: str, content: bytes | Mapping[str, Any]) -> Path:
        """Put a file into the outbox, whole at once."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        folder = home.outbox(self.instance)
        temporary = folder / ".being-written"
        temporary.write_bytes(data)
        return temporary.rename(folder / name)

    def queued(self, home: Home) -> list[str]:
        """What waits in the outbox or is claimed; other programs' files are not counted."""
        folders = (home.outbox(self.instance), home.sending(self.instance))
        return [name for folder in folders if folder.is_dir() for name in os.listdir(folder) if name.endswith(".json")]

    def receipts(self, home: Home) -> list[Receipt]:
        """In order of their writing."""
        folder = home.sent(self.instance)
        found = [Receipt.from_file(path) for path in folder.glob("*.json")] if folder.is_dir() else []
        return sorted(found, key=lambda receipt: receipt.sent_at)

    def reasons(self, home: Home) -> list[Reason]:
        """Of all dead letters."""
        return [Reason.from_file(path) for path in sorted(home.failed.glob("*.reason.json"))]

    def events(self, home: Home, kind: str | None = None) -> list[Message]:
        """What is in the inbox, in order of arrival."""
        found = [Message.from_file(path) for path in sorted(home.inbox.glob("*.json"))]
        return [message for message in found if kind is None or message.kind == kind]

    def deliver(self, connector: Connector, until: Callable[[], object], deadline_s: float = 20) -> None:
        """Process the outbox until the condition is true."""

        def look() -> object:
            connector.process_outbox()
            return until()

        wait_for(look, deadline_s=deadline_s)

    def deliver_all(self, connector: Connector, home: Home) -> None:
        """Process the outbox until nothing waits there."""
        self.deliver(connector, lambda: not self.queued(home))
