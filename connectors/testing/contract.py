"""One suite for every connector: a test per promise. A connector's own test is a subclass with the class's name in it.

    class TestMyPlatform(ConnectorContract):
        connector = MyPlatformConnector

That runs what needs no platform. With a fake of the platform the rest runs too:

    def platform(self):
        return FakeMyPlatform()              # a context manager; entered for each test that needs it

    def options(self, platform):
        return {"url": platform.url if platform else "http://127.0.0.1:9"}

The other hooks, with what their defaults expect of the fake, are in `connectors.testing.basis`.
"""

from __future__ import annotations

from connectors.testing.attempts import Attempts
from connectors.testing.badfiles import BadFiles
from connectors.testing.construction import Construction
from connectors.testing.delivering import Delivering
from connectors.testing.processes import Processes
from connectors.testing.reaching import Reaching
from connectors.testing.receiving import Receiving


class ConnectorContract(Construction, Receiving, Delivering, Attempts, BadFiles, Processes, Reaching):
    """Subclass it, name your class in `connector`, and pytest runs every promise against it."""
