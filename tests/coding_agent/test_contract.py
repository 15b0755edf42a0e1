"""The suites for all connectors and for those that tell of sessions: hooked over loopback."""

from __future__ import annotations

from typing import Any

import httpx

from connectors.base.home import Home
from connectors.coding_agent.connector import CodingAgentConnector, PiRustConnector
from connectors.parts.lifecycle import Phase
from connectors.testing import ConnectorContract, LifecycleContract, wait_for
from tests.coding_agent.live import SAID, Tool
from tests.webhook.live import SECRET


class Hooked(LifecycleContract):
    """What both have in common."""

    def platform(self) -> Tool:
        return Tool()

    def options(self, platform: Any) -> dict[str, Any]:
        hook = httpx.URL(platform.url if platform else "http://127.0.0.1:9/hooks")
        return {"port": hook.port, "path": hook.path, "secret": SECRET}

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.hook("s1", summary=text)

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.deliver(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return bool(platform.has(event))

    def cause(self, platform: Any, phase: Phase, session: str) -> Any:
        return platform.hook(session, **SAID[phase])


class TestCodingAgent(Hooked, ConnectorContract):
    connector = CodingAgentConnector

    def test_an_outgoing_reaches_people(self, home: Home, live: object) -> None:
        """There is nobody: it is a dead letter that says so."""
        self.start(home, live).connected()
        self.drop(home, "a.json", {"conversation_id": "s1", "text": "hi"})
        [reason] = wait_for(lambda: self.reasons(home))
        assert "sends nothing" in reason.reason


class TestAName(Hooked):
    connector = PiRustConnector
