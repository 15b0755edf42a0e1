"""The actions: their shapes, who must agree, and what they do.

What adds to a conversation that is there (`comment`, `assign_issue`) runs at once; what opens a new one before
everybody's eyes, or ends one, asks a person first. An instance may have it otherwise: `actions: {comment: ask}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from connectors.base.errors import Rejected
from connectors.github.writing import TEXT_MAX, Target
from connectors.parts.contract import Action, Call

if TYPE_CHECKING:
    from connectors.github.connector import GithubConnector
    from connectors.github.writing import Writer

_Login = Annotated[str, StringConstraints(pattern=r"^@?[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})(?:\[bot\])?$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: https://docs.github.com/en/rest/issues/assignees#add-assignees-to-an-issue
_MOST_ASSIGNEES = 10


class OnIssue(BaseModel):
    """What is done to an issue or a pull request."""

    repository: str | None = Field(None, description="owner/name; may be left out where the instance has only one.")
    issue: int = Field(gt=0, description="The number of the issue or pull request.")


class AssignIssue(OnIssue):
    """Who is to look after it. Who is assigned already stays so."""

    assignees: list[_Login] = Field(min_length=1, max_length=_MOST_ASSIGNEES, description="Account names.")


class CloseIssue(OnIssue):
    """Why it is closed."""

    reason: Literal["completed", "not_planned"] = Field("completed", description="What GitHub shows as the reason.")


class Comment(OnIssue):
    """What is said."""

    body: str = Field(min_length=1, max_length=TEXT_MAX, description="The text, in GitHub's Markdown.")


class CreateIssue(BaseModel):
    """The new issue."""

    repository: str | None = Field(None, description="owner/name; may be left out where the instance has only one.")
    title: str = Field(min_length=1, max_length=256, description="One line.")
    body: str = Field("", max_length=TEXT_MAX, description="The text, in GitHub's Markdown.")
    labels: list[_Name] = Field([], max_length=100, description="Names of labels; the token must be allowed to push.")
    assignees: list[_Login] = Field([], max_length=_MOST_ASSIGNEES, description="Account names; the same holds.")


class IssueState(BaseModel):
    """The issue as GitHub has it then. `ignored`: what GitHub did not do, and does not speak of."""

    repository: str
    issue: int
    url: str
    state: str
    assignees: list[str]
    labels: list[str]
    ignored: list[str] = []


class Posted(BaseModel):
    """The comment that is there now."""

    repository: str
    issue: int
    comment_id: int
    url: str


def assign_issue(connector: GithubConnector, given: AssignIssue, _call: Call) -> IssueState:
    """Raises Rejected when nobody of them was assigned."""
    writer = _writer(connector)
    target = Target(writer.repository(given.repository), given.issue)
    wanted = [login.removeprefix("@") for login in given.assignees]
    found = _state(target.name, writer.assign(target, wanted), assignees=wanted)
    if len(found.ignored) == len(wanted):
        raise Rejected(
            f"{target}: GitHub assigned nobody of {', '.join(wanted)}",
            hint="who is assigned must be allowed to read the repository, and the token to push to it",
        )
    return found


def close_issue(connector: GithubConnector, given: CloseIssue, _call: Call) -> IssueState:
    """Closing what is closed changes nothing."""
    writer = _writer(connector)
    target = Target(writer.repository(given.repository), given.issue)
    return _state(target.name, writer.close(target, given.reason))


def comment(connector: GithubConnector, given: Comment, call: Call) -> Posted:
    """As an outgoing's text, but with an answer that is an event."""
    writer = _writer(connector)
    target = Target(writer.repository(given.repository), given.issue)
    made = writer.comment(target, given.body, call.key, ambiguous=call.ambiguous)
    return Posted(repository=target.name, issue=target.number, comment_id=made["id"], url=made["html_url"])


def create_issue(connector: GithubConnector, given: CreateIssue, call: Call) -> IssueState:
    """What GitHub drops of labels and assignees is told."""
    writer = _writer(connector)
    name = writer.repository(given.repository)
    wanted = [login.removeprefix("@") for login in given.assignees]
    fields = {"title": given.title, "body": given.body, "labels": given.labels, "assignees": wanted}
    made = writer.create(name, fields, call.key, ambiguous=call.ambiguous)
    return _state(name, made, assignees=wanted, labels=given.labels)


def _writer(connector: GithubConnector) -> Writer:
    writer = connector.writer
    writer.hold_back()
    return writer


def _state(name: str, issue: Any, *, assignees: Sequence[str] = (), labels: Sequence[str] = ()) -> IssueState:
    has = [one["login"] for one in issue["assignees"]]
    named = [one if isinstance(one, str) else one["name"] for one in issue["labels"]]
    ignored = [login for login in assignees if login.lower() not in map(str.lower, has)]
    ignored += [label for label in labels if label.lower() not in map(str.lower, named)]
    return IssueState(
        repository=name,
        issue=issue["number"],
        url=issue["html_url"],
        state=issue["state"],
        assignees=has,
        labels=named,
        ignored=ignored,
    )


ACTIONS = (
    Action(
        "assign_issue",
        assign_issue,
        description="Assign people to an issue or a pull request, beside those who are assigned.",
        input=AssignIssue,
        output=IssueState,
        idempotent=True,
        requires_approval=False,
    ),
    Action(
        "comment",
        comment,
        description="Comment on an issue or a pull request.",
        input=Comment,
        output=Posted,
        idempotent=True,
        requires_approval=False,
    ),
    Action(
        "create_issue",
        create_issue,
        description="Open an issue.",
        input=CreateIssue,
        output=IssueState,
        idempotent=True,
        requires_approval=True,
        destructive=False,
    ),
    Action(
        "close_issue",
        close_issue,
        description="Close an issue or a pull request.",
        input=CloseIssue,
        output=IssueState,
        idempotent=True,
        requires_approval=True,
        destructive=True,
    ),
)
