"""prune: what is not needed goes, and nothing that is referred to."""

import json
import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import ConfigError, Rejected
from connectors.base.failed import find
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from connectors.base.problems import Problem
from connectors.base.retention import prune, prune_home
from connectors.base.settings import Config, Limits
from tests.base.box import NAME, Box, Clocks
from tests.commands.program import answer, connectors, done, put_event

NOW = 1_900_000_000.0
DAY = 86_400.0


@pytest.fixture
def tree(box: Path) -> Home:
    return Home(box)


def old(path: Path, days: float = 2, content: bytes = b"{}") -> Path:
    """A file that was written so many days before NOW."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
    os.utime(path, (NOW - days * DAY, NOW - days * DAY))
    return path


def now() -> Clocks:
    """Clocks that agree with the files' times."""
    clocks = Clocks()
    clocks.wall = time.time()
    return clocks


def run(home: Home, dry_run: bool = False, at: float = NOW, **limits: Any) -> dict[str, int]:
    return prune(home, Config(limits=replace(Limits(), **limits)), dry_run=dry_run, clock=lambda: at)


def test_a_new_home_has_nothing_to_prune(box: Path) -> None:
    assert done("prune", home=box) == "nothing to delete\n"
    assert answer("prune", home=box) == {}


def test_receipts_go_by_number_and_never_by_age(tree: Home) -> None:
    files = [old(tree.sent("cli") / f"{days}.json", days) for days in (1, 2, 3, 400)]

    assert run(tree, keep_receipts=4, keep_days=1) == {}
    assert run(tree, dry_run=True, keep_receipts=2) == {"receipts": 2}
    assert all(file.exists() for file in files)
    assert run(tree, keep_receipts=2) == {"receipts": 2}
    assert [file.exists() for file in files] == [True, True, False, False]


def test_an_id_that_was_sent_is_remembered_as_long_as_its_receipt_is_kept(home: Path) -> None:
    box = Box(home, clocks=now())
    (box.outbox_folder / "a.json").write_text('{"conversation_id": "C", "text": "x", "id": "mine"}')
    box.delivery.deliver_ready()

    assert "outgoings" not in run(box.home, at=box.clocks.wall + 400 * DAY)
    assert box.store.outgoing("mine") is not None


def test_what_an_entry_with_an_error_limits_is_left_alone(tree: Home) -> None:
    kept = old(tree.sent("cli") / "a.json", 40)
    gone = old(tree.sent("other") / "a.json", 40)
    bad = Problem("connectors.yml", 3, "cli", "unknown option")

    assert prune(tree, Config(limits=Limits(keep_receipts=0), problems=(bad,)), clock=lambda: NOW) == {"receipts": 1}
    assert (kept.exists(), gone.exists()) == (True, False)
    with pytest.raises(ConfigError, match="its limits are not known"):
        prune(tree, Config(problems=(Problem("connectors.yml", 3, None, "limits: wrong"),)))


def test_dead_letters_go_with_their_reasons(tree: Home) -> None:
    tree.make(tree.failed)
    for name in ("a.json", "b.json"):
        (tree.failed / name).write_text("{}")
        (tree.failed / f"{name}.reason.json").write_text(json.dumps({"key": name, "class": "rejected"}))
    changed = max(path.stat().st_ctime for path in tree.failed.iterdir())

    assert run(tree, at=changed, keep_failed=1) == {"dead_letters": 1, "reasons": 1}
    assert run(tree, at=changed + 31 * DAY) == {"dead_letters": 1, "reasons": 1}
    assert list(tree.failed.iterdir()) == []


def test_a_dead_letter_that_is_being_sent_again_stays(home: Path) -> None:
    def refuse(message: OutgoingMessage) -> object:
        raise Rejected("no")

    box = Box(home, answer=refuse)
    (box.outbox_folder / "a.json").write_text('{"conversation_id": "C", "text": "x"}')
    box.delivery.deliver_ready()
    letter = find(box.home, "a.json")
    box.store.revive("a~again.json", letter.key)

    run(box.home, at=letter.path.stat().st_ctime + 100 * DAY)

    assert letter.path.exists()


