"""The suite for all connectors: a program joins a platform to the mailbox, by the protocol alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from connectors.command.connector import CommandConnector
from connectors.testing import ConnectorContract, FakePlatform
from connectors.testing.reaching import Reaching

BRIDGE = Path(__file__).with_name("bridge.py")


class TestCommand(ConnectorContract):
    connector = CommandConnector

    def platform(self) -> FakePlatform:
        return FakePlatform()

    def options(self, platform: Any) -> dict[str, Any]:
        url = (platform.url if platform else "http://127.0.0.1:9").removeprefix("http://")
        return {"command": [sys.executable, str(BRIDGE), url], "send_lines": True}


class TestAProgramThatSendsOnce(Reaching):
    """What differs where the program says that it knows a repetition: a cut-off send is sent once."""

    connector = CommandConnector
    idempotent = True

    def platform(self) -> FakePlatform:
        return FakePlatform()

    def options(self, platform: Any) -> dict[str, Any]:
        given = TestCommand().options(platform)
        return {**given, "command": [*given["command"], "keys"], "idempotent": True}
