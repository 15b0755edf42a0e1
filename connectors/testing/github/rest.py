"""The REST API: which address answers what, and to whom.

https://docs.github.com/en/rest/issues/issues, https://docs.github.com/en/rest/issues/comments,
https://docs.github.com/en/rest/issues/assignees, https://docs.github.com/en/rest/pulls/comments,
https://docs.github.com/en/rest/repos/repos#get-a-repository, https://docs.github.com/en/rest/users/users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.testing.github.answers import Answer, Refusal, invalid, not_found, refused
from connectors.testing.github.lists import filtered, page_of, selected
from connectors.testing.github.model import Comment, Issue, Person, Repository
from connectors.testing.github.shapes import Shapes
from connectors.testing.github.world import World

#: https://docs.github.com/en/rest/issues/assignees#add-assignees-to-an-issue
_MOST_ASSIGNEES = 10
#: Said by the API itself: "body is too long (maximum is 65536 characters)".
_MOST_CHARACTERS = 65_536
_MOST_TITLE = 256


@dataclass(frozen=True)
class Asked:
    """A request that may be answered; `login`: whose token it has. `scopes`: None for a fine-grained token."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    login: str | None
    scopes: tuple[str, ...] | None

    def given(self) -> dict[str, Any]:
        """The body, which has to be an object."""
        if not isinstance(self.body, dict):
            raise refused(400, "Body should be a JSON object")
        return self.body


