"""Events of sources: what they become, what is wrong with them, and which of them are news."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from connectors.parts.checking import BadBatch, check, check_all
from connectors.parts.emitting import Emitter
from connectors.parts.events import Checked, Event, to_message
from tests.parts.sources import ListSource, Place, note


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def message_of(event: Event, previous: tuple[str, str] | None = None) -> dict[str, Any]:
    checked = check(event)
    assert isinstance(checked, Checked), checked
    return to_message(checked, "github", "gh", previous).to_dict()


def emitted(place: Place, *batches: list[Event]) -> list[str]:
    """What the emitter counts for each batch."""
    connector = place.here()
    try:
        return [str(connector.emit(batch)) for batch in batches]
    finally:
        connector.close()


# ── what they become ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_field_of_an_event_reaches_the_inbox_file() -> None:
    """Weakness: half of the envelope's fields were dropped on the way."""
    data = message_of(
        Event(
            "42",
            "It crashes.",
            platform_event="issue.opened",
            type="message.received",
            title="#42 Crash",
            source_url="https://example.org/42",
            parent="repo",
            occurred_at=datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
            author="ada",
            author_type="bot",
            provenance={"repository": "o/r"},
            payload={"labels": ["bug"], "n": 1},
            score=12,
            trace_id="trc_0123456789abcdef",
            conversation="o/r#42",
            conversation_name="Crash",
            format="markdown",
            attachments=[{"name": "log.txt"}],
            metadata={"why": "all"},
        )
    )
    assert (data["id"], data["kind"], data["timestamp"]) == (
        "github:gh:42",
        "event",
        "2026-01-31T12:00:00.000000+00:00",
    )
    assert data["content"]["text"] == "It crashes."
    assert (data["content"]["format"], data["content"]["attachments"]) == ("markdown", [{"name": "log.txt"}])
    assert (data["sender"]["id"], data["sender"]["is_bot"]) == ("ada", True)
    assert (data["conversation"]["id"], data["conversation"]["name"]) == ("o/r#42", "Crash")
    assert data["metadata"] == {"why": "all"}
    event = data["event"]
    assert re.fullmatch("[0-9a-f]{32}", event.pop("digest"))
    assert re.fullmatch("evt_[0-9a-f]{16}", event.pop("id"))
    assert event == {
        "type": "message.received",
        "platform_event": "issue.opened",
        "provenance": {
            "platform": "github",
            "platform_event": "issue.opened",
            "author": "ada",
            "author_type": "bot",
            "repository": "o/r",
        },
        "payload": {"labels": ["bug"], "n": 1},
        "trace_id": "trc_0123456789abcdef",
        "occurred_at": "2026-01-31T12:00:00.000000+00:00",
        "title": "#42 Crash",
        "source_url": "https://example.org/42",
        "parent": "repo",
        "score": 12.0,
        "origin_id": "42",
    }


def test_the_same_fact_polled_twice_has_the_same_ids() -> None:
    """Weakness: ids were random, so one fact polled twice was two events."""
    first, second = message_of(Event("42", "x")), message_of(Event("42", "x"))
    assert (first["id"], first["event"]["id"]) == (second["id"], second["event"]["id"])
    assert first["event"]["trace_id"].startswith("trc_")


def test_the_smallest_event_says_what_kind_of_thing_it_is() -> None:
    data = message_of(Event("42"))
    assert data["event"]["type"] == "resource.changed"
    assert data["event"]["provenance"] == {"platform": "github", "author_type": "unknown"}
    assert data["conversation"]["id"] == "42"
    assert data["content"]["text"] == ""


def test_an_event_of_a_record_belongs_to_its_parents_conversation() -> None:
    assert message_of(Event("comment-1", parent="issue-42"))["conversation"]["id"] == "issue-42"


