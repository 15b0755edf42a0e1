"""A connector with actions whose platform is a folder of append-only files, so that a test can count."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage, Receipt
from connectors.parts.actions import Action, ActionConnector, ActionOptions, Call
from connectors.parts.polling import Event, PollResult, SourceConnector, SourceOptions
from connectors.testing.process import RunningConnector
from tests.helpers import wait_for

NAME = "issues-main"


class Assign(BaseModel):
    issue: int = Field(gt=0)
    assignee: str
    note: str = ""


class Assigned(BaseModel):
    issue: int
    assignee: str


def runs(home: Path) -> list[dict[str, Any]]:
    """Every run of a handler, in order."""
    file = home / "platform"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def assign(connector: IssuesConnector, given: Assign, call: Call) -> Any:
    """Does what `given.note` says after it is done."""
    run = {
        "action": call.action,
        "key": call.key,
        "by": call.approved_by,
        "again": call.ambiguous,
        **given.model_dump(),
    }
    before = runs(connector.seed_home)
    if given.note == "not now" and len(before) < 2:
        connector.record(run)
        raise RetryLater("the platform is away")
    connector.record(run)
    if given.note == "refused":
        raise Rejected("there is no such issue", hint="look it up")
    if given.note == "die once" and not before:
        os.kill(os.getpid(), signal.SIGKILL)
    if given.note == "cut":
        raise RetryLater("no answer", ambiguous=True)
    if given.note == "cut once" and not before:
        raise RetryLater("no answer", ambiguous=True)
    if given.note == "bug":
        raise KeyError("oops")
    if given.note == "nonsense":
        return {"issue": "seven"}
    return Assigned(issue=given.issue, assignee=given.assignee)


class IssuesConnector(ActionConnector):
    """Issues that can be assigned."""

    connector_type = "issues"
    actions = (
        Action("assign", assign, description="Assign an issue.", input=Assign, output=Assigned),
        Action("assign_again", assign, input=Assign, output=Assigned, idempotent=True),
        Action("assign_asked", assign, input=Assign, output=Assigned, requires_approval=True),
        Action("assign_asked_again", assign, input=Assign, output=Assigned, requires_approval=True, idempotent=True),
        Action("wipe", assign, input=Assign, destructive=True, expires_after_s=3600),
    )

    def record(self, run: dict[str, Any]) -> None:
        fd = os.open(self.seed_home / "platform", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, json.dumps(run).encode() + b"\n")
        finally:
            os.close(fd)

    def send_message(self, msg: OutgoingMessage) -> bool | Receipt:
        self.record({"action": "send", "text": msg.text})
        return True


class IssuesSource(IssuesConnector, SourceConnector):
    """Polls, too."""

    class Options(ActionOptions, SourceOptions):
        pass

    def poll(self, checkpoint: Any) -> PollResult:
        return PollResult([Event("1", "an issue")], checkpoint=1)


class SourceWithIssues(SourceConnector, IssuesConnector):
    """The other way round."""

    class Options(ActionOptions, SourceOptions):
        pass

    def poll(self, checkpoint: Any) -> PollResult:
        return PollResult([Event("1", "an issue")], checkpoint=1)


class NewerIssuesConnector(IssuesConnector):
    version = "2"


def drop(home: Path, name: str, action: str = "assign", **fields: Any) -> None:
    """Write an outgoing as an agent does, whole at once."""
    given = {"issue": 7, "assignee": "ada", **fields.pop("input", {})}
    folder = Home(home).outbox(NAME)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}"
    data = {"action": action, "input": given, **fields} if action != "send" else fields
    part.write_text(json.dumps(data))
    part.rename(folder / f"{name}.json")


def running(home: Path, cls: type[Connector] = IssuesConnector, **given: Any) -> RunningConnector:
    given.setdefault("config", {})
    return RunningConnector(cls, home, NAME, **given)


def results(home: Path) -> list[dict[str, Any]]:
    """What the action_result events say, in order of arrival."""
    return [event["metadata"]["action_result"] for event in events(home, "action_result")]


def events(home: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_bytes()) for path in sorted(Home(home).inbox.glob("*.json"))]
    return [event for event in found if event.get("kind") == kind]


def result(home: Path, count: int = 1) -> dict[str, Any]:
    """The newest of so many."""
    found = wait_for(lambda: results(home) if len(results(home)) >= count else [], deadline_s=20)
    assert len(found) == count
    return found[-1]


def receipts(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(Home(home).sent(NAME).glob("*.json"))]


def reasons(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(Home(home).failed.glob("*.reason.json"))]
