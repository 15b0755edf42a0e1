"""Issues and comments by polling: all of them, each once, whatever happens meanwhile."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from connectors.base.errors import AuthError, RetryLater
from connectors.testing.github import FakeGitHub, Repository, Request
from tests.github.live import FEED, Clock, Place, source


def test_issues_pull_requests_and_both_kinds_of_comments_arrive_once(place: Place) -> None:
    issue = place.fake.open(place.repository, "It crashes", "When I click.", labels=["bug"])
    pull = place.fake.open(place.repository, "Fix it", "Fixes #1", pull=True)
    place.fake.comment(issue, "Me too.")
    place.fake.comment(pull, "Why so?", path="main.py")
    assert place.sync().counts.new == 4
    assert place.sync().counts.new == 0
    assert [(source(m).platform_event, m.content.text) for m in place.events] == [
        ("issues", "When I click."),
        ("pull_request", "Fixes #1"),
        ("issue_comment", "Me too."),
        ("pull_request_review_comment", "Why so?"),
    ]


def test_an_event_says_what_it_is_where_it_is_and_who_it_is_from(place: Place) -> None:
    issue = place.fake.open(place.repository, "It crashes", "When I click.", labels=["bug", "a"])
    place.fake.comment(issue, "Me too.", by=place.fake.person("helper[bot]", type="Bot"))
    place.sync()
    opened, commented = place.events
    event = source(opened)
    assert (opened.content.format, opened.conversation.id, opened.conversation.name) == (
        "markdown",
        "acme/app#1",
        "It crashes",
    )
    assert (event.title, event.source_url) == ("#1 It crashes", "https://github.example/acme/app/issues/1")
    assert event.occurred_at == "2027-01-15T08:00:00.000000+00:00"
    assert event.payload["labels"] == ["a", "bug"]
    assert (event.payload["state"], event.payload["number"]) == ("open", 1)
    said = event.provenance
    assert (said["platform"], said["author"], said["author_type"]) == ("github", "ada", "external")
    assert (said["repository"], said["number"]) == ("acme/app", 1)
    assert source(commented).parent == event.origin_id
    assert (source(commented).title, commented.conversation.id) == ("#1 It crashes", "acme/app#1")
    assert commented.sender.is_bot is True


def test_the_team_is_told_from_others_and_a_deleted_account_is_nobody(place: Place) -> None:
    fake = place.fake
    for by in (fake.person("bob"), fake.person("acme"), fake.person("stranger")):
        fake.open(place.repository, "x", by=by)
    fake.open(place.repository, "ghost").user = None
    place.sync()
    assert [source(m).provenance["author_type"] for m in place.events] == [
        "team_member",
        "team_member",
        "external",
        "unknown",
    ]


# ── what is easily lost, or told twice ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("inclusive", [True, False], ids=["since-is-at-or-after", "since-is-after"])
def test_distinct_issues_of_one_second_are_not_dropped(place: Place, inclusive: bool) -> None:
    """The guide's example compares `updated_at` for equality; and nobody says alike what `since` includes."""
    place.fake._rest.inclusive = inclusive
    place.fake.open(place.repository, "first")
    place.sync()
    place.fake.open(place.repository, "second, in the same second")
    place.fake.open(place.repository, "third, too")
    place.sync()
    assert place.titles == ["#1 first", "#2 second, in the same second", "#3 third, too"]


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["spread", "all-in-one-second"])
def test_more_changes_than_a_page_has_all_arrive(place: Place, clock: Clock, seconds: float) -> None:
    """Weakness: one page of 100 was read, and the bookmark moved past the rest."""
    for number in range(250):
        place.fake.open(place.repository, f"issue {number}")
        clock.tick(seconds)
    assert place.sync().counts.new == 250
    assert place.sync().counts.new == 0


def test_more_comments_than_a_page_has_all_arrive(place: Place) -> None:
    """Weakness: one page of 100 comments was read."""
    issue = place.fake.open(place.repository, "much discussed")
    for number in range(230):
        place.fake.comment(issue, f"comment {number}")
    place.sync()
    assert sorted(place.texts[1:]) == sorted(f"comment {number}" for number in range(230))