# ── what is wrong with them ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"origin_id": "1"}, "is of type dict, not an Event"),
        (None, "is of type NoneType, not an Event"),
        (Event(""), "origin_id must be the record's id on the platform, a text, not ''"),
        (Event(5), "origin_id must be the record's id"),  # type: ignore[arg-type]
        (Event("\ud800"), "origin_id has half a character"),
        (Event("1", type="resource.chnaged"), "Did you mean 'resource.changed'?"),
        (Event("1", type="gone"), "Valid types: resource.changed, actor.stopped, message.received."),
        (
            Event("1", author_type="robot"),
            "Invalid author_type 'robot'. Valid author_types: team_member, external, bot",
        ),
        (Event("1", text=None), "text must be a text, not of type NoneType"),  # type: ignore[arg-type]
        (Event("1", title=b"x"), "title must be a text, not of type bytes"),  # type: ignore[arg-type]
        (Event("1", payload=[1]), "payload must be a mapping, not of type list"),  # type: ignore[arg-type]
        (Event("1", payload={"at": datetime.now(UTC)}), "payload is no JSON"),
        (Event("1", payload={"a": {"b": object()}}), "payload is no JSON"),
        (Event("1", payload={1: "a"}), "payload must have texts as its keys"),  # type: ignore[dict-item]
        (Event("1", platform_event=["a"]), "platform_event must be a text"),  # type: ignore[arg-type]
        (Event("1", metadata={"a": {1, 2}}), "metadata is no JSON"),
        (Event("1", attachments=["a"]), "attachments must be a list of mappings"),  # type: ignore[list-item]
        (Event("1", score=1234), "score must be a number from 0 to 100, not 1234"),
        (Event("1", score=10**400), "score must be a number from 0 to 100"),
        (Event("1", score=float("nan")), "score must be a number from 0 to 100, not nan"),
        (Event("1", score=True), "score must be a number from 0 to 100, not True"),
        (Event("1", occurred_at=datetime(2026, 1, 1)), "occurred_at has no time zone"),  # noqa: DTZ001
        (Event("1", occurred_at="yesterday"), "occurred_at is no time: 'yesterday'"),
        (Event("1", occurred_at=1.5), "occurred_at must be a datetime"),  # type: ignore[arg-type]
    ],
)
def test_an_event_that_is_none_is_named_with_what_is_wrong(event: object, problem: str) -> None:
    """Weakness: there was a validator and nobody called it; an event of an unknown type was delivered. A score had a
    range that nobody checked."""
    with pytest.raises(BadBatch) as caught:
        check_all([Event("good"), event])
    assert all(found.startswith("event 2") for found in caught.value.problems)
    assert problem in str(caught.value)


def test_every_problem_of_a_batch_is_named_and_the_text_stays_readable() -> None:
    events = [Event("", score=-1, type="x", occurred_at="x") for _ in range(50)]
    with pytest.raises(BadBatch) as caught:
        check_all(events)
    assert len(caught.value.problems) == 200
    assert "and 190 more, see the log" in str(caught.value)


def test_a_payload_too_deep_to_be_written_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(BadBatch, match="payload is no JSON"):
        check_all([Event("1", payload=deep)])


class Issue(BaseModel):
    """What the payload of an issue must have."""

    number: int


def test_kinds_may_say_what_their_payload_is() -> None:
    kinds = {"issue": Issue, "star": None}
    assert check_all(
        [Event("1", platform_event="issue", payload={"number": 5}), Event("2", platform_event="star")], kinds
    )
    with pytest.raises(BadBatch, match=r"payload.number: Input should be a valid integer"):
        check_all([Event("1", platform_event="issue", payload={"number": "five"})], kinds)


def test_an_empty_payload_is_checked_like_any_other() -> None:
    """Weakness: where nothing was given, nothing was checked."""
    with pytest.raises(BadBatch, match=r"payload.number: Field required"):
        check_all([Event("1", platform_event="issue")], {"issue": Issue})


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=5))
def test_nothing_that_is_given_as_a_field_breaks_the_check(value: Any) -> None:
    for name in ("origin_id", "text", "platform_event", "type", "payload", "occurred_at", "score", "attachments"):
        event = Event(**{"origin_id": "1", name: value})
        found = check(event)
        if isinstance(found, Checked):
            json.loads(to_message(found, "t", "i").to_bytes())
        else:
            assert all(found)


def test_events_that_are_no_list_are_refused(place: Place) -> None:
    connector = place.here()
    for nonsense in (None, "text", 5, Event("1")):
        with pytest.raises(BadBatch, match="must be a list of Event"):
            connector.emit(nonsense)  # type: ignore[arg-type]
    connector.close()


# ── which of them are news ────────────────────────────────────────────────────────────────────────────────────────


def test_an_unchanged_record_does_not_arrive_and_a_changed_one_supersedes(place: Place) -> None:
    counts = emitted(place, [note("a", "1")], [note("a", "1")], [note("a", "2")])
    assert counts == ["1 new, 0 revised, 0 unchanged", "0 new, 0 revised, 1 unchanged", "0 new, 1 revised, 0 unchanged"]
    first, second = place.events
    assert second.event is not None
    assert (second.event.supersedes, second.event.revision) == (first.id, 2)


