"""The kit for authors of connectors: the contract suite, a fake platform, and what tests of processes need.

Everything is loaded when it is first used: the pytest plugin of this package costs nothing where nobody uses it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.testing.contract import ConnectorContract
    from connectors.testing.fake import FakeConnector
    from connectors.testing.platform import FakePlatform, Received
    from connectors.testing.process import RunningConnector
    from connectors.testing.script import scripted
    from connectors.testing.waiting import wait_for

__all__ = [
    "ConnectorContract",
    "FakeConnector",
    "FakePlatform",
    "Received",
    "RunningConnector",
    "scripted",
    "wait_for",
]

_MODULES = {
    "ConnectorContract": "contract",
    "FakeConnector": "fake",
    "FakePlatform": "platform",
    "Received": "platform",
    "RunningConnector": "process",
    "scripted": "script",
    "wait_for": "waiting",
}


def __getattr__(name: str) -> Any:
    try:
        module = import_module(f"connectors.testing.{_MODULES[name]}")
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
