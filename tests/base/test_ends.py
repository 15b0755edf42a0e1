"""How an outgoing ends: one receipt, or one dead letter with its reason and one event that tells of it."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from connectors.base import steps
from connectors.base.errors import Rejected
from connectors.base.home import Modes
from connectors.base.message import OutgoingMessage, Reason
from tests.base.box import Box, event


def no(message: OutgoingMessage) -> object:
    raise Rejected("no such channel", hint="join it first")


def test_a_dead_letter_lies_untouched_beside_its_reason_and_the_agent_hears_of_it(home: Path) -> None:
    box = Box(home, answer=no)
    box.intake.accept([event("e1")])
    content = b'{ "reply_to": "e1",  "text": "as written", "id": "mine"}\n'
    box.drop("m.json", content)
    box.deliver()
    assert (box.home.failed / "m.json").read_bytes() == content
    reason = box.dead()["m.json"]
    assert Reason.from_dict(reason).key == reason["key"]
    assert reason["connector_instance"] == box.name
    (told,) = box.events("delivery")
    assert told["conversation"]["id"] == "C1"
    assert told["conversation"]["reply_to"] == "e1"
    assert told["sender"]["is_bot"] is True
    assert "no such channel" in told["content"]["text"]
    assert "join it first" in told["content"]["text"]
    assert (
        told["metadata"]["delivery"] | {"status": "failed", "id": "mine", "class": "rejected", "file": "m.json"}
        == (told["metadata"]["delivery"])
    )


def test_a_failed_answer_to_a_delivery_event_makes_no_further_one(home: Path) -> None:
    """Agents that answer everything must not loop."""
    box = Box(home, answer=no)
    box.drop("m.json", {"conversation_id": "C", "text": "x"})
    box.deliver()
    (told,) = box.events("delivery")
    box.drop("n.json", {"reply_to": told["id"], "text": "oh no"})
    box.deliver()
    assert len(box.dead()) == 2
    assert len(box.events("delivery")) == 1


@pytest.mark.parametrize("dies_at", steps.DEAD)
def test_a_burial_that_was_cut_off_is_finished_and_told_once(home: Path, dies_at: str) -> None:
    box = Box(home, answer=no)
    box.drop("m.json", {"conversation_id": "C", "text": "x"})

    class Death(BaseException):
        pass

    def listener(name: str) -> None:
        if name == dies_at:
            raise Death

    steps.listener = listener
    try:
        with pytest.raises(Death):
            box.deliver()
        with pytest.raises(Death) if dies_at != "dead.recorded" else nullcontext():
            box.reopen()
    finally:
        steps.listener = None
    box.reopen()
    box.deliver()
    assert len(box.dead()) == 1
    assert len(box.events("delivery")) == 1
    assert box.waiting() == []
    assert len(box.sent) == 1


# ── names that are taken ──────────────────────────────────────────────────────────────────────────────────────


def test_the_same_name_dying_again_and_again_keeps_every_letter_with_its_own_reason(home: Path) -> None:
    box = Box(home, answer=no)
    for number in range(4):
        box.drop("m.json", {"conversation_id": f"C{number}", "text": str(number)})
        box.deliver()
    dead = box.dead()
    assert len(dead) == 4
    for name, reason in dead.items():
        assert json.loads((box.home.failed / name).read_bytes())["conversation_id"] == reason["conversation_id"]
        assert reason["file"] == name


def test_two_instances_share_failed(home: Path) -> None:
    one, two = Box(home, answer=no, name="one"), Box(home, answer=no, name="two")
    for box in (one, two):
        box.drop("m.json", {"conversation_id": box.name, "text": "x"})
        box.deliver()
    assert sorted(r["connector_instance"] for r in one.dead().values()) == ["one", "two"]
    for name, reason in one.dead().items():
        assert json.loads((one.home.failed / name).read_bytes())["conversation_id"] == reason["connector_instance"]


def test_a_letter_whose_name_looks_like_anothers_reason_is_no_obstacle(home: Path) -> None:
    box = Box(home, answer=no)
    for name in ("a.json.reason.json", "a.json", "b.json", "b.json.reason.json"):
        box.drop(name, {"conversation_id": name, "text": "x"})
        box.deliver()
    reasons = [Reason.from_file(p) for p in box.home.failed.iterdir() if b'"class"' in p.read_bytes()]
    assert len(reasons) == 4
    for reason in reasons:
        assert json.loads((box.home.failed / reason.file).read_bytes())["conversation_id"] == reason.conversation_id


def test_a_foreign_file_under_the_name_is_never_overwritten(home: Path) -> None:
    box = Box(home, answer=no)
    (box.home.failed / "m.json").write_text("somebody else's")
    box.drop("m.json", {"conversation_id": "C", "text": "x"})
    box.deliver()
    assert (box.home.failed / "m.json").read_text() == "somebody else's"
    (name,) = [p.name for p in box.home.failed.glob("m~*.json") if not p.name.endswith(".reason.json")]
    assert json.loads((box.home.failed / f"{name}.reason.json").read_bytes())["file"] == name


def test_a_foreign_file_that_takes_the_name_in_the_last_moment_is_never_overwritten(home: Path) -> None:
    box = Box(home, answer=no)
    box.drop("m.json", {"conversation_id": "C", "text": "x"})

    def listener(name: str) -> None:
        if name == "dead.event":
            (box.home.failed / "m.json").write_text("somebody else's")

    steps.listener = listener
    try:
        box.deliver()
    finally:
        steps.listener = None
    assert (box.home.failed / "m.json").read_text() == "somebody else's"
    letters = [p for p in box.home.failed.glob("m~*.json") if not p.name.endswith(".reason.json")]
    assert len(letters) == 1
    assert json.loads(letters[0].read_bytes())["text"] == "x"
    assert json.loads((box.home.failed / f"{letters[0].name}.reason.json").read_bytes())["file"] == letters[0].name
    assert box.waiting() == []


def test_a_receipt_never_overwrites_another(home: Path) -> None:
    box = Box(home)
    (box.home.sent(box.name) / "m.json").write_text("[]")
    box.drop("m.json", {"conversation_id": "C", "text": "x"})
    box.deliver()
    assert (box.home.sent(box.name) / "m.json").read_text() == "[]"
    (receipt,) = [p for p in box.home.sent(box.name).iterdir() if p.name != "m.json"]
    assert json.loads(receipt.read_bytes())["file"] == "m.json"


def test_recovery_compares_keys_and_never_names(home: Path) -> None:
    """A receipt under the name says nothing about the file that is being sent now."""
    box = Box(home)
    box.drop("m.json", {"conversation_id": "C", "text": "first"})
    box.deliver()

    class Death(BaseException):
        pass

    def dying(message: OutgoingMessage) -> object:
        raise Death

    box.answer = dying
    box.drop("m.json", {"conversation_id": "C", "text": "second"})
    with pytest.raises(Death):
        box.deliver()
    box.answer = lambda message: True
    box.reopen()
    box.deliver()
    assert box.texts() == ["first", "second", "second"]
    assert len(box.receipts()) == 2


# ── who may read ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_receipts_and_reasons_are_private_or_the_groups(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for number, modes in enumerate((Modes(), Modes.for_group(os.getgid()))):
            box = Box(home / str(number), answer=lambda m: True if m.text == "a" else no(m), modes=modes)
            box.drop("a.json", {"conversation_id": "C", "text": "a"})
            box.drop("b.json", {"conversation_id": "C", "text": "b"})
            box.deliver()
            files = (box.home.sent(box.name) / "a.json", box.home.failed / "b.json.reason.json",
                     next(box.home.inbox.iterdir()))  # fmt: skip
            assert {path.stat().st_mode & 0o777 for path in files} == {modes.file}
            for folder in (box.home.failed, box.home.sent(box.name), box.home.inbox, box.outbox_folder):
                assert folder.stat().st_mode & 0o7777 == modes.folder
            assert box.home.state_dir(box.name).stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_a_dead_letter_never_looks_like_the_reason_of_another(home: Path) -> None:
    box = Box(home)
    box.drop("x.json.reason.json", {"file": "x"})
    box.deliver()
    (name,) = [path.name for path in box.home.failed.iterdir() if not path.name.endswith(".reason.json")]
    assert name.startswith("x.json.reason~")
    assert (box.home.failed / f"{name}.reason.json").exists()
