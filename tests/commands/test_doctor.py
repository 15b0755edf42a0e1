"""doctor: every finding with its fix, and nothing is changed."""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.base.checks import Finding, Level, Look, examine, machine
from connectors.base.home import Home
from connectors.base.overview import overview
from connectors.base.settings import Config, Entry
from tests.commands.program import connectors, manager, new_home, put_event

LATER = 7 * 86_400.0


def found(home: Path, *, clock: Callable[[], float] = time.time) -> dict[str, Finding]:
    """By what it says, without what is only worth knowing."""
    return {one.what: one for one in examine(Home(home), clock=clock) if one.level != Level.INFO}


def the(home: Path, beginning: str, *, clock: Callable[[], float] = time.time) -> Finding:
    """The one finding that begins so."""
    matching = [one for one in examine(Home(home), clock=clock) if one.what.startswith(beginning)]
    assert len(matching) == 1, (beginning, examine(Home(home), clock=clock))
    return matching[0]


@pytest.fixture
def well(home: Path) -> Path:
    """A home that is well."""
    home.chmod(0o700)
    new_home(home)
    return home


def picture(home: Path) -> dict[str, tuple[int, int, int]]:
    """What would show that something was changed; a folder's time tells of the trial whether it can be written."""
    return {
        str(path): (path.lstat().st_mode, 0 if path.is_dir() else path.lstat().st_mtime_ns, path.lstat().st_ino)
        for path in home.rglob("*")
    }


def test_a_new_home_is_well_and_stays_as_it_is(well: Path) -> None:
    before = picture(well)

    result = connectors("doctor", home=well)

    assert result.returncode == 0, result.stdout
    assert result.stdout.endswith(f"{well} is well\n")
    assert picture(well) == before


def test_exit_codes_and_json(well: Path) -> None:
    (well / "messages/outbox/cli/note.txt").write_text("x")
    warned = connectors("doctor", "--json", home=well)
    (well / ".env").chmod(0o644)
    failed = connectors("doctor", home=well)

    assert (warned.returncode, failed.returncode) == (1, 2)
    assert {"level", "area", "what", "where", "fix", "facts"} == set(json.loads(warned.stdout)[0])
    assert failed.stdout.splitlines()[:3] == [
        "error   .env can be read by others",
        f"        at:  {well}/.env",
        f"        fix: chmod 600 {well}/.env",
    ]
    assert failed.stdout.endswith("1 error, 1 warning\n")


def test_a_folder_that_is_no_home(home: Path) -> None:
    assert the(home, "there is no connectors.yml").fix == f"connectors init --seed-home {home}"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        ("connectors:\n- {name: a, type: clu}\n", Level.ERROR, 'a: there is no connector type "clu"'),
        ("connectors:\n- {name: a, type: cli, x: '${NOT_SET}'}\n", Level.ERROR, "a: x: variable NOT_SET is not set"),
        ("connectors:\n- {name: a, type: cli, token: xoxb-12345678901}\n", Level.WARNING, "a: token: a secret stands"),
        ("connectors: []\n", Level.INFO, "no connector is enabled"),
    ],
)
def test_configuration_and_secrets(well: Path, text: str, level: Level, said: str) -> None:
    (well / "connectors.yml").write_text(text)

    finding = the(well, said)

    assert finding.level == level
    assert finding.where.startswith(str(well / "connectors.yml"))


def test_secrets_in_git(well: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=well, check=True)
    assert found(well) == {}

    (well / ".gitignore").write_text("")
    assert the(well, "git does not ignore .env").fix == f"echo .env >> {well}/.gitignore"
    (well / "state" / "note").write_text("x")
    subprocess.run(["git", "add", "-f", ".env", "state"], cwd=well, check=True)
    finding = the(well, ".env is in git")
    assert finding.level == Level.ERROR
    assert finding.fix.startswith(f"git -C {well} rm --cached .env")
    assert the(well, "mail or private state is in git").where == "state"


@pytest.mark.parametrize(
    ("name", "mode", "level", "said", "fix"),
    [
        (".env", 0o640, Level.ERROR, ".env can be read by others", "chmod 600"),
        ("connectors.yml", 0o664, Level.ERROR, "others can write connectors.yml", "chmod go-w"),
        ("messages/inbox", 0o707, Level.ERROR, "everybody on this machine can write this folder", "chmod o-w"),
        ("messages/inbox", 0o770, Level.WARNING, "a group can write this folder", "chmod g-w"),
        ("messages/inbox", 0o705, Level.WARNING, "everybody on this machine can read this folder", "chmod o-rwx"),
        ("state", 0o750, Level.WARNING, "a group can read what is private", "chmod 700"),
    ],
)
def test_permissions(well: Path, name: str, mode: int, level: Level, said: str, fix: str) -> None:
    for folder in (well, well / "messages"):
        folder.chmod(0o711)
    (well / name).chmod(mode)

    finding = the(well, said)

    assert (finding.level, finding.where, finding.fix) == (level, str(well / name), f"{fix} {well / name}")


