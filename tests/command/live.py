"""A home with programs in it, and the connector that runs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from connectors.base.home import Home
from connectors.base.message import Message, Reason, Receipt
from connectors.base.status import StatusFile
from connectors.command.connector import CommandConnector
from connectors.testing import RunningConnector

NAME = "prog"


class Place:
    """Scripts are files of the home; a program writes what it wants to tell a test into `notes`."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.config_file.write_text(
            json.dumps({"connectors": [], "delivery": {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}})
        )

    def script(self, text: str, name: str = "program", language: str = "/bin/bash") -> str:
        """An executable; returns how it is named in connectors.yml."""
        path = self.home.root / name
        path.write_text(f"#!{sys.executable if language == 'python' else language}\n{text}")
        path.chmod(0o755)
        return f"./{name}"

    def run(self, **options: Any) -> RunningConnector:
        """In a process of its own."""
        more = {name: options.pop(name) for name in ("kill_at", "outcomes") if name in options}
        return RunningConnector(CommandConnector, self.home.root, NAME, options, **more)

    def here(self, **options: Any) -> CommandConnector:
        """In this process, not running."""
        return CommandConnector(NAME, self.home.root, options)

    def drop(self, outgoing: Mapping[str, Any], name: str = "a.json") -> None:
        """Into the outbox."""
        part = self.home.outbox(NAME) / f".{name}"
        part.write_text(json.dumps(outgoing))
        part.rename(self.home.outbox(NAME) / name)

    @property
    def events(self) -> list[Message]:
        """In order of arrival; without those of dead letters."""
        found = [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]
        return [message for message in found if message.kind != "delivery"]

    @property
    def texts(self) -> list[str]:
        return [message.content.text for message in self.events]

    @property
    def receipts(self) -> list[Receipt]:
        return [Receipt.from_file(path) for path in sorted(self.home.sent(NAME).glob("*.json"))]

    @property
    def reasons(self) -> list[Reason]:
        return [Reason.from_file(path) for path in sorted(self.home.failed.glob("*.reason.json"))]

    @property
    def status(self) -> dict[str, Any]:
        return StatusFile(self.home, NAME).read()

    @property
    def refused(self) -> list[dict[str, Any]]:
        path = self.home.state_dir(NAME) / "refused.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def notes(self) -> list[str]:
        path = self.home.root / "notes"
        return path.read_text().splitlines() if path.exists() else []


def alive(pid: int) -> bool:
    """Whether it runs; what only waits to be buried does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
