"""Held events: durable and acknowledged, in staging until their files are there or their time limit has passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base.message import Message

if TYPE_CHECKING:
    from connectors.base.intake import Intake

#: For an event of which nobody says how long it may wait for its files.
LIMIT_S = 60.0


@dataclass(frozen=True)
class Held:
    """A held event. Of its `limit_s` seconds `left_s` are left; those in which nothing ran have passed as well."""

    message: Message
    limit_s: float
    left_s: float


def to_fetch(entry: Mapping[str, Any]) -> bool:
    """Whether an attachment's entry names a file that is still to be fetched."""
    return bool(entry.get("ref")) and _is_missing(entry)


def give_up(intake: Intake, *, all_of_it: bool) -> float | None:
    """Publish what nobody fetches files for, each file that is not there as a placeholder with its reason.

    Not `all_of_it`: those whose time limit has passed. Returns in how many seconds that of another one does.
    """
    held = intake.held()
    late = held if all_of_it else _due(held)
    for one in late:
        why = "not fetched: the connector was stopped" if one.left_s else f"not fetched within {one.limit_s:g} s"
        try:
            intake.release(_with_placeholders(one.message, why))
        except ValueError:
            continue  # published meanwhile
    return min((one.left_s for one in held if one not in late and one.left_s), default=None)


def _due(held: Sequence[Held]) -> list[Held]:
    """Those that wait neither for files nor, for the order's sake, for one of their conversation that does."""
    found, kept_back = [], set()
    for one in held:
        conversation = one.message.conversation.id
        waits = one.left_s > 0 and any(map(_is_missing, one.message.content.attachments))
        if waits or conversation in kept_back:
            kept_back.add(conversation)
        else:
            found.append(one)
    return found


def _with_placeholders(message: Message, why: str) -> Message:
    files = [{**entry, "error": why} if _is_missing(entry) else entry for entry in message.content.attachments]
    return message.model_copy(update={"content": message.content.model_copy(update={"attachments": files})})


def _is_missing(entry: Mapping[str, Any]) -> bool:
    return not entry.get("path") and not entry.get("error")