class Rest:
    """Called with the world's lock held."""

    def __init__(self, world: World, shapes: Callable[[], Shapes], *, inclusive: bool) -> None:
        self._world = world
        self._shapes = shapes
        self.inclusive = inclusive
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            ("GET", re.compile(r""), self._repository),
            ("GET", re.compile(r"/issues"), self._issues),
            ("POST", re.compile(r"/issues"), self._create),
            ("GET", re.compile(r"/issues/comments"), self._comments),
            ("GET", re.compile(r"/pulls/comments"), self._review_comments),
            ("GET", re.compile(r"/issues/(\d+)"), self._issue),
            ("PATCH", re.compile(r"/issues/(\d+)"), self._update),
            ("GET", re.compile(r"/issues/(\d+)/comments"), self._comments_of),
            ("POST", re.compile(r"/issues/(\d+)/comments"), self._comment),
            ("POST", re.compile(r"/issues/(\d+)/assignees"), self._assign),
        ]

    def answer(self, asked: Asked) -> Answer:
        """Raises Refusal."""
        if asked.path == "/user" and asked.method == "GET":
            return self._user(asked)
        named = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", asked.path)
        numbered = re.fullmatch(r"/repositories/(\d+)(/.*)?", asked.path)
        if named:
            (repository, moved), rest = self._world.find(named[1]), named[2] or ""
        elif numbered:
            repository, moved, rest = self._world.repositories.get(int(numbered[1])), False, numbered[2] or ""
        else:
            raise not_found()
        if repository is None or repository.gone or not self._may_see(repository, asked):
            raise not_found()
        if moved:
            raise Refusal(self._moved(f"/repositories/{repository.id}{rest}", asked))
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(rest)
            if found and method == asked.method:
                return handler(asked, repository, *found.groups())
        raise not_found()

    def _moved(self, path: str, asked: Asked) -> Answer:
        """301 for what is read, 307 for what is written (https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects)."""
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        address = f"{self._shapes().api}{path}{'?' + query if query else ''}"
        status = 301 if asked.method == "GET" else 307
        return Answer(status, {"message": "Moved Permanently", "url": address}, {"Location": address})

    @staticmethod
    def _may_see(repository: Repository, asked: Asked) -> bool:
        if not repository.private:
            return True
        return repository.may_push(asked.login) and (asked.scopes is None or "repo" in asked.scopes)

    def _user(self, asked: Asked) -> Answer:
        if asked.login is None:
            raise refused(401, "Requires authentication")
        return Answer(200, self._shapes().person(self._world.person(asked.login)))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────

    def _repository(self, asked: Asked, repository: Repository) -> Answer:
        return Answer(200, self._shapes().repository(repository, asked.login))

    def _issues(self, asked: Asked, repository: Repository) -> Answer:
        there = [issue for issue in repository.issues.values() if issue.is_pull or repository.has_issues]
        found = selected(filtered(there, asked.query), asked.query, inclusive=self.inclusive)
        shown, headers = page_of(found, asked.query, f"{self._shapes().api}/repositories/{repository.id}/issues")
        return Answer(200, [self._shapes().issue(issue) for issue in shown], headers)

    def _comments(self, asked: Asked, repository: Repository) -> Answer:
        there = [comment for comment in repository.comments.values() if comment.path is None]
        return self._list(asked, repository, there, "issues/comments")

    def _review_comments(self, asked: Asked, repository: Repository) -> Answer:
        there = [comment for comment in repository.comments.values() if comment.path is not None]
        return self._list(asked, repository, there, "pulls/comments")

    def _comments_of(self, asked: Asked, repository: Repository, number: str) -> Answer:
        issue = self._find(repository, number)
        return self._list(asked, repository, issue.comments, f"issues/{number}/comments")

    def _list(self, asked: Asked, repository: Repository, there: list[Comment], path: str) -> Answer:
        found = selected(there, asked.query, inclusive=self.inclusive, by_id=True)
        shown, headers = page_of(found, asked.query, f"{self._shapes().api}/repositories/{repository.id}/{path}")
        return Answer(200, [self._shapes().comment(comment) for comment in shown], headers)

    def _issue(self, asked: Asked, repository: Repository, number: str) -> Answer:
        return Answer(200, self._shapes().issue(self._find(repository, number)))

    def _find(self, repository: Repository, number: str) -> Issue:
        """410 for one that was deleted."""
        issue = repository.issues.get(int(number))
        if issue is None:
            raise refused(410, "This issue was deleted") if int(number) <= repository.numbers else not_found()
        return issue

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────

    def _writer(self, asked: Asked, repository: Repository) -> Person:
        """Everybody with an account may write in a public repository, if the token has the scope for it."""
        if asked.login is None:
            raise refused(401, "Requires authentication")
        if asked.scopes is not None and not {"repo", "public_repo"} & set(asked.scopes):
            raise refused(404, "Not Found")
        if repository.archived:
            raise refused(403, "Repository was archived so is read-only.")
        return self._world.person(asked.login)

    def _create(self, asked: Asked, repository: Repository) -> Answer:
        writer, given = self._writer(asked, repository), asked.given()
        if not repository.has_issues:
            raise refused(410, "Issues has been disabled in this repository.")
        title = given.get("title")
        if not isinstance(title, str) or not title.strip():
            raise invalid("Issue", "title", "missing_field")
        if len(title) > _MOST_TITLE:
            raise invalid("Issue", "title", "custom", f"title is too long (maximum is {_MOST_TITLE} characters)")
        # What others than the team give of these is dropped without a word.
        trusted = repository.may_push(asked.login)
        issue = self._world.open(
            repository,
            title,
            _body(given, "Issue", needed=False),
            by=writer,
            labels=given.get("labels", []) if trusted else [],
            assignees=self._assignable(repository, given.get("assignees", [])) if trusted else [],
        )
        return Answer(201, self._shapes().issue(issue))

    def _update(self, asked: Asked, repository: Repository, number: str) -> Answer:
        writer, given, issue = self._writer(asked, repository), asked.given(), self._find(repository, number)
        if not repository.may_push(asked.login) and issue.user is not writer:
            raise refused(403, "Must have admin rights to Repository.")
        if given.get("state") not in (None, "open", "closed"):
            raise invalid("Issue", "state", "invalid")
        if given.get("state") == "closed" and issue.state == "open":
            self._world.close(issue, given.get("state_reason", "completed"), by=writer)
        return Answer(200, self._shapes().issue(issue))

    def _comment(self, asked: Asked, repository: Repository, number: str) -> Answer:
        writer, issue = self._writer(asked, repository), self._find(repository, number)
        body = _body(asked.given(), "IssueComment", needed=True)
        if issue.locked and not repository.may_push(asked.login):
            raise refused(403, "Unable to create comment because issue is locked.")
        return Answer(201, self._shapes().comment(self._world.comment(issue, body or "", by=writer)))

    def _assign(self, asked: Asked, repository: Repository, number: str) -> Answer:
        """Who has no push access is answered by 201 as well, and nobody is assigned."""
        writer, issue = self._writer(asked, repository), self._find(repository, number)
        wanted = asked.given().get("assignees", [])
        if repository.may_push(asked.login):
            for person in self._assignable(repository, wanted):
                if person not in issue.assignees and len(issue.assignees) < _MOST_ASSIGNEES:
                    self._world.assign(issue, person, by=writer)
        return Answer(201, self._shapes().issue(issue))

    def _assignable(self, repository: Repository, logins: list[str]) -> list[Person]:
        return [self._world.person(login) for login in logins if repository.may_push(login)]


def _body(given: dict[str, Any], resource: str, *, needed: bool) -> str | None:
    body = given.get("body")
    if (body is None or not str(body).strip()) and needed:
        raise invalid(resource, "body", "missing_field")
    if body is not None and len(body) > _MOST_CHARACTERS:
        raise invalid(resource, "body", "custom", f"body is too long (maximum is {_MOST_CHARACTERS} characters)")
    return body
