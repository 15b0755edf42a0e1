"""The fake's REST API against what docs.github.com says of it."""

from __future__ import annotations

import httpx
import pytest

from connectors.testing.github import FakeGitHub, Repository
from tests.github.live import Clock

ISSUES = "/repos/acme/app/issues"


def test_the_list_of_issues_has_pull_requests_told_by_their_key(
    fake: FakeGitHub, repository: Repository, client: httpx.Client
) -> None:
    fake.open(repository, "an issue")
    pull = fake.open(repository, "a pull request", pull=True)
    first, second = client.get(ISSUES, params={"sort": "created", "direction": "asc"}).json()
    assert "pull_request" not in first
    assert second["pull_request"]["merged_at"] is None
    assert second["id"] == pull.id != pull.pull_id, "an issue's id, says the documentation"


def test_pages_are_thirty_long_unless_asked_and_linked(
    fake: FakeGitHub, repository: Repository, client: httpx.Client
) -> None:
    for number in range(70):
        fake.open(repository, f"issue {number}")
    first = client.get(ISSUES)
    assert len(first.json()) == 30
    assert set(first.links) == {"next", "last"}
    assert f"/repositories/{repository.id}/issues" in first.links["next"]["url"]
    second = client.get(first.links["next"]["url"])
    third = client.get(second.links["next"]["url"])
    assert (len(second.json()), len(third.json())) == (30, 10)
    assert set(third.links) == {"prev", "first"}
    assert len(client.get(ISSUES, params={"per_page": "500"}).json()) == 70
    assert "link" not in client.get(ISSUES, params={"per_page": "100"}).headers


def test_since_state_and_order(fake: FakeGitHub, repository: Repository, client: httpx.Client, clock: Clock) -> None:
    old = fake.open(repository, "old")
    clock.tick(10)
    fake.open(repository, "new")
    clock.tick(10)
    fake.close(old)

    def titles(**query: str) -> list[str]:
        return [one["title"] for one in client.get(ISSUES, params=query).json()]

    assert titles() == ["new"], "open ones, newest first"
    assert titles(state="all") == ["new", "old"]
    assert titles(state="all", sort="updated", direction="asc") == ["new", "old"]
    assert titles(state="all", since="2027-01-15T08:00:20Z") == ["old"]
    assert titles(state="all", since="2027-01-15T08:00:21Z") == []


def test_a_comment_updates_its_issue_and_an_edit_of_it_does_not(
    fake: FakeGitHub, repository: Repository, client: httpx.Client, clock: Clock
) -> None:
    issue = fake.open(repository, "x")
    clock.tick()
    comment = fake.comment(issue, "first")
    clock.tick()
    fake.edit_comment(comment, "edited")
    assert client.get(f"{ISSUES}/1").json()["updated_at"] == "2027-01-15T08:00:01Z"
    [found] = client.get(f"{ISSUES}/comments").json()
    assert (found["body"], found["updated_at"]) == ("edited", "2027-01-15T08:00:02Z")
    assert found["issue_url"].endswith("/repos/acme/app/issues/1")


def test_what_has_not_changed_is_304_and_costs_an_account_nothing(
    fake: FakeGitHub, repository: Repository, client: httpx.Client, anybody: httpx.Client
) -> None:
    fake.open(repository, "x")
    etag = client.get(ISSUES).headers["etag"]
    left = fake.limits.left(fake.login)
    again = client.get(ISSUES, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, fake.limits.left(fake.login)) == (304, b"", left)
    fake.open(repository, "y")
    assert client.get(ISSUES, headers={"If-None-Match": etag}).status_code == 200
    etag = anybody.get(ISSUES).headers["etag"]
    left = fake.limits.left(None)
    assert anybody.get(ISSUES, headers={"If-None-Match": etag}).status_code == 304
    assert fake.limits.left(None) == left - 1, "without Authorization a 304 counts as well"


def test_the_primary_limit_counts_down_and_comes_back(
    fake: FakeGitHub, repository: Repository, anybody: httpx.Client, clock: Clock
) -> None:
    assert repository.name == "app"
    for _ in range(60):
        good = anybody.get(ISSUES)
        assert good.status_code == 200
    assert good.headers["x-ratelimit-remaining"] == "0"
    refused = anybody.get(ISSUES)
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    assert "API rate limit exceeded" in refused.json()["message"]
    assert anybody.get("/rate_limit").json()["resources"]["core"]["remaining"] == 0
    clock.at = float(refused.headers["x-ratelimit-reset"])
    assert anybody.get(ISSUES).status_code == 200
    assert fake.limits.left(fake.login) == 5000


