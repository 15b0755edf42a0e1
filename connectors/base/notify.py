"""Tell systemd how the manager is: the datagrams of sd_notify(3), when `NOTIFY_SOCKET` is set.

Own code because the protocol is one datagram, and its small libraries on PyPI have had no release for years.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

log = logging.getLogger("connectors.manager")


class Notifier:
    """Sends states to the service manager; does nothing where there is none. Never raises."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        #: Send `watchdog()` this often (seconds); None when nobody asked for it.
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str] | None = None) -> Notifier:
        """As the service manager says in the environment, which is then cleared so that no child answers for us.

        sd_watchdog_enabled(3): "a service should send a keep-alive every half of this time", and only when
        `WATCHDOG_PID` is not set or is this process.
        """
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        # sd_notify(3) knows "/…" and "@…" (the abstract name space) for AF_UNIX; vsock: is for virtual machines.
        if address[:1] not in {"/", "@"}:
            return cls()
        watched = usec.isdecimal() and int(usec) > 0 and pid in {"", str(os.getpid())}
        return cls(address, int(usec) / 2e6 if watched else None)

    def ready(self, status: str = "") -> None:
        """Start-up, or a reload, is done."""
        self._send("READY=1", *self._status(status))

    def reloading(self) -> None:
        """A reload has begun; `ready()` ends it. `Type=notify-reload` wants the time of it, too."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*self._status(text))

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    @staticmethod
    def _status(text: str) -> tuple[str, ...]:
        return (f"STATUS={' '.join(text.split())}",) if text else ()

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A service manager that does not read must not stop the manager's loop.
                sock.settimeout(1.0)
                with suppress(TimeoutError):
                    sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.debug("the service manager does not listen on %s: %s", self._address, error)
