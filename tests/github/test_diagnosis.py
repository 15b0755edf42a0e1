"""`connectors doctor`: whose token it is, what it may, what is left of the limit, each repository."""

from __future__ import annotations

from typing import cast

import pytest

from connectors.base.checks.finding import Finding, Level
from connectors.base.errors import AuthError, RetryLater
from connectors.github.diagnosis import check_token
from connectors.github.options import GithubOptions
from tests.github.live import Place


def _said(place: Place, **options: object) -> list[Finding]:
    return list(place.here(**options).diagnose())


def _options(place: Place, **options: object) -> GithubOptions:
    return cast(GithubOptions, place.here(**options).options)


def test_a_good_token_tells_its_account_and_scopes(place: Place) -> None:
    found = check_token("", _options(place))
    assert (found.identity, found.scopes, found.missing) == ("@connector-bot", ("repo",), ())


def test_a_token_without_the_scope_is_told_what_is_missing(place: Place) -> None:
    place.fake.scopes = ("gist",)
    assert check_token("", _options(place)).missing == ("repo",)
    place.fake.scopes = ("gist", "public_repo")
    assert check_token("", _options(place)).missing == ()


def test_a_fine_grained_token_lacks_nothing_that_could_be_told(place: Place) -> None:
    place.fake.scopes = None
    found = check_token("", _options(place))
    assert (found.missing, found.note) == ((), "a fine-grained token")


@pytest.mark.parametrize(("until", "soon"), [("2027-01-20 08:00:00 UTC", True), ("2027-12-01 08:00:00 UTC", False)])
def test_a_token_that_ends_says_when(place: Place, until: str, soon: bool) -> None:
    place.fake.token_expires = until
    note = check_token("", _options(place)).note
    assert until[:16] in note
    assert note.startswith("soon") is soon


def test_a_refused_token_is_refused_and_an_outage_is_no_refusal(place: Place) -> None:
    with pytest.raises(AuthError):
        check_token("", _options(place, token="ghp_wrong"))
    place.fake.fail_next("unavailable", "^GET /user")
    with pytest.raises(RetryLater):
        check_token("", _options(place))


def test_an_apps_token_has_no_account(place: Place) -> None:
    place.fake.fail_next("forbidden", "^GET /user")
    assert "GitHub App" in check_token("", _options(place)).note


def test_each_repository_is_told_in_words(place: Place) -> None:
    fake = place.fake
    fake.rename(place.repository, "application")
    fake.repository("acme/secret", private=True)
    fake.repository("acme/quiet", has_issues=False).archived = True
    said = _said(place, repositories=["acme/app", "acme/secret", "acme/quiet"])
    texts = [(finding.level, finding.what) for finding in said]
    assert (Level.WARNING, "acme/app is called acme/application now") in texts
    assert (Level.INFO, "acme/application can be read (public)") in texts
    assert any(
        level is Level.ERROR and what.startswith("acme/secret cannot") and "404" in what for level, what in texts
    )
    quiet = next(what for _, what in texts if what.startswith("acme/quiet"))
    assert "issues are switched off" in quiet
    assert "archived" in quiet
    assert "without push access" in quiet


def test_what_is_left_of_the_limit_is_told(place: Place) -> None:
    [limit] = [finding for finding in _said(place) if "requests are left" in finding.what]
    assert (limit.level, limit.what) == (Level.INFO, "5000 of 5000 requests are left until 09:00 UTC")
    place.fake.exhaust(600)
    found = [finding for finding in _said(place) if finding.level is Level.WARNING]
    assert any("0 of 5000" in finding.what for finding in found)


def test_without_a_token_and_without_a_secret_the_consequences_are_told(place: Place) -> None:
    said = [finding.what for finding in _said(place, token=None, listen=True, port=0)]
    assert any("there is no token" in what for what in said)
    assert any("without a secret" in what for what in said)


def test_a_refused_token_is_told_once(place: Place) -> None:
    assert _said(place, token="ghp_wrong") == []
