"""The kit for authors of connectors: the contract suite, a fake platform, and what tests of processes need.

Everything is loaded when it is first used: the pytest plugin of this package costs nothing where nobody uses it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.testing.contract import ConnectorContract
    from connectors.testing.fake import FakeConnector
    from connectors.testing.lifecycle import LifecycleContract, assert_lifecycle_conformance
    from connectors.testing.mocks import MockSource, MockTarget
    from connectors.testing.platform import FakePlatform, Received
    from connectors.testing.process import RunningConnector
    from connectors.testing.samples import create_lifecycle_event, create_test_context, create_test_event
    from connectors.testing.script import scripted
    from connectors.testing.waiting import wait_for

__all__ = [
    "ConnectorContract",
    "FakeConnector",
    "FakePlatform",
    "LifecycleContract",
    "MockSource",
    "MockTarget",
    "Received",
    "RunningConnector",
    "assert_lifecycle_conformance",
    "create_lifecycle_event",
    "create_test_context",
    "create_test_event",
    "scripted",
    "wait_for",
]

_MODULES = {
    "ConnectorContract": "contract",
    "FakeConnector": "fake",
    "FakePlatform": "platform",
    "LifecycleContract": "lifecycle",
    "MockSource": "mocks",
    "MockTarget": "mocks",
    "Received": "platform",
    "RunningConnector": "process",
    "assert_lifecycle_conformance": "lifecycle",
    "create_lifecycle_event": "samples",
    "create_test_context": "samples",
    "create_test_event": "samples",
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
