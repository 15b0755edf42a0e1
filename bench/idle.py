"""The connector of the benchmark: reaches no platform, and tells the benchmark when it is called."""

from __future__ import annotations

import os
import time

from bench.telling import tell
from connectors.base.connector import Connector
from connectors.base.message import OutgoingMessage


class IdleConnector(Connector):
    """Does nothing."""

    connector_type = "idle"

    def connect(self) -> None:
        """Nothing to reach."""

    def disconnect(self) -> None:
        """Nothing to release."""

    def send_message(self, msg: OutgoingMessage) -> bool:
        """Tell that it was called."""
        tell(f"{self.name} sent {msg.id} {time.monotonic_ns()}")
        return True

    def run_loop(self) -> None:
        """Tell that it is connected, and wait for the end."""
        tell(f"{self.name} connected {os.getpid()} {time.monotonic_ns()}")
        self.wait()
