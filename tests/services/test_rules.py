"""Which events a route takes, and what it makes of them. Nothing runs here."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.parts.templates import NothingThere
from connectors.services.routes.firsts import Firsts
from connectors.services.routes.rules import Dedupe, Route, RoutesOptions, Then, When

EVENT: dict[str, Any] = {
    "id": "e1",
    "connector": {"type": "github", "instance": "github-main"},
    "content": {"text": "It broke"},
    "kind": "event",
    "event": {
        "type": "resource.changed",
        "payload": {"number": 7, "draft": False, "labels": ["bug", "ui"], "title": "Crash on start"},
    },
}


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ({}, True),
        ({"source": ["github-main"]}, True),
        ({"source": "github-main"}, True),
        ({"source": ["other"]}, False),
        ({"type": ["resource.changed", "actor.stopped"]}, True),
        ({"type": ["actor.stopped"]}, False),
        ({"kind": ["message"]}, False),
        ({"filter": {"event.payload.number": 7}}, True),
        ({"filter": {"event.payload.number": "7"}}, False),
        ({"filter": {"event.payload.draft": False}}, True),
        ({"filter": {"event.payload.draft": 0}}, False),
        ({"filter": {"event.payload.labels": "bug"}}, True),
        ({"filter": {"event.payload.labels": ["docs", "ui"]}}, True),
        ({"filter": {"event.payload.labels": ["docs"]}}, False),
        ({"filter": {"event.payload.title": "/^crash/i"}}, True),
        ({"filter": {"event.payload.title": "/^crash/"}}, False),
        ({"filter": {"event.payload.title": "Crash on start", "event.payload.number": 8}}, False),
        ({"filter": {"event.payload.milestone": None}}, True),
        ({"filter": {"event.payload.title": None}}, False),
        # Weakness: a text with a comma was split into a list, so that no regular expression could count.
        ({"filter": {"event.payload.title": "Crash on start, Crash"}}, False),
        ({"filter": {"event.payload.title": "/^C[a-z]{1,9} on/"}}, True),
        ({"exclude": {"event.payload.labels": "ui"}}, False),
        ({"exclude": {"event.payload.labels": "docs", "event.payload.number": 7}}, False),
        ({"exclude": {"event.payload.labels": "docs"}}, True),
    ],
)
def test_a_condition(when: dict[str, Any], taken: bool) -> None:
    assert When.model_validate(when).takes(EVENT) is taken


@pytest.mark.parametrize("kind", ["delivery", "action_result"])
def test_what_an_outgoing_gave_rise_to_is_taken_only_by_name(kind: str) -> None:
    event = {**EVENT, "kind": kind}
    assert not When().takes(event)
    assert When(kind=[kind]).takes(event)


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"then": {"outbox": "x", "txt": "y"}}, '"txt" is no field of an outgoing'),
        ({"then": {"outbox": "x", "id": "y"}}, '"id" is no field of an outgoing'),
        ({"then": {}}, "outbox"),
        ({"then": {"outbox": "x"}, "when": {"filter": {"a": {"b": 1}}}}, "a condition is a value"),
        ({"then": {"outbox": "x"}, "when": {"filter": {"a": "/(/"}}}, "no regular expression"),
        ({"then": {"outbox": "x"}, "when": {"filter": {"a": []}}}, "an empty list holds for nothing"),
        ({"then": {"outbox": "x"}, "when": {"events": ["a"]}}, "events"),
        ({"then": {"outbox": "x"}, "dedupe": {"by": ["a"], "window": "soon"}}, "soon"),
        ({"then": {"outbox": "x"}, "name": "../x"}, "pattern"),
        # Weakness: a word that was mistyped was taken, and the rule never held.
        ({"then": {"outbox": "x"}, "when": {"type": "resource.chnaged"}}, 'did you mean "resource.changed"'),
        ({"then": {"outbox": "x"}, "when": {"kind": ["evnt"]}}, 'no event has the kind "evnt" .did you mean "event"'),
        ({"then": {"outbox": "x"}, "dedupe": {"fields": ["id"]}}, "fields"),
    ],
)
def test_a_route_that_cannot_be_is_refused_and_says_why(route: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + words):
        Route.model_validate({"name": "r", **route})


def test_two_routes_cannot_have_one_name() -> None:
    route = {"name": "r", "then": {"outbox": "x"}}
    with pytest.raises(ValidationError, match='two routes are named "r"'):
        RoutesOptions.model_validate({"routes": [route, route]})


def test_the_fields_are_filled_in() -> None:
    then = Then.model_validate(
        {"outbox": "team", "conversation_id": "C1", "text": "#{{ event.payload.number }}: {{ content.text }}"}
    )
    assert then.outgoing(EVENT) == {"connector_instance": "team", "conversation_id": "C1", "text": "#7: It broke"}


def test_without_a_text_it_is_the_prompt_and_without_that_the_events() -> None:
    then = Then.model_validate({"outbox": "team"})
    assert then.outgoing(EVENT)["text"] == "It broke"
    assert then.outgoing({**EVENT, "prompt": "Look at it"})["text"] == "Look at it"


def test_an_action_has_its_input_with_its_types() -> None:
    then = Then.model_validate({"outbox": "gh", "action": "comment", "input": {"issue": "{{ event.payload.number }}"}})
    assert then.outgoing(EVENT)["input"] == {"issue": 7}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ event.payload.number }}", "7"),
        ("{{ event.payload.draft }}", "false"),
        ("{{ event.payload.labels }}", '["bug", "ui"]'),
        ("of {{ event.payload.labels }}", 'of ["bug", "ui"]'),
    ],
)
def test_a_text_is_a_text_whatever_is_at_the_place(template: str, text: str) -> None:
    """Weakness: an object was "[object Object]"."""
    assert Then.model_validate({"outbox": "team", "text": template}).outgoing(EVENT)["text"] == text


def test_what_is_not_there_is_no_empty_text() -> None:
    then = Then.model_validate({"outbox": "team", "text": "{{ event.payload.author }}"})
    with pytest.raises(NothingThere, match="event.payload.author is not there"):
        then.outgoing(EVENT)


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    then = Then.model_validate({"outbox": "team", "text": "{{ content.text }}"})
    assert then.outgoing({"content": {"text": "{{ secret }}"}, "secret": "s"})["text"] == "{{ secret }}"


class TestFirsts:
    def test_the_window_begins_with_the_first(self, tmp_path: Any) -> None:
        now = [1000.0]
        firsts = Firsts(tmp_path / "f.db", clock=lambda: now[0])
        assert firsts.first("r", "k", "e1", 60) == "e1"
        now[0] += 59
        assert firsts.first("r", "k", "e2", 60) == "e1"
        now[0] += 1
        assert firsts.first("r", "k", "e3", 60) == "e3"
        firsts.close()

    def test_a_clock_that_was_set_back_makes_no_window_longer(self, tmp_path: Any) -> None:
        now = [1000.0]
        firsts = Firsts(tmp_path / "f.db", clock=lambda: now[0])
        firsts.first("r", "k", "e1", 60)
        now[0] = 10.0
        assert firsts.first("r", "k", "e2", 60) == "e2"
        firsts.close()


def test_an_event_with_nothing_at_the_paths_is_like_no_other() -> None:
    assert Dedupe(by=["event.payload.gone"]).key(EVENT) is None
    assert Dedupe(by=["event.payload.gone", "id"]).key(EVENT) == '[null, "e1"]'
