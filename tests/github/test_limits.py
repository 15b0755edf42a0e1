"""Rate limits as GitHub documents them, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.base.errors import AuthError, ConnectorError, RetryLater
from connectors.github.faults import Limited, Refused, judge
from connectors.testing.github import FakeGitHub
from tests.github.live import FEED, Clock, Place

_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # 1,800,000,000 seconds since 1970
_SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}


def _limit(status: int, headers: dict[str, str], strikes: int = 0, said: dict[str, str] | None = None) -> float | None:
    error = judge(status, {"date": _DATE, **headers}, said or {"message": "no"}, "GET /x", strikes=strikes)
    return error.after_s if isinstance(error, Limited) else None


@pytest.mark.parametrize("status", [403, 429])
def test_the_primary_limit_is_waited_for_by_githubs_clock(status: int) -> None:
    """Ours may be wrong by hours."""
    assert _limit(status, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000600"}) == 601


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_with_retry_after_is_waited_for_so_long(status: int) -> None:
    headers = {"retry-after": "42", "x-ratelimit-remaining": "4000", "x-ratelimit-reset": "1800003000"}
    assert _limit(status, headers, said=_SECONDARY) == 42


def test_a_secondary_limit_without_a_time_is_waited_for_a_minute_and_then_longer() -> None:
    assert [_limit(403, {}, strikes, _SECONDARY) for strikes in range(8)] == [
        60,
        120,
        240,
        480,
        960,
        1920,
        3600,
        3600,
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-5", "soon", ""])
def test_a_time_that_is_none_is_no_wait_without_an_end(text: str) -> None:
    wait_s = _limit(429, {"retry-after": text})
    assert wait_s is not None
    assert 0 <= wait_s <= 3600


def test_a_403_that_is_no_limit_is_a_refusal() -> None:
    error = judge(403, {"x-ratelimit-remaining": "4000", "x-ratelimit-reset": "1"}, {"message": "Forbidden"}, "GET /x")
    assert isinstance(error, Refused)


@pytest.mark.parametrize(
    ("status", "data", "cls"),
    [
        (401, {"message": "Bad credentials"}, AuthError),
        (404, {"message": "Not Found"}, Refused),
        (410, {"message": "Issues has been disabled"}, Refused),
        (422, {"message": "Validation Failed", "errors": ["x"]}, Refused),
        (451, None, Refused),
        (408, None, RetryLater),
        (500, None, RetryLater),
        (502, "<html>", RetryLater),
        (503, {}, RetryLater),
    ],
)
def test_every_status_has_its_recovery(status: int, data: Any, cls: type[ConnectorError]) -> None:
    error = judge(status, {}, data, "GET /x")
    assert type(error) is cls
    assert str(status) in str(error)


def test_a_refusal_says_which_field_is_wrong_and_what_to_do() -> None:
    problem = {"resource": "IssueComment", "code": "custom", "field": "body", "message": "body is too long"}
    error = judge(422, {}, {"message": "Validation Failed", "errors": [problem]}, "POST /x")
    assert "422 Validation Failed; body is too long" in str(error)
    scopes = {"x-oauth-scopes": "gist, read:org", "x-accepted-oauth-scopes": "repo"}
    refused = judge(404, scopes, {"message": "Not Found"}, "POST /x")
    assert refused is not None
    assert "gist, read:org" in refused.hint
    fine = judge(403, {"x-accepted-github-permissions": "issues=write"}, {"message": "no"}, "POST /x")
    assert fine is not None
    assert "issues=write" in fine.hint


def test_while_a_limit_holds_nothing_is_asked(place: Place) -> None:
    """Weakness: who goes on asking may be banned, says GitHub; it was asked on, or the poll slept."""
    other = place.fake.repository("acme/web")
    place.fake.open(other, "x")
    place.fake.exhaust(600)
    connector = place.here(repositories=["acme/app", "acme/web"])
    for feed in (FEED, "acme.web", FEED):
        with pytest.raises(RetryLater) as caught:
            connector.sync(feed)
        assert caught.value.after_s is not None
        assert 590 < caught.value.after_s <= 601
    assert len(place.fake.journal) == 1


def test_a_limit_is_no_failure_and_is_waited_out(place: Place) -> None:
    place.fake.open(place.repository, "an issue")
    place.fake.fail_next("too_many", "^GET /repos/acme/app$", retry_after_s=2)
    place.start()
    place.wait(lambda: place.status.get("state") == "limited")
    assert "rate limit" in place.status["note"]
    place.wait(lambda: place.titles == ["#1 an issue"])
    place.wait(lambda: place.status.get("state") == "connected")
    assert place.status["source"]["feeds"][FEED]["failures"] == 0


def test_a_limit_at_the_start_ends_no_process(place: Place) -> None:
    """A crash at every start would use up what is left."""
    place.fake.open(place.repository, "an issue")
    place.fake.exhaust(3600)
    running = place.start()
    place.wait(lambda: place.status.get("state") == "limited")
    assert running.process.poll() is None
    assert len(place.fake.journal) == 1


def test_what_is_left_of_the_limit_is_spread_over_the_time_until_its_reset(place: Place) -> None:
    place.fake.limits.per_hour[True] = 100
    connector = place.here(repositories=["acme/app", "acme/none"])
    report = connector.sync(FEED)
    assert report.next_s is not None
    # Five requests of hundred are made, and two repositories share four fifths of the rest.
    assert 3600 * 4 * 2 / (95 * 0.8) - 20 < report.next_s < 3600 * 4 * 2 / (95 * 0.8) + 20


def test_a_limit_answered_by_304s_only_slows_nothing_down(place: Place) -> None:
    connector = place.here()
    for _ in range(3):
        report = connector.sync()
    assert report.next_s == 0


def test_a_clock_of_ours_that_is_wrong_makes_no_wait_longer(place: Place, clock: Clock) -> None:
    clock.at += 365 * 86_400
    place.fake.exhaust(600)
    with pytest.raises(RetryLater) as caught:
        place.sync()
    assert caught.value.after_s is not None
    assert caught.value.after_s <= 601


def test_without_limits_as_on_enterprise_server_nothing_waits(place: Place, fake: FakeGitHub) -> None:
    fake.limits.headers = lambda login: {}  # type: ignore[method-assign]
    fake.open(place.repository, "an issue")
    report = place.sync()
    assert (report.next_s, place.titles) == (0, ["#1 an issue"])


@pytest.mark.parametrize("reset", ["nan", "inf", "1e300"])
def test_a_reset_that_is_none_is_no_pause_without_an_end(place: Place, fake: FakeGitHub, reset: str) -> None:
    """Weakness: a platform's header was taken at its word, and a source never asked again."""
    fake.limits.headers = lambda login: {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset}  # type: ignore[method-assign]
    fake.open(place.repository, "an issue")
    report = place.sync()
    assert place.titles == ["#1 an issue"]
    assert report.next_s is not None
    assert 0 <= report.next_s <= 3600
