"""What may be configured, and how a mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.base.declaration import declaration_of
from connectors.base.feeds import feeds_of
from connectors.base.options import read_options
from connectors.github.connector import GithubConnector, feed_name
from connectors.github.options import GithubOptions, wanted

GOOD: dict[str, Any] = {"repositories": ["acme/app"]}


def _problems(**given: Any) -> list[str]:
    data = {**GOOD, **given}
    _, _, problems = read_options(GithubOptions, data, {})
    return [problem.text for problem in problems] + [problem.text for problem in feeds_of(GithubConnector, data)[1]]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"repositories": ["app"]}, "write owner/name"),
        ({"repositories": ["a/b/c"]}, "write owner/name"),
        ({"repositories": ["../x"]}, "write owner/name"),
        ({"repositories": []}, "there are no feeds"),
        ({"feeds": [{"name": "x", "repository": "nope"}]}, "write owner/name"),
        ({"base_url": "github.com"}, "https://HOST/api/v3"),
        ({"base_url": "http://ghe.example/api/v3", "token": "t"}, "must be https"),
        ({"lookback": "soon"}, "lookback"),
        ({"events": ["Issues!"]}, "is no event"),
        ({"events": ["issues.opened"]}, "look at the event's payload"),
        ({"own_posts": "hide"}, "own_posts"),
        ({"repositorys": ["acme/app"]}, "unknown option"),
    ],
)
def test_a_mistake_is_told(given: dict[str, Any], what: str) -> None:
    assert any(what in text for text in _problems(**given)), _problems(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"repositories": "acme/app, acme/web"},
        {"repositories": ["https://github.com/acme/app", "https://ghe.example/acme/web.git"]},
        {"feeds": [{"name": "busy", "repository": "acme/web", "schedule": "1m"}]},
        {"repositories": [], "feeds": [{"name": "busy", "repository": "acme/web"}]},
        {"base_url": "https://ghe.example/api/v3/", "token": "t"},
        {"base_url": "http://127.0.0.1:1", "token": "t"},
        {"base_url": "http://localhost:1", "token": "t"},
        {"events": ["issues", "workflow_run.completed", "*"]},
    ],
)
def test_what_is_meant_is_understood(given: dict[str, Any]) -> None:
    assert _problems(**given) == []


def test_the_token_is_declared_with_its_help_and_is_a_secret() -> None:
    declared = {info.name: info for info in declaration_of(GithubConnector).options or ()}
    token = declared["token"]
    assert (token.env, token.description) == ("GITHUB_TOKEN", "Personal access token with repo scope")
    assert (token.secret, token.required) == (True, False)
    assert token.help_url == "https://github.com/settings/tokens/new?scopes=repo"
    assert declared["secret"].env == "GITHUB_WEBHOOK_SECRET"


def test_feeds_are_called_by_their_repositories() -> None:
    found, _ = feeds_of(GithubConnector, {"repositories": ["acme/app"], "feeds": [{"name": "w", "repository": "a/w"}]})
    assert [feed.name for feed in found] == ["acme.app", "w"]
    long = [feed_name(f"acme/{'x' * 90}{number}") for number in range(2)]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 64


@pytest.mark.parametrize(
    ("events", "event", "action", "let_in"),
    [
        ([], "star", "created", True),
        (["issues"], "issues", "opened", True),
        (["issues"], "issue_comment", "created", False),
        (["workflow_run.completed"], "workflow_run", "completed", True),
        (["workflow_run.completed"], "workflow_run", "requested", False),
        (["*"], "star", "created", True),
    ],
)
def test_events_are_filtered_by_name_and_action(events: list[str], event: str, action: str, let_in: bool) -> None:
    assert wanted(events, event, action) is let_in