def test_an_issue_that_moves_while_pages_are_read_hides_no_other(place: Place, clock: Clock) -> None:
    """By numbers of pages, the first of page two would move to page one when one of page one is changed."""
    issues = [place.fake.open(place.repository, f"issue {number}") for number in range(220)]
    clock.tick()
    pages = 0

    def meanwhile(request: Request) -> None:
        nonlocal pages
        if request.path.endswith("/issues"):
            pages += 1
            if pages in (2, 3):
                place.fake.label(issues[pages], "moved")

    place.fake.before = meanwhile
    place.sync()
    assert {source(m).payload["number"] for m in place.events} == set(range(1, 221))


def test_pull_requests_are_told_from_issues(place: Place) -> None:
    """In the guide's example a pull request comes back as an issue."""
    place.fake.open(place.repository, "an issue")
    place.fake.open(place.repository, "a pull request", pull=True, draft=True)
    place.sync()
    assert [source(m).platform_event for m in place.events] == ["issues", "pull_request"]
    assert source(place.events[1]).payload["draft"] is True
    assert "draft" not in source(place.events[0]).payload


def test_the_bookmark_goes_by_githubs_times_and_not_by_our_clock(place: Place, clock: Clock) -> None:
    """Weakness: it moved to the time when events were built; what came in between fell behind it."""
    issue = place.fake.open(place.repository, "seen")

    def meanwhile(request: Request) -> None:
        if request.path.endswith("/issues/comments") and len(place.repository.issues) == 1:
            place.fake.open(place.repository, "opened after the list of issues was read")

    place.fake.before = meanwhile
    place.sync()
    assert place.titles == ["#1 seen"]
    place.sync()
    assert place.titles == ["#1 seen", "#2 opened after the list of issues was read"]
    assert place.checkpoint()["lists"]["issues"]["since"] == "2027-01-15T08:00:00Z"
    assert issue.updated_at == clock.at


def test_a_comment_makes_no_event_of_its_issue(place: Place, clock: Clock) -> None:
    """Weakness: GitHub updates an issue with every comment, and each made the pull request ready again."""
    pull = place.fake.open(place.repository, "Fix it", pull=True)
    place.sync()
    clock.tick(5)
    place.fake.comment(pull, "looks good")
    place.fake.react(pull)
    place.sync()
    assert [source(m).platform_event for m in place.events] == ["pull_request", "issue_comment"]


def test_what_was_opened_and_closed_between_two_polls_arrives(place: Place) -> None:
    """Weakness: the closing was told of only, or nothing."""
    issue = place.fake.open(place.repository, "short-lived")
    place.fake.close(issue, "not_planned")
    place.sync()
    [message] = place.events
    assert (source(message).payload["state"], source(message).payload["state_reason"]) == ("closed", "not_planned")


def test_a_merge_is_one_event_that_says_so(place: Place, clock: Clock) -> None:
    """Weakness: `closed` and `merged` came together."""
    pull = place.fake.open(place.repository, "Fix it", pull=True)
    place.sync()
    clock.tick()
    place.fake.merge(pull)
    place.sync()
    _, merged = place.events
    assert (source(merged).payload["state"], source(merged).payload["merged"]) == ("closed", True)
    assert source(merged).payload["changed"] == ["state", "merged"]
    assert source(merged).supersedes == place.events[0].id


def test_a_comment_knows_its_issues_title_and_whether_that_is_a_pull_request(place: Place, clock: Clock) -> None:
    """Weakness: comments had an empty title, and said of each that it was on no pull request."""
    pull = place.fake.open(place.repository, "Fix it", pull=True)
    comment = place.fake.comment(pull, "first")
    place.sync()
    clock.tick(90 * 86_400)
    place.fake.edit_comment(comment, "edited, much later")  # its issue is not in the list then
    place.sync()
    for message in place.events[1:]:
        assert source(message).title == "#1 Fix it"
        assert source(message).payload["pull_request"] is True
    assert source(place.events[-1]).payload["changed"] == ["body"]


