"""The suite for all connectors: posted to over loopback, and posting to a platform there."""

from __future__ import annotations

import threading
from typing import Any, Self

import httpx

from connectors.testing import ConnectorContract, FakePlatform
from connectors.testing.reaching import Reaching
from connectors.webhook.connector import WebhookConnector
from tests.webhook.live import free_port, signed

TOKEN = "t0ken-of-the-platform"


class Live(FakePlatform):
    """What is posted to the connector comes again until it is acknowledged, as platforms do."""

    def __init__(self) -> None:
        super().__init__(token=TOKEN)
        self.hook = f"http://127.0.0.1:{free_port()}/in"
        self._senders: dict[str, threading.Thread] = {}
        self._bodies: dict[str, bytes] = {}
        self._acked: set[str] = set()
        self._over = threading.Event()
        self._count = 0

    def say(self, text: str) -> str:
        """Begin to deliver a new event."""
        self._count += 1
        name = f"d{self._count}"
        self._bodies[name] = httpx.Request("POST", "http://x", json={"text": text, "conversation_id": "C1"}).content
        self.deliver(name)
        return name

    def deliver(self, name: str) -> None:
        self._senders[name] = threading.Thread(target=self._deliver, args=(name,), daemon=True)
        self._senders[name].start()

    def _deliver(self, name: str) -> None:
        body = self._bodies[name]
        while not self._over.wait(0.02):
            try:
                answer = httpx.post(self.hook, content=body, headers=signed(body, name), timeout=1)
            except httpx.HTTPError:
                continue
            if answer.is_success:
                self._acked.add(name)
                return

    def acknowledged(self, name: str) -> bool:
        return name in self._acked

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for sender in self._senders.values():
            sender.join()
        super().__exit__()

    def __enter__(self) -> Self:
        self.start()
        return self


class TestWebhookConnector(ConnectorContract):
    connector = WebhookConnector

    def platform(self) -> Live:
        return Live()

    def options(self, platform: Any) -> dict[str, Any]:
        hook = httpx.URL(platform.hook if platform else "http://127.0.0.1:9/in")
        return {
            "port": hook.port,
            "path": hook.path,
            "secret": "a secret of the tests",
            "url": f"{platform.url if platform else 'http://127.0.0.1:9'}/send",
            "bearer": TOKEN,
            "body": {"conversation": "{{conversation_id}}", "text": "{{text}}"},
        }

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.say(text)

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.deliver(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return bool(platform.acknowledged(event))


class TestAReceiverThatKnowsRepetitions(Reaching):
    """What differs with an idempotency header: a cut-off send is sent once."""

    connector = WebhookConnector
    idempotent = True

    def platform(self) -> Live:
        return Live()

    def options(self, platform: Any) -> dict[str, Any]:
        return {**TestWebhookConnector().options(platform), "idempotency_header": "Idempotency-Key"}

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.say(text)

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.deliver(event)

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return bool(platform.acknowledged(event))
