"""The fake's failures on demand, and its webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from connectors.testing.github import FakeGitHub, Repository
from connectors.testing.waiting import wait_for
from tests.loopback import Loopback, body_of, headers_of, reply

ISSUES = "/repos/acme/app/issues"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("reject", 422), ("auth", 401), ("forbidden", 403), ("missing", 404), ("gone", 410), ("unavailable", 502)],
)
def test_a_failure_is_an_answer_once(
    fake: FakeGitHub, repository: Repository, client: httpx.Client, kind: Any, status: int
) -> None:
    fake.fail_next(kind)
    assert client.post(ISSUES, json={"title": "x"}).status_code == status
    assert repository.issues == {}
    assert client.post(ISSUES, json={"title": "x"}).status_code == 201
    assert [request.outcome for request in fake.journal] == [kind, "201"]


def test_limits_on_demand_are_secondary_ones(fake: FakeGitHub, repository: Repository, client: httpx.Client) -> None:
    assert repository.name == "app"
    fake.fail_next("rate_limit", retry_after_s=7)
    fake.fail_next("too_many", retry_after_s=8)
    fake.fail_next("secondary")
    found = [client.post(ISSUES, json={"title": "x"}) for _ in range(3)]
    assert [(one.status_code, one.headers.get("retry-after")) for one in found] == [(403, "7"), (429, "8"), (403, None)]
    assert all("secondary rate limit" in one.json()["message"] for one in found)


@pytest.mark.parametrize(("kind", "done"), [("drop", 0), ("cut", 1), ("truncated", 1)])
def test_a_connection_that_ends_did_it_or_not(
    fake: FakeGitHub, repository: Repository, client: httpx.Client, kind: Any, done: int
) -> None:
    fake.fail_next(kind)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(ISSUES, json={"title": "x"})
    assert len(repository.issues) == done


def test_no_answer_comes_until_released(fake: FakeGitHub, repository: Repository, client: httpx.Client) -> None:
    fake.fail_next("timeout")
    failed: list[Exception] = []

    def post() -> None:
        try:
            client.post(ISSUES, json={"title": "x"})
        except httpx.HTTPError as error:
            failed.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    wait_for(lambda: fake.hanging)
    assert len(repository.issues) == 1
    fake.release()
    thread.join()
    assert len(failed) == 1


def test_what_is_no_answer(fake: FakeGitHub, repository: Repository, client: httpx.Client) -> None:
    assert repository.name == "app"
    for kind in ("empty", "html", "wrong_shape"):
        fake.fail_next(kind, "^GET ")
    assert client.get(ISSUES).content == b""
    assert client.get(ISSUES).headers["content-type"].startswith("text/html")
    assert isinstance(client.get(ISSUES).json(), dict)


def test_a_failure_that_does_not_exist_is_told(fake: FakeGitHub) -> None:
    with pytest.raises(ValueError, match="none of reject"):
        fake.fail_next("explode")  # type: ignore[arg-type]


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────


class Taker(Loopback):
    """Takes deliveries on loopback; `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.url = f"{self.origin}/hook"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.taken.append((headers_of(request), body_of(request)))
        reply(request, status=self.status)


@pytest.fixture
def taker() -> Iterator[Taker]:
    """Somebody who takes deliveries."""
    with Taker() as found:
        yield found


def test_a_hook_is_greeted_and_then_told_of_what_it_wants(
    fake: FakeGitHub, repository: Repository, taker: Taker
) -> None:
    fake.hook(taker.url, "s3cret", events=["issues"])
    issue = fake.open(repository, "x", by=fake.person("ada"))
    fake.comment(issue, "not wanted")
    wait_for(lambda: len(taker.taken) == 2)
    (ping, _), (head, body) = taker.taken
    assert ping["x-github-event"] == "ping"
    assert (head["x-github-event"], head["user-agent"][:16]) == ("issues", "GitHub-Hookshot/")
    said = json.loads(body)
    assert (said["action"], said["issue"]["number"], said["sender"]["login"]) == ("opened", 1, "ada")
    assert said["repository"]["full_name"] == "acme/app"
    mac = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert head["x-hub-signature-256"] == f"sha256={mac}"


def test_what_fails_is_not_tried_again_and_a_redelivery_has_the_same_id(
    fake: FakeGitHub, repository: Repository, taker: Taker
) -> None:
    taker.status = 500
    fake.hook(taker.url)
    fake.open(repository, "x")
    wait_for(lambda: len(taker.taken) == 2)
    delivery = fake.deliveries[1]
    wait_for(lambda: delivery.status == 500)
    taker.status = 200
    fake.redeliver(delivery)
    wait_for(lambda: delivery.status == 200)
    assert len(taker.taken) == 3
    assert taker.taken[1][0]["x-github-delivery"] == taker.taken[2][0]["x-github-delivery"] == delivery.guid
    assert taker.taken[1][1] == taker.taken[2][1]
    assert "x-hub-signature-256" not in taker.taken[1][0], "without a secret nothing is signed"


def test_a_pull_requests_webhook_has_the_pulls_shape(fake: FakeGitHub, repository: Repository) -> None:
    fake.hook("http://127.0.0.1:9/x").paused = True
    pull = fake.open(repository, "Fix it", pull=True)
    fake.merge(pull)
    opened, closed = (delivery.payload for delivery in fake.deliveries[1:])
    assert (opened["pull_request"]["id"], opened["pull_request"]["merged"]) == (pull.pull_id, False)
    assert (closed["action"], closed["pull_request"]["merged"]) == ("closed", True)