def test_what_lies_in_a_closed_folder_is_closed(well: Path) -> None:
    (well / "messages/inbox").chmod(0o777)

    assert found(well) == {}


def test_folders_without_the_group_that_is_configured(well: Path) -> None:
    (well / "connectors.yml").write_text(f"group: {os.getgid()}\nconnectors: []\n")

    finding = next(one for one in examine(Home(well)) if one.where == str(well / "messages/inbox"))

    assert finding.what == f"new files here do not get the group {os.getgid()}"
    assert finding.fix.endswith(f"chmod 2770 {well}/messages/inbox")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user(well: Path) -> None:
    path = well / "messages/outbox/cli/stray.json"
    path.write_text('{"conversation_id": "C", "text": "x"}')
    os.chown(path, 4711, -1)

    finding = the(well, "1 file belongs to 4711")

    assert finding.level == Level.ERROR
    assert finding.what.endswith(": messages/outbox/cli/stray.json")
    assert finding.fix == f"sudo chown -R root {well}/messages/outbox"


def test_disk_space_against_the_limit(well: Path) -> None:
    (well / "connectors.yml").write_text("connectors: []\nlimits: {min_free_bytes: 1000000000000000000}\n")

    finding = next(one for what, one in found(well).items() if "min_free_bytes" in what)

    assert (finding.level, finding.area) == (Level.ERROR, "disk")
    assert finding.fix == f"connectors prune --seed-home {well}"


