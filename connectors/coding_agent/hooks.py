"""What a coding agent's hook says, read strictly, and the event that it becomes. Pure: no I/O.

Besides the fields of the contract these are understood, so that what a tool gives its hooks may be sent as it is:

Claude Code  https://code.claude.com/docs/en/hooks (hook_event_name, last_assistant_message, model, reason, source …)
Codex        https://developers.openai.com/codex/hooks, the same words; and `notify` of
             https://developers.openai.com/codex/config-advanced, which says thread-id and last-assistant-message
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender, SourceEvent, utc_now
from connectors.parts import lifecycle
from connectors.parts.events import moment_of
from connectors.parts.lifecycle import Phase

#: What a tool calls an event -> what that is in a session's life.
_EVENT_NAMES = {"SessionStart": "start", "SessionEnd": "stop"}
_TURN_ENDS = "agent-turn-complete"
#: What is kept of a tool's own words, in `meta`.
_OWN_WORDS = ("hook_event_name", "type", "source", "reason", "error", "turn_id", "turn-id", "agent_type")
_TEXT_MAX = 1000


class Unclear(ValueError):
    """What was said is no hook; the text names every problem."""


@dataclass(frozen=True)
class Identity:
    """Whose events they are: the connector's type and instance, and the names that they carry."""

    connector_type: str
    instance: str
    platform: str
    harness: str


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic makes a problem of this one
    return value


def _moment(value: str) -> str:
    """Without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 time") from None
    return moment_of(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) or utc_now()


_Status = Annotated[int, BeforeValidator(_no_bool)]
_Number = Annotated[int | float, BeforeValidator(_no_bool)]
_Moment = Annotated[str, AfterValidator(_moment)]


class Hook(BaseModel):
    """The body of a hook. Numbers may come as texts, ids as numbers; what is not known is ignored."""

    model_config = ConfigDict(
        frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False, populate_by_name=True, hide_input_in_errors=True
    )

    session_id: str = Field(
        min_length=1, max_length=_TEXT_MAX, validation_alias=AliasChoices("session_id", "thread-id")
    )
    working_directory: str | None = None
    cwd: str | None = None
    duration_seconds: _Number | None = None
    exit_status: _Status | None = None
    summary: str | None = Field(
        default=None, validation_alias=AliasChoices("summary", "last_assistant_message", "last-assistant-message")
    )
    hook_type: Literal["start", "stop", "active"] | None = None
    timestamp: _Moment | None = None
    transcript_path: str | None = None
    model: str | None = None
    meta: Any = None

    @property
    def folder(self) -> str:
        return self.working_directory or self.cwd or ""


def read(payload: dict[str, Any]) -> Hook:
    """Raises Unclear, with every problem named."""
    try:
        return Hook.model_validate(payload)
    except ValidationError as error:
        raise Unclear("; ".join(_problem(detail) for detail in error.errors(include_url=False))) from None


def event_of(
    payload: dict[str, Any], identity: Identity, *, mark: str, once_a_phase: bool = False, now: str | None = None
) -> Message:
    """The one event of a hook. `mark` stands for its bytes; with `once_a_phase` the session and the phase do.

    Raises Unclear.
    """
    hook = read(payload)
    at = hook.timestamp or now or utc_now()
    word = _word(hook, payload)
    end = lifecycle.ending(hook.exit_status or 0) if word == "stop" else None
    phase: Phase = end.phase if end is not None else "started" if word == "start" else "active"
    told: dict[str, Any] = {"phase": phase, "terminal": end is not None}
    key = lifecycle.dedupe_key(identity.harness, hook.session_id, phase, mark[:8] if phase == "active" else "")
    if end is not None:
        told |= {"outcome": end.outcome, "reason": end.reason}
    event_id = f"evt_{_hex(identity.instance, key if once_a_phase else mark)}"
    name = f"session.{phase}"
    title = f"{identity.harness}: session {phase}{f' ({end.reason})' if end is not None else ''}"
    return Message(
        id=event_id,
        timestamp=at,
        connector=ConnectorInfo(type=identity.connector_type, instance=identity.instance),
        sender=Sender(id=identity.platform, username=identity.platform, is_bot=True),
        content=Content(text=hook.summary or title),
        conversation=Conversation(id=hook.session_id, name=PurePath(hook.folder).name),
        kind="event",
        event=SourceEvent(
            id=event_id,
            type=lifecycle.event_type(phase),
            platform_event=name,
            provenance=_provenance(hook, identity, name),
            payload=_payload(hook, payload, {**told, "dedupe_key": key}, identity, at),
            trace_id=f"trc_{_hex(identity.harness, hook.session_id)}",
            occurred_at=at,
            title=title,
        ),
    )


def _provenance(hook: Hook, identity: Identity, platform_event: str) -> dict[str, Any]:
    found = {
        "platform": identity.platform,
        "platform_event": platform_event,
        "author": identity.platform,
        "author_type": "bot",
        "session_id": hook.session_id,
    }
    return {**found, "working_directory": hook.folder} if hook.folder else found


def _payload(hook: Hook, payload: dict[str, Any], told: dict[str, Any], identity: Identity, at: str) -> dict[str, Any]:
    """The contract's two objects and, beside them, what was posted."""
    ended = told["terminal"]
    session: dict[str, Any] = {"id": hook.session_id, "adapter": identity.platform, "harness": identity.harness}
    if hook.folder:
        session["cwd"] = hook.folder
    if told["phase"] == "started":
        session["started_at"] = at
    if ended:
        session |= {"ended_at": at, "exit_status": hook.exit_status or 0}
    meta = hook.meta
    if meta is None:
        meta = {name: payload[name] for name in _OWN_WORDS if isinstance(payload.get(name), str | int)}
    elif meta:
        session["meta"] = meta
    flat = {
        "session_id": hook.session_id,
        "working_directory": hook.folder,
        **({"duration_seconds": hook.duration_seconds or 0, "exit_status": hook.exit_status or 0} if ended else {}),
        "summary": hook.summary or "",
        "transcript_path": hook.transcript_path,
        "model": hook.model,
        "meta": meta or None,
    }
    return {"lifecycle": told, "session": session, **{name: value for name, value in flat.items() if value is not None}}


def _word(hook: Hook, payload: dict[str, Any]) -> str:
    """The contract's `hook_type`, by default stop. Of a tool's own events all others happen while the session lives."""
    if hook.hook_type is not None:
        return hook.hook_type
    name = payload.get("hook_event_name")
    if isinstance(name, str) and name:
        return _EVENT_NAMES.get(name, "active")
    return "active" if payload.get("type") == _TURN_ENDS else "stop"


def _problem(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "the body"
    if detail["type"] == "missing":
        return f"{name} is missing"
    said = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{name}: {said[0].lower()}{said[1:]}"


def _hex(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