def test_a_record_that_becomes_what_it_was_is_news_again(place: Place) -> None:
    emitted(place, [note("a", "on")], [note("a", "off")], [note("a", "on")], [note("a", "off")])
    assert place.texts == ["on", "off", "on", "off"]
    assert len({event.id for event in place.events}) == 4
    assert [event.event.supersedes for event in place.events if event.event] == [
        None,
        *(e.id for e in place.events[:3]),
    ]


def test_a_record_twice_in_one_batch_is_told_as_often_as_it_changed(place: Place) -> None:
    assert emitted(place, [note("a", "1"), note("a", "1"), note("a", "2")]) == ["1 new, 1 revised, 1 unchanged"]
    assert place.texts == ["1", "2"]


def test_the_order_of_keys_the_time_and_the_score_are_no_revision(place: Place) -> None:
    now = datetime.now(UTC)
    before = note("a", "1", payload={"x": 1, "y": [2]}, occurred_at=now, score=1)
    after = note("a", "1", payload={"y": [2], "x": 1}, occurred_at=now + timedelta(hours=1), score=99, trace_id="t")
    assert emitted(place, [before], [after])[1] == "0 new, 0 revised, 1 unchanged"


def test_a_platforms_own_revision_decides_where_it_has_one(place: Place) -> None:
    counts = emitted(
        place,
        [note("a", "1", revision="etag-1")],
        [note("a", "other words", revision="etag-1")],
        [note("a", "1", revision="etag-2")],
    )
    assert [count.split(", ")[1] for count in counts] == ["0 revised", "0 revised", "1 revised"]


def test_two_instances_with_the_same_record_do_not_overwrite_each_other(home: Path) -> None:
    """Weakness: the feed was not part of the key, so two feeds of one account superseded each other's records."""
    one, two = Place(home, "one"), Place(home, "two")
    emitted(one, [note("a", "1")])
    emitted(two, [note("a", "2")])
    assert sorted(event.id for event in one.events) == ["list:one:a", "list:two:a"]
    assert all(event.event is not None and event.event.supersedes is None for event in one.events)


def test_odd_ids_of_records_stay_apart(place: Place) -> None:
    ids = ["a", "a:rev:2", "a:rev:2:00000000", "\\ud800", "ä/../x", "x" * 3000, "a\n"]
    emitted(place, [note(record, "1") for record in ids], [note(record, "2") for record in ids])
    found = [event.event.origin_id for event in place.events if event.event is not None]
    assert len(place.events) == 2 * len(ids)
    assert len({event.id for event in place.events}) == 2 * len(ids)
    assert [found.count(record) for record in ids] == [2] * len(ids)


def test_half_characters_in_other_texts_are_data(place: Place) -> None:
    emitted(place, [note("a", "x\ud800", title="\ud800", author="\ud800", payload={"a": "\udfff"}, parent="\ud800")])
    assert place.events[0].event is not None
    assert place.events[0].event.payload == {"a": "\udfff"}


def test_what_retention_forgot_is_new_again_and_never_lost(place: Place) -> None:
    connector = place.here()
    connector.emit([note("a", "1"), note("b", "1")])
    store = connector._open_runtime().store
    assert store.prune_events(keep_bodies=1, keep_ids=1, before=9e9) == 1
    assert str(connector.emit([note("a", "1"), note("b", "1")])) == "1 new, 0 revised, 1 unchanged"
    assert str(connector.emit([note("a", "2"), note("b", "2")])) == "0 new, 2 revised, 0 unchanged"
    connector.close()


def test_a_revision_is_told_also_when_an_agent_has_read_and_deleted_what_came_before(place: Place) -> None:
    connector = place.here()
    connector.emit([note("a", "1")])
    for path in (place.home / "messages/inbox").glob("*.json"):
        path.unlink()
    connector.emit([note("a", "1")])
    assert place.texts == []
    connector.emit([note("a", "2")])
    assert place.texts == ["2"]
    connector.close()


def test_any_connector_may_emit(place: Place) -> None:
    """The emitter is a part: a webhook or a chat may use it too."""
    connector = place.here()
    assert str(Emitter(connector).emit([Event("a", "1")])) == "1 new, 0 revised, 0 unchanged"
    assert ListSource.connector_type == place.events[0].connector.type
    connector.close()
