"""What there is in a GitHub: people, repositories, issues (a pull request is one, too) and comments."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def stamp(at: float) -> str:
    """As the API writes times: whole seconds, UTC (https://docs.github.com/en/rest/using-the-rest-api/timezones-and-the-rest-api)."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(eq=False)
class Person:
    """Somebody with an account; `type` is User, Bot or Organization."""

    login: str
    id: int
    type: str = "User"


@dataclass(eq=False)
class Repository:
    """`team` may push. `gone`: nobody can see it any more. `has_issues`: pull requests are there without it, too."""

    id: int
    owner: Person
    name: str
    private: bool = False
    has_issues: bool = True
    archived: bool = False
    gone: bool = False
    team: set[str] = field(default_factory=set)
    former: set[str] = field(default_factory=set)  #: full names that lead here, in lower case
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    numbers: int = 0
    changed_at: float = 0.0

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def may_push(self, login: str | None) -> bool:
        return login is not None and login.lower() in self.team


@dataclass(eq=False)
class Issue:
    """An issue or a pull request. Both have one counter for their numbers; a pull request has an id of its own, too."""

    repository: Repository
    id: int
    number: int
    user: Person | None
    title: str
    body: str | None
    created_at: float
    updated_at: float
    state: str = "open"
    state_reason: str | None = None
    closed_at: float | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[Person] = field(default_factory=list)
    milestone: str | None = None
    locked: bool = False
    is_pull: bool = False
    pull_id: int = 0
    draft: bool = False
    merged_at: float | None = None
    head: str = ""
    reactions: int = 0
    updated_by: Person | None = None

    @property
    def comments(self) -> list[Comment]:
        """Those of the conversation, not of the review."""
        return [c for c in self.repository.comments.values() if c.issue is self and c.path is None]


@dataclass(eq=False)
class Comment:
    """A comment on an issue; with `path` one of a pull request's review."""

    id: int
    issue: Issue
    user: Person | None
    body: str
    created_at: float
    updated_at: float
    path: str | None = None


@dataclass(frozen=True)
class Request:
    """One request that arrived. `outcome`: the status that it was answered with, or the failure's name."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  #: by lower-case names, without Authorization
    body: Any
    login: str | None
    outcome: str


def node_id(kind: str, number: int) -> str:
    """Opaque, and always the same for the same thing."""
    return f"{kind}_{hashlib.sha256(f'{kind} {number}'.encode()).hexdigest()[:16]}"
