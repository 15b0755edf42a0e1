"""doctor: folders that cannot be written, each with the exact fix for its cause; nobody is woken by the trial."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.base.checks import Finding, Level, examine
from connectors.base.home import Home
from connectors.base.watch import Watch
from tests.commands.program import connectors, new_home
from tests.folders import flagged, mounted_read_only
from tests.helpers import missing, requires, wait_for

SHARED = ("messages", "messages/inbox", "messages/failed", "messages/claimed", "messages/attachments")
PRIVATE = ("state", "state/approvals", "state/cli", "logs")
OWN = ("messages/outbox/cli", "messages/sent/cli", "messages/.staging/cli", "messages/.sending/cli")
FOLDERS = (*SHARED, *OWN, *PRIVATE)
#: Does not exist on this machine, and owns nothing.
SOMEBODY = 4711

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away, mount, and set flags")


@pytest.fixture
def well(home: Path) -> Path:
    """A home that is well, with every folder that a connector makes."""
    home.chmod(0o700)
    new_home(home)
    for name in FOLDERS:
        Home(home).make(home / name)
    return home


def unwritable(home: Path) -> list[Finding]:
    return [one for one in examine(Home(home)) if one.area in ("permissions", "mounts")]


@as_root
@pytest.mark.parametrize("name", FOLDERS)
def test_an_immutable_folder(well: Path, name: str) -> None:
    with flagged(well / name, "i"):
        (finding,) = unwritable(well)

    assert (finding.level, finding.where) == (Level.ERROR, str(well / name))
    assert finding.what == f"{name}: it is immutable (lsattr -d)"
    assert finding.fix == f"sudo chattr -i {well / name}"
    assert unwritable(well) == []


@as_root
def test_a_folder_that_can_only_grow(well: Path) -> None:
    """Files can be made in it, and neither renamed nor deleted: access(2) says yes."""
    with flagged(well / "messages/outbox/cli", "a"):
        (finding,) = unwritable(well)

    assert finding.fix == f"sudo chattr -a {well}/messages/outbox/cli"
    assert list((well / "messages/outbox/cli").iterdir()) == []


@as_root
def test_folders_on_a_mount_that_is_read_only_are_one_finding(well: Path) -> None:
    with mounted_read_only(well / "messages"):
        (finding,) = unwritable(well)

    assert finding.level == Level.ERROR
    assert finding.what.startswith("messages, messages/inbox, messages/failed and 6 more: ")
    assert finding.fix == f"sudo mount -o remount,bind,rw {well}/messages"


@as_root
def test_a_folder_that_is_a_mount_of_its_own(well: Path) -> None:
    """Nothing can be moved into it, also when it is mounted for writing and on the same file system."""
    folder = well / "messages/sent/cli"
    with mounted_read_only(folder):
        subprocess.run(["mount", "-o", "remount,bind,rw", folder], check=True)
        (finding,) = unwritable(well)

    assert finding.what == "messages/sent/cli is on another mount than messages/: no file can be moved"
    assert unwritable(well) == []


@as_root
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_whose_owner_may_not_write(well: Path, name: str) -> None:
    give_away(well)
    (well / name).chmod(0o500)

    (finding,) = unwritable(well)

    assert finding.what == f"{name}: {SOMEBODY} cannot write here"
    assert finding.fix == f"sudo chmod u+rwx {well / name}"


@as_root
@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "state"])
def test_a_folder_of_another_user(well: Path, name: str) -> None:
    give_away(well)
    os.chown(well / name, 0, 0)

    findings = {one.fix: one for one in unwritable(well)}

    finding = findings[f"sudo chown {SOMEBODY} {well / name}"]
    assert finding.what == f"{name}: it belongs to root, and {SOMEBODY} cannot write here"


@as_root
def test_a_mode_that_keeps_out_even_root(well: Path) -> None:
    """Root without its right to write everywhere, as in many containers: the trial is what tells."""
    (well / "messages/sent/cli").chmod(0o500)
    assert unwritable(well) == []
    without = [requires("setpriv"), "--bounding-set=-dac_override,-dac_read_search", "--"]

    done = subprocess.run(
        [*without, sys.executable, "-P", "-m", "connectors", "doctor", "--seed-home", well],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert f"fix: chmod u+rwx {well}/messages/sent/cli\n" in done.stdout


def test_what_is_not_there_yet_needs_the_folder_above(well: Path) -> None:
    for name in ("outbox", "sent", ".staging", ".sending"):
        (well / "messages" / name / "cli").rmdir()
    (well / "messages/sent").rmdir()
    (well / "messages/sent").write_text("")

    (finding,) = unwritable(well)

    assert finding.what == "sent is needed as a folder and is a file"
    assert finding.fix == f"mv {well}/messages/sent {well}/messages/sent.old"


def test_every_configured_instance_is_looked_at(well: Path) -> None:
    (well / "connectors.yml").write_text(
        "connectors:\n- {name: cli, type: cli}\n"
        "- {name: idle, type: cli, enabled: false}\n- {name: broken, type: clu}\n"
    )
    (well / "messages/.sending/idle").write_text("")
    (well / "state/broken").write_text("")

    assert {one.where for one in unwritable(well)} == {f"{well}/messages/.sending/idle", f"{well}/state/broken"}


def test_nobody_is_woken_and_nothing_stays(well: Path) -> None:
    woken: list[bool] = []
    folders = [well / name for name in FOLDERS]
    watch = Watch(folders, lambda: woken.append(True))
    watch.start()
    if watch.polling_because is not None:
        watch.stop()
        missing(f"no file notifications: {watch.polling_because}")
    before = everything(well)

    result = connectors("doctor", home=well)
    looked = len(woken)
    (well / "messages/outbox/cli/mark.json").write_text("{}")  # the watch does hear
    wait_for(lambda: woken)
    watch.stop()

    assert result.returncode == 0, result.stdout
    assert looked == 0
    (well / "messages/outbox/cli/mark.json").unlink()
    assert everything(well) == before


def test_a_folder_that_is_no_home_is_left_alone(home: Path) -> None:
    before = home.stat().st_mtime_ns

    assert connectors("doctor", home=home).returncode == 2

    assert home.stat().st_mtime_ns == before


def give_away(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY)


def everything(home: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_ino, path.lstat().st_mode) for path in home.rglob("*")}
