"""GitHub's records as events: pure, and never surprised."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.github.faults import Nonsense
from connectors.github.normalise import Place, Told, comment_event, issue_event, number_of
from connectors.parts.checking import check
from connectors.parts.events import Event

ACME = Place(186853002, "acme/app")
#: An issue as https://docs.github.com/en/rest/issues/issues#get-an-issue has it, cut down to what may be read.
ISSUE: dict[str, Any] = {
    "id": 444500041,
    "number": 7,
    "title": "Found a bug",
    "body": "It is broken.",
    "user": {"login": "octocat", "id": 1, "type": "User"},
    "labels": [{"id": 208045946, "name": "bug"}, "legacy"],
    "state": "open",
    "state_reason": None,
    "locked": False,
    "assignees": [{"login": "hubot", "type": "Bot"}],
    "milestone": {"number": 1, "title": "v1.0"},
    "comments": 2,
    "reactions": {"total_count": 500, "heart": 500},
    "created_at": "2026-04-22T13:33:48Z",
    "updated_at": "2026-04-23T08:00:00Z",
    "closed_at": None,
    "author_association": "COLLABORATOR",
    "html_url": "https://github.com/acme/app/issues/7",
}
COMMENT: dict[str, Any] = {
    "id": 492700400,
    "user": {"login": "dependabot[bot]", "type": "Bot"},
    "body": "Bumps.",
    "created_at": "2026-04-23T08:00:00Z",
    "updated_at": "2026-04-23T08:00:00Z",
    "author_association": "NONE",
    "html_url": "https://github.com/acme/app/pull/8#issuecomment-492700400",
    "issue_url": "https://api.github.com/repos/acme/app/issues/8",
}


def _digest(event: Event) -> str:
    checked = check(event)
    assert not isinstance(checked, list), checked
    return checked.digest


def test_a_score_is_a_score() -> None:
    """Weakness: counts of reactions and comments stood for a number up to 100."""
    assert issue_event(ISSUE, ACME).score == 100
    assert issue_event({**ISSUE, "reactions": {"total_count": 1}}, ACME).score == 3


@pytest.mark.parametrize(
    "change",
    [
        {"comments": 9},
        {"reactions": {"total_count": 1}},
        {"updated_at": "2026-05-01T00:00:00Z"},
        {"labels": ["legacy", "bug"]},
        {"id": 5},
        {"author_association": "NONE"},
        {"body": "It is broken.\n\n<!-- mailbox-connectors 0123456789abcdef -->"},
    ],
)
def test_what_is_no_content_makes_no_revision(change: dict[str, Any]) -> None:
    assert _digest(issue_event({**ISSUE, **change}, ACME)) == _digest(issue_event(ISSUE, ACME))


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"},
        {"body": None},
        {"state": "closed"},
        {"state_reason": "not_planned"},
        {"labels": []},
        {"assignees": []},
        {"milestone": None},
        {"locked": True},
    ],
)
def test_what_is_content_makes_a_revision(change: dict[str, Any]) -> None:
    assert _digest(issue_event({**ISSUE, **change}, ACME)) != _digest(issue_event(ISSUE, ACME))


def test_both_shapes_of_a_pull_request_are_one_record() -> None:
    common = {**ISSUE, "draft": True}
    listed = {**common, "pull_request": {"merged_at": None}}
    pushed = {**common, "id": 99, "merged_at": None, "merged": False, "head": {"sha": "0"}, "commits": 3}
    told = Told("opened", "octocat", "d1")
    assert issue_event(listed, ACME).origin_id == issue_event(pushed, ACME, told).origin_id
    assert _digest(issue_event(listed, ACME)) == _digest(issue_event(pushed, ACME, told))


def test_a_comment_says_who_and_where() -> None:
    event = comment_event(COMMENT, ACME, number_of(COMMENT), review=False, title="Bump")
    assert (event.author_type, event.author, event.parent) == ("bot", "dependabot[bot]", "issue:186853002#8")
    assert (event.payload["pull_request"], event.title, event.conversation) == (True, "#8 Bump", "acme/app#8")


def test_half_characters_and_long_texts_are_texts() -> None:
    event = issue_event({**ISSUE, "title": "half \ud83d", "body": "x" * 65_536}, ACME)
    assert _digest(event)


def _paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*here, key)
        yield from _paths(inner, (*here, key))


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(
    which=st.sampled_from([ISSUE, COMMENT, {**ISSUE, "pull_request": {"merged_at": None}, "merged_at": None}]),
    changes=st.lists(st.tuples(st.integers(0, 200), _JUNK), min_size=1, max_size=3),
)
def test_whatever_stands_in_a_record_it_is_an_event_or_refused(
    which: dict[str, Any], changes: list[tuple[int, Any]]
) -> None:
    record = copy.deepcopy(which)
    paths = list(_paths(which))
    for number, junk in changes:
        *way, last = paths[number % len(paths)]
        inner: Any = record
        try:
            for step in way:
                inner = inner[step]
            inner[last] = junk
        except (KeyError, IndexError, TypeError):
            continue
    try:
        if "issue_url" in which:
            event = comment_event(record, ACME, number_of(record), review=False, title="x")
        else:
            event = issue_event(record, ACME)
    except Nonsense:
        return
    assert not isinstance(check(event), list)
