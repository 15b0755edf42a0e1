"""What is in the way of writing is named with its cause and with what mends it."""

import errno
import os
import pwd
import sqlite3
from pathlib import Path

import pytest

from connectors.base.files import publish_here
from connectors.base.obstacle import Obstacle, obstacle, refusal
from tests.folders import refusing


def test_a_folder_that_refuses_is_named_with_what_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    assert refusal(folder) is None
    fix = f"chmod u+rwx {folder}" if os.geteuid() else f"sudo chattr -i {folder}"
    with refusing(folder):
        with pytest.raises(PermissionError) as excinfo:
            publish_here(folder, "x.json", b"{}")
        found = obstacle(excinfo.value, tmp_path)
        assert found is not None
        assert found == refusal(folder)
        assert found.text.startswith(f"{folder} cannot be written: ")
        assert found.hint == fix
    publish_here(folder, "x.json", b"{}")


def test_of_a_rename_the_folder_that_refuses_is_named(tmp_path: Path) -> None:
    for source, target in (("refuses", "free"), ("free", "refuses")):
        for name in (source, target):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / source / "x").write_text("x")
        with refusing(tmp_path / "refuses"):
            with pytest.raises(PermissionError) as excinfo:
                os.rename(tmp_path / source / "x", tmp_path / target / "x")
            assert str(obstacle(excinfo.value, tmp_path)).startswith(f"{tmp_path / 'refuses'} cannot be written")
        (tmp_path / source / "x").unlink()


def test_a_store_that_refuses_is_found_though_its_error_names_no_file(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as store:
        store.execute("CREATE TABLE t (x)")
    with refusing(tmp_path):
        with pytest.raises(sqlite3.OperationalError) as excinfo:
            store.execute("INSERT INTO t VALUES (1)")
        assert str(obstacle(excinfo.value, tmp_path)).startswith(f"{tmp_path} cannot be written")
    assert obstacle(excinfo.value, tmp_path) is None, "what is mended is in nobody's way"
    store.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_obstacle(code: int, tmp_path: Path) -> None:
    found = obstacle(OSError(code, os.strerror(code), "x"), tmp_path)
    assert found == Obstacle(f"the disk is full ({os.strerror(code)})", "make room")


def test_a_file_of_another_user_names_who_needs_it(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write what belongs to others")
    assert f"chown {pwd.getpwuid(os.geteuid()).pw_name} /etc/passwd" in str(refusal(Path("/etc/passwd")))


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "I/O error", "x"), FileNotFoundError(2, "gone", "x"), ValueError("x"), OSError("x")]
)
def test_any_other_failure_is_none(error: Exception, tmp_path: Path) -> None:
    assert obstacle(error, tmp_path) is None


def test_what_is_not_there_refuses_nothing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") is None
