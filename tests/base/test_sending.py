"""One attempt: its parts, its files, the platform's pace, and what a repeated part is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base.errors import RetryLater
from connectors.base.message import Attachment, OutgoingMessage, Receipt
from connectors.base.settings import DeliveryPolicy
from tests.base.box import Box
from tests.base.test_delivery import out, raising


def words(message: OutgoingMessage) -> list[str]:
    """A part a word."""
    return message.text.split(" ")


def two_a_group(message: OutgoingMessage) -> list[list[Attachment]]:
    files = message.attachments
    return [files[n : n + 2] for n in range(0, len(files), 2)]


def with_files(box: Box, count: int, text: str = "see") -> None:
    folder = box.home.attachments
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{n}.txt").write_text(str(n))
    box.drop("m.json", out(text, attachments=[{"path": f"messages/attachments/{n}.txt"} for n in range(count)]))


def groups(box: Box) -> list[tuple[str, list[str | None]]]:
    return [(message.text, [file.name for file in message.attachments]) for message in box.sent]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_group_of_files_goes_with_the_text_and_each_further_one_by_itself(home: Path) -> None:
    box = Box(home, files=two_a_group)
    with_files(box, 5)
    box.deliver()
    assert groups(box) == [("see", ["0.txt", "1.txt"]), ("", ["2.txt", "3.txt"]), ("", ["4.txt"])]
    assert list(box.receipts()) == ["m.json"]
    assert box.waiting() == []


def test_files_go_with_the_last_part_of_a_long_text(home: Path) -> None:
    box = Box(home, split=words, files=two_a_group)
    with_files(box, 3, "a b")
    box.deliver()
    assert groups(box) == [("a", []), ("b", ["0.txt", "1.txt"]), ("", ["2.txt"])]


def test_a_failed_upload_behind_an_empty_part_never_sends_the_text_again(home: Path) -> None:
    box = Box(home, split=lambda message: [message.text, ""])
    with_files(box, 1)
    box.answer = raising(None, RetryLater("upload failed"))
    box.deliver()
    box.clocks.tick(3600)
    box.deliver()
    assert groups(box) == [("see", []), ("", ["0.txt"]), ("", ["0.txt"])]
    assert list(box.receipts()) == ["m.json"]


def test_a_restart_between_two_groups_goes_on_with_the_second(home: Path) -> None:
    box = Box(home, files=two_a_group)
    with_files(box, 3)
    box.answer = raising(None, RetryLater("gone"))
    box.deliver()
    box.sent.clear()
    box.reopen()
    box.clocks.tick(3600)
    box.deliver()
    assert groups(box) == [("", ["2.txt"])]


# ── the platform's pace ───────────────────────────────────────────────────────────────────────────────────────


class Pace:
    """One message a second and conversation, on the box's monotonic clock."""

    def __init__(self) -> None:
        self.box: Box | None = None
        self.next: dict[str, float] = {}

    def __call__(self, message: OutgoingMessage) -> float:
        assert self.box is not None
        now = self.box.clocks.mono
        wait = self.next.get(message.conversation_id, 0.0) - now
        if wait <= 0:
            self.next[message.conversation_id] = now + 1.0
        return max(wait, 0.0)


def paced(home: Path, **how: object) -> Box:
    pace = Pace()
    box = Box(home, pace=pace, **how)  # type: ignore[arg-type]
    pace.box = box
    return box


def test_the_pace_delays_its_own_conversation_only_and_costs_no_attempt(home: Path) -> None:
    box = paced(home)
    for n in range(2):
        box.drop_later(f"a{n}.json", out(f"a{n}", "A"))
        box.drop_later(f"b{n}.json", out(f"b{n}", "B"))
    box.deliver()
    assert box.texts() == ["a0", "b0"]
    assert box.delivery.next_due_s() == pytest.approx(1.0)
    box.clocks.tick(1.0)
    box.deliver()
    assert box.texts() == ["a0", "b0", "a1", "b1"]
    assert {receipt["attempts"] for receipt in box.receipts().values()} == {1}
    assert [what for what, _ in box.said if what == "retried"] == []


