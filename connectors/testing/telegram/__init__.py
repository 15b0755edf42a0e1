"""A Telegram to test against: the Bot API, on loopback only, with the failures that the real one has.

`FakeTelegram` is for tests; `python -m connectors.testing.telegram` starts one that a person can talk through, for
demos without a network. Both need aiohttp: `pip install 'mailbox-connectors[testing]'`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.testing.telegram.content import png
    from connectors.testing.telegram.fake import FakeTelegram
    from connectors.testing.telegram.model import Call, Chat, File, Posted, Sent, User

__all__ = ["Call", "Chat", "FakeTelegram", "File", "Posted", "Sent", "User", "png"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"FakeTelegram": "fake", "png": "content"}.get(name, "model")
    value = globals()[name] = getattr(import_module(f"connectors.testing.telegram.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
