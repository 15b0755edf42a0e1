"""Locks that die with their process, and say who holds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base import locks
from connectors.base.errors import Exit, InstanceLocked
from connectors.base.locks import Lock, credential_lock
from tests.helpers import wait_for

_HOLD = """
import sys
from pathlib import Path
from connectors.base import locks
lock = locks.Lock(Path(sys.argv[1]), "instance a")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_lock_that_is_held_elsewhere_is_refused_and_the_holder_named(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock", "instance a")
    with held_elsewhere(tmp_path / "lock") as process:
        with pytest.raises(InstanceLocked) as excinfo:
            lock.acquire(0.1)
        assert f"instance a is in use by process {process.pid} (since " in str(excinfo.value)
        assert excinfo.value.hint
        assert excinfo.value.exit_code == Exit.LOCKED
        assert f"process {process.pid}" in lock.holder()


def test_who_waits_for_a_lock_says_so_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lock = Lock(tmp_path / "lock", "instance a")
    with held_elsewhere(tmp_path / "lock") as process:
        with pytest.raises(InstanceLocked):
            lock.acquire()
        assert caplog.messages == []
        with pytest.raises(InstanceLocked):
            lock.acquire(0.1)
    (said,) = caplog.messages
    assert said.startswith(f"instance a is in use by process {process.pid} (since ")
    assert said.endswith(": waiting up to 0.1 s for its end")


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock", "instance a")
    with held_elsewhere(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        lock.acquire(5.0)
        assert f"process {os.getpid()}" in lock.holder()
    lock.release()
    lock.release()


def test_within_one_process_it_may_be_taken_again(tmp_path: Path) -> None:
    one, two = Lock(tmp_path / "lock", "a"), Lock(tmp_path / "lock", "a")
    one.acquire()
    two.acquire()
    two.release()
    one.release()


def test_a_note_that_cannot_be_read_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock.holder").write_text("{")
    assert Lock(tmp_path / "lock", "a").holder() == "another process"


def test_one_credential_has_one_lock_on_the_machine_and_its_name_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_machine_folder", lambda: tmp_path)
    lock = credential_lock("fake token", "xoxb-canary")
    assert lock is not None
    assert "canary" not in str(lock.path)
    with held_elsewhere(lock.path) as process:
        with pytest.raises(InstanceLocked, match=f"this fake token is in use by process {process.pid}"):
            lock.acquire(0.1)
        other = credential_lock("fake token", "another")
        assert other is not None
        other.acquire()
        other.release()
    wait_for(lambda: process.poll() is not None)
    assert b"canary" not in b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())


def test_a_lock_whose_folder_was_removed_is_not_intact(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    lock = Lock(folder / "lock", "x")
    lock.acquire()
    assert lock.intact()
    shutil.rmtree(folder)
    assert not lock.intact()
    folder.mkdir()
    (folder / "lock").touch()
    assert not lock.intact()
    lock.release()
