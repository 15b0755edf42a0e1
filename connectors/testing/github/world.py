"""What people do in a GitHub. Whoever listens is told of each happening, as webhooks are.

Each change sets `updated_at`, of an issue also when somebody comments on it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from connectors.testing.github.model import Comment, Issue, Person, Repository

#: event, action, repository, who did it, and the payload's own fields as (name, thing) pairs
Listener = Callable[[str, str, Repository, "Person | None", dict[str, Any]], None]


class World:
    """Thread-safe; `now` gives seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.now = now
        self.people: dict[str, Person] = {}
        self.repositories: dict[int, Repository] = {}
        self.listener: Listener = lambda *_: None
        self._ids = itertools.count(100_000_001)

    # ── people and places ─────────────────────────────────────────────────────────────────────────────────────

    def person(self, login: str, *, type: str = "User") -> Person:  # noqa: A002 - GitHub's word
        """The account of that name, made when there is none."""
        with self.lock:
            return self.people.setdefault(login.lower(), Person(login, next(self._ids), type))

    def repository(
        self, full_name: str, *, private: bool = False, has_issues: bool = True, team: Sequence[str] = ()
    ) -> Repository:
        """A new one. Its owner and its team may push."""
        owner, _, name = full_name.partition("/")
        with self.lock:
            made = Repository(next(self._ids), self.person(owner), name, private, has_issues)
            made.team = {login.lower() for login in (owner, *team)}
            self.repositories[made.id] = made
            return made

    def find(self, full_name: str) -> tuple[Repository | None, bool]:
        """Who has that name now, or had it before: then the second is true."""
        wanted = full_name.lower()
        with self.lock:
            there = [found for found in self.repositories.values() if not found.gone]
            for found in there:
                if found.full_name.lower() == wanted:
                    return found, False
            return next((found for found in there if wanted in found.former), None), True

    def rename(self, repository: Repository, name: str) -> None:
        """The old name leads to the new one."""
        with self.lock:
            repository.former.add(repository.full_name.lower())
            repository.name = name
            self.listener("repository", "renamed", repository, repository.owner, {})

    # ── issues and pull requests ──────────────────────────────────────────────────────────────────────────────

    def open(
        self,
        repository: Repository,
        title: str,
        body: str | None = "",
        *,
        by: Person | None = None,
        labels: Sequence[str] = (),
        assignees: Sequence[Person] = (),
        pull: bool = False,
        draft: bool = False,
    ) -> Issue:
        """Somebody opens an issue, or a pull request."""
        with self.lock:
            repository.numbers += 1
            now = self.now()
            issue = Issue(
                repository, next(self._ids), repository.numbers, by or self.person("ada"), title, body, now, now,
                labels=list(labels), assignees=list(assignees), is_pull=pull, draft=draft,
                pull_id=next(self._ids) if pull else 0, head=f"{repository.numbers:040x}" if pull else "",
            )  # fmt: skip
            repository.issues[issue.number] = issue
            self._tell(issue, "opened", issue.user)
            return issue

    def change(self, issue: Issue, action: str, *, by: Person | None = None, **values: Any) -> None:
        """Set fields of an issue; `action` is what the webhook calls it."""
        with self.lock:
            for name, value in values.items():
                setattr(issue, name, value)
            issue.updated_at, issue.updated_by = self.now(), by or issue.user
            self._tell(issue, action, issue.updated_by)

    def label(self, issue: Issue, name: str, *, by: Person | None = None) -> None:
        self.change(issue, "labeled", by=by, labels=[*issue.labels, name])

    def edit(
        self, issue: Issue, *, title: str | None = None, body: str | None = None, by: Person | None = None
    ) -> None:
        given = {"title": title, "body": body}
        self.change(issue, "edited", by=by, **{name: value for name, value in given.items() if value is not None})

    def assign(self, issue: Issue, person: Person, *, by: Person | None = None) -> None:
        self.change(issue, "assigned", by=by, assignees=[*issue.assignees, person])

    def close(self, issue: Issue, reason: str | None = "completed", *, by: Person | None = None) -> None:
        reason = None if issue.is_pull else reason
        self.change(issue, "closed", by=by, state="closed", state_reason=reason, closed_at=self.now())

    def merge(self, issue: Issue, *, by: Person | None = None) -> None:
        """A pull request is closed by this, too; the webhook's action is `closed`."""
        now = self.now()
        self.change(issue, "closed", by=by, state="closed", closed_at=now, merged_at=now)

    def push(self, issue: Issue, sha: str) -> None:
        """Somebody pushes to a pull request's branch."""
        self.change(issue, "synchronize", head=sha)

    def delete(self, issue: Issue) -> None:
        """No list has it any more; asking for it is answered by 410."""
        with self.lock:
            del issue.repository.issues[issue.number]
            self._tell(issue, "deleted", issue.repository.owner)

    def react(self, issue: Issue) -> None:
        """A thumbs-up changes no `updated_at`, and there is no webhook for it."""
        with self.lock:
            issue.reactions += 1

    # ── comments ──────────────────────────────────────────────────────────────────────────────────────────────

    def comment(self, issue: Issue, body: str, *, by: Person | None = None, path: str | None = None) -> Comment:
        """Somebody comments; with `path` in a review."""
        with self.lock:
            now = self.now()
            made = Comment(next(self._ids), issue, by or self.person("ada"), body, now, now, path)
            issue.repository.comments[made.id] = made
            issue.updated_at = now
            self._tell_comment(made, "created", made.user)
            return made

    def edit_comment(self, comment: Comment, body: str, *, by: Person | None = None) -> None:
        """The issue's `updated_at` stays."""
        with self.lock:
            comment.body, comment.updated_at = body, self.now()
            self._tell_comment(comment, "edited", by or comment.user)

    def delete_comment(self, comment: Comment) -> None:
        with self.lock:
            del comment.issue.repository.comments[comment.id]
            self._tell_comment(comment, "deleted", comment.issue.repository.owner)

    def happen(self, repository: Repository, event: str, action: str = "", **payload: Any) -> None:
        """Anything else that a webhook tells of."""
        with self.lock:
            self.listener(event, action, repository, self.person("ada"), payload)

    def _tell(self, issue: Issue, action: str, by: Person | None) -> None:
        event = "pull_request" if issue.is_pull else "issues"
        self.listener(event, action, issue.repository, by, {"pull_request" if issue.is_pull else "issue": issue})

    def _tell_comment(self, comment: Comment, action: str, by: Person | None) -> None:
        if comment.path is None:
            self.listener(
                "issue_comment", action, comment.issue.repository, by, {"issue": comment.issue, "comment": comment}
            )
            return
        self.listener(
            "pull_request_review_comment", action, comment.issue.repository, by,
            {"pull_request": comment.issue, "comment": comment},
        )  # fmt: skip
