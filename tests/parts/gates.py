"""An instance of the fake platform's connector with a gate, and the clocks that a test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.parts.access import Access, AccessOptions, Approach
from connectors.testing import FakeConnector
from tests.base.box import Clocks

NAME = "fake-main"


class Gate:
    """`access` with the options that are given; `again` is the same instance after a restart."""

    def __init__(self, home: Path, clocks: Clocks | None = None, **options: Any) -> None:
        self.home = home
        self.clocks = clocks or Clocks()
        self.connector = FakeConnector(NAME, home, {"url": "http://127.0.0.1:9"})
        self.state = self.connector.state_dir
        self.options = AccessOptions.model_validate(options)
        self.access = self.open()

    def open(self, **extra: Any) -> Access:
        clocks = self.clocks
        return Access(self.connector, self.options, clock=lambda: clocks.wall, monotonic=lambda: clocks.mono, **extra)

    def again(self, **options: Any) -> Gate:
        self.access.close()
        return Gate(self.home, self.clocks, **options)


def direct(sender: str = "U1", **fields: Any) -> Approach:
    return Approach(**{"conversation_id": f"D-{sender}", "mentions_me": False, **fields}, sender_id=sender, direct=True)


def group(sender: str = "U1", conversation: str = "C1", **fields: Any) -> Approach:
    values = {"mentions_me": True, **fields}
    return Approach(sender_id=sender, conversation_id=conversation, direct=False, **values)
