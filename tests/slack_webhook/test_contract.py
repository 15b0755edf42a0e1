"""The suite for all connectors: posting to a channel on loopback."""

from __future__ import annotations

from typing import Any

from connectors.slack_webhook.connector import SlackWebhookConnector
from connectors.testing import ConnectorContract
from tests.slack_webhook.live import Channel


class TestSlackWebhook(ConnectorContract):
    connector = SlackWebhookConnector

    def platform(self) -> Channel:
        return Channel()

    def options(self, platform: Any) -> dict[str, Any]:
        return {"url": platform.url if platform else "http://127.0.0.1:9/services/x", "post_interval_s": 0}

    def sent(self, platform: Any) -> list[str]:
        return list(platform.texts)