def test_the_parts_of_a_long_text_keep_the_pace_and_let_others_through(home: Path) -> None:
    box = paced(home, split=words)
    box.drop("long.json", out("one two three", "A"))
    box.deliver()
    assert box.texts() == ["one"]
    box.drop("other.json", out("quick", "B"))
    for _ in range(2):
        box.clocks.tick(1.0)
        box.deliver()
    assert box.texts() == ["one", "two", "quick", "three"]
    assert box.receipts()["long.json"]["attempts"] == 1


def test_a_pace_outlives_a_restart_between_two_parts(home: Path) -> None:
    box = paced(home, split=words)
    box.drop("long.json", out("one two", "A"))
    box.deliver()
    box.reopen()
    box.clocks.tick(1.0)
    box.deliver()
    assert box.texts() == ["one", "two"]
    assert not box.receipts()["long.json"].get("ambiguous")


def test_a_pace_that_fails_costs_an_attempt_of_that_outgoing_only(home: Path) -> None:
    def broken(message: OutgoingMessage) -> float:
        if message.conversation_id == "A":
            raise ValueError("a bug in pace")
        return 0.0

    box = Box(home, pace=broken, policy=DeliveryPolicy(max_attempts=1))
    box.drop("a.json", out("a", "A"))
    box.drop("b.json", out("b", "B"))
    box.deliver()
    assert box.texts() == ["b"]
    assert "a bug in pace" in box.dead()["a.json"]["reason"]


# ── a repeated part ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_part_that_was_cut_off_is_told_so_and_the_next_one_is_not(home: Path) -> None:
    box = Box(home, split=words, idempotent=True)
    box.drop("m.json", out("one two"))
    box.answer = raising(None, RetryLater("cut", ambiguous=True))
    box.deliver()
    box.clocks.tick(3600)
    box.deliver()
    assert [(m.text, m.ambiguous) for m in box.sent] == [("one", False), ("two", False), ("two", True)]
    assert "ambiguous" not in box.receipts()["m.json"]


def test_after_a_cut_off_first_part_only_that_one_is_told(home: Path) -> None:
    box = Box(home, split=words, idempotent=True)
    box.drop("m.json", out("one two"))
    box.answer = raising(RetryLater("cut", ambiguous=True))
    box.deliver()
    box.clocks.tick(3600)
    box.deliver()
    assert [(m.text, m.ambiguous) for m in box.sent] == [("one", False), ("one", True), ("two", False)]


def test_a_refused_connection_makes_nothing_ambiguous(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out())
    box.answer = raising(RetryLater("refused"))
    box.deliver()
    box.clocks.tick(3600)
    box.deliver()
    assert [m.ambiguous for m in box.sent] == [False, False]


def test_a_death_inside_a_send_is_told_to_the_next_attempt_of_an_idempotent_platform_too(home: Path) -> None:
    def die(message: OutgoingMessage) -> object:
        raise KeyboardInterrupt

    box = Box(home, idempotent=True, answer=die)
    box.drop("m.json", out())
    with pytest.raises(KeyboardInterrupt):
        box.deliver()
    box.reopen()
    box.answer = lambda message: True
    box.deliver()
    assert [m.ambiguous for m in box.sent] == [False, True]
    assert "ambiguous" not in box.receipts()["m.json"]


def test_a_connector_that_could_not_find_out_says_so_in_the_receipt(home: Path) -> None:
    box = Box(home, idempotent=True)
    box.drop("m.json", out())
    box.answer = lambda message: Receipt(ids=["1"], ambiguous=True)
    box.deliver()
    assert box.receipts()["m.json"]["ambiguous"] is True


def test_an_agent_cannot_claim_that_its_outgoing_is_a_repetition(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out(ambiguous=True))
    box.deliver()
    assert [m.ambiguous for m in box.sent] == [False]
