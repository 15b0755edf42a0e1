"""The contract of a session's life, and what an event does wrong by it."""

from typing import Any

import pytest

from connectors.parts.lifecycle import PHASES, TERMINAL, dedupe_key, ending, event_type, problems
from connectors.testing import create_lifecycle_event, create_test_event


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_has_an_event_that_conforms(phase: Any) -> None:
    assert problems(create_lifecycle_event(phase)) == []


def test_the_type_says_that_it_is_over_and_not_how() -> None:
    assert {event_type(phase) for phase in TERMINAL} == {"actor.stopped"}
    assert {event_type(phase) for phase in PHASES if phase not in TERMINAL} == {"resource.changed"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lifecycle_fields": {"phase": "done"}}, "payload.lifecycle.phase"),
        ({"lifecycle_fields": {"terminal": False}}, "payload.lifecycle.terminal"),
        ({"lifecycle_fields": {"outcome": "great"}}, "payload.lifecycle.outcome"),
        ({"lifecycle_fields": {"outcome": None}}, "payload.lifecycle.outcome"),
        ({"lifecycle_fields": {"dedupe_key": ""}}, "payload.lifecycle.dedupe_key"),
        ({"lifecycle_fields": {"reason": 7}}, "payload.lifecycle.reason"),
        ({"session_fields": {"id": ""}}, "payload.session.id"),
        ({"session_fields": {"harness": ""}}, "payload.session.harness"),
        ({"session_fields": {"harness": 7}}, "payload.session.harness"),
        ({"session_fields": {"cwd": 7}}, "payload.session.cwd"),
        ({"session_fields": {"exit_status": "0"}}, "payload.session.exit_status"),
        # Weakness: the format of the times was not looked at.
        ({"session_fields": {"started_at": "yesterday"}}, "payload.session.started_at"),
        ({"session_fields": {"ended_at": 7}}, "payload.session.ended_at"),
        # Weakness: an outcome before the end was accepted.
        ({"phase": "started", "lifecycle_fields": {"outcome": "success"}}, "payload.lifecycle.outcome"),
        ({"phase": "started", "lifecycle_fields": {"terminal": True}}, "payload.lifecycle.terminal"),
    ],
)
def test_each_wrong_field_is_named(fields: dict[str, Any], named: str) -> None:
    [problem] = problems(create_lifecycle_event(**fields))
    assert problem.startswith(f"{named}: ")


def test_type_and_provenance_have_to_fit_the_phase() -> None:
    """Weakness: the rules for the provenance were in no check."""
    event = create_lifecycle_event("completed").event
    assert event is not None
    wrong = event.model_copy(update={"type": "resource.changed", "provenance": {"platform_event": "session.failed"}})
    found = problems(wrong)
    assert [one.partition(":")[0] for one in found] == ["type", "provenance.platform", "provenance.platform_event"]


def test_an_event_of_something_else_says_what_it_lacks() -> None:
    assert problems(create_test_event()) == ["payload.lifecycle: is missing"]
    assert problems(create_test_event(payload={"lifecycle": {}})) == ["payload.session: is missing"]
    assert problems(create_test_event(event=None)) == ["event: is missing"]


def test_the_key_is_made_of_harness_session_and_phase() -> None:
    assert dedupe_key("codex", "s1", "completed") == "codex:s1:completed"
    assert dedupe_key("codex", "s1", "active", "01ab") == "codex:s1:active:01ab"


def test_a_signal_without_a_name_has_its_number() -> None:
    assert ending(128 + 6).reason == "signal_6"
