"""What an action's answer says, and the inbox event that carries it. Pure."""

from __future__ import annotations

import json
from typing import Any

from connectors.base.errors import BadMessage
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Reason, Sender, utc_now
from connectors.base.store import OutRow, OutState
from connectors.parts.ledger import Entry, State


def event_id(entry: Entry, instance: str) -> str:
    """Derived from the claim: a repeated answer is the same event. A person's retry has a number of its own."""
    again = f":{entry.round + 1}" if entry.round else ""
    return f"action_result:{instance}:{entry.claim}{again}"


def event_of(entry: Entry, instance: str, connector_type: str) -> Message:
    """The event of kind `action_result` of an entry that is done."""
    answer, origin, decision = entry.result or {}, entry.origin, entry.decision
    status = answer["status"]
    told: dict[str, Any] = {
        "action": entry.action,
        "status": status,
        "idempotency_key": entry.key,
        "outgoing": origin.get("outgoing"),
        "input": json.loads(entry.input),
        "output": answer.get("output"),
    }
    if status != "ok":
        told |= {"error": answer["error"], "hint": answer["hint"]}
    if entry.request is not None:
        told["approval"] = {"id": entry.request["id"], "expires_at": entry.request["expires_at"]}
    if decision is not None:
        told["approval"] |= {name: decision[name] for name in ("verdict", "by", "why", "at")}
        told["approval"]["edited"] = decision["input"] is not None
    return Message(
        id=event_id(entry, instance),
        kind="action_result",
        timestamp=answer["at"],
        connector=ConnectorInfo(type=connector_type, instance=instance),
        sender=Sender(id="connector", username="connector", is_bot=True),
        content=Content(text=f"{entry.action}: {'done' if status == 'ok' else answer['error']}"),
        conversation=Conversation(
            id=origin.get("conversation_id") or "",
            thread_id=origin.get("thread_id"),
            reply_to=origin.get("reply_to"),
        ),
        metadata={"action_result": told},
    )


def result(
    status: str, error: str = "", hint: str = "", *, spent: bool = False, reason_class: str = "rejected"
) -> dict[str, Any]:
    return {
        "status": status, "error": error, "hint": hint, "spent": spent, "reason_class": reason_class, "at": utc_now(),
    }  # fmt: skip


def cut_off(why: str) -> dict[str, Any]:
    return result(
        "ambiguous",
        f"it is not known whether it was done: {why}",
        "look on the platform; then `connectors failed retry` or `connectors failed drop`",
        spent=True,
        reason_class="ambiguous",
    )


def given_up(entry: Entry, row: OutRow | None) -> dict[str, Any]:
    """What the engine's end of the outgoing means for its action."""
    if entry.state is State.RUNNING:
        return cut_off("its attempts were given up")
    if row is None or row.state is not OutState.DEAD:
        return result("cancelled", "its outgoing was taken back")
    try:
        reason = Reason.from_json(row.error)
    except BadMessage:
        return result("failed", "its outgoing was given up", "connectors failed list")
    return result("expired" if reason.class_ == "expired" else "failed", reason.reason, reason.hint)