def test_rows_go_from_the_stores_of_configured_and_of_removed_instances(home: Path) -> None:
    box = Box(home, clocks=now())
    for number in range(3):
        box.intake.accept([_event(f"e{number}")])
        (box.outbox_folder / f"{number}.json").write_text('{"conversation_id": "C", "text": "x"}')
        box.delivery.deliver_ready()

    counts = run(box.home, at=box.clocks.wall, keep_events=1, keep_receipts=1)

    kept = [box.store.event(f"e{number}") for number in range(3)]
    assert [row is not None and row.body is not None for row in kept] == [False, False, True]
    assert counts["outgoings"] == 2
    assert counts["receipts"] == 2


def _event(event_id: str, attachment: str | None = None) -> Any:
    from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender

    files = [] if attachment is None else [{"path": attachment, "name": "x"}]
    return Message(
        id=event_id,
        connector=ConnectorInfo(type="fake", instance=NAME),
        sender=Sender(id="U"),
        content=Content(text="x", attachments=files),
        conversation=Conversation(id="C"),
    )


def test_attachments_go_when_nobody_names_them(tree: Home) -> None:
    digest = "a" * 64
    stored = old(tree.attachments / "aa" / digest, 3, b"x" * 1000)
    plan = old(tree.attachments / "plan.pdf", 3, b"x" * 1000)
    loose = old(tree.attachments / "loose.pdf", 2, b"x" * 1000)
    young = tree.attachments / "young.pdf"
    young.write_bytes(b"x" * 1000)
    os.utime(young, (NOW, NOW))
    event = put_event(tree.root, "e1")
    event.write_text(event.read_text().replace('"attachments": []', f'"attachments": [{{"sha256": "{digest}"}}]'))
    outgoing = {
        "conversation_id": "C",
        "text": "x",
        "attachments": [{"path": "messages/attachments/../attachments/plan.pdf"}],
    }
    (tree.outbox("cli") / "o.json").write_text(json.dumps(outgoing))

    assert run(tree, attachments_max_bytes=4000) == {}
    assert run(tree, attachments_max_bytes=0) == {"attachments": 1, "attachment_bytes": 1000}
    assert [path.exists() for path in (stored, plan, loose, young)] == [True, True, False, True]
    event.unlink()
    (tree.outbox("cli") / "o.json").unlink()
    assert run(tree, attachments_max_bytes=1500)["attachments"] == 2
    assert young.exists()


def test_what_an_event_names_whose_body_is_kept_stays(home: Path) -> None:
    box = Box(home, clocks=now())
    path = box.home.attachments / "bb" / ("b" * 64)
    path.parent.mkdir()
    path.write_bytes(b"x")
    os.utime(path, (box.clocks.wall - 3 * DAY,) * 2)
    (published,) = box.intake.accept([_event("e1", f"messages/attachments/bb/{'b' * 64}")])
    published.unlink()

    assert run(box.home, at=box.clocks.wall, attachments_max_bytes=0) == {}
    assert path.exists()
    assert run(box.home, at=box.clocks.wall + 31 * DAY)["attachments"] == 1


