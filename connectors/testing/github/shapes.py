"""The JSON of the REST API and of webhook payloads, as far as a reader may use it.

https://docs.github.com/en/rest/issues/issues, https://docs.github.com/en/rest/issues/comments,
https://docs.github.com/en/rest/pulls/comments, https://docs.github.com/en/rest/repos/repos,
https://docs.github.com/en/webhooks/webhook-events-and-payloads.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.github.model import Comment, Issue, Person, Repository, node_id, stamp


class Shapes:
    """`api`: where the REST API is; `web`: where people look."""

    def __init__(self, api: str, web: str = "https://github.example") -> None:
        self.api = api
        self.web = web

    def person(self, person: Person | None) -> dict[str, Any] | None:
        """None for an account that was deleted."""
        if person is None:
            return None
        return {
            "login": person.login,
            "id": person.id,
            "node_id": node_id("U", person.id),
            "url": f"{self.api}/users/{person.login}",
            "html_url": f"{self.web}/{person.login}",
            "type": person.type,
            "site_admin": False,
        }

    def repository(self, repository: Repository, login: str | None = None) -> dict[str, Any]:
        """`permissions` are those of the reader, where there is one."""
        shape: dict[str, Any] = {
            "id": repository.id,
            "node_id": node_id("R", repository.id),
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.private,
            "owner": self.person(repository.owner),
            "html_url": f"{self.web}/{repository.full_name}",
            "url": self.place(repository),
            "has_issues": repository.has_issues,
            "archived": repository.archived,
            "disabled": False,
            "default_branch": "main",
        }
        if login is not None:
            push = repository.may_push(login)
            shape["permissions"] = {"admin": False, "maintain": False, "push": push, "triage": push, "pull": True}
        return shape

    def issue(self, issue: Issue) -> dict[str, Any]:
        """As the Issues endpoints give it: a pull request is told by the key `pull_request`."""
        here = f"{self.place(issue.repository)}/issues/{issue.number}"
        shape = {
            "url": here,
            "repository_url": self.place(issue.repository),
            "comments_url": f"{here}/comments",
            "html_url": self.page(issue),
            "id": issue.id,
            "node_id": node_id("I", issue.id),
            **self._common(issue),
            "comments": len(issue.comments),
            "state_reason": issue.state_reason,
            "active_lock_reason": None,
            "reactions": {"total_count": issue.reactions, "+1": issue.reactions, "heart": 0},
            "performed_via_github_app": None,
        }
        if issue.is_pull:
            shape["draft"] = issue.draft
            shape["pull_request"] = {
                "url": f"{self.place(issue.repository)}/pulls/{issue.number}",
                "html_url": self.page(issue),
                "merged_at": _at(issue.merged_at),
            }
        return shape

    def pull(self, issue: Issue) -> dict[str, Any]:
        """As webhooks and the Pulls endpoints give it: with another id, and what issues do not have."""
        return {
            "url": f"{self.place(issue.repository)}/pulls/{issue.number}",
            "issue_url": f"{self.place(issue.repository)}/issues/{issue.number}",
            "html_url": self.page(issue),
            "id": issue.pull_id,
            "node_id": node_id("PR", issue.pull_id),
            **self._common(issue),
            "draft": issue.draft,
            "merged": issue.merged_at is not None,
            "merged_at": _at(issue.merged_at),
            "head": {"ref": "topic", "sha": issue.head, "label": f"{issue.repository.owner.login}:topic"},
            "base": {"ref": "main", "sha": "0" * 40, "label": f"{issue.repository.owner.login}:main"},
            "comments": len(issue.comments),
            "commits": 1,
        }

    def comment(self, comment: Comment) -> dict[str, Any]:
        """Of the conversation, or of the review."""
        place, number = self.place(comment.issue.repository), comment.issue.number
        shape = {
            "id": comment.id,
            "user": self.person(comment.user),
            "body": comment.body,
            "created_at": stamp(comment.created_at),
            "updated_at": stamp(comment.updated_at),
            "author_association": _association(comment.issue.repository, comment.user),
            "reactions": {"total_count": 0},
        }
        if comment.path is None:
            return {
                "url": f"{place}/issues/comments/{comment.id}",
                "html_url": f"{self.page(comment.issue)}#issuecomment-{comment.id}",
                "issue_url": f"{place}/issues/{number}",
                "node_id": node_id("IC", comment.id),
                **shape,
            }
        return {
            "url": f"{place}/pulls/comments/{comment.id}",
            "html_url": f"{self.page(comment.issue)}#discussion_r{comment.id}",
            "pull_request_url": f"{place}/pulls/{number}",
            "node_id": node_id("PRRC", comment.id),
            "pull_request_review_id": comment.id + 1,
            "path": comment.path,
            "diff_hunk": "@@ -1 +1 @@",
            "commit_id": comment.issue.head,
            **shape,
        }

    def place(self, repository: Repository) -> str:
        """The repository's address in the API."""
        return f"{self.api}/repos/{repository.full_name}"

    def page(self, issue: Issue) -> str:
        """The issue's address for people."""
        kind = "pull" if issue.is_pull else "issues"
        return f"{self.web}/{issue.repository.full_name}/{kind}/{issue.number}"

    def _common(self, issue: Issue) -> dict[str, Any]:
        return {
            "number": issue.number,
            "title": issue.title,
            "user": self.person(issue.user),
            "labels": [
                {"id": label_id(name), "name": name, "color": "ededed", "default": False} for name in issue.labels
            ],
            "state": issue.state,
            "locked": issue.locked,
            "assignee": self.person(issue.assignees[0]) if issue.assignees else None,
            "assignees": [self.person(person) for person in issue.assignees],
            "milestone": None if issue.milestone is None else {"number": 1, "title": issue.milestone, "state": "open"},
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": _at(issue.closed_at),
            "author_association": _association(issue.repository, issue.user),
            "body": issue.body,
        }


def label_id(name: str) -> int:
    """Always the same for the same name."""
    return int.from_bytes(name.encode()[:6], "big")


def _at(at: float | None) -> str | None:
    return None if at is None else stamp(at)


def _association(repository: Repository, person: Person | None) -> str:
    if person is None:
        return "NONE"
    if person is repository.owner:
        return "OWNER"
    return "MEMBER" if repository.may_push(person.login) else "NONE"
