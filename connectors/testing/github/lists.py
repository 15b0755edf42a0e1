"""Lists: what `since`, `sort` and `direction` ask for, in pages.

https://docs.github.com/en/rest/issues/issues#list-repository-issues,
https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository,
https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api: the Link header leads to the next
page, under the repository's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from connectors.testing.github.answers import invalid, refused
from connectors.testing.github.model import Comment, Issue, stamp

T = TypeVar("T", Issue, Comment)
MOST = 100


def selected(found: Sequence[T], query: Mapping[str, str], *, inclusive: bool, by_id: bool = False) -> list[T]:
    """`by_id`: what the order is when nobody asks for one. `inclusive`: whether `since` includes its own second."""
    since = query.get("since")
    if since is not None:
        found = [one for one in found if stamp(one.updated_at) >= since]
        if not inclusive:
            found = [one for one in found if stamp(one.updated_at) > since]
    sort, down = query.get("sort"), query.get("direction", "desc") == "desc"
    if sort is None and by_id:
        return sorted(found, key=lambda one: one.id)
    if sort == "updated":
        return sorted(found, key=lambda one: (stamp(one.updated_at), one.id), reverse=down)
    if sort in (None, "created"):
        return sorted(found, key=lambda one: (stamp(one.created_at), one.id), reverse=down)
    raise invalid("Issue", "sort", "invalid")


def page_of(found: Sequence[T], query: Mapping[str, str], address: str) -> tuple[list[T], dict[str, str]]:
    """One page, and its Link header where there are several."""
    number, size = _whole(query, "page", 1), min(_whole(query, "per_page", 30), MOST)
    last = max(1, -(-len(found) // size))
    links = []
    for rel, there, wanted in (
        ("prev", number > 1, number - 1),
        ("next", number < last, number + 1),
        ("last", number < last, last),
        ("first", number > 1, 1),
    ):
        if there:
            links.append(f'<{address}?{urlencode({**query, "page": wanted})}>; rel="{rel}"')
    shown = list(found[(number - 1) * size : number * size])
    return shown, {"Link": ", ".join(links)} if links else {}


def filtered(found: Sequence[Issue], query: Mapping[str, Any]) -> list[Issue]:
    """By `state` (open unless asked otherwise) and `creator`."""
    state, creator = query.get("state", "open"), query.get("creator")
    return [
        issue
        for issue in found
        if state in ("all", issue.state)
        and (creator is None or (issue.user is not None and issue.user.login == creator))
    ]


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise refused(422, f"Invalid {name}")
    return int(text)
