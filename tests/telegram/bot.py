"""What the tests of the Telegram connector share: a token, options, and a bot running in a process of its own."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from connectors.base.home import Home
from connectors.base.message import Message, Reason, Receipt
from connectors.base.status import StatusFile
from connectors.telegram.connector import TelegramConnector
from connectors.testing.process import RunningConnector
from connectors.testing.telegram import FakeTelegram
from connectors.testing.waiting import wait_for

#: A token is locked for one process of the machine: every run of the tests has its own.
TOKEN = f"7000000001:AA{secrets.token_hex(16)}x"
NOWHERE = "http://127.0.0.1:9/bot"
NAME = "tg"


class Bot:
    """The connector, running in a thread or in a process of its own, and views of its home."""

    def __init__(self, home: Path, fake: FakeTelegram, **options: Any) -> None:
        self.fake = fake
        self.home = Home(home)
        self.options = {"token": fake.token, "base_url": fake.base_url, "poll_timeout_s": 1, **options}
        self._processes: list[RunningConnector] = []
        self._threads: list[tuple[TelegramConnector, threading.Thread]] = []
        self._dropped = 0
        self._polled = 0

    def run(self) -> TelegramConnector:
        """In a thread of this process; waits until it is connected and, if it polls, has said what it wants: updates of
        some kinds are made only after that (https://core.telegram.org/bots/api#getupdates, allowed_updates)."""
        self._polled = len(self.fake.calls("getUpdates"))
        connector = TelegramConnector(NAME, self.home.root, self.options)
        thread = threading.Thread(target=self._run, args=(connector,), daemon=True)
        self._threads.append((connector, thread))
        thread.start()
        self.wait(lambda: not thread.is_alive() or self._receives())
        return connector

    def _receives(self) -> bool:
        polls = "webhook_url" not in self.options and self.options["base_url"] == self.fake.base_url
        return self.status.get("state") in {"connected", "conflict"} and (not polls or bool(self._polls()))

    def _polls(self) -> list[Any]:
        return self.fake.calls("getUpdates")[self._polled :]

    def stop(self) -> None:
        """End what `run` began."""
        for connector, thread in self._threads:
            connector.stop()
            thread.join(15)
            assert not thread.is_alive()
        self._threads.clear()

    def start(self, **how: Any) -> RunningConnector:
        """In a process of its own; waits until it is connected unless it is to be killed."""
        running = RunningConnector(TelegramConnector, self.home.root, NAME, self.options, **how)
        self._processes.append(running)
        return running if "kill_at" in how else running.connected()

    def close(self) -> None:
        """What processes printed is shown if the test failed."""
        self.stop()
        for running in self._processes:
            print(running.output)
            running.close()

    def _run(self, connector: TelegramConnector) -> None:
        with suppress(SystemExit):  # its status says more
            connector.run()

    # ── the mailbox ───────────────────────────────────────────────────────────────────────────────────────────

    def events(self, kind: str | None = None) -> list[Message]:
        """What is in the inbox, in order of arrival."""
        found = [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]
        return [message for message in found if kind is None or message.kind == kind]

    def event(self, kind: str | None = None, deadline_s: float = 20) -> Message:
        """The one event there is."""
        [found] = self.wait(lambda: self.events(kind), deadline_s)
        assert isinstance(found, Message)
        return found

    def wait_events(self, count: int) -> list[Message]:
        """Wait until there are so many."""
        self.wait(lambda: len(self.events()) >= count)
        return self.events()

    def send(self, conversation: object, text: str = "", **fields: Any) -> None:
        """Drop an outgoing; `conversation` is a chat of the fake or an id."""
        conversation = getattr(conversation, "id", conversation)
        self._dropped += 1
        given = {"conversation_id": str(conversation), **fields}
        if text:
            given["text"] = text
        temporary = self.home.outbox(NAME) / ".being-written"
        temporary.write_text(json.dumps(given))
        temporary.rename(self.home.outbox(NAME) / f"{self._dropped:04}.json")

    def receipts(self) -> list[Receipt]:
        """In order of their writing."""
        folder = self.home.sent(NAME)
        found = [Receipt.from_file(path) for path in folder.glob("*.json")] if folder.is_dir() else []
        return sorted(found, key=lambda receipt: receipt.sent_at)

    def sent(self, conversation: object, text: str = "", **fields: Any) -> Receipt:
        """Send something and wait for its receipt."""
        before, failed = len(self.receipts()), len(self.reasons())
        self.send(conversation, text, **fields)
        found: list[Receipt] = self.wait(lambda: self.receipts()[before:] or self.reasons()[failed:])
        assert isinstance(found[0], Receipt), found
        return found[0]

    def refused(self, conversation: object, text: str = "", **fields: Any) -> Reason:
        """Send something and wait for the reason why it is a dead letter."""
        before = len(self.reasons())
        self.send(conversation, text, **fields)
        found: list[Reason] = self.wait(lambda: self.reasons()[before:])
        return found[-1]

    def reasons(self) -> list[Reason]:
        """Of all dead letters."""
        return [Reason.from_file(path) for path in sorted(self.home.failed.glob("*.reason.json"))]

    def attach(self, name: str, data: bytes) -> dict[str, str]:
        """A file that can be sent."""
        self.home.make(self.home.attachments)
        (self.home.attachments / name).write_bytes(data)
        return {"path": f"messages/attachments/{name}", "name": name}

    @property
    def status(self) -> dict[str, Any]:
        """What `connectors status` reads."""
        return StatusFile(self.home, NAME).read()

    def wait(self, condition: Callable[[], Any], deadline_s: float = 20) -> Any:
        """Until it is true; returns what it gave."""
        return wait_for(condition, deadline_s=deadline_s)