def test_a_renamed_repository_leads_on_and_a_hidden_one_is_404(
    fake: FakeGitHub, repository: Repository, client: httpx.Client, anybody: httpx.Client
) -> None:
    fake.open(repository, "x")
    fake.rename(repository, "application")
    moved = client.get(ISSUES, params={"state": "all"})
    assert moved.status_code == 301
    assert moved.headers["location"].endswith(f"/repositories/{repository.id}/issues?state=all")
    assert client.get(moved.headers["location"]).json()[0]["title"] == "x"
    assert client.post(ISSUES, json={"title": "y"}).status_code == 307
    fake.repository("acme/secret", private=True, team=["connector-bot"])
    assert client.get("/repos/acme/secret").json()["private"] is True
    assert anybody.get("/repos/acme/secret").status_code == 404
    fake.scopes = ("public_repo",)
    assert client.get("/repos/acme/secret").status_code == 404


def test_writing_answers_with_what_was_made(fake: FakeGitHub, repository: Repository, client: httpx.Client) -> None:
    made = client.post(ISSUES, json={"title": "It crashes", "body": "boom", "labels": ["bug"], "assignees": ["bob"]})
    assert (made.status_code, made.json()["number"]) == (201, 1)
    assert [one["login"] for one in made.json()["assignees"]] == ["bob"]
    said = client.post(f"{ISSUES}/1/comments", json={"body": "hello"})
    assert (said.status_code, said.json()["user"]["login"]) == (201, "connector-bot")
    closed = client.patch(f"{ISSUES}/1", json={"state": "closed", "state_reason": "not_planned"})
    assert (closed.json()["state"], closed.json()["state_reason"]) == ("closed", "not_planned")
    assert [comment.body for comment in fake.written] == ["hello"]
    assert repository.issues[1].closed_at is not None


def test_who_may_not_push_is_ignored_without_a_word(
    fake: FakeGitHub, repository: Repository, client: httpx.Client
) -> None:
    fake.open(repository, "x")
    assigned = client.post(f"{ISSUES}/1/assignees", json={"assignees": ["stranger"]})
    assert (assigned.status_code, assigned.json()["assignees"]) == (201, [])
    repository.team.discard("connector-bot")
    assert client.post(f"{ISSUES}/1/assignees", json={"assignees": ["bob"]}).json()["assignees"] == []
    assert client.post(ISSUES, json={"title": "y", "labels": ["bug"]}).json()["labels"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/nothing", None, 404, "Not Found"),
        ("GET", f"{ISSUES}/99", None, 404, "Not Found"),
        ("POST", ISSUES, {}, 422, "Validation Failed"),
        ("POST", ISSUES, {"title": "x" * 257}, 422, "Validation Failed"),
        ("POST", f"{ISSUES}/1/comments", {"body": ""}, 422, "Validation Failed"),
        ("POST", f"{ISSUES}/1/comments", {"body": "x" * 65_537}, 422, "Validation Failed"),
        ("PATCH", f"{ISSUES}/1", {"state": "gone"}, 422, "Validation Failed"),
        ("POST", ISSUES, ["title"], 400, "Body should be a JSON object"),
        ("GET", f"{ISSUES}?page=0", None, 422, "Invalid page"),
    ],
)
def test_refusals_are_worded_as_githubs(
    fake: FakeGitHub,
    repository: Repository,
    client: httpx.Client,
    method: str,
    path: str,
    body: object,
    status: int,
    message: str,
) -> None:
    fake.open(repository, "x")
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert answer.json()["documentation_url"]


def test_what_was_deleted_or_switched_off_is_410(
    fake: FakeGitHub, repository: Repository, client: httpx.Client
) -> None:
    issue = fake.open(repository, "x")
    fake.delete(issue)
    assert client.get(f"{ISSUES}/1").status_code == 410
    repository.has_issues = False
    assert client.post(ISSUES, json={"title": "y"}).status_code == 410


def test_the_token_is_known_and_says_what_it_may(fake: FakeGitHub, client: httpx.Client) -> None:
    user = client.get("/user")
    assert (user.json()["login"], user.headers["x-oauth-scopes"]) == ("connector-bot", "repo")
    fake.scopes = None
    assert "x-oauth-scopes" not in client.get("/user").headers
    assert client.post("/repos/a/b/issues").headers["x-accepted-github-permissions"] == "issues=write"
    wrong = httpx.get(f"{fake.url}/user", headers={"Authorization": "Bearer ghp_wrong"})
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Bad credentials")
    assert fake.token not in repr(fake.journal)
