"""Events to test with: whole and valid, with what a test cares about given and the rest made up."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender, SourceEvent, utc_now
from connectors.parts import lifecycle
from connectors.parts.lifecycle import Ending, Phase

_STARTED = datetime(2026, 1, 1, tzinfo=UTC)
_ENDINGS = {
    "completed": Ending("completed", "success", "exit_code_0"),
    "failed": Ending("failed", "failure", "exit_code_1"),
    "stopped": Ending("stopped", "cancelled", "sigterm"),
}
_STATUS = {"completed": 0, "failed": 1, "stopped": 143}


def create_test_event(
    *,
    source: str = "test-source",
    type: str = "resource.changed",  # noqa: A002 - the field's name
    provenance: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    text: str = "a test event",
    **fields: Any,
) -> Message:
    """An event as a source of the name `source` writes it into the inbox; `fields` are further ones of Message.

    Each has its own random id. What is given of `provenance` and `payload` stands in place of the default as a whole.
    """
    about = {"platform": "test", "author": "test-author", "author_type": "team_member"}
    about = dict(about if provenance is None else provenance)
    event_id = str(fields.pop("id", f"evt_{secrets.token_hex(8)}"))
    author, platform_event = str(about.get("author", "test-author")), about.get("platform_event")
    given = {
        "timestamp": utc_now(),
        "connector": ConnectorInfo(type=str(about.get("platform", "test")), instance=source),
        "sender": Sender(id=author, username=author, is_bot=about.get("author_type") == "bot"),
        "content": Content(text=text),
        "conversation": Conversation(id="test-conversation"),
        "kind": "message" if type == "message.received" else "event",
        "event": SourceEvent(
            id=event_id if event_id.startswith("evt_") else f"evt_{secrets.token_hex(8)}",
            type=type,
            platform_event=platform_event if isinstance(platform_event, str) else None,
            provenance=about,
            payload=dict({"test": True} if payload is None else payload),
            trace_id=f"trc_{secrets.token_hex(8)}",
        ),
    }
    return Message.from_dict({"id": event_id, **given, **fields})


def create_test_context(
    event: Message | None = None, *, route: str = "test-route", prompt: str = "", **overrides: Any
) -> dict[str, Any]:
    """What the template and the filter of a route see of an event: its fields, `route` and `prompt`."""
    data = (event or create_test_event()).to_dict()
    return {**data, "route": {"name": route}, "prompt": prompt, "prompt_meta": {}, **overrides}


def create_lifecycle_event(
    phase: Phase = "completed",
    *,
    harness: str = "claude-code",
    session_id: str = "test-sess-001",
    cwd: str = "/tmp/test",  # noqa: S108 - data, no file
    source: str | None = None,
    exit_status: int | None = None,
    lifecycle_fields: Mapping[str, Any] | None = None,
    session_fields: Mapping[str, Any] | None = None,
) -> Message:
    """An event of a coding agent's session that fits its phase, or, with `exit_status`, the phase that fits that.

    `lifecycle_fields` and `session_fields` go over `payload.lifecycle` and `payload.session`, to make it wrong.
    """
    end = lifecycle.ending(exit_status) if exit_status is not None else _ENDINGS.get(phase)
    phase = end.phase if end is not None else phase
    told: dict[str, Any] = {"phase": phase, "terminal": end is not None}
    session: dict[str, Any] = {"id": session_id, "adapter": harness, "harness": harness, "cwd": cwd}
    session["started_at"] = _STARTED.isoformat()
    if end is not None:
        told |= {"outcome": end.outcome, "reason": end.reason}
        session["ended_at"] = (_STARTED + timedelta(minutes=5)).isoformat()
        session["exit_status"] = _STATUS[phase] if exit_status is None else exit_status
    told["dedupe_key"] = lifecycle.dedupe_key(harness, session_id, phase)
    return create_test_event(
        source=source or harness,
        type=lifecycle.event_type(phase),
        provenance={
            "platform": harness,
            "platform_event": f"session.{phase}",
            "author": harness,
            "author_type": "bot",
            "session_id": session_id,
            "working_directory": cwd,
        },
        payload={
            "lifecycle": {**told, **(lifecycle_fields or {})},
            "session": {**session, **(session_fields or {})},
            "session_id": session_id,
            "working_directory": cwd,
        },
        text=f"{harness}: session {phase}",
        conversation=Conversation(id=session_id),
    )
