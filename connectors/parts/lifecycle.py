"""The life of a coding agent's session, as its events tell it. Pure: no I/O.

phase       event.type         terminal  outcome
started     resource.changed   no        –
active      resource.changed   no        –
completed   actor.stopped      yes       success
failed      actor.stopped      yes       failure
stopped     actor.stopped      yes       cancelled

`event.payload.lifecycle` has phase, terminal, dedupe_key, and at the end outcome and reason; `event.payload.session`
has id, adapter, harness, and where they are known cwd, started_at, ended_at, exit_status.
`event.provenance.platform_event` is `session.<phase>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from connectors.base.message import Message, SourceEvent
from connectors.parts.events import moment_of

Phase = Literal["started", "active", "completed", "failed", "stopped"]
Outcome = Literal["success", "failure", "cancelled", "unknown"]
PHASES: tuple[Phase, ...] = get_args(Phase)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
TERMINAL = frozenset({"completed", "failed", "stopped"})
#: A shell says 128 and the signal's number of what a signal ended (POSIX.1-2017, Shell & Utilities, 2.8.2).
_SIGNALED = 128
_SIGNALS = {2: "sigint", 9: "sigkill", 15: "sigterm"}


@dataclass(frozen=True)
class Ending:
    """How a session ended."""

    phase: Phase
    outcome: Outcome
    reason: str


def ending(exit_status: int) -> Ending:
    """What an exit code says: 0 is success, above 128 a signal ended it, everything else is a failure."""
    if exit_status == 0:
        return Ending("completed", "success", "exit_code_0")
    if exit_status > _SIGNALED:
        number = exit_status - _SIGNALED
        return Ending("stopped", "cancelled", _SIGNALS.get(number, f"signal_{number}"))
    return Ending("failed", "failure", f"exit_code_{exit_status}")


def event_type(phase: str) -> str:
    """`actor.stopped` says only that it is over, not how."""
    return "actor.stopped" if phase in TERMINAL else "resource.changed"


def dedupe_key(harness: str, session_id: str, phase: str, mark: str = "") -> str:
    """The same for every telling of one fact. `active` happens often in a session: `mark` tells one from another."""
    return ":".join([harness, session_id, phase, *([mark] if mark else [])])


def problems(found: Message | SourceEvent) -> list[str]:
    """What is wrong with an event by the contract above, each with its field; empty when nothing is."""
    event = found.event if isinstance(found, Message) else found
    if event is None:
        return ["event: is missing"]
    for part in ("lifecycle", "session"):
        if not isinstance(event.payload.get(part), Mapping):
            return [f"payload.{part}: is missing"]
    phase = event.payload["lifecycle"].get("phase")
    if phase not in PHASES:
        return [f"payload.lifecycle.phase: {phase!r:.80} is none of {', '.join(PHASES)}"]
    return [*_of_the_phase(event, phase), *_of_the_session(event.payload["session"])]


def _of_the_phase(event: SourceEvent, phase: str) -> Iterator[str]:
    told, terminal = event.payload["lifecycle"], phase in TERMINAL
    if event.type != event_type(phase):
        yield f"type: {event_type(phase)} is the type of {phase}, not {event.type}"
    if told.get("terminal") is not terminal:
        yield f"payload.lifecycle.terminal: {terminal} is needed for {phase}"
    if terminal and told.get("outcome") not in OUTCOMES:
        yield f"payload.lifecycle.outcome: {told.get('outcome')!r:.80} is none of {', '.join(OUTCOMES)}"
    if not terminal and "outcome" in told:
        yield f"payload.lifecycle.outcome: {phase} has none yet"
    if not _is_text(told.get("dedupe_key")):
        yield "payload.lifecycle.dedupe_key: a text is needed"
    if not isinstance(told.get("reason", ""), str):
        yield "payload.lifecycle.reason: must be a text"
    if not _is_text(event.provenance.get("platform")):
        yield "provenance.platform: a text is needed"
    if event.provenance.get("platform_event") != f"session.{phase}":
        yield f"provenance.platform_event: session.{phase} is needed"


def _of_the_session(session: Mapping[str, Any]) -> Iterator[str]:
    for name in ("id", "harness"):
        if not _is_text(session.get(name)):
            yield f"payload.session.{name}: a text is needed"
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "adapter": (_is_text, "a text"),
        "cwd": (lambda value: isinstance(value, str), "a text"),
        "started_at": (_is_time, "a time (ISO 8601, with a zone)"),
        "ended_at": (_is_time, "a time (ISO 8601, with a zone)"),
        "exit_status": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    }
    for name, (is_right, what) in checks.items():
        if name in session and not is_right(session[name]):
            yield f"payload.session.{name}: must be {what}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and moment_of(value) is not None
    except ValueError:
        return False
