"""What may be imported from `connectors` and from the kit is a sorted list, and every name on it is there."""

from types import ModuleType

import pytest

import connectors
import connectors.testing

SURFACE = [
    "Ambiguous",
    "Claimed",
    "ConnectorError",
    "Event",
    "LostClaim",
    "Mailbox",
    "Message",
    "NotFound",
    "OutgoingMessage",
]
KIT = [
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


@pytest.mark.parametrize(("module", "names"), [(connectors, SURFACE), (connectors.testing, KIT)])
def test_the_public_names_are_these(module: ModuleType, names: list[str]) -> None:
    assert module.__all__ == names
    assert sorted(module.__all__) == module.__all__
    assert set(names) <= set(dir(module))
    assert all(getattr(module, name).__name__ == name for name in names)


@pytest.mark.parametrize("module", [connectors, connectors.testing])
def test_a_name_that_is_not_there_is_an_attribute_error(module: ModuleType) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018 - it is the access that raises
