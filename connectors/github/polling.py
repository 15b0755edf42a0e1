"""One poll of one repository: who it is now, its issues, its comments, each with a bookmark of its own.

The bookmark moves page by page, with the events of the page. What cannot be read (a 403 for the comments, half a page)
leaves its list's bookmark where it was, and the other lists are read all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.base.errors import RetryLater
from connectors.github.arriving import Arrivals
from connectors.github.faults import Nonsense, Refused
from connectors.github.normalise import Place, comment_event, issue_event, issue_id, mapping, number_of, text
from connectors.github.options import GithubOptions, RepositoryOptions, wanted
from connectors.github.walking import Page, earlier, walk, written
from connectors.parts.events import Event
from connectors.parts.feeds import Feed
from connectors.parts.polling import PollResult
from connectors.parts.schedule import parse_interval

if TYPE_CHECKING:
    from connectors.github.client import Client
    from connectors.github.connector import GithubConnector

#: So far behind the bookmark a poll begins: what GitHub lists a little late is not missed, and what was there before
#: does not come again.
OVERLAP_S = 60


@dataclass(frozen=True)
class Listing:
    """A list of records, all of them polled alike. `kinds`: the events it brings, by the names of webhooks."""

    name: str
    path: str
    kinds: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)


LISTINGS = (
    Listing("issues", "issues", ("issues", "pull_request"), {"state": "all"}),
    Listing("comments", "issues/comments", ("issue_comment",)),
    Listing("review_comments", "pulls/comments", ("pull_request_review_comment",)),
)


@dataclass
class Bookmarks:
    """A repository's checkpoint.

    {"repository": {given, id, name, etag}, "lists": {name: {first, since, asked, etag}}}
    """

    repository: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, checkpoint: Any) -> Bookmarks:
        """What cannot be read (somebody set it by hand) is a fresh start."""
        found = checkpoint if isinstance(checkpoint, dict) else {}
        repository, lists = found.get("repository"), found.get("lists")
        if not (isinstance(repository, dict) and isinstance(lists, dict)):
            return cls()
        if not (isinstance(repository.get("id"), int) and isinstance(repository.get("name"), str)):
            return cls()
        return cls(dict(repository), {name: dict(at) for name, at in lists.items() if _is_mark(at)})

    def to_dict(self) -> dict[str, Any]:
        return {"repository": dict(self.repository), "lists": {name: dict(at) for name, at in self.lists.items()}}


def _is_mark(at: object) -> bool:
    try:
        return isinstance(at, dict) and bool(earlier(at["first"], 0) and earlier(at["since"], 0))
    except (KeyError, TypeError, ValueError):
        return False


class Poll:
    """One poll of one feed."""

    def __init__(
        self, connector: GithubConnector, client: Client, arrivals: Arrivals, options: GithubOptions, feed: Feed
    ) -> None:
        self._connector = connector
        self._client = client
        self._arrivals = arrivals
        self._options = options
        self._feed = feed
        self._given: RepositoryOptions = feed.options
        self._titles: dict[int, str | None] = {}

    def run(self, checkpoint: Any, sources: int) -> PollResult:
        """`sources`: how many feeds share the rate limit. Raises as the client does."""
        before = self._client.count
        marks = Bookmarks.read(checkpoint)
        place, now = self._find(marks)
        problems, read = [], 0
        for listing in LISTINGS:
            if not any(wanted(self._options.events, kind) for kind in listing.kinds):
                continue
            try:
                self._read(listing, place, marks, now)
                read += 1
            except (Refused, Nonsense) as error:
                problems.append(error)
        if problems and not read:
            raise problems[0]
        pause_s = self._client.pause_s(self._client.count - before, sources)
        return PollResult((), marks.to_dict(), next_s=pause_s, problems=[str(problem) for problem in problems])

    def _find(self, marks: Bookmarks) -> tuple[Place, float]:
        """Who has the configured name; and GitHub's time."""
        given, known = self._given.repository, marks.repository
        etag = known.get("etag") if known.get("given") == given else None
        answer = self._client.get(f"/repos/{given}", etag)
        if not answer.fresh:
            return Place(known["id"], known["name"]), answer.now
        place = Place.of(answer.data)
        if known.get("id") not in (None, place.id):
            self._connector.logger.warning("%s is another repository now (%d): a fresh start", given, place.id)
            marks.lists.clear()
        if place.name.lower() != given.lower():
            self._connector.logger.warning("%s is called %s now: edit connectors.yml", given, place.name)
        marks.repository = {"given": given, "id": place.id, "name": place.name, "etag": answer.etag}
        return place, answer.now

    def _read(self, listing: Listing, place: Place, marks: Bookmarks, now: float) -> None:
        if listing.name not in marks.lists:
            lookback_s = parse_interval(self._options.lookback, least_s=0.0)
            first = written(now - lookback_s)
            marks.lists[listing.name] = {"first": first, "since": first}
        mark = marks.lists[listing.name]
        start = max(earlier(mark["since"], OVERLAP_S), mark["first"])
        etag = mark.get("etag") if mark.get("asked") == start else None
        path = f"/repos/{place.name}/{listing.path}"
        for page in walk(self._client.get, path, start, etag, **listing.query):
            if self._connector.wait(0):
                raise RetryLater("stopped")
            events = list(self._events(page, listing, place))
            mark |= {"since": page.newest, "asked": start, "etag": page.etag}
            self._arrivals.take(events, lambda news: self._feed.emit(news, marks.to_dict()))

    def _events(self, page: Page, listing: Listing, place: Place) -> Iterator[Event]:
        for record in page.records:
            if listing.name == "issues":
                event = issue_event(record, place)
                self._titles[event.payload["number"]] = text(record, "title")
            else:
                number = number_of(record)
                review = listing.name == "review_comments"
                event = comment_event(record, place, number, review=review, title=self._title(place, number))
            if wanted(self._options.events, str(event.platform_event)):
                own = self._arrivals.own(event, record.get("body"))
                if own is not None:
                    yield own

    def _title(self, place: Place, number: int) -> str | None:
        """Of a comment's issue: from this poll, or from what was told before, or asked for."""
        if number not in self._titles:
            self._titles[number] = self._known_title(issue_id(place, number)) or self._asked_title(place, number)
        return self._titles[number]

    def _known_title(self, origin: str) -> str | None:
        found = self._connector.newest_of([origin]).get(origin)
        message = self._connector.kept(found[0]) if found is not None else None
        return message.conversation.name or None if message is not None else None

    def _asked_title(self, place: Place, number: int) -> str | None:
        try:
            answer = self._client.get(f"/repos/{place.name}/issues/{number}")
            return text(mapping(answer.data, "an issue"), "title")
        except (Refused, Nonsense):
            return None