def test_the_manager_can_have_it_done_by_a_child(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        (box / "logs" / f"cli.log.{number + 10}").write_text("")

    assert prune_home({"home": str(box), "lifeline_fd": None}) == 0
    assert json.loads(capsys.readouterr().out) == {"logs": 3}
    (box / "connectors.yml").write_text("[")
    (box / "logs/cli.log.10").write_text("")
    assert prune_home({"home": str(box), "lifeline_fd": None}) == 1
    assert capsys.readouterr().err.startswith("not pruned: connectors.yml has errors")
    assert (box / "logs/cli.log.10").exists()


def test_logs_beyond_their_number_and_age_go(tree: Home) -> None:
    files = [old(tree.logs / name, days) for name, days in (("cli.log.1", 1), ("cli.log.7", 1), ("gone.log.2", 50))]
    log = old(tree.logs / "cli.log", 100)

    assert run(tree) == {"logs": 2}
    assert [file.exists() for file in files] == [True, False, False]
    assert log.exists()


def test_temporary_files_of_our_programs_that_died_go_a_day_later(tree: Home) -> None:
    dead = [
        old(tree.inbox / ".test-main_20260101_000000_000000.json.0a1b2c3d.tmp"),
        old(tree.outbox("cli") / ".out_20260101_000000_000000.json.0a1b2c3d.tmp"),
        old(tree.state / ".manager.json.1.0a1b2c3d"),
        old(tree.state_dir("cli") / ".status.json.123.0a1b2c3d"),
        old(tree.state / ".readers" / "claims" / ".me.json.123.0a1b2c3d"),
        old(tree.staging("cli") / "0a1b2c3d4e5f6071.0a1b2c3d.tmp"),
        old(tree.staging(".readers") / "0a1b2c3d.0a1b2c3d.tmp"),
        old(tree.attachments / ".0a1b2c3d4e5f6071.tmp"),
        old(tree.root / ".connectors.yml.0a1b2c3d.tmp"),
        old(tree.root / "..env.0a1b2c3d.tmp"),
    ]
    kept = [
        old(tree.inbox / "event.json"),
        old(tree.staging("cli") / "20260101T000000.000000Z-cli-0a1b2c3d.json"),
        old(tree.staging("cli") / "20260101T000000.000000Z-cli-0a1b2c3d.json.tmp"),
        old(tree.inbox / ".y.json.0a1b2c3d.tmp", 0.5),
        old(tree.root / ".env.local.tmpl"),
    ]

    assert run(tree) == {"leftovers": len(dead)}
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in kept)


def test_what_other_programs_call_temporary_is_theirs(tree: Home) -> None:
    names = ("notes.tmp", "report.0a1b2c3d.tmp", ".x.tmp", ".notes.123.0a1b2c3d", ".thesis.txt.0a1b2c3d.tmp")
    folders = (tree.root, tree.inbox, tree.failed, tree.attachments, tree.attachments / "mine", tree.outbox("cli"))
    kept = [old(folder / name, 100) for folder in folders for name in names]
    kept += [old(tree.root / ".notes.json.0a1b2c3d.tmp", 100), old(tree.staging("cli") / "mine.tmp", 100)]

    assert run(tree, keep_failed=0, keep_days=1000) == {}
    assert all(path.exists() for path in kept)


def test_links_and_folders_are_never_followed_or_deleted(tree: Home, tmp_path: Path) -> None:
    outside = old(tmp_path / "outside", 100)
    (tree.attachments / "link").symlink_to(outside)
    tree.make(tree.sent("cli"))
    (tree.sent("cli") / "link.json").symlink_to(outside)
    (tree.failed / "folder").mkdir()

    assert run(tree, attachments_max_bytes=0, keep_receipts=0, keep_failed=0) == {}
    assert outside.exists()


def test_a_store_that_cannot_be_read_is_an_error_in_one_line(box: Path) -> None:
    (box / "state/cli").mkdir()
    (box / "state/cli/store.db").write_bytes(b"no database at all" * 100)

    result = connectors("prune", home=box)

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "error: " in result.stderr
    with pytest.raises(sqlite3.Error):
        run(Home(box))


def test_a_broken_configuration_deletes_nothing(box: Path) -> None:
    (box / "connectors.yml").write_text("connectors: [\n")
    old(box / "messages/sent/cli/a.json", 4000)

    assert connectors("prune", home=box).returncode == 78
    assert (box / "messages/sent/cli/a.json").exists()
