"""Where notifications cannot be had, or do not tell of everything, the folders are polled. Real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from tests.helpers import missing, requires, wait_for

DEADLINE_S = 60
CONNECTOR = (sys.executable, "-P", "-m", "connectors.cli.connector", "--seed-home", ".", "--name", "cli")
DOCTOR = (sys.executable, "-P", "-m", "connectors", "doctor", "--json")


@contextmanager
def on_a_network_mount(home: Path) -> Iterator[list[str]]:
    """The beginning of a command for a program that reads in /proc/self/mounts that the home is on NFS."""
    mounts = home.parent / "mounts"
    mounts.write_text(Path("/proc/self/mounts").read_text() + f"server:/mail {home} nfs4 rw 0 0\n")
    apart = [requires("unshare"), "--mount", "sh", "-c", f'mount --bind "{mounts}" /proc/$$/mounts && exec "$@"', "sh"]
    probe = subprocess.run([*apart, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        missing(f"this machine lets nobody mount: {probe.stderr.strip()}")
    yield apart


def delivers_by_polling(home: Path, before: list[str], because: str) -> None:
    """It says that it polls and why, and an outgoing is sent long before the slow scan would find it."""
    log = Home(home).log_file("cli")
    process = subprocess.Popen([*before, *CONNECTOR], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            wait_for(lambda: log.exists() and "no file notifications here" in log.read_text(), deadline_s=DEADLINE_S)
            OutgoingMessage(conversation_id="cli", text="by polling").write_to(Home(home).outbox("cli"))
            assert process.stdout is not None
            assert process.stdout.readline() == b"by polling\n"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(DEADLINE_S)
    assert f"no file notifications here: {because}" in log.read_text()
    assert "polling every" in log.read_text()


@pytest.mark.parametrize(
    ("call", "error", "because"),
    [
        ("?inotify_init,inotify_init1", "EMFILE", "[Errno 24] "),  # no instances left
        ("inotify_add_watch", "ENOSPC", "[Errno 28] "),  # no watches left
    ],
)
def test_without_notifications_it_polls_and_says_why(home: Path, call: str, error: str, because: str) -> None:
    strace = [requires("strace"), "-f", "-qq", "-o", str(home / "calls")]
    delivers_by_polling(home, [*strace, "-e", f"trace={call}", "-e", f"inject={call}:error={error}"], because)


def test_on_a_network_mount_it_polls_for_the_other_side_sends_no_notifications(home: Path) -> None:
    with on_a_network_mount(home) as before:
        delivers_by_polling(home, before, "nfs4")


def test_doctor_names_a_network_mount_and_what_does_not_work_there(home: Path) -> None:
    Home(home).inbox.mkdir(parents=True)
    with on_a_network_mount(home) as before:
        found = subprocess.run([*before, *DOCTOR], cwd=home, capture_output=True, text=True, check=False)

    assert found.returncode == 2
    assert "state/ is on nfs4: SQLite and locks do not work reliably on network mounts" in found.stdout
    assert "messages/ is on nfs4: no notifications from the other side, so everything polls" in found.stdout
    assert "move the home to a local disk" in found.stdout