def test_a_part_of_the_mail_on_another_file_system(well: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == well.stat().st_dev:
        pytest.skip("no second file system")
    (well / "messages/sent/linked").parent.mkdir(exist_ok=True)
    (well / "messages/sent/linked").symlink_to(other)

    finding = the(well, "messages/sent/linked is on another mount")

    assert finding.level == Level.ERROR


def test_a_clock_that_is_wrong(well: Path) -> None:
    assert the(well, "the clock says 1970", clock=lambda: 0.0).level == Level.ERROR
    put_event(well, "e1").rename(well / "messages/inbox/20990101T000000.000000Z-cli-0a1b2c3d.json")
    assert the(well, "the clock is, or was, wrong").level == Level.WARNING


def test_too_few_notifications_for_so_many_connectors(well: Path) -> None:
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if not limit.exists():
        pytest.skip("no inotify here")
    many = tuple(Entry(f"c{n}", "cli", enabled=True, options={}, raw={}, line=0) for n in range(int(limit.read_text())))

    (finding,) = machine.notifications(Look(Home(well), Config(entries=many), time.time()))

    assert finding.fix == "sudo sysctl fs.inotify.max_user_instances=1024"


def test_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir(mode=0o700)
    new_home(deep)

    assert the(deep, "the path is too long for sockets").level == Level.INFO


def test_strays_are_named_one_by_one(well: Path) -> None:
    outbox, inbox = well / "messages/outbox/cli", well / "messages/inbox"
    (outbox / "note.txt").write_text("x")
    (outbox / ".editing.json").write_text("x")
    (outbox / "folder").mkdir()
    (inbox / "link.json").symlink_to("/etc/passwd")
    os.mkfifo(inbox / "pipe.json")
    (well / "messages/outbox/alone.json").write_text("{}")
    later = time.time() + 3600

    said = found(well, clock=lambda: later)

    assert said["note.txt does not end in .json: ignored"].fix == f"mv {outbox}/note.txt {outbox}/note.txt.json"
    assert said["folder is a folder: ignored"].fix == f"rm -r {outbox}/folder"
    assert ".editing.json begins with a dot: ignored; some program's temporary file" in said
    assert "link.json is a symbolic link: ignored" in said
    assert "pipe.json is a named pipe: ignored" in said
    assert "alone.json is beside the outbox folders: nobody sends it" in said
    assert ".editing.json begins with a dot: ignored; some program's temporary file" not in found(well)


def test_many_strays_are_counted(well: Path) -> None:
    for number in range(50):
        (well / "messages/inbox" / f"{number}.txt").write_text("x")

    said = found(well)

    assert len(said) == 21
    assert "and 30 more of these" in said


def test_an_outbox_with_a_misspelled_name(well: Path) -> None:
    folder = well / "messages/outbox/clj"
    folder.mkdir(mode=0o700)
    (folder / "a.json").write_text("{}")

    finding = the(well, 'connectors.yml has no clj (did you mean "cli"?)')

    assert finding.fix == f"mv {folder}/*.json {well}/messages/outbox/cli/"


def test_a_queue_that_nobody_empties(well: Path) -> None:
    (well / "messages/outbox/cli/a.json").write_text("{}")

    finding = the(well, "cli does not run, with 1 outgoing in its outbox")

    assert finding.fix == f"connectors run --seed-home {well}"


def test_a_queue_that_is_stuck_while_the_connector_runs(well: Path) -> None:
    with manager(well):
        (well / "messages/outbox/cli/a.json").write_text(
            '{"conversation_id": "C", "text": "x", "not_before": "2099-01-01T00:00:00Z"}'
        )
        later = time.time() + 3600
        finding = the(well, "the oldest of 1 outgoing of cli waits for 60 minutes", clock=lambda: later)

    assert finding.fix == "connectors explain a.json"


def test_inbox_files_that_are_no_events_and_a_full_inbox(well: Path) -> None:
    (well / "messages/inbox/rubbish.json").write_text("[]")
    (well / "connectors.yml").write_text("connectors: []\nlimits: {inbox_max_files: 2}\n")
    put_event(well, "e1")

    said = found(well)

    assert any(what.startswith("rubbish.json is no event, and every reader skips it") for what in said)
    assert said["2 events wait; receiving pauses at 2 (limits.inbox_max_files)"].level == Level.ERROR


def test_dead_letters_and_old_claims_wait_for_somebody(well: Path) -> None:
    (well / "messages/failed/a.json").write_text("{}")
    (well / "messages/failed/a.json.reason.json").write_text('{"reason": "too rude", "class": "rejected"}')
    put_event(well, "e1")
    connectors("next", "--as", "gone", home=well)
    later = time.time() + LATER

    said = found(well, clock=lambda: later)

    assert said["1 dead letter; the newest: too rude"].fix.startswith("connectors failed list")
    assert any(what.startswith("gone holds 1 event for more than a day") for what in said)


@pytest.mark.parametrize("name", ["a (Ada's conflicted copy 2026-01-01).json", "a.sync-conflict-20260101-1.json"])
def test_copies_of_sync_tools(well: Path, name: str) -> None:
    (well / "messages/attachments" / name).write_text("{}")

    assert the(well, f"{name} was made by a sync tool").level == Level.WARNING


def test_a_damaged_store(well: Path) -> None:
    (well / "state/cli").mkdir(mode=0o700)
    file = well / "state/cli/store.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [("y" * 3000,)] * 50)
    database.close()
    data = bytearray(file.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    file.write_bytes(data)

    finding = the(well, "the store of cli is damaged")

    assert (finding.level, finding.where) == (Level.ERROR, str(file))


def test_a_home_of_a_newer_program(well: Path) -> None:
    (well / "state/format").write_text("99\n")

    assert the(well, "the folder was written in format 99").level == Level.ERROR


def test_what_runs_and_what_was_killed(well: Path) -> None:
    assert the(well, "no manager runs").level == Level.INFO
    with manager(well) as running:
        assert not [one for one in examine(Home(well)) if one.area == "processes"]
        running.kill()
        running.wait(60)
        assert "was killed" in the(well, "no manager runs").what


def test_a_connector_that_does_not_do_well(well: Path) -> None:
    (well / "mine.py").write_text(
        "from connectors.base.connector import Connector\nfrom connectors.base.errors import AuthError\n"
        "class Mine(Connector):\n    connector_type = 'mine'\n"
        "    def connect(self): raise AuthError('token refused', hint='renew MINE_TOKEN')\n"
        "    def disconnect(self): ...\n    def send_message(self, msg): return True\n    def run_loop(self): ...\n"
    )
    (well / "connectors.yml").write_text("connectors:\n- {name: mine, type: ./mine.py}\n")
    connectors("run", "--once", home=well)

    finding = the(well, "mine is fatal: token refused")

    assert finding.fix == "renew MINE_TOKEN"


def test_what_is_no_file_does_not_wait(well: Path) -> None:
    """Links, FIFOs and folders are named as strays; no queue is the longer for them, here or in `status`."""
    for folder in (well / "messages/outbox/cli", well / "messages/inbox", well / "messages/claimed/me"):
        folder.mkdir(exist_ok=True)
        (folder / "link.json").symlink_to("/etc/passwd")
        os.mkfifo(folder / "pipe.json")
        (folder / "folder.json").mkdir()

    said = found(well, clock=lambda: time.time() + LATER)

    assert not [what for what in said if "outgoing" in what or "holds" in what]
    assert any(what.startswith("pipe.json is a ") for what in said)
    view = overview(Home(well))
    assert view.mail == {"inbox": 0, "claimed": 0, "failed": 0}
    assert [one.backlog for one in view.instances] == [{"outbox": 0, "sending": 0}]
    (well / "messages/outbox/cli/real.json").write_text("{}")
    assert overview(Home(well)).instances[0].backlog["outbox"] == 1


def test_a_check_that_fails_is_told_and_hides_no_other(well: Path) -> None:
    def failing(look: Look) -> Iterator[Finding]:
        yield from ()
        raise ValueError("no such thing")

    def finding(look: Look) -> Iterator[Finding]:
        yield Finding(Level.ERROR, "disk", "something else", str(look.home.root), "mend it")

    one, other = examine(Home(well), checks=(failing, finding))

    assert one.what == "something else"
    assert other.level == Level.WARNING
    assert other.what == 'the doctor could not end its check "failing": ValueError: no such thing'
