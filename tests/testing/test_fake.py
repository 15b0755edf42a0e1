"""The connector of the fake platform fulfils the contract: as a platform without idempotency keys, and as one with."""

from contextlib import AbstractContextManager
from typing import Any

from connectors.testing import ConnectorContract, FakeConnector, FakePlatform
from connectors.testing.attempts import Attempts
from connectors.testing.processes import Processes
from connectors.testing.reaching import Reaching

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


class TestFakeConnector(ConnectorContract):
    """A repeated send is a second message."""

    connector = FakeConnector

    def platform(self) -> AbstractContextManager[FakePlatform]:
        return FakePlatform()

    def options(self, platform: Any) -> dict[str, Any]:
        return {"url": platform.url if platform else NOBODY}


class TestIdempotentFakeConnector(Attempts, Processes, Reaching):
    """A repeated send is exactly once: the parts of the contract that this changes."""

    connector = FakeConnector
    idempotent = True

    def platform(self) -> AbstractContextManager[FakePlatform]:
        return FakePlatform()

    def options(self, platform: Any) -> dict[str, Any]:
        return {"url": platform.url if platform else NOBODY, "idempotent": True}
