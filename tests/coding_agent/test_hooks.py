"""The contract to the letter: what a posted hook says, and the event that it becomes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from connectors.base.message import Message
from connectors.coding_agent.hooks import Identity, Unclear, event_of
from connectors.testing import assert_lifecycle_conformance

NOW = "2025-01-15T10:30:00.000000+00:00"
OPENCODE = Identity("coding-agent", "opencode", "opencode", "opencode")
EXAMPLE = {
    "session_id": "sess-abc123",
    "working_directory": "/home/user/my-project",
    "duration_seconds": 120,
    "exit_status": 0,
    "summary": "Implemented auth module and added tests",
}


def told(payload: dict[str, Any], identity: Identity = OPENCODE, **how: Any) -> Message:
    mark = hashlib.sha256(json.dumps(payload).encode()).hexdigest()
    message = event_of(payload, identity, mark=mark, now=NOW, **how)
    assert_lifecycle_conformance(message)
    return message


def lifecycle(payload: dict[str, Any], **how: Any) -> dict[str, Any]:
    event = told(payload, **how).event
    assert event is not None
    found: dict[str, Any] = event.payload["lifecycle"]
    return found


def test_the_example_of_the_contract_becomes_the_event_of_the_contract() -> None:
    message = told(EXAMPLE)
    event = message.event
    assert event is not None
    assert event.id == message.id
    assert message.id.startswith("evt_")
    assert len(message.id) == len("evt_") + 16
    assert (event.type, message.connector.instance, message.timestamp) == ("actor.stopped", "opencode", NOW)
    assert event.provenance == {
        "platform": "opencode",
        "platform_event": "session.completed",
        "author": "opencode",
        "author_type": "bot",
        "session_id": "sess-abc123",
        "working_directory": "/home/user/my-project",
    }
    assert event.payload == {
        "lifecycle": {
            "phase": "completed",
            "terminal": True,
            "outcome": "success",
            "reason": "exit_code_0",
            "dedupe_key": "opencode:sess-abc123:completed",
        },
        "session": {
            "id": "sess-abc123",
            "adapter": "opencode",
            "harness": "opencode",
            "cwd": "/home/user/my-project",
            "ended_at": NOW,
            "exit_status": 0,
        },
        **EXAMPLE,
    }


@pytest.mark.parametrize(
    ("exit_status", "phase", "outcome", "reason"),
    [
        (0, "completed", "success", "exit_code_0"),
        (None, "completed", "success", "exit_code_0"),
        (1, "failed", "failure", "exit_code_1"),
        (127, "failed", "failure", "exit_code_127"),
        (128, "failed", "failure", "exit_code_128"),
        (129, "stopped", "cancelled", "signal_1"),
        (130, "stopped", "cancelled", "sigint"),
        (137, "stopped", "cancelled", "sigkill"),
        (139, "stopped", "cancelled", "signal_11"),
        (143, "stopped", "cancelled", "sigterm"),
        (255, "stopped", "cancelled", "signal_127"),
        (-1, "failed", "failure", "exit_code_-1"),
        # Weakness: the text "0" was a failure whose reason was exit_code_0.
        ("0", "completed", "success", "exit_code_0"),
        ("143", "stopped", "cancelled", "sigterm"),
    ],
)
def test_the_exit_status_says_how_it_ended(exit_status: Any, phase: str, outcome: str, reason: str) -> None:
    found = lifecycle({"session_id": "s", "exit_status": exit_status})
    assert (found["phase"], found["outcome"], found["reason"]) == (phase, outcome, reason)
    assert found["dedupe_key"] == f"opencode:s:{phase}"


def test_a_start_is_not_terminal_and_has_no_exit_status() -> None:
    """Weakness: exit_status 0 stood in the payload of a session that had only begun."""
    event = told({"session_id": "s", "hook_type": "start", "exit_status": 7, "cwd": "/w"}).event
    assert event is not None
    assert event.type == "resource.changed"
    assert event.payload["lifecycle"] == {"phase": "started", "terminal": False, "dedupe_key": "opencode:s:started"}
    assert event.payload["session"]["started_at"] == NOW
    assert "exit_status" not in event.payload
    assert "ended_at" not in event.payload["session"]


@pytest.mark.parametrize(
    ("fields", "folder"),
    [
        ({"working_directory": "/w", "cwd": "/c"}, "/w"),
        ({"cwd": "/c"}, "/c"),
        ({"working_directory": None, "cwd": "/c"}, "/c"),
        # Weakness: an empty working_directory hid the cwd.
        ({"working_directory": "", "cwd": "/c"}, "/c"),
    ],
)
def test_cwd_is_another_name_for_working_directory(fields: dict[str, Any], folder: str) -> None:
    event = told({"session_id": "s", **fields}).event
    assert event is not None
    assert (event.payload["working_directory"], event.payload["session"]["cwd"]) == (folder, folder)
    assert event.provenance["working_directory"] == folder


def test_the_timestamp_is_when_it_happened() -> None:
    """Weakness: it was accepted and ignored."""
    message = told({"session_id": "s", "timestamp": "2025-01-15T11:30:00.5+01:00"})
    assert message.timestamp == "2025-01-15T10:30:00.500000+00:00"
    assert message.event is not None
    assert message.event.payload["session"]["ended_at"] == message.timestamp
    assert told({"session_id": "s", "timestamp": "2025-01-15T10:30:00"}).timestamp == NOW


def test_transcript_model_and_meta_come_through() -> None:
    """Weakness: each connector of the family dropped some of them."""
    given = {"transcript_path": "/t.jsonl", "model": "m-1", "meta": {"ticket": 7}}
    event = told({"session_id": "s", **given}).event
    assert event is not None
    assert {name: event.payload[name] for name in given} == given
    assert event.payload["session"]["meta"] == {"ticket": 7}


def test_platform_and_harness_may_differ_and_the_key_is_the_harness_s() -> None:
    """Weakness: the key was made of the platform, against the contract."""
    identity = Identity("coding-agent", "night-shift", "builders", "codex")
    event = told({"session_id": "s"}, identity).event
    assert event is not None
    assert event.payload["session"]["adapter"] == event.provenance["platform"] == "builders"
    assert event.payload["session"]["harness"] == "codex"
    assert event.payload["lifecycle"]["dedupe_key"] == "codex:s:completed"


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        # Weakness: without a session_id the key held the text "undefined", and the answer was 200.
        ({}, ["session_id is missing"]),
        ({"session_id": ""}, ["session_id"]),
        ({"session_id": None}, ["session_id"]),
        ({"session_id": "x" * 1001}, ["session_id"]),
        ({"session_id": "\ud800"}, ["session_id"]),
        ({"session_id": {"a": 1}, "exit_status": "boom", "cwd": 7.5}, ["session_id", "exit_status"]),
        ({"session_id": "s", "exit_status": True}, ["exit_status"]),
        ({"session_id": "s", "exit_status": 1.5}, ["exit_status"]),
        ({"session_id": "s", "exit_status": [0]}, ["exit_status"]),
        ({"session_id": "s", "duration_seconds": float("inf")}, ["duration_seconds"]),
        # Weakness: any other hook_type counted as stop.
        ({"session_id": "s", "hook_type": "stopp"}, ["hook_type"]),
        ({"session_id": "s", "timestamp": "yesterday"}, ["timestamp"]),
        ({"session_id": "s", "timestamp": "0001-01-01T00:00:00+23:59"}, ["timestamp"]),
        ({"session_id": "s", "summary": ["a"]}, ["summary"]),
    ],
)
def test_what_is_unclear_is_refused_and_every_problem_is_named(payload: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(Unclear) as caught:
        event_of(payload, OPENCODE, mark="m")
    assert [name for name in named if name not in str(caught.value)] == []


def test_a_number_is_an_id_too() -> None:
    """Weakness: it stayed a number, and was another session than the same id as a text."""
    event = told({"session_id": 42}).event
    assert event is not None
    assert event.payload["session"]["id"] == "42"


def test_all_that_is_told_of_a_session_has_one_trace_and_one_conversation() -> None:
    first, last = told({"session_id": "s", "hook_type": "start"}), told({"session_id": "s"})
    assert first.event is not None
    assert last.event is not None
    assert first.event.trace_id == last.event.trace_id != told({"session_id": "t"}).event.trace_id  # type: ignore[union-attr]
    assert first.conversation.id == last.conversation.id == "s"


# ── what the tools say themselves ─────────────────────────────────────────────────────────────────────────────

CLAUDE = {
    "session_id": "abc123",
    "transcript_path": "/home/u/.claude/projects/p/abc123.jsonl",
    "cwd": "/home/u/p",
    "permission_mode": "default",
}
CODEX_NOTIFY = {
    "type": "agent-turn-complete",
    "thread-id": "b5f6c1c2-1111-2222-3333-444455556666",
    "turn-id": "12345",
    "cwd": "/home/u/p",
    "input-messages": ["Rename foo to bar"],
    "last-assistant-message": "Renamed it.",
}


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        ({**CLAUDE, "hook_event_name": "SessionStart", "source": "startup"}, "started"),
        ({**CLAUDE, "hook_event_name": "SessionEnd", "reason": "prompt_input_exit"}, "completed"),
        ({**CLAUDE, "hook_event_name": "Stop", "stop_hook_active": False, "last_assistant_message": "Done."}, "active"),
        ({**CLAUDE, "hook_event_name": "StopFailure", "error": "rate_limit"}, "active"),
        ({**CLAUDE, "hook_event_name": "Stop", "hook_type": "stop"}, "completed"),
        (CODEX_NOTIFY, "active"),
        ({"session_id": "s", "type": "whatever"}, "completed"),
    ],
)
def test_the_end_of_a_turn_is_not_the_end_of_the_session(said: dict[str, Any], phase: str) -> None:
    """Weakness: a hook at the end of each turn told of a completed session again and again."""
    assert lifecycle(said)["phase"] == phase


def test_what_a_tool_says_in_its_own_words_is_kept() -> None:
    codex = told(CODEX_NOTIFY)
    assert codex.content.text == "Renamed it."
    assert codex.conversation.id == CODEX_NOTIFY["thread-id"]
    claude = told({**CLAUDE, "hook_event_name": "SessionEnd", "reason": "logout"})
    assert claude.event is not None
    assert claude.event.payload["meta"] == {"hook_event_name": "SessionEnd", "reason": "logout"}
    assert claude.event.payload["transcript_path"] == CLAUDE["transcript_path"]


def test_each_turn_has_a_key_of_its_own() -> None:
    """Weakness: all active events of a session shared one dedupe_key."""
    keys = {lifecycle({**CLAUDE, "hook_event_name": "Stop", "turn_id": turn})["dedupe_key"] for turn in ("1", "2")}
    assert len(keys) == 2


# ── identity ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bytes_are_the_same_event_and_others_another() -> None:
    assert told(EXAMPLE).id == told(EXAMPLE).id
    assert told(EXAMPLE).id != told({**EXAMPLE, "duration_seconds": 121}).id
    assert told(EXAMPLE).id != told(EXAMPLE, Identity("coding-agent", "other", "opencode", "opencode")).id


def test_once_a_phase_the_dedupe_key_is_the_identity() -> None:
    """Weakness: nothing read the dedupe_key."""
    again = {**EXAMPLE, "duration_seconds": 121, "timestamp": NOW}
    assert told(EXAMPLE, once_a_phase=True).id == told(again, once_a_phase=True).id
    assert told(EXAMPLE, once_a_phase=True).id != told({**again, "exit_status": 1}, once_a_phase=True).id
