"""The connector of the benchmark: reaches no platform, and tells the benchmark when it is called.

What it tells goes as a datagram to the Unix socket that BENCH_SOCKET names: `<instance> <what> <about> <ns>`, the
time on the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import os
import socket
import time

from connectors.base.connector import Connector
from connectors.base.message import OutgoingMessage


def tell(text: str) -> None:
    """Send one datagram to the benchmark, when one listens."""
    address = os.environ.get("BENCH_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address)


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