def test_the_title_of_an_issue_that_never_came_is_asked_for(place: Place, clock: Clock) -> None:
    issue = place.fake.open(place.repository, "older than the lookback")
    comment = place.fake.comment(issue, "old")
    clock.tick(30 * 86_400)
    place.fake.edit_comment(comment, "edited")
    place.sync()
    assert place.titles == ["#1 older than the lookback"]


def test_a_lists_403_discards_nothing_of_the_others(place: Place) -> None:
    """Weakness: one endpoint's 403 discarded all events."""
    issue = place.fake.open(place.repository, "an issue")
    place.fake.comment(issue, "a comment")
    place.fake.fail_next("forbidden", "^GET /repos/acme/app/issues/comments")
    report = place.sync()
    assert place.titles == ["#1 an issue"]
    assert "not accessible" in report.problems[0]
    place.sync()
    assert place.texts[1:] == ["a comment"]


def test_a_limit_in_the_middle_moves_no_bookmark_of_what_was_not_read(place: Place) -> None:
    """Weakness: a partial result moved the bookmark past what was not polled."""
    issue = place.fake.open(place.repository, "an issue")
    place.fake.comment(issue, "a comment")
    place.fake.fail_next("rate_limit", "^GET /repos/acme/app/issues/comments", retry_after_s=7)
    with pytest.raises(RetryLater) as caught:
        place.sync()
    assert caught.value.after_s == 7
    assert place.titles == ["#1 an issue"]
    assert "comments" not in place.checkpoint()["lists"] or "asked" not in place.checkpoint()["lists"]["comments"]
    place.sync()
    assert place.titles == ["#1 an issue", "#1 an issue"]
    assert place.texts[1] == "a comment"


def test_an_error_on_a_later_page_loses_and_doubles_nothing(place: Place, clock: Clock) -> None:
    """Weakness: the cache was updated before the poll had succeeded."""
    for number in range(150):
        place.fake.open(place.repository, f"issue {number}")
        clock.tick()
    asked = 0

    def fail_the_second(request: Request) -> None:
        nonlocal asked
        asked += request.path.endswith("/issues")
        if request.path.endswith("/issues") and asked == 2:
            place.fake.fail_next("truncated", "^GET /repos/acme/app/issues$")

    place.fake.before = fail_the_second
    with pytest.raises(RetryLater):
        place.sync()
    assert len(place.events) == 100
    place.sync()
    assert len(place.events) == len({m.id for m in place.events}) == 150


def test_a_restart_begins_where_it_was(place: Place, clock: Clock) -> None:
    """Weakness: every restart began at 1970, and used up the rate limit."""
    place.fake.open(place.repository, "before")
    place.sync()
    clock.tick(3600)
    place.leave()
    place.sync()
    asked = [request.query["since"] for request in place.fake.journal if request.path.endswith("/issues")]
    assert asked == ["2027-01-08T08:00:00Z", "2027-01-15T07:59:00Z"]


# ── first runs, revisions, what does not come ─────────────────────────────────────────────────────────────────


def test_the_first_poll_looks_back_as_far_as_configured(place: Place, clock: Clock) -> None:
    place.fake.open(place.repository, "two days old")
    clock.tick(2 * 86_400)
    place.fake.open(place.repository, "fresh")
    place.sync(lookback="1d")
    assert place.titles == ["#2 fresh"]


def test_from_now_on_means_that(place: Place, clock: Clock) -> None:
    place.fake.open(place.repository, "a moment ago")
    clock.tick(2)
    place.sync(lookback="0s")
    clock.tick(2)
    place.fake.open(place.repository, "new")
    place.sync(lookback="0s")
    assert place.titles == ["#2 new"]


def test_a_change_is_an_event_that_names_what_changed_and_what_it_supersedes(place: Place, clock: Clock) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.sync()
    clock.tick()
    place.fake.label(issue, "bug")
    place.fake.assign(issue, place.fake.person("bob"))
    place.fake.edit(issue, title="It crashes badly")
    place.sync()
    first, second = place.events
    assert source(second).supersedes == first.id
    assert source(second).payload["changed"] == ["title", "labels", "assignees"]


