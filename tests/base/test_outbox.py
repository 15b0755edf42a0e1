"""What lies in the outbox: sent, a dead letter with a reason, or left alone because it may still be being written."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.base.message import OutgoingMessage
from connectors.base.outbox import may_be_unfinished, parse_outgoing
from connectors.base.settings import DeliveryPolicy, Limits
from tests.base.box import NAME, Box, event

GOOD = {"conversation_id": "C1", "text": "hi"}
#: One of everything: escapes, pairs of surrogates, characters of 2 to 4 bytes, numbers, literals, nesting.
RICH = (
    b'{"conversation_id":"C\\u00e9\\ud83d\\ude00","text":"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \\n\\"\\\\ ",'
    b'"metadata":{"a":[1,-2.5e+10,true,false,null,{}],"b":""} }'
)
BOM = b"\xef\xbb\xbf"


# ── unfinished or wrong ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("document", [RICH, BOM + RICH], ids=["plain", "with a byte order mark"])
def test_every_proper_prefix_of_an_outgoing_may_be_unfinished(document: bytes) -> None:
    assert parse_outgoing(document).text.startswith("hé")
    wrong = [document[:end] for end in range(len(document)) if not may_be_unfinished(document[:end])]
    assert wrong == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(text=st.text(), extra=_json, ascii_only=st.booleans(), share=st.floats(0, 0.9999))
def test_every_proper_prefix_of_any_outgoing_may_be_unfinished(
    text: str, extra: Any, ascii_only: bool, share: float
) -> None:
    value = {"conversation_id": "C", "text": text, "metadata": {"x": extra}}
    document = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert may_be_unfinished(document[: int(len(document) * share)])


@pytest.mark.parametrize(
    "content",
    [b"hello", b"{]", b"[1,]", b'{"a":1}}', b"{'a': 1}", b"{\"a\": nul1", b"\xff\xfe\xfd", b'{"a": "\x01"', b"\0\0\0",
     b'{"text": "\xff', b"<html>", b'{"a" 1', b"{}x", b"{,"],
)  # fmt: skip
def test_what_no_further_byte_can_mend_is_judged_at_once(content: bytes) -> None:
    assert not may_be_unfinished(content)


@pytest.mark.parametrize("end", [0, 1, 17, 40, len(RICH) - 1])
def test_an_unfinished_file_waits_until_it_was_quiet_and_then_becomes_a_dead_letter(home: Path, end: int) -> None:
    box = Box(home)
    path = box.drop("m.json", RICH[:end])
    box.deliver()
    box.clocks.tick(1.9)
    box.deliver()
    assert box.waiting() == ["m.json"]
    assert path.exists()
    box.clocks.tick(0.2)
    box.deliver()
    box.clocks.tick(2.1)
    box.deliver()
    assert box.waiting() == []
    (reason,) = box.dead().values()
    assert reason["class"] == "bad_message"
    assert "nobody wrote to it for 2 s" in reason["reason"] or "not JSON" in reason["reason"]
    assert (box.home.failed / "m.json").read_bytes() == RICH[:end]
    assert box.sent == []


def test_a_file_that_is_completed_while_it_waits_is_sent(home: Path) -> None:
    box = Box(home)
    path = box.drop("m.json", RICH[:50])
    box.deliver()
    path.write_bytes(RICH)
    assert box.deliver() == 1
    assert box.dead() == {}


def test_a_slow_writer_is_waited_for_as_long_as_it_writes(home: Path) -> None:
    box = Box(home)
    for end in range(0, len(RICH), 7):
        box.drop("m.json", RICH[:end])
        box.deliver()
        box.clocks.tick(1.5)
    box.drop("m.json", RICH)
    assert box.deliver() == 1
    assert box.dead() == {}


def test_a_file_that_grew_between_the_look_at_the_folder_and_the_look_into_it_is_not_judged_yet(home: Path) -> None:
    """With a long queue seconds pass between the two."""
    box = Box(home)
    box.drop("m.json", RICH[:50])
    box.outbox.scan()
    assert box.outbox.claim() == []
    box.clocks.tick(5)
    box.outbox.scan()
    box.drop("m.json", RICH[:60])
    assert box.outbox.claim() == []
    box.drop("m.json", RICH)
    assert box.deliver() == 1


def test_a_file_that_is_being_rewritten_in_place_after_its_claim_is_sent_when_it_is_whole(home: Path) -> None:
    """The writer still has it open: the claim moves the file, not the writer."""
    box = Box(home)
    box.drop("m.json", {"conversation_id": "C", "text": "old"})
    with open(box.outbox_folder / "m.json", "r+b", buffering=0) as writer:
        box.outbox.scan()
        (claimed,) = box.outbox.claim()
        writer.truncate(0)
        writer.write(RICH[:50])
        box.reopen()
        box.deliver()
        assert (box.sending_folder / f"{claimed.key}.json").exists()
        assert box.dead() == {}
        writer.write(RICH[50:])
    box.clocks.tick(2.1)
    box.deliver()
    assert len(box.sent) == 1
    assert box.dead() == {}


def test_a_file_that_stays_incomplete_is_judged_after_one_quiet_time_and_the_reason_says_so(home: Path) -> None:
    box = Box(home)
    (box.outbox_folder / "m.json").write_bytes(RICH[:50])
    box.deliver()
    box.clocks.tick(2.1)
    box.deliver()
    assert "nobody wrote to it for 2 s" in box.dead()["m.json"]["reason"]


def test_a_file_that_is_rewritten_between_the_judgement_and_the_claim_is_sent_as_it_is_then(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", {"conversation_id": "C", "text": "old"})
    box.outbox.scan()
    (claimed,) = box.outbox.claim()
    (box.sending_folder / f"{claimed.key}.json").write_text('{"conversation_id": "C", "text": "new"}')
    box.reopen()
    box.deliver()
    assert box.texts() == ["new"]


# ── the table of contents and their ends ──────────────────────────────────────────────────────────────────────

_BAD: list[tuple[str, bytes, str]] = [
    ("a list", b"[]", "a JSON object is needed, not a list"),
    ("a number", b"7", "a JSON object is needed, not a number"),
    ("null", b"null", "a JSON object is needed"),
    ("no text", b'{"conversation_id": "C"}', "text or attachments are needed"),
    ("no address", b'{"text": "x"}', "conversation_id or reply_to is needed"),
    ("text is a list", b'{"conversation_id": "C", "text": []}', "text: "),
    ("empty id", b'{"conversation_id": "C", "text": "x", "id": ""}', "id: "),
    ("a time without a zone", b'{"conversation_id":"C","text":"x","not_before":"2026-01-01T00:00:00"}', "not_before"),
    ("not a time", b'{"conversation_id": "C", "text": "x", "expires_at": "soon"}', "expires_at"),
    ("half a surrogate pair", b'{"conversation_id": "C", "text": "\\ud800"}', "text has half a character"),
    ("such an address", b'{"conversation_id": "C\\udfff", "text": "x"}', "conversation_id has half a character"),
    ("such an event", b'{"conversation_id": "C", "text": "x", "reply_to": "\\ud800"}', "reply_to has half a character"),
    ("not UTF-8", b'{"conversation_id": "C", "text": "\xff"}', "not JSON"),
    ("two documents", b'{"conversation_id": "C", "text": "x"}{"a":1}', "not JSON"),
    ("too deep", b'{"metadata":' + b"[" * 100_000, "nested too deeply"),
    ("a number that is too long", b'{"conversation_id": ' + b"9" * 10_000 + b', "text": "x"}', ""),
    ("an action nobody knows", b'{"action": "explode", "target_id": "1"}', "no action 'explode'"),
    ("binary", bytes(range(256)), "not JSON"),
]


@pytest.mark.parametrize(("content", "reason"), [pytest.param(c, r, id=name) for name, c, r in _BAD])
def test_what_can_never_be_an_outgoing_becomes_a_dead_letter_at_once_and_delays_nobody(
    home: Path, content: bytes, reason: str
) -> None:
    box = Box(home)
    box.drop("a.json", content)
    box.drop("b.json", GOOD)
    box.deliver()
    assert box.texts() == ["hi"]
    (told,) = box.dead().values()
    assert reason in told["reason"]
    assert told["hint"]
    assert (box.home.failed / "a.json").read_bytes() == content
    assert len(box.events("delivery")) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"conversation_id": "C", "text": ""},
        {"conversation_id": "C", "text": " \n"},
        {"conversation_id": 42, "text": "a number as an id"},
        {"conversation_id": "C", "text": "\0\x1b[2J control characters"},
        {"conversation_id": "C" * 100_000, "text": "x", "unknown": {"kept": [1]}},
        {"conversation_id": "C", "text": "x", "not_before": "1970-01-01T00:00:00Z"},
        {"conversation_id": "C", "text": "x", "id": "é" * 512},
    ],
)
def test_odd_but_legal_outgoings_are_sent_and_their_text_is_not_touched(home: Path, content: dict[str, Any]) -> None:
    box = Box(home)
    box.drop("a.json", content)
    assert box.deliver() == 1
    assert box.texts() == [content["text"]]
    assert list(box.receipts()) == ["a.json"]
    assert box.waiting() == []


@settings(max_examples=60)
@given(data=st.data())
@example(data=None)
def test_every_mutation_ends_in_exactly_one_of_sent_dead_or_waiting(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject | None
) -> None:
    """And whatever it is, the file beside it is sent."""
    box = Box(tmp_path_factory.mktemp("home"))
    content = RICH if data is None else _mutated(data)
    box.drop("m.json", content)
    box.drop("z.json", {"conversation_id": "other", "text": "beside it"})
    for _ in range(4):
        box.deliver()
        ends = [bool(names) for names in ("m.json" in box.receipts(), box.dead(), box.waiting())]
        assert ends.count(True) == 1, (content, ends)
        assert "z.json" in box.receipts()
        box.clocks.tick(2.1)
    assert box.waiting() == []
    assert box.fatal == []
    box.close()


def _mutated(data: st.DataObject) -> bytes:
    content = bytearray(RICH)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1)) if content else 0
        what = data.draw(st.sampled_from(["cut", "flip", "insert", "drop", "repeat"]))
        if what == "cut":
            del content[at:]
        elif what == "flip" and content:
            content[at] = data.draw(st.integers(0, 255))
        elif what == "insert":
            content[at:at] = data.draw(st.binary(max_size=4))
        elif what == "drop":
            del content[at : at + data.draw(st.integers(1, 9))]
        else:
            content += content[at:]
    return bytes(content)


def test_a_file_that_is_too_large_is_not_read_at_all(home: Path) -> None:
    """10 GB of zeros would otherwise end the process for want of memory."""
    box = Box(home, limits=Limits(min_free_bytes=0, message_max_bytes=1000))
    with open(box.outbox_folder / "huge.json", "wb") as file:
        file.truncate(10_000_000_000)
    box.drop("good.json", GOOD)
    box.deliver()
    assert box.texts() == ["hi"]
    (reason,) = box.dead().values()
    assert "10000000000 bytes; at most 1000 are read" in reason["reason"]
    assert "limits.message_max_bytes" in reason["hint"]


# ── what is none of ours ──────────────────────────────────────────────────────────────────────────────────────


def test_what_others_leave_in_the_outbox_is_ignored_and_delays_nobody(home: Path) -> None:
    box = Box(home)
    folder = box.outbox_folder
    (folder / "folder.json").mkdir()
    (folder / "sub").mkdir()
    (folder / "sub" / "inner.json").write_text(json.dumps(GOOD))
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "dangling.json").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s.json")) if len(str(folder)) < 90 else None
        for name in (".hidden.json", "m.json.tmp", "m.json~", "#m.json#", "m", "4913", ".m.json.swp"):
            (folder / name).write_text(json.dumps(GOOD))
        before = sorted(os.listdir(folder))
        box.drop("good.json", GOOD)
        box.deliver()
        box.clocks.tick(10)
        box.deliver()
    assert box.texts() == ["hi"]
    assert sorted(os.listdir(folder)) == before
    assert box.dead() == {}


def test_what_others_leave_in_sending_is_ignored_and_delays_nobody(home: Path) -> None:
    box = Box(home)
    folder = box.sending_folder
    (folder / "folder.json").mkdir()
    (folder / "0123456789abcdef.json").mkdir()
    os.mkfifo(folder / "fifo.json")
    os.mkfifo(folder / "fedcba9876543210.json")
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "aaaaaaaaaaaaaaaa.json").symlink_to("/etc/passwd")
    (folder / "nobody.txt").write_text("x")
    (folder / ".hidden.json").write_text(json.dumps(GOOD))
    (folder / "\udcff.json").write_text(json.dumps(GOOD))
    before = sorted(os.listdir(folder))
    box.drop("good.json", GOOD)
    box.reopen()
    box.deliver()
    assert box.texts() == ["hi"]
    assert sorted(os.listdir(folder)) == before
    box.reopen()
    assert box.texts() == ["hi"]


def test_a_claimed_file_whose_record_is_lost_is_sent(home: Path) -> None:
    """A power cut may take the record of a claim back; the file is the truth."""
    box = Box(home)
    (box.sending_folder / "0123456789abcdef.json").write_text(json.dumps(GOOD))
    box.reopen()
    box.deliver()
    assert box.texts() == ["hi"]
    assert box.waiting() == []


def test_the_outbox_folder_may_be_deleted_and_comes_back(home: Path) -> None:
    box = Box(home)
    box.outbox_folder.rmdir()
    box.deliver()
    box.drop("m.json", GOOD)
    assert box.deliver() == 1


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.json", b"a b\tc.json", b"-rf.json", b"x\nforged line.json", "ü\u202e.json".encode(), b"%s{}.json",
     b"n" * 250 + b".json", "é".encode() * 125 + b".json", b"'; DROP TABLE outgoings; --.json", b".\xff.json"[1:]],
)  # fmt: skip
@pytest.mark.parametrize("content", [GOOD, b"[]"], ids=["good", "bad"])
def test_any_file_name_of_up_to_255_bytes_works(home: Path, name: bytes, content: object) -> None:
    box = Box(home)
    box.drop(name, content)
    box.deliver()
    assert box.waiting() == []
    if content is GOOD:
        assert box.texts() == ["hi"]
        assert len(box.receipts()) == 1
    else:
        (letter,) = box.dead()
        assert len(box.events("delivery")) == 1
        assert (box.home.failed / letter).read_bytes() == b"[]"
    box.reopen()


def test_names_that_differ_only_in_case_are_two_outgoings(home: Path) -> None:
    box = Box(home)
    box.drop("a.json", {"conversation_id": "C", "text": "small"})
    box.drop("A.json", {"conversation_id": "C", "text": "large"})
    box.deliver()
    assert sorted(box.texts()) == ["large", "small"]
    assert len(box.receipts()) == 2


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_order_is_that_of_ctime_and_then_of_the_name(home: Path) -> None:
    box = Box(home)
    for number in range(5):
        box.drop_later(f"{9 - number}.json", {"conversation_id": "C", "text": str(number)})
    box.deliver()
    assert box.texts() == ["0", "1", "2", "3", "4"]


def test_of_one_instant_the_name_decides(home: Path) -> None:
    box = Box(home)
    for name in "cab":
        box.drop(f"{name}.json", {"conversation_id": "C", "text": name})
    times = {p.stem: p.stat().st_ctime_ns for p in box.outbox_folder.iterdir()}
    box.deliver()
    assert box.texts() == sorted("abc", key=lambda n: (times[n], n))


def test_what_came_first_is_claimed_first_also_when_later_scans_find_older_names(home: Path) -> None:
    box = Box(home)
    box.drop("z.json", {"conversation_id": "C", "text": "first"})
    box.outbox.scan()
    box.outbox.claim()
    box.drop("a.json", {"conversation_id": "C", "text": "second"})
    box.reopen()
    box.deliver()
    assert box.texts() == ["first", "second"]


# ── times ─────────────────────────────────────────────────────────────────────────────────────────────────────


def at(box: Box, seconds: float) -> str:
    return (datetime.fromtimestamp(box.clocks.wall, UTC) + timedelta(seconds=seconds)).isoformat()


def test_not_before_keeps_the_file_in_the_outbox_until_then_also_over_a_restart(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", {**GOOD, "not_before": at(box, 60)})
    box.deliver()
    assert box.waiting() == ["m.json"]
    wait = box.delivery.next_due_s()
    assert wait is not None
    assert 59 < wait <= 60
    box.clocks.tick(59)
    box.reopen()
    box.deliver()
    assert box.sent == []
    box.clocks.tick(2)
    box.deliver()
    assert box.texts() == ["hi"]


def test_an_outgoing_that_waits_for_its_time_delays_nobody_in_its_conversation(home: Path) -> None:
    box = Box(home)
    box.drop("a.json", {**GOOD, "text": "later", "not_before": at(box, 60)})
    box.drop("b.json", {**GOOD, "text": "now"})
    box.deliver()
    assert box.texts() == ["now"]


def test_not_before_can_be_changed_while_it_waits(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", {**GOOD, "not_before": at(box, 3600)})
    box.deliver()
    box.drop("m.json", {**GOOD, "not_before": at(box, -1)})
    box.deliver()
    assert box.texts() == ["hi"]


def test_expires_at_makes_a_dead_letter_and_nothing_is_sent(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", {**GOOD, "expires_at": at(box, -1)})
    box.drop("n.json", {**GOOD, "text": "in time", "expires_at": at(box, 1)})
    box.deliver()
    assert box.texts() == ["in time"]
    (reason,) = box.dead().values()
    assert reason["class"] == "expired"


def test_what_expires_while_it_waits_for_its_next_attempt_is_not_sent_any_more(home: Path) -> None:
    policy = DeliveryPolicy(initial_delay_s=50, max_delay_s=50)
    box = Box(home, policy=policy, answer=lambda message: False)
    box.drop("m.json", {**GOOD, "expires_at": at(box, 30)})
    box.deliver()
    box.clocks.tick(60)
    box.deliver()
    assert len(box.sent) <= 2
    (reason,) = box.dead().values()
    assert reason["class"] == "expired"


# ── cancelling ────────────────────────────────────────────────────────────────────────────────────────────────


def test_deleting_a_queued_file_cancels_it(home: Path) -> None:
    box = Box(home)
    path = box.drop("m.json", {**GOOD, "not_before": at(box, 60)})
    box.deliver()
    path.unlink()
    box.clocks.tick(61)
    box.deliver()
    assert box.sent == []
    assert box.waiting() == []
    assert box.outbox.waiting() == 0


def test_deleting_between_the_look_at_the_folder_and_the_claim_cancels_it(home: Path) -> None:
    box = Box(home)
    path = box.drop("m.json", GOOD)
    box.outbox.scan()
    path.unlink()
    assert box.outbox.claim() == []
    assert box.store.under_way() == []


def test_deleting_a_claimed_file_that_waits_cancels_it(home: Path) -> None:
    box = Box(home, answer=lambda message: False, policy=DeliveryPolicy(initial_delay_s=10, max_delay_s=10))
    box.drop("m.json", GOOD)
    box.drop("n.json", {**GOOD, "text": "next"})
    box.deliver()
    key = box.store.under_way()[0].key
    (box.sending_folder / f"{key}.json").unlink()
    box.answer = lambda message: True
    box.clocks.tick(11)
    box.deliver()
    assert box.texts() == ["hi", "next"]
    row = box.store.outgoing(key)
    assert row is not None
    assert row.state == "cancelled"
    assert box.dead() == {}


def test_reply_to_works_also_after_the_inbox_file_is_gone(home: Path) -> None:
    box = Box(home)
    box.intake.accept([event("e1", conversation="C7", thread_id="T7")])[0].unlink()
    box.reopen()
    box.drop("m.json", {"reply_to": "e1", "text": "hi"})
    box.deliver()
    (message,) = box.sent
    assert (message.conversation_id, message.thread_id, message.reply_to) == ("C7", "T7", "e1")
    assert message.connector_instance == NAME


def test_reply_to_of_an_unknown_event_is_a_dead_letter_unless_the_conversation_is_given(home: Path) -> None:
    box = Box(home)
    box.drop("a.json", {"reply_to": "never seen", "text": "hi"})
    box.drop("b.json", {"reply_to": "never seen", "conversation_id": "C", "text": "hi"})
    box.deliver()
    assert len(box.sent) == 1
    (reason,) = box.dead().values()
    assert "knows no event 'never seen'" in reason["reason"]
    assert "conversation_id" in reason["hint"]


def test_outgoing_message_write_to_makes_a_file_that_is_sent(home: Path) -> None:
    box = Box(home)
    OutgoingMessage(connector_instance=NAME, conversation_id="C", text="seed").write_to(box.outbox_folder)
    box.deliver()
    assert box.texts() == ["seed"]


@pytest.mark.parametrize(
    "data",
    ['{"conversation_id": "C", "text": "x"}'.encode("utf-16"), b'{"conversation_id": "C", "text": "\\ud800"}'],
    ids=["UTF-16", "half a surrogate pair"],
)
def test_text_that_is_no_utf_8_is_a_dead_letter(home: Path, data: bytes) -> None:
    box = Box(home)
    (box.outbox_folder / "m.json").write_bytes(data)
    box.deliver()
    box.clocks.tick(2.1)
    box.deliver()
    assert box.dead()["m.json"]["class"] == "bad_message"
    assert box.sent == []


def test_what_expires_before_its_time_has_come_is_told_when_it_expires(home: Path) -> None:
    box = Box(home)
    soon = datetime.fromtimestamp(box.clocks.wall + 60, UTC).isoformat()
    box.drop("a.json", {"conversation_id": "C1", "text": "x", "not_before": "2999-01-01T00:00:00Z", "expires_at": soon})
    box.deliver()
    assert box.waiting() == ["a.json"]
    box.clocks.tick(61)
    box.deliver()
    assert box.dead()["a.json"]["class"] == "expired"
