"""The suite for all connectors, against the fake Telegram."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from connectors.base.home import Home
from connectors.telegram.connector import TelegramConnector
from connectors.testing import ConnectorContract
from connectors.testing.telegram import FakeTelegram
from tests.telegram.bot import NOWHERE, TOKEN

#: The suite's conversation is called C1; here chats have numbers.
_CHATS = {"C1": 5_000_000_001, "C2": 5_000_000_002}


class Live:
    """The fake with somebody in it who has written to the bot."""

    def __init__(self) -> None:
        self.fake = FakeTelegram(token=TOKEN)
        self.ada = self.fake.user("Ada", id=_CHATS["C1"])
        self.chat = self.fake.private(self.ada)

    def __enter__(self) -> Self:
        self.fake.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.fake.release()
        self.fake.stop()


class TestTelegramConnector(ConnectorContract):
    """With what people say as updates, and what they see as messages."""

    connector = TelegramConnector
    reached = False

    def platform(self) -> Live:
        self.reached = True
        return Live()

    def options(self, platform: Any) -> dict[str, Any]:
        where = NOWHERE if platform is None else platform.fake.base_url
        return {
            "token": TOKEN,
            "base_url": where,
            "allow": {"users": [str(_CHATS["C1"])]},
            "poll_timeout_s": 1,
        }

    def incoming(self, platform: Any, text: str) -> Any:
        return platform.fake.post(platform.chat, platform.ada, text)

    def redeliver(self, platform: Any, event: Any) -> None:
        platform.fake.inject({"message": event.message})

    def acknowledged(self, platform: Any, event: Any) -> bool:
        return all(update["update_id"] != event.update_id for update in platform.fake.pending)

    def sent(self, platform: Any) -> list[str]:
        return [entry.text for entry in platform.fake.sent]

    def fail_next(self, platform: Any, kind: str) -> None:
        platform.fake.fail_next(kind, "sendMessage")

    def take_down(self, platform: Any) -> None:
        platform.fake.stop()

    def bring_back(self, platform: Any) -> None:
        platform.fake.start()

    def drop(self, home: Home, name: str, content: bytes | Mapping[str, Any]) -> Path:
        if self.reached and not isinstance(content, bytes) and content.get("conversation_id") in _CHATS:
            content = {**content, "conversation_id": str(_CHATS[content["conversation_id"]])}
        return super().drop(home, name, content)