def test_what_changes_back_within_the_overlap_is_told(place: Place, clock: Clock) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.sync()
    for action, labels in (("labeled", ["bug"]), ("unlabeled", [])):
        clock.tick()
        place.fake.change(issue, action, labels=labels)
        place.sync()
    assert [source(m).payload["labels"] for m in place.events] == [[], ["bug"], []]


def test_only_the_wanted_kinds_come(place: Place) -> None:
    issue = place.fake.open(place.repository, "an issue")
    pull = place.fake.open(place.repository, "a pull request", pull=True)
    place.fake.comment(issue, "a comment")
    place.fake.comment(pull, "a review", path="x")
    place.sync(events=["pull_request", "issue_comment"])
    assert [source(m).platform_event for m in place.events] == ["pull_request", "issue_comment"]
    assert not [r for r in place.fake.journal if r.path.endswith("/pulls/comments")]


def test_a_list_without_changes_costs_nothing(place: Place) -> None:
    """Conditional requests: GitHub answers 304, which does not count against the limit of an account."""
    place.fake.open(place.repository, "an issue")
    connector = place.here()
    for _ in range(3):
        connector.sync()
    left = place.fake.limits.left(place.fake.login)
    connector.sync()
    assert [r.outcome for r in place.fake.journal[-4:]] == ["304"] * 4
    assert place.fake.limits.left(place.fake.login) == left


# ── several repositories ──────────────────────────────────────────────────────────────────────────────────────


def test_each_repository_has_its_own_bookmark(place: Place) -> None:
    other = place.fake.repository("acme/web")
    place.fake.open(place.repository, "in app")
    place.fake.open(other, "in web")
    place.sync(repositories=["acme/app", "https://github.com/acme/web"])
    assert place.titles == ["#1 in app", "#1 in web"]
    assert len({m.id for m in place.events}) == 2
    assert place.checkpoint("acme.web")["repository"]["name"] == "acme/web"
    assert place.checkpoint(FEED)["repository"]["name"] == "acme/app"


def test_a_repository_that_is_gone_stops_no_other(place: Place) -> None:
    place.fake.open(place.repository, "still here")
    place.start(repositories=["acme/gone", "acme/app"])
    place.wait(lambda: place.titles == ["#1 still here"])
    feeds = place.wait(lambda: place.status["source"].get("feeds") or {})
    place.wait(lambda: place.status["source"]["feeds"]["acme.gone"]["failures"])
    assert "404 Not Found" in place.status["source"]["feeds"]["acme.gone"]["error"]
    place.fake.open(place.repository, "and goes on")
    place.wait(lambda: len(place.titles) == 2)
    assert set(feeds) == {"acme.gone", "acme.app"}


def test_a_repository_that_was_renamed_goes_on_and_nothing_comes_twice(place: Place, clock: Clock) -> None:
    place.fake.open(place.repository, "before")
    place.sync()
    clock.tick()
    place.fake.rename(place.repository, "application")
    place.fake.open(place.repository, "after")
    place.sync()
    assert place.titles == ["#1 before", "#2 after"]
    assert place.events[-1].conversation.id == "acme/application#2"
    assert place.checkpoint()["repository"]["name"] == "acme/application"


def test_another_repository_under_the_old_name_starts_afresh(place: Place, clock: Clock) -> None:
    place.fake.open(place.repository, "of the old one")
    place.sync()
    place.repository.gone = True
    successor = place.fake.repository("acme/app")
    place.fake.open(successor, "of the new one")
    clock.tick()
    place.sync()
    assert place.titles == ["#1 of the old one", "#1 of the new one"]


