"""Reading a list to its end while people change it.

A list is asked for in order of `updated_at`, oldest first, from `since` on. Pages by number would lose records: one
that is changed meanwhile moves to the end, all behind it move up, and the first of the next page is on the last one
now. So the next page is asked for by the newest `updated_at` of this one. Only where a page has no newer second than it
was asked for (somebody labelled a hundred issues at once) the Link header leads on, and such a second is read again
until nothing new is found in it.

Whether `since` includes its own second is not said alike everywhere: one second earlier includes it in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.github.client import Answer
from connectors.github.faults import Nonsense
from connectors.github.normalise import mapping, updated_at

#: The most that a page can have: https://docs.github.com/en/rest/issues/issues#list-repository-issues
PER_PAGE = 100
#: So often a second with several pages is read; one in which things change for longer comes again at the next poll.
_MOST_PASSES = 5
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

#: An address or path, an ETag, and the query → the answer.
Get = Callable[..., Answer]


@dataclass(frozen=True)
class Page:
    """Records that were not on an earlier page; `newest`: of all that was seen. `etag`: of the only page there is."""

    records: list[Mapping[str, Any]]
    newest: str
    etag: str | None = None


def earlier(moment: str, seconds: float) -> str:
    """A time of GitHub's, so much earlier."""
    at = datetime.strptime(moment, _FORMAT).replace(tzinfo=UTC).timestamp()
    return written(at - seconds)


def written(at: float) -> str:
    """As GitHub writes times; none is before 1970."""
    return datetime.fromtimestamp(max(0.0, at), UTC).strftime(_FORMAT)


def walk(get: Get, path: str, since: str, etag: str | None = None, **query: str) -> Iterator[Page]:
    """The pages from `since` on; none when `etag` says that all is as it was. Raises as `get` does, and Nonsense."""
    ordered = {**query, "sort": "updated", "direction": "asc", "per_page": str(PER_PAGE)}
    seen: set[tuple[object, str]] = set()
    newest, passes = since, 0
    while True:
        where, asked, addresses, found = path, {**ordered, "since": since}, set[str](), False
        while True:
            answer = get(where, etag, **asked)
            if not answer.fresh:
                return
            listed = _records(answer, path)
            records = [one for one in listed if _key(one) not in seen]
            seen.update(map(_key, records))
            found = found or bool(records)
            last = max([since, *map(updated_at, listed)])
            newest, ahead = max(newest, last), earlier(last, 1)
            only = not addresses and answer.next is None
            yield Page(records, newest, answer.etag if only else None)
            if answer.next is None or ahead > since:
                break
            if answer.next in addresses:
                raise Nonsense(f"{path}: the pages lead in a circle")
            addresses.add(answer.next)
            where, asked, etag = answer.next, {}, None
        passes, etag = passes + 1, None
        if addresses and found and passes < _MOST_PASSES:
            continue
        if answer.next is None:
            return
        since, passes, seen = ahead, 0, {key for key in seen if key[1] >= ahead}


def _records(answer: Answer, path: str) -> list[Mapping[str, Any]]:
    if not isinstance(answer.data, list):
        raise Nonsense(f"{path}: GitHub's answer is no list, but {type(answer.data).__name__}")
    return [mapping(one, "a record of the list") for one in answer.data]


def _key(record: Mapping[str, Any]) -> tuple[object, str]:
    return record.get("id"), updated_at(record)
