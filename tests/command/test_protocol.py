"""Lines and what they mean: pure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.errors import AuthError, Rejected, RetryLater
from connectors.base.message import Message, OutgoingMessage, Receipt
from connectors.command.lines import Lines, TooLong
from connectors.command.protocol import (
    AnswerLine,
    BadLine,
    CheckpointLine,
    EventLine,
    Reader,
    StateLine,
    ack_line,
    send_line,
    start_line,
)
from connectors.parts.events import Event

READER = Reader("command", "prog", {})


def read(line: Any, reader: Reader = READER) -> Any:
    return reader.read(line if isinstance(line, bytes) else json.dumps(line).encode())


def event(line: Any, reader: Reader = READER) -> Event:
    found = read(line, reader)
    assert isinstance(found, EventLine)
    assert isinstance(found.event, Event)
    return found.event


@given(st.lists(st.binary(max_size=12).map(lambda piece: piece.replace(b"\n", b"x")), max_size=8), st.integers(1, 7))
def test_lines_are_the_same_however_they_arrive(pieces: list[bytes], size: int) -> None:
    whole = b"\n".join(pieces)
    lines = Lines(8)
    found: list[bytes | TooLong] = []
    for start in range(0, len(whole), size):
        found += lines.feed(whole[start : start + size])
    found += lines.rest()
    assert [(item.size if isinstance(item, TooLong) else item) for item in found] == [
        len(piece) if len(piece) > 8 else piece.removesuffix(b"\r")
        for piece in pieces
        if len(piece) > 8 or piece.strip()
    ]


def test_a_line_that_is_too_long_is_not_kept_in_memory() -> None:
    lines = Lines(1000)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
    assert lines.feed(b"\nnext\n") == [TooLong(b"x" * 1000, 1_000_000), b"next"]


def test_an_event_has_the_fields_of_a_record() -> None:
    line = {"id": 42, "text": "red", "title": "Build", "platform_event": "build", "payload": {"n": 1}, "author": "ci"}
    found = event(line)
    assert (found.origin_id, found.text, found.title, found.payload) == ("42", "red", "Build", {"n": 1})


def test_without_an_id_the_content_decides() -> None:
    first, again, other = ({"text": "a", "title": "b"}, {"title": "b", "text": "a", "ack": 7}, {"text": "b"})
    assert event(first).origin_id == event(again).origin_id != event(other).origin_id
    assert len(event({"id": "x" * 5000}).origin_id) == 64


def test_a_message_is_as_the_mailbox_has_it() -> None:
    found = read({"id": "m1", "sender": {"id": "ada"}, "content": {"text": "hi"}, "conversation": {"id": "room"}})
    assert isinstance(found.event, Message)
    assert (found.event.id, found.event.kind, found.event.sender.id) == ("command:prog:m1", "message", "ada")
    assert found.event.connector.to_dict() == {"type": "command", "instance": "prog"}
    brief = read({"content": {"text": "hi"}, "kind": "command", "connector": {"type": "x", "instance": "y"}})
    assert (brief.event.conversation.id, brief.event.kind, brief.event.connector.instance) == (
        "prog",
        "command",
        "prog",
    )


def test_lines_of_a_program_that_knows_nothing_of_this_are_events_too() -> None:
    reader = Reader("command", "prog", {"id": "cursor", "text": "log.message", "author": "log.unit"})
    line = {"cursor": "s=1;i=2", "log": {"message": "started", "unit": "sshd"}, "type": "anything", "id": 3}
    found = event(line, reader)
    assert (found.origin_id, found.text, found.author, found.payload) == ("s=1;i=2", "started", "sshd", line)
    assert event({"other": 1}, reader).origin_id.startswith("sha256-")


def test_checkpoints_states_and_answers_are_lines_of_their_own() -> None:
    assert read({"checkpoint": {"n": [1]}, "ack": "c"}) == CheckpointLine({"n": [1]}, "c")
    assert read({"checkpoint": None}) == CheckpointLine(None)
    assert read({"state": "reconnecting", "note": "the server is gone"}) == StateLine(
        "reconnecting", "the server is gone"
    )
    sent = read({"sent": "k1", "ids": ["m1", 2], "metadata": {"a": 1}})
    assert sent == AnswerLine("k1", Receipt(ids=["m1", "2"], metadata={"a": 1}))
    for word, kind in (("rejected", Rejected), ("retry", RetryLater), ("auth", AuthError)):
        answer = read({word: "k1", "reason": "because", "hint": "do this"})
        assert isinstance(answer.outcome, kind)
        assert (str(answer.outcome), answer.outcome.hint) == ("because", "do this")
    retry = read({"retry": "k1", "after_s": 2.5, "ambiguous": True}).outcome
    assert (retry.after_s, retry.ambiguous) == (2.5, True)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "is no JSON"),
        (b'{"text": NaN}', "is no JSON"),
        (b'"text"', "an object is needed"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a":' * 80 + b"1" + b"}" * 80, "nested deeper"),
        (TooLong(b"xx", 3_000_000), "3,000,000 bytes"),
        ({"txt": "a"}, 'no field "txt" (did you mean "text"?)'),
        ({"text": 3}, "text must be a text"),
        ({"id": "", "text": "a"}, "id must be a text or a number"),
        (b'{"id": "\\ud800", "text": "a"}', "half a character"),
        (b'{"id": "\\udfff", "content": {"text": "a"}}', "half a character"),
        ({"id": True}, "id must be a text or a number"),
        ({"id": "1", "occurred_at": "yesterday", "author_type": "boss"}, "Invalid author_type 'boss'"),
        ({"id": "1", "occurred_at": "yesterday", "author_type": "boss"}, "occurred_at is no time"),
        ({"id": "1", "payload": []}, "payload must be a mapping"),
        ({"content": "hi"}, "content"),
        ({"content": {"text": "a"}, "kind": "delivery"}, "not a program's to tell"),
        ({"content": {"text": "a"}, "kind": "mesage"}, "kind"),
        ({"checkpoint": 1, "text": "a"}, 'a checkpoint has no field "text"'),
        ({"state": "fine"}, "state must be one of"),
        ({"sent": "k", "ids": "m1"}, "ids must be a list"),
        ({"sent": "k", "ids": [None]}, "ids must be a list"),
        ({"sent": "k", "metadata": 1}, "metadata must be an object"),
        ({"retry": "k", "after_s": "soon"}, "after_s must be a number"),
        ({"retry": "k", "after_s": True}, "after_s must be a number"),
        ({"rejected": "k", "why": "x"}, 'no field "why"'),
    ],
)
def test_what_means_nothing_is_refused_with_the_reason(line: Any, why: str) -> None:
    with pytest.raises(BadLine) as caught:
        READER.read(line) if isinstance(line, TooLong) else read(line)
    assert why in str(caught.value)


NAMES = st.text() | st.sampled_from(["id", "text", "content", "sent", "checkpoint", "ack", "payload"])
LEAVES = st.none() | st.booleans() | st.floats() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12))
def test_any_json_means_something_or_is_refused(line: Any) -> None:
    with suppress(BadLine):
        assert read(line) is not None


def test_who_wants_to_hear_of_a_line_hears_of_its_refusal_too() -> None:
    with pytest.raises(BadLine) as caught:
        read({"text": 3, "ack": "t1"})
    assert caught.value.ack == "t1"
    assert json.loads(ack_line("t1", "no")) == {"nack": "t1", "error": "no"}
    assert json.loads(ack_line({"seq": 1})) == {"ack": {"seq": 1}}


def test_what_the_program_is_told() -> None:
    assert json.loads(start_line("prog", {"n": 1})) == {"start": {"instance": "prog", "checkpoint": {"n": 1}}}
    msg = OutgoingMessage(conversation_id="C1", text="zwölf\n", id="o1", idempotency_key="k1", connector_instance="p")
    line = json.loads(send_line(msg))
    assert line["send"] == "k1"
    assert line["outgoing"]["text"] == "zwölf\n"
    assert "idempotency_key" not in line["outgoing"]
    assert b"\n" not in send_line(msg)