# ── answers that are none ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["empty", "html", "wrong_shape", "truncated", "unavailable", "drop"])
@pytest.mark.parametrize("where", ["^GET /repos/acme/app$", "^GET /repos/acme/app/issues$"], ids=["repo", "list"])
def test_nonsense_moves_no_bookmark_and_crashes_nothing(place: Place, kind: str, where: str) -> None:
    """Weakness: an empty body was a crash."""
    place.fake.open(place.repository, "an issue")
    before = place.checkpoint()
    place.fake.fail_next(kind, where)  # type: ignore[arg-type]
    place.fake.fail_next(kind, "comments")  # type: ignore[arg-type]
    place.fake.fail_next(kind, "comments")  # type: ignore[arg-type]
    with pytest.raises(RetryLater):
        place.sync()
    assert place.checkpoint() == before
    place.fake.clear_failures()
    place.sync()
    assert place.titles == ["#1 an issue"]


@pytest.mark.parametrize(
    "wrong",
    [{"number": "7"}, {"updated_at": "yesterday"}, {"updated_at": None}, {"title": 3}, {"state": None}, {"body": []}],
)
def test_a_record_that_is_none_refuses_its_page_and_names_the_field(
    place: Place, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    """Weakness: what had a bad date was skipped."""
    place.fake.open(place.repository, "an issue")
    real = type(place.fake.shapes).issue
    with monkeypatch.context() as patch:
        patch.setattr("connectors.testing.github.shapes.Shapes.issue", lambda *given: {**real(*given), **wrong})
        report = place.sync()
    assert next(iter(wrong)) in report.problems[0]
    assert place.events == []
    place.sync()
    assert place.titles == ["#1 an issue"]


def test_a_feed_that_fails_says_so_in_its_state_and_waits_longer_each_time(place: Place) -> None:
    """Weakness: a failing source looked healthy, or was asked on at full rate."""
    place.fake.fail_next("html", "^GET /repos/acme/app", n=50)
    place.start()
    place.wait(lambda: place.status.get("state") == "failing")
    assert "no JSON" in place.status["note"]
    assert place.status["source"]["failures"] == 1 or place.status["source"]["feeds"][FEED]["failures"] == 1
    assert len(place.fake.requests("GET /repos/acme/app")) == 1


def test_a_refused_token_ends_the_process_with_its_code(place: Place) -> None:
    """Weakness: it was a line on a console, and no events came."""
    with pytest.raises(AuthError) as caught:
        place.sync(token="ghp_wrong")
    assert "GITHUB_TOKEN" in caught.value.hint
    assert place.process(token="ghp_wrong").wait() == 77


def test_a_stop_is_noticed_while_github_does_not_answer(place: Place) -> None:
    place.fake.fail_next("timeout", "^GET /repos/acme/app/issues")
    running = place.start()
    place.wait(lambda: place.fake.hanging)
    running.terminate()
    assert running.wait(6) == 0


def test_a_poll_that_gets_no_answer_in_time_fails_and_moves_nothing(place: Place) -> None:
    place.fake.open(place.repository, "an issue")
    place.fake.fail_next("timeout", "^GET /repos/acme/app/issues")
    with pytest.raises(RetryLater, match="no answer"):
        place.sync(timeout_s=0.3)
    place.sync()
    assert place.titles == ["#1 an issue"]


def test_links_to_other_hosts_get_no_token(place: Place, fake: FakeGitHub) -> None:
    with FakeGitHub(token=fake.token) as thief:
        for number in range(120):
            fake.open(place.repository, f"issue {number}")
        rest = fake._rest
        away = {"Link": f'<{thief.url}/repositories/1/issues?page=2>; rel="next"'}
        given = ("GET", re.compile("/issues"), lambda *asked: replace(rest._issues(*asked), headers=away))
        rest._routes.insert(0, given)
        report = place.sync()
        assert thief.journal == []
    assert "where the token does not go" in report.problems[0]


def test_a_public_repository_needs_no_token(place: Place, repository: Repository) -> None:
    place.fake.open(repository, "for all to see")
    report = place.sync(token=None)
    assert place.titles == ["#1 for all to see"]
    assert all(request.login is None for request in place.fake.journal)
    assert report.next_s is not None
    assert 280 < report.next_s < 400, "60 requests an hour, four of them a poll"
