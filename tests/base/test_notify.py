"""What systemd is told, on a real socket."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base.notify import Notifier


@pytest.fixture
def service_manager() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(Path(folder) / "notify"))
        sock.settimeout(5)
        yield sock


def told(sock: socket.socket) -> list[str]:
    return sock.recv(4096).decode().split("\n")


def test_without_a_service_manager_nothing_happens() -> None:
    notifier = Notifier.from_environ({})
    notifier.ready("up")
    notifier.watchdog()
    notifier.stopping()
    assert notifier.watchdog_s is None


def test_the_states_are_sent_as_lines(service_manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": service_manager.getsockname(), "OTHER": "1"}
    notifier = Notifier.from_environ(environ)
    notifier.ready("2 of 2\nconnectors run")
    assert told(service_manager) == ["READY=1", "STATUS=2 of 2 connectors run"]
    notifier.reloading()
    reloading, since = told(service_manager)
    assert reloading == "RELOADING=1"
    assert int(since.removeprefix("MONOTONIC_USEC=")) > 0
    notifier.watchdog()
    assert told(service_manager) == ["WATCHDOG=1"]
    notifier.status("fine")
    assert told(service_manager) == ["STATUS=fine"]
    notifier.stopping()
    assert told(service_manager) == ["STOPPING=1"]
    assert environ == {"OTHER": "1"}, "no child may answer in our place"


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="the abstract name space is Linux's")
def test_an_abstract_socket_is_found() -> None:
    name = f"mailbox-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        Notifier.from_environ({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert told(sock) == ["READY=1"]


@pytest.mark.parametrize(
    ("usec", "pid", "watchdog_s"),
    [
        ("3000000", None, 1.5),
        ("3000000", str(os.getpid()), 1.5),
        ("3000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
    ids=["without a pid", "our pid", "another pid", "none", "no number", "unset"],
)
def test_the_watchdog_is_answered_twice_per_period_when_it_is_ours(
    usec: str | None, pid: str | None, watchdog_s: float | None
) -> None:
    variables = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    environ = {name: value for name, value in variables.items() if value is not None}
    assert Notifier.from_environ(environ).watchdog_s == watchdog_s
    assert environ == {}


@pytest.mark.parametrize("address", ["/nowhere/at/all", "vsock:2:1234", "relative"])
def test_a_service_manager_that_is_not_there_disturbs_nobody(address: str) -> None:
    Notifier.from_environ({"NOTIFY_SOCKET": address}).ready("up")
