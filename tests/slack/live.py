"""A Slack connector in this process, against the fake, for tests that look at what it does with one thing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from connectors.base.home import Home
from connectors.base.message import Message, Reason, Receipt
from connectors.base.status import StatusFile
from connectors.slack.connector import SlackConnector
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for

NAME = "slack-test"


class Live:
    """Connected, and receiving in a thread. What it has is looked at in the folder, as an agent does."""

    def __init__(self, fake: FakeSlack, root: Path, *, limits: dict[str, Any] | None = None, **options: Any) -> None:
        self.fake = fake
        self.home = Home(root)
        delivery = {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}
        settings = {"delivery": delivery, "limits": limits or {}, "connectors": []}
        self.home.config_file.write_text(json.dumps(settings))
        given = {
            "bot_token": fake.bot_token,
            "app_token": fake.app_token,
            "base_url": fake.api_url,
            "allow": {"users": ["U1"], "conversations": ["C1", "G1"]},
            "groups": "all",
            "timeout_s": 5,
            "post_interval_s": 0,
            **options,
        }
        self.connector = SlackConnector(NAME, root, given)
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._numbers = 0

    def __enter__(self) -> Self:
        self.connector.connect()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connector.stop()
        self._thread.join(10)
        self.connector.disconnect()
        self.connector.close()

    def _run(self) -> None:
        try:
            self.connector.run_loop()
        except Exception as error:  # noqa: BLE001 - a test looks at it
            self.error = error

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def events(self) -> list[Message]:
        """What is in the inbox, in order of arrival."""
        return [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]

    def event(self, condition: Callable[[Message], object] = lambda event: True) -> Message:
        """The first one for which the condition is true, waited for."""
        return wait_for(lambda: [event for event in self.events if condition(event)])[0]

    def texts(self) -> list[str]:
        """Of all events."""
        return [event.content.text for event in self.events]

    def settled(self) -> None:
        """Wait until everything that Slack has was acknowledged."""
        wait_for(lambda: not self.fake.unacknowledged)

    @property
    def status(self) -> dict[str, Any]:
        """The status file."""
        return StatusFile(self.home, NAME).read()

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def drop(self, **outgoing: Any) -> str:
        """Put an outgoing into the outbox; returns its file's name."""
        self._numbers += 1
        name = f"{self._numbers:03d}.json"
        staged = self.home.root / name
        staged.write_text(json.dumps({"id": f"o{self._numbers}", **outgoing}))
        staged.rename(self.home.outbox(NAME) / name)
        return name

    def send(self, **outgoing: Any) -> Receipt | Reason:
        """Send one to its end: its receipt, or why there is none."""
        name = self.drop(**outgoing)
        return self.end_of(name)

    def end_of(self, name: str) -> Receipt | Reason:
        """The receipt or the reason of an outgoing, waited for."""
        sent, failed = self.home.sent(NAME) / name, self.home.failed / f"{name}.reason.json"

        def look() -> bool:
            self.connector.process_outbox()
            return sent.exists() or failed.exists()

        wait_for(look, deadline_s=20)
        return Receipt.from_file(sent) if sent.exists() else Reason.from_file(failed)

    def sent(self, **outgoing: Any) -> Receipt:
        """As `send`, and it must have been sent."""
        found = self.send(**outgoing)
        assert isinstance(found, Receipt), found
        return found

    def refused(self, **outgoing: Any) -> Reason:
        """As `send`, and it must not have been sent."""
        found = self.send(**outgoing)
        assert isinstance(found, Reason), found
        return found

    def attachment(self, name: str, data: bytes) -> dict[str, str]:
        """A file that an agent may send."""
        folder = self.home.attachments
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return {"path": f"messages/attachments/{name}"}
