"""Every promise of the contract, with a Slack on loopback that behaves as its documentation says."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from typing import Any

from connectors.slack.connector import SlackConnector
from connectors.testing import ConnectorContract
from connectors.testing.slack import FakeSlack

#: A machine runs one connector a token: the tests may run in several processes at once.
NOBODY = f"xapp-{secrets.token_hex(8)}"


class TestSlackConnector(ConnectorContract):
    connector = SlackConnector

    def platform(self) -> AbstractContextManager[Any]:
        return FakeSlack(ack_timeout_s=0.5, retry_waits_s=(0.0, *[0.2] * 50))

    def options(self, platform: Any) -> dict[str, Any]:
        if platform is None:
            return {"bot_token": "xoxb-nobody", "app_token": NOBODY, "base_url": "http://127.0.0.1:9/api/"}
        return {
            "bot_token": platform.bot_token,
            "app_token": platform.app_token,
            "base_url": platform.api_url,
            "allow": {"conversations": ["C1"]},
            "groups": "all",
            "timeout_s": 5,
            "post_interval_s": 0.05,
        }

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.event_ids(platform.post("C1", "U1", text))[0]

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.redeliver(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return bool(platform.acknowledged(event))

    def sent(self, platform: Any) -> list[str]:
        return [str(text) for text in platform.said()]

    def fail_next(self, platform: Any, kind: str) -> None:
        platform.fail_next(kind)
