"""Outgoings out: one attempt after the other, persisted, in order, and what comes after each kind of failure."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import steps
from connectors.base.errors import AuthError, BadMessage, ConfigError, ConnectorError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.settings import DeliveryPolicy
from connectors.base.store import OutRow
from tests.base.box import Box, Clocks, event
from tests.helpers import wait_for


def out(text: str = "hi", conversation: str = "C1", **fields: Any) -> dict[str, Any]:
    return {"conversation_id": conversation, "text": text, **fields}


def raising(*errors: Exception | None) -> Any:
    """An answer that raises these one after the other (None: success), and succeeds from then on."""
    left = list(errors)

    def answer(message: OutgoingMessage) -> object:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return True

    return answer


def only(box: Box) -> OutRow:
    (row,) = box.store.under_way()
    return row


# ── what send_message answers ─────────────────────────────────────────────────────────────────────────────────


def test_true_makes_a_receipt_under_the_files_name(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out(id="mine", thread_id="T"))
    assert box.deliver() == 1
    receipt = box.receipts()["m.json"]
    assert (receipt["id"], receipt["conversation_id"], receipt["thread_id"]) == ("mine", "C1", "T")
    assert receipt["attempts"] == 1
    assert receipt["sent_at"]
    assert "ambiguous" not in receipt
    assert box.waiting() == []


def test_a_receipt_of_the_platform_gives_its_ids(home: Path) -> None:
    box = Box(home, answer=lambda message: Receipt(ids=["ts1"], metadata={"channel": "x"}))
    box.drop("m.json", out())
    box.deliver()
    assert box.receipts()["m.json"]["ids"] == ["ts1"]
    assert box.receipts()["m.json"]["metadata"] == {"channel": "x"}


def test_the_id_of_an_outgoing_without_one_is_its_claim(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out())
    box.deliver()
    receipt = box.receipts()["m.json"]
    assert receipt["id"] == receipt["key"] == box.sent[0].id


def test_false_means_try_again_later_and_costs_an_attempt(home: Path) -> None:
    box = Box(home, answer=lambda message: False)
    box.drop("m.json", out())
    assert box.deliver() == 0
    assert only(box).attempts == 1
    assert "returned False" in only(box).error
    box.answer = lambda message: True
    box.clocks.tick(2)
    assert box.deliver() == 1
    assert box.receipts()["m.json"]["attempts"] == 2


@pytest.mark.parametrize("answer", [None, 1, "ok", [], {}, 0])
def test_any_other_return_is_a_bug_a_dead_letter_and_never_sent_again(home: Path, answer: object) -> None:
    box = Box(home, answer=lambda message: answer)
    box.drop("m.json", out())
    box.deliver()
    box.clocks.tick(1000)
    box.reopen()
    box.deliver()
    assert len(box.sent) == 1
    (reason,) = box.dead().values()
    assert reason["class"] == "bug"
    assert type(answer).__name__ in reason["reason"]


@pytest.mark.parametrize("error", [Rejected("no such channel", hint="join it"), BadMessage("too odd", hint="join it")])
def test_rejected_is_a_dead_letter_with_the_reason_and_the_hint(home: Path, error: Exception) -> None:
    box = Box(home, answer=raising(error))
    box.drop("m.json", out(id="mine"))
    box.deliver()
    (reason,) = box.dead().values()
    assert (reason["class"], reason["reason"], reason["hint"]) == ("rejected", str(error), "join it")
    assert (reason["id"], reason["conversation_id"], reason["attempts"]) == ("mine", "C1", 1)


@pytest.mark.parametrize("error", [AuthError("revoked"), ConfigError("no channel set")])
def test_an_error_of_the_operators_ends_the_process_and_the_outgoing_stays_queued(
    home: Path, error: ConnectorError
) -> None:
    box = Box(home, answer=raising(error))
    box.drop("m.json", out())
    box.deliver()
    assert box.fatal == [error]
    assert only(box).state == "queued"
    assert only(box).attempts == 0
    box.reopen()
    assert box.deliver() == 1
    receipt = box.receipts()["m.json"]
    assert receipt["attempts"] == 1
    assert "ambiguous" not in receipt


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bug"),
        OSError(errno.ENOSPC, "theirs"),
        sqlite3.OperationalError("theirs"),
        ConnectionResetError("cut"),
        RuntimeError("\ud800 surrogate"),
        KeyError(),
    ],
)
def test_any_other_error_costs_an_attempt_and_delays_nobody(home: Path, error: Exception) -> None:
    box = Box(home, answer=raising(error))
    box.drop("a.json", out(conversation="C1"))
    box.drop("b.json", out("next", conversation="C2"))
    assert box.deliver() == 1
    assert box.texts() == ["hi", "next"]
    assert only(box).attempts == 1
    box.clocks.tick(2)
    assert box.deliver() == 1
    assert box.receipts()["a.json"]["ambiguous"] is True
    assert box.fatal == []


def test_where_a_repeated_send_is_exactly_once_nothing_is_ambiguous(home: Path) -> None:
    box = Box(home, answer=raising(ValueError("bug")), idempotent=True)
    box.drop("m.json", out())
    box.deliver()
    box.clocks.tick(2)
    box.deliver()
    assert "ambiguous" not in box.receipts()["m.json"]
    assert box.sent[0].id == box.sent[1].id


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wait_that_the_platform_gave_uses_no_attempt_and_survives_a_restart(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("slow down", after_s=60)))
    box.drop("m.json", out())
    box.deliver()
    assert only(box).attempts == 0
    box.clocks.tick(30)
    box.reopen()
    box.deliver()
    assert len(box.sent) == 1
    assert 29 <= (box.delivery.next_due_s() or 0) <= 30
    box.clocks.tick(31)
    assert box.deliver() == 1
    receipt = box.receipts()["m.json"]
    assert receipt["attempts"] == 1
    assert "ambiguous" not in receipt


def test_platform_given_waits_are_bounded_by_age(home: Path) -> None:
    policy = DeliveryPolicy(max_age_s=3600)
    box = Box(home, policy=policy, answer=lambda message: _raise(RetryLater("slow down", after_s=600)))
    box.drop("m.json", out())
    for _ in range(10):
        box.deliver()
        box.clocks.tick(601)
    assert 6 <= len(box.sent) <= 7
    (reason,) = box.dead().values()
    assert reason["class"] == "exhausted"
    assert "slow down" in reason["reason"]


@pytest.mark.parametrize("after_s", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", float("nan"), float("inf"), 10**400])
def test_a_wait_that_is_none_costs_an_attempt_like_any_failure(home: Path, after_s: Any) -> None:
    box = Box(home, answer=raising(RetryLater("slow down", after_s=after_s)))
    box.drop("m.json", out())
    box.deliver()
    assert only(box).attempts == 1
    box.clocks.tick(60)
    assert box.deliver() == 1
    assert "ambiguous" not in box.receipts()["m.json"]


def test_a_wait_may_be_a_headers_text(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("slow down", after_s="60")))
    box.drop("m.json", out())
    box.deliver()
    assert only(box).attempts == 0
    assert 59 <= (box.delivery.next_due_s() or 0) <= 60


def test_a_platform_given_wait_without_an_end_ends_at_the_bound_of_the_age(home: Path) -> None:
    policy = DeliveryPolicy(max_age_s=3600)
    box = Box(home, policy=policy, answer=raising(RetryLater("slow down", after_s=1e12)))
    box.drop("m.json", out())
    box.deliver()
    box.clocks.tick(3601)
    box.deliver()
    (reason,) = box.dead().values()
    assert reason["class"] == "exhausted"


def _raise(error: Exception) -> object:
    raise error


def test_attempts_are_bounded_and_the_last_error_is_told(home: Path) -> None:
    policy = DeliveryPolicy(max_attempts=3, initial_delay_s=1, max_delay_s=4)
    box = Box(home, policy=policy, answer=lambda message: _raise(RetryLater("down")))
    box.drop("m.json", out())
    for _ in range(10):
        box.deliver()
        box.clocks.tick(5)
        box.reopen()
    assert len(box.sent) == 3
    (reason,) = box.dead().values()
    assert (reason["class"], reason["attempts"]) == ("exhausted", 3)
    assert "3 attempts failed; last: down" in reason["reason"]


def test_the_wait_grows_and_is_capped(home: Path) -> None:
    policy = DeliveryPolicy(max_attempts=20, initial_delay_s=1, max_delay_s=8)
    box = Box(home, policy=policy, answer=lambda message: False)
    box.drop("m.json", out())
    for number in range(1, 10):
        box.deliver()
        assert 0 <= only(box).wait_s <= min(8, 2 ** (number - 1))
        box.clocks.tick(9)


@settings(max_examples=30)
@given(steps_s=st.lists(st.floats(-1e6, 1e6), max_size=6), after_s=st.floats(0.1, 1000))
def test_a_clock_that_jumps_never_makes_the_wait_longer_than_it_was_set(
    tmp_path_factory: pytest.TempPathFactory, steps_s: list[float], after_s: float
) -> None:
    clocks = Clocks()
    box = Box(
        tmp_path_factory.mktemp("home"), clocks=clocks, answer=raising(RetryLater("slow", after_s=after_s)),
        policy=DeliveryPolicy(max_age_s=1e12),
    )  # fmt: skip
    box.drop("m.json", out())
    box.deliver()
    for step in steps_s:
        clocks.wall += step
        box.reopen()
        assert (box.delivery.next_due_s() or 0) <= after_s + 1e-6
    clocks.tick(after_s + 0.1)
    assert box.deliver() == 1
    box.close()


def test_a_clock_that_jumps_while_it_runs_changes_no_wait(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("slow", after_s=60)))
    box.drop("m.json", out())
    box.deliver()
    box.clocks.wall -= 1e6
    box.deliver()
    assert 59 <= (box.delivery.next_due_s() or 0) <= 60
    box.clocks.mono += 61
    assert box.deliver() == 1


def test_a_reconnect_can_hurry_what_waits(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("down", after_s=600)))
    box.drop("m.json", out())
    box.deliver()
    box.delivery.retry_now()
    assert box.deliver() == 1


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_conversation_that_waits_keeps_its_order_and_blocks_no_other(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("slow", after_s=60)))
    box.drop_later("1.json", out("a1", "A"))
    box.drop_later("2.json", out("a2", "A"))
    box.drop_later("3.json", out("b1", "B"))
    box.deliver()
    assert box.texts() == ["a1", "b1"]
    box.drop_later("4.json", out("a3", "A"))
    box.drop_later("5.json", out("b2", "B"))
    box.reopen()
    box.deliver()
    assert box.texts() == ["a1", "b1", "b2"]
    box.clocks.tick(61)
    box.deliver()
    assert box.texts() == ["a1", "b1", "b2", "a1", "a2", "a3"]


def test_order_holds_over_more_files_than_are_claimed_at_a_time(home: Path) -> None:
    box = Box(home)
    for number in range(400):
        box.drop(f"{number:04d}.json", out(f"{number}", f"C{number % 3}"))
    ctimes = {p.name: p.stat().st_ctime_ns for p in box.outbox_folder.iterdir()}
    box.deliver()
    assert len(box.sent) == 400
    for conversation in ("C0", "C1", "C2"):
        got = [int(m.text) for m in box.sent if m.conversation_id == conversation]
        assert got == sorted(got, key=lambda n: (ctimes[f"{n:04d}.json"], n))


def test_a_reply_and_an_address_are_one_conversation(home: Path) -> None:
    from tests.base.box import event

    box = Box(home, answer=raising(RetryLater("slow", after_s=60)))
    box.intake.accept([event("e1", conversation="A")])
    box.drop_later("1.json", {"reply_to": "e1", "text": "first"})
    box.drop_later("2.json", out("second", "A"))
    box.deliver()
    box.clocks.tick(61)
    box.deliver()
    assert box.texts() == ["first", "first", "second"]


def test_a_dead_letter_lets_its_conversation_go_on(home: Path) -> None:
    box = Box(home, answer=raising(Rejected("no")))
    box.drop_later("1.json", out("a1", "A"))
    box.drop_later("2.json", out("a2", "A"))
    assert box.deliver() == 1
    assert box.texts() == ["a1", "a2"]


def test_parallel_senders_keep_the_order_within_a_conversation(home: Path) -> None:
    inside: dict[str, int] = {}
    worst: list[int] = []
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=10)

    def answer(message: OutgoingMessage) -> object:
        with lock:
            inside[message.conversation_id] = inside.get(message.conversation_id, 0) + 1
            worst.append(inside[message.conversation_id])
        if message.text == "0":
            both.wait()  # two conversations are sent at once
        with lock:
            inside[message.conversation_id] -= 1
        return True

    box = Box(home, answer=answer, parallel=2)
    for number in range(50):
        for conversation in "AB":
            box.drop(f"{number:03d}{conversation}.json", out(str(number), conversation))
    threads = [threading.Thread(target=box.deliver, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert max(worst) == 1
    for conversation in "AB":
        got = [m.text for m in box.sent if m.conversation_id == conversation]
        assert len(got) == 50


def test_one_thread_at_a_time_is_in_send_message(home: Path) -> None:
    inside: list[str] = []
    together: list[list[str]] = []

    def answer(message: OutgoingMessage) -> object:
        inside.append(message.text)
        together.append(list(inside))
        inside.remove(message.text)
        return True

    box = Box(home, answer=answer)
    for number in range(60):
        box.drop(f"{number}.json", out(str(number), f"C{number}"))
    threads = [threading.Thread(target=box.deliver, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(box.sent) == 60
    assert max(map(len, together)) == 1


def test_a_call_from_within_send_message_does_nothing(home: Path) -> None:
    found: list[int] = []

    def answer(message: OutgoingMessage) -> object:
        found.append(box.deliver())
        return True

    box = Box(home, answer=answer)
    box.drop("a.json", out())
    box.drop("b.json", out())
    assert box.deliver() == 2
    assert found == [0, 0]


# ── ids ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_file_with_the_id_of_one_that_was_sent_is_answered_by_the_first_receipt(home: Path) -> None:
    box = Box(home, answer=lambda message: Receipt(ids=["platform-1"]))
    box.drop("a.json", out(id="mine"))
    box.deliver()
    box.reopen()
    box.drop("b.json", out("changed", id="mine"))
    box.deliver()
    assert len(box.sent) == 1
    first, second = box.receipts()["a.json"], box.receipts()["b.json"]
    assert second["ids"] == ["platform-1"]
    assert second["duplicate_of"] == first["key"]
    assert box.waiting() == []


def test_the_same_file_name_again_is_a_new_outgoing_and_both_receipts_stay(home: Path) -> None:
    box = Box(home)
    for text in ("one", "two", "three"):
        box.drop("reply.json", out(text))
        box.deliver()
    assert box.texts() == ["one", "two", "three"]
    assert len(box.receipts()) == 3
    assert sum("~" in name for name in box.receipts()) == 2


@pytest.mark.parametrize("conversation", ["C1", "C2"])
def test_a_file_with_the_id_of_one_under_way_waits_for_its_outcome(home: Path, conversation: str) -> None:
    box = Box(home, answer=raising(RetryLater("slow", after_s=10)))
    box.drop_later("a.json", out(id="mine"))
    box.drop_later("b.json", out("again", conversation, id="mine"))
    box.deliver()
    box.clocks.tick(5)
    box.deliver()
    assert box.texts() == ["hi"]
    box.clocks.tick(6)
    box.deliver()
    box.clocks.tick(2)
    box.deliver()
    assert box.texts() == ["hi", "hi"]
    assert box.receipts()["b.json"]["duplicate_of"] == box.receipts()["a.json"]["key"]


def test_a_file_with_the_id_of_a_dead_letter_is_sent(home: Path) -> None:
    box = Box(home, answer=raising(Rejected("no")))
    box.drop("a.json", out(id="mine"))
    box.deliver()
    box.drop("b.json", out("mended", id="mine"))
    box.deliver()
    assert box.texts() == ["hi", "mended"]
    assert list(box.receipts()) == ["b.json"]


def test_twins_without_an_id_are_two_outgoings(home: Path) -> None:
    box = Box(home)
    box.drop("a.json", out())
    box.drop("b.json", out())
    assert box.deliver() == 2


# ── a text in parts ───────────────────────────────────────────────────────────────────────────────────────────


def in_parts(message: OutgoingMessage) -> list[str]:
    return message.text.split("|")


def test_parts_are_sent_one_by_one_and_share_a_receipt(home: Path) -> None:
    box = Box(home, split=in_parts, answer=lambda message: Receipt(ids=[f"id-{message.text}"]))
    box.drop("m.json", out("a|b|c"))
    assert box.deliver() == 1
    assert box.texts() == ["a", "b", "c"]
    assert box.receipts()["m.json"]["ids"] == ["id-a", "id-b", "id-c"]


def test_after_a_failure_parts_go_on_with_the_first_that_was_not_sent(home: Path) -> None:
    box = Box(home, split=in_parts, answer=raising(None, RetryLater("slow", after_s=5)))
    box.drop("m.json", out("a|b|c"))
    box.deliver()
    box.clocks.tick(6)
    box.reopen()
    box.deliver()
    assert box.texts() == ["a", "b", "b", "c"]
    assert len(box.receipts()) == 1


def test_the_boundaries_are_those_of_the_first_attempt(home: Path) -> None:
    """A new version of the connector may split elsewhere: what is half sent goes on as it began."""
    box = Box(home, split=in_parts, answer=raising(None, RetryLater("slow", after_s=5)))
    box.drop("m.json", out("a|b|c"))
    box.deliver()
    box._sending = type(box._sending)(box._send, lambda message: [message.text])
    box.clocks.tick(6)
    box.reopen()
    box.deliver()
    assert box.texts() == ["a", "b", "b", "c"]


def test_a_dead_letter_in_parts_says_how_many_were_sent_and_goes_on_there_when_revived(home: Path) -> None:
    box = Box(home, split=in_parts, answer=raising(None, Rejected("no")))
    box.drop("m.json", out("a|b|c"))
    box.deliver()
    (name,) = box.dead()
    reason = box.dead()[name]
    assert reason["parts_sent"] == 1
    revive(box, name, reason["key"])
    box.deliver()
    assert box.texts() == ["a", "b", "b", "c"]
    assert box.store.revived_keys() == {}
    assert len(box.receipts()) == 1


def revive(box: Box, name: str, key: str) -> Path:
    """As `connectors failed retry` does."""
    back = f"{Path(name).stem}~{key}.json"
    box.store.revive(back, key)
    (box.home.failed / f"{name}.reason.json").unlink()
    return (box.home.failed / name).rename(box.outbox_folder / back)


@pytest.mark.parametrize("when", ["before it was seen", "between the look and the claim", "while nothing ran"])
def test_a_revived_outgoing_that_is_deleted_is_cancelled_and_its_id_is_free_again(home: Path, when: str) -> None:
    box = Box(home, split=in_parts, answer=raising(None, Rejected("no")))
    box.drop("m.json", out("a|b|c", id="mine"))
    box.deliver()
    (name,) = box.dead()
    path = revive(box, name, last_key(box))
    if when == "between the look and the claim":
        box.outbox.scan()
    path.unlink()
    if when == "between the look and the claim":
        assert box.outbox.claim() == []
    elif when == "while nothing ran":
        box.reopen()
    box.drop("m.json", out("another", id="mine"))
    box.deliver()
    assert box.texts() == ["a", "b", "another"]
    assert box.waiting() == []
    box.reopen()
    assert box.store.under_way() == []
    assert box.store.revived_keys() == {}


def last_key(box: Box) -> str:
    return str(box.store.find_file("m.json")[-1].key)


def test_a_revived_dead_letter_gets_its_full_number_of_attempts(home: Path) -> None:
    policy = DeliveryPolicy(max_attempts=2, initial_delay_s=1)
    box = Box(home, policy=policy, answer=lambda message: False)
    box.drop("m.json", out())
    for _ in range(3):
        box.deliver()
        box.clocks.tick(5)
    (name,) = box.dead()
    revive(box, name, last_key(box))
    box.reopen()
    box.answer = lambda message: True
    assert box.deliver() == 1
    assert box.waiting() == []


def test_a_second_death_of_the_same_outgoing_is_told_too(home: Path) -> None:
    box = Box(home, answer=lambda message: _raise(Rejected("no")))
    box.drop("m.json", out())
    box.deliver()
    (name,) = box.dead()
    revive(box, name, last_key(box))
    box.deliver()
    ids = [e["id"] for e in box.events("delivery")]
    assert len(ids) == len(set(ids)) == 2
    assert len(box.dead()) == 1


# ── a disk without room, and what was cut off ─────────────────────────────────────────────────────────────────


class Failing:
    """Raise `error` at the named step the first `times` times, as a disk without room does there."""

    def __init__(self, name: str, error: Exception, times: int = 1) -> None:
        self.name, self.error, self.left = name, error, times

    def __call__(self, name: str) -> None:
        if name == self.name and self.left:
            self.left -= 1
            raise self.error


@pytest.fixture(autouse=True)
def _no_listener() -> Any:
    yield
    steps.listener = None


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["outbox.sent", "outbox.receipt", "outbox.recorded"])
def test_a_disk_without_room_for_the_receipt_sends_nothing_twice_and_makes_one_receipt(home: Path, name: str) -> None:
    box = Box(home)
    box.drop("m.json", out())
    steps.listener = Failing(name, FULL)
    box.deliver()
    steps.listener = None
    box.clocks.tick(5)
    box.deliver()
    box.reopen()
    box.deliver()
    receipts = box.receipts()
    assert len(receipts) == 1
    assert box.waiting() == []
    assert len(box.sent) == 1 or next(iter(receipts.values()))["ambiguous"] is True


def test_a_store_without_room_for_a_sent_part_makes_the_next_send_ambiguous(home: Path) -> None:
    """The part went out and could not be recorded: if it goes out again, the receipt says so."""
    box = Box(home, split=in_parts)
    box.drop("m.json", out("a|b"))
    store = box.store

    def answer(message: OutgoingMessage) -> object:
        if len(box.sent) == 1:
            pages = store._out.execute("PRAGMA page_count").fetchone()[0]
            store._out.execute(f"PRAGMA max_page_count = {pages}")
            return Receipt(ids=["x" * 50_000])
        return True

    box.answer = answer
    box.deliver()
    store._out.execute("PRAGMA max_page_count = 1000000")
    for _ in range(4):
        box.clocks.tick(5)
        box.deliver()
    (receipt,) = box.receipts().values()
    if box.texts().count("a") > 1:
        assert receipt["ambiguous"] is True


def test_the_state_says_that_sending_is_paused_and_that_it_goes_on(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out())
    steps.listener = Failing("outbox.claimed", FULL)
    box.deliver()
    box.clocks.tick(2)
    box.deliver()
    assert box.texts() == ["hi"]
    told = [fields["error"] for what, fields in box.said if what == "pressure"]
    assert "No space left" in str(told[0])
    assert told[-1] is None


@pytest.mark.parametrize("name", ["outbox.keyed", "outbox.claimed"])
def test_a_claim_that_failed_half_way_is_taken_up_in_the_same_process(home: Path, name: str) -> None:
    box = Box(home)
    for number in range(5):
        box.drop(f"{number}.json", out(str(number), id=f"id-{number}"))
    steps.listener = Failing(name, FULL)
    box.deliver()
    for _ in range(3):
        box.clocks.tick(2)
        box.deliver()
    assert sorted(box.texts()) == ["0", "1", "2", "3", "4"]
    assert box.waiting() == []
    assert box.store.under_way() == []


def test_an_error_of_the_disk_that_no_waiting_mends_ends_the_process(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out())
    steps.listener = Failing("outbox.sent", OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        box.deliver()
    steps.listener = None
    box.reopen()
    box.deliver()
    assert len(box.sent) == 2
    assert box.receipts()["m.json"]["ambiguous"] is True


class Death(BaseException):
    """The process ends here."""


def die_in_send(message: OutgoingMessage) -> object:
    raise Death


def test_a_send_that_was_cut_off_is_repeated_and_says_so(home: Path) -> None:
    box = Box(home, answer=die_in_send)
    box.drop("m.json", out())
    with pytest.raises(Death):
        box.deliver()
    box.answer = lambda message: True
    box.reopen()
    box.deliver()
    receipt = box.receipts()["m.json"]
    assert receipt["ambiguous"] is True
    assert receipt["attempts"] == 2


def test_on_ambiguous_hold_sends_nothing_again_and_the_conversation_goes_on(home: Path) -> None:
    box = Box(home, answer=die_in_send, policy=DeliveryPolicy(on_ambiguous="hold"))
    box.drop_later("a.json", out("first"))
    box.drop_later("b.json", out("second"))
    with pytest.raises(Death):
        box.deliver()
    box.answer = lambda message: True
    box.reopen()
    box.deliver()
    assert box.texts() == ["first", "second"]
    (reason,) = box.dead().values()
    assert (reason["class"], reason["ambiguous"]) == ("ambiguous", True)
    assert list(box.receipts()) == ["b.json"]


def test_on_ambiguous_hold_holds_a_time_out_too(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("timed out", ambiguous=True)), policy=DeliveryPolicy(on_ambiguous="hold"))
    box.drop("m.json", out())
    box.deliver()
    (reason,) = box.dead().values()
    assert reason["class"] == "ambiguous"


def test_three_deaths_inside_one_send_make_a_dead_letter(home: Path) -> None:
    box = Box(home, answer=die_in_send)
    box.drop_later("a.json", out("poison"))
    box.drop_later("b.json", out("after it"))
    for _ in range(3):
        with pytest.raises(Death):
            box.deliver()
        box.reopen()
    box.answer = lambda message: True
    box.deliver()
    assert box.texts() == ["poison"] * 3 + ["after it"]
    (reason,) = box.dead().values()
    assert reason["class"] == "crashed"
    assert "3 times" in reason["reason"]


# ── poll_outbox ───────────────────────────────────────────────────────────────────────────────────────────────


def test_handing_over_gives_each_message_once_and_leaves_a_receipt_that_says_so(home: Path) -> None:
    box = Box(home)
    box.drop_later("a.json", out("1"))
    box.drop_later("b.json", out("2"))
    box.drop_later("bad.json", b"[]")
    assert [m.text for m in box.delivery.hand_over()] == ["1", "2"]
    assert box.delivery.hand_over() == []
    assert all(r["handed_over"] for r in box.receipts().values())
    assert box.waiting() == []
    assert list(box.dead()) == ["bad.json"]
    assert box.sent == []


# ── what is seen from outside ─────────────────────────────────────────────────────────────────────────────────


def test_backlog_and_next_look(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("slow", after_s=30)))
    assert box.delivery.next_due_s() is None
    box.drop("a.json", out())
    box.drop("b.json", b'{"half')
    box.deliver()
    assert box.delivery.backlog() == {"outbox": 1, "sending": 1}
    assert 1.9 <= (box.delivery.next_due_s() or 0) <= 2.0


def test_a_stop_ends_the_delivery_after_the_message_in_hand(home: Path) -> None:

    def answer(message: OutgoingMessage) -> object:
        box.stop.set()
        return True

    box = Box(home, answer=answer)
    box.drop_later("a.json", out("1"))
    box.drop_later("b.json", out("2"))
    assert box.deliver() == 1
    assert box.texts() == ["1"]
    assert len(box.waiting()) == 1
    box.reopen()
    box.deliver()
    assert box.texts() == ["1", "2"]


def test_the_history_of_an_outgoing_is_kept(home: Path) -> None:
    box = Box(home, answer=raising(RetryLater("first trouble")))
    box.drop("m.json", out())
    box.deliver()
    key = only(box).key
    assert any("first trouble" in what for _, what in box.store.history(key))


def test_attempts_are_committed_before_the_platform_is_called(home: Path) -> None:
    seen: list[tuple[str, int]] = []

    def answer(message: OutgoingMessage) -> object:
        other = sqlite3.connect(box.store.path)
        seen.append(other.execute("SELECT state, attempts FROM outgoings").fetchone())
        other.close()
        return True

    box = Box(home, answer=answer)
    box.drop("m.json", out())
    box.deliver()
    assert seen == [("sending", 1)]


def test_the_receipt_is_there_before_the_claimed_file_goes(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out())
    seen: dict[str, tuple[int, int]] = {}

    def look(name: str) -> None:
        seen[name] = (len(list(box.home.sent(box.name).iterdir())), len(list(box.sending_folder.iterdir())))

    steps.listener = look
    box.deliver()
    assert seen["outbox.claimed"] == (0, 1)
    assert seen["outbox.receipt"] == seen["outbox.recorded"] == (1, 1)
    assert seen["outbox.deleted"] == (1, 0)


def test_secrets_in_what_the_platform_says_do_not_reach_receipts_and_reasons(home: Path) -> None:
    def redact(data: Any) -> Any:
        return json.loads(json.dumps(data).replace("xoxb-canary", "****"))

    box = Box(home, redact=redact, answer=lambda message: Receipt(ids=["1"], metadata={"url": "https://x/xoxb-canary"}))
    box.drop("a.json", out())
    box.deliver()
    box.answer = raising(Rejected("bad token xoxb-canary"))
    box.drop("b.json", out())
    box.deliver()
    everything = b"".join(p.read_bytes() for p in box.home.messages.rglob("*") if p.is_file())
    assert b"canary" not in everything
    assert b"****" in everything


def test_nothing_is_delivered_twice_by_two_callers(home: Path) -> None:
    box = Box(home)
    for number in range(100):
        box.drop(f"{number}.json", out(str(number)))
    other = threading.Thread(target=box.deliver, daemon=True)
    other.start()
    box.deliver()
    wait_for(lambda: not other.is_alive())
    assert sorted(box.texts()) == sorted(str(n) for n in range(100))


def test_a_file_that_names_another_instance_than_its_folder_is_not_sent(home: Path) -> None:
    box = Box(home)
    box.drop("a.json", out(connector_instance="other"))
    box.drop("b.json", out(connector_instance=box.name))
    box.drop("c.json", out(connector_instance=""))
    box.deliver()
    assert len(box.sent) == 2
    (reason,) = box.dead().values()
    assert reason["class"] == "rejected"
    assert "'other'" in reason["reason"]
    assert f"outbox/{box.name}/" in reason["reason"]
    assert "outbox/other/" in reason["hint"]


@pytest.mark.parametrize("action", ["edit", "fetch"])
def test_what_may_be_done_twice_is_never_ambiguous(home: Path, action: str) -> None:
    box = Box(home, actions=frozenset({action}), policy=DeliveryPolicy(on_ambiguous="hold"))
    box.drop("m.json", {"conversation_id": "C1", "action": action, "target_id": "1"})
    box.answer = raising(RetryLater("cut", ambiguous=True), KeyboardInterrupt())  # type: ignore[arg-type]
    box.deliver()
    box.clocks.tick(3600)
    with pytest.raises(KeyboardInterrupt):
        box.deliver()
    box.reopen()
    box.deliver()
    assert [m.ambiguous for m in box.sent] == [False, True, True]
    assert "ambiguous" not in box.receipts()["m.json"]


def test_the_event_that_an_action_is_about_says_where(home: Path) -> None:
    box = Box(home, actions=frozenset({"edit"}))
    box.intake.accept([event("e1", conversation="C7", thread_id="T7")])
    box.drop("a.json", {"action": "edit", "target_id": "e1", "text": "new"})
    box.drop("b.json", {"action": "edit", "text": "new"})
    box.deliver()
    assert [(m.conversation_id, m.thread_id) for m in box.sent] == [("C7", "T7")]
    assert box.dead()["b.json"]["reason"] == "edit needs a conversation_id"
