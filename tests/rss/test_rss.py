"""Feeds as a source, from the site to the inbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import ConfigError, RetryLater
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.base.status import StatusFile
from connectors.rss.connector import RssConnector
from connectors.rss.faults import FeedError
from connectors.testing import ConnectorContract, RunningConnector, wait_for
from tests.rss.site import Page, Site, feed


class TestRss(ConnectorContract):
    connector = RssConnector

    def options(self, platform: Any) -> dict[str, Any]:
        return {"feeds": [{"name": "a", "url": "http://127.0.0.1:9/feed", "private": True}]}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


class Reader:
    """The connector and its home. `feeds` are {name: path}."""

    def __init__(self, home: Path, site: Site, feeds: dict[str, str] | None = None, **options: Any) -> None:
        self.home = Home(home)
        self.site = site
        given = {"private": True, "first_run": "all", "jitter": "0s", **options}
        feeds = feeds or {"a": "/feed"}
        self.config = {"feeds": [{"name": name, "url": site.url(path), **given} for name, path in feeds.items()]}

    def look(self, feed: str | None = None) -> tuple[int, int, int]:
        """One look; returns how many are new, revised, unchanged."""
        connector = RssConnector("news", self.home.root, self.config)
        try:
            counts = connector.sync(feed).counts
            return counts.new, counts.revised, counts.unchanged
        finally:
            connector.close()

    def run(self, **how: Any) -> RunningConnector:
        return RunningConnector(RssConnector, self.home.root, "news", self.config, **how)

    @property
    def events(self) -> list[Message]:
        return [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]

    @property
    def titles(self) -> list[str]:
        return [str(message.event.title) for message in self.events if message.event]

    @property
    def feeds(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status.get("source", {}).get("feeds", {})
        return found

    @property
    def status(self) -> dict[str, Any]:
        return StatusFile(self.home, "news").read()


@pytest.fixture
def reader(home: Path, site: Site) -> Reader:
    return Reader(home, site)


def test_entries_come_once_and_what_is_new_comes_after_them(reader: Reader, site: Site) -> None:
    site.has("/feed", *"ba")
    assert reader.look() == (2, 0, 0)
    assert reader.look() == (0, 0, 0)
    site.has("/feed", *"dcba")
    assert reader.look() == (2, 0, 2)
    assert reader.titles == [*"abcd"]
    assert site.statuses == [200, 304, 200]
    assert reader.events[0].id == "rss:news:a/a"


def test_without_etags_a_feed_that_is_the_same_is_not_read_again(reader: Reader, site: Site) -> None:
    site.has("/feed", *"ba", etags=False)
    assert [reader.look(), reader.look()] == [(2, 0, 0), (0, 0, 0)]


def test_a_revised_entry_names_the_event_that_it_supersedes(reader: Reader, site: Site) -> None:
    site.has("/feed", {"guid": "1", "title": "a", "description": "before"}, "b")
    reader.look()
    site.has("/feed", {"guid": "1", "title": "a", "description": "after"}, "b")
    assert reader.look() == (0, 1, 1)
    site.has("/feed", {"guid": "1", "title": "a", "description": "after", "pubDate": "Fri, 20 Nov 2026 10:00 GMT"}, "b")
    assert reader.look() == (0, 0, 2)
    last = reader.events[-1]
    assert last.content.text == "after"
    assert last.event is not None
    assert (last.event.supersedes, last.event.revision) == ("rss:news:a/1", 2)


def test_the_first_look_brings_none_unless_it_is_asked_for(home: Path, site: Site) -> None:
    site.has("/feed", *"cba")
    reader = Reader(home, site, first_run="new")
    assert reader.look() == (0, 0, 0)
    site.has("/feed", *"dcba")
    assert reader.look() == (1, 0, 0)
    assert reader.titles == ["d"]


def test_two_entries_of_one_second_are_two_events(reader: Reader, site: Site) -> None:
    """Weakness: what had the date of the checkpoint was lost, and so was what an unsorted feed had."""
    date = "Fri, 20 Nov 2026 10:00:00 GMT"
    site.has("/feed", {"guid": "1", "title": "1", "pubDate": date})
    reader.look()
    older = {"guid": "3", "title": "3", "pubDate": "Mon, 02 Nov 2026 10:00:00 GMT"}
    site.has("/feed", older, {"guid": "2", "title": "2", "pubDate": date}, {"guid": "1", "title": "1", "pubDate": date})
    assert reader.look() == (2, 0, 1)
    assert reader.titles == ["1", "3", "2"]


def test_a_feed_that_has_moved_for_good_is_asked_there_until_it_is_gone(reader: Reader, site: Site) -> None:
    site.pages["/feed"] = Page(status=301, headers={"Location": "/new"})
    site.has("/new", "a")
    reader.look()
    site.has("/new", *"ba")
    reader.look()
    assert [request.path for request in site.requests] == ["/feed", "/new", "/new"]
    del site.pages["/new"]
    site.has("/feed", *"cba")
    assert reader.look() == (1, 0, 2)
    assert [request.path for request in site.requests][3:] == ["/new", "/feed"]
    assert reader.titles == [*"abc"]


def test_a_move_to_what_is_no_feed_is_not_believed(reader: Reader, site: Site) -> None:
    site.has("/feed", "a")
    reader.look()
    site.pages["/feed"] = Page(status=301, headers={"Location": "/login"})
    site.pages["/login"] = Page(b"<html><body>Please log in</body></html>", headers={"Content-Type": "text/html"})
    with pytest.raises(FeedError, match="this is no feed, it says text/html"):
        reader.look()
    site.has("/feed", *"ba")
    assert reader.look() == (1, 0, 1)


REASONS = {
    "gone": "410 Gone: the feed is gone",
    "limited": "429 Too Many Requests",
    "down": "500 Internal Server Error",
    "html": "this is no feed",
}


def test_one_bad_feed_stops_no_other(home: Path, site: Site) -> None:
    paths = {name: f"/{name}" for name in ("good", "gone", "limited", "down", "html", "broken")}
    reader = Reader(home, site, paths, schedule="1s")
    site.has("/good", "a")
    site.pages["/gone"] = Page(status=410)
    site.pages["/limited"] = Page(status=429, headers={"Retry-After": "600"})
    site.pages["/down"] = Page(status=500)
    site.pages["/html"] = Page(b"<html></html>")
    site.pages["/broken"] = Page(feed(*"cb")[:-60])
    with reader.run() as running:
        wait_for(lambda: {"a", "c"}.issubset(reader.titles))
        site.has("/good", *"eda")
        wait_for(lambda: "e" in reader.titles, deadline_s=20)
        wait_for(lambda: len(reader.feeds) == 6 and all(reader.feeds[name]["error"] for name in REASONS))
        assert running.process.poll() is None
    feeds = reader.feeds
    assert (feeds["good"]["failures"], feeds["good"]["error"]) == (0, "")
    assert {name: REASONS[name] in feeds[name]["error"] for name in REASONS} == dict.fromkeys(REASONS, True)
    assert site.statuses.count(410) == site.statuses.count(429) == 1


def test_a_gone_feed_and_a_limited_one_wait_as_long_as_the_site_says(reader: Reader, site: Site) -> None:
    site.pages["/feed"] = Page(status=429, headers={"Retry-After": "600"})
    with pytest.raises(RetryLater) as caught:
        reader.look()
    assert caught.value.after_s == 600


def laughs(depth: int = 10) -> bytes:
    """Entities that multiply."""
    levels = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, depth))
    start = f"<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY l0 '{'ha' * 1000}'>{levels}]>"
    return start.encode() + feed({"guid": "1", "title": "PLACE"}).replace(b"PLACE", f"&l{depth - 1};".encode())[21:]


def large_entity() -> bytes:
    """One long entity, many times: no nesting that a filter could see."""
    start = f"<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY a \"{'x' * 500_000}\">]>"
    return start.encode() + feed({"guid": "1", "title": "PLACE"}).replace(b"PLACE", b"&a;" * 100_000)[21:]


@pytest.mark.parametrize(
    "data", [laughs(), large_entity(), b"<rss version='2.0'><channel>" + b"<a>" * 3_000_000, b"&" * 15_000_000]
)
def test_a_feed_that_multiplies_or_takes_for_ever_is_a_reason_and_not_the_end(
    home: Path, site: Site, data: bytes
) -> None:
    reader = Reader(home, site, {"bomb": "/bomb", "good": "/good"}, parse_limit_s=3)
    site.pages["/bomb"] = Page(data)
    site.has("/good", "a")
    with reader.run() as running:
        wait_for(lambda: "a" in reader.titles)
        wait_for(lambda: reader.status.get("state") in ("failing", "partial"), deadline_s=30)
        said = str(reader.status["note"])
        assert running.process.poll() is None
    assert "bomb: " in said
    assert all(len(title) <= 2000 for title in reader.titles)


@pytest.mark.parametrize(
    "step", ["source.polled", "intake.staged", "intake.recorded", "intake.published", "source.committed"]
)
def test_a_death_at_any_step_loses_no_entry_and_doubles_none(reader: Reader, site: Site, step: str) -> None:
    site.has("/feed", *(str(n) for n in reversed(range(30))))
    with reader.run(kill_at=(step, 1)) as killed:
        killed.wait()
    reader.look()
    assert reader.titles == [str(n) for n in range(30)]


def test_what_a_site_says_about_how_often_to_ask_is_kept(reader: Reader, site: Site) -> None:
    site.pages["/feed"] = Page(feed("a", more="<ttl>120</ttl>"))
    connector = RssConnector("news", reader.home.root, reader.config)
    assert connector.sync().next_s == 7200
    assert connector.sync().next_s == 7200
    connector.close()


def test_an_address_on_the_entry_itself_is_a_feed(home: Path, site: Site) -> None:
    connector = RssConnector("news", home, {"url": site.url()})
    with pytest.raises(FeedError, match="not public"):
        connector.sync("main")
    connector.close()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "there are no feeds"),
        ({"url": "example.com/feed"}, "must begin with https:// or http://"),
        ({"feeds": [{"name": "a"}]}, 'option "url" is missing'),
        ({"feeds": [{"name": "a", "url": "https://u:p@example.com/"}]}, "put them into basic"),
        ({"feeds": [{"name": "a", "url": "https://example.com/", "first_run": "some"}]}, "first_run"),
        ({"feeds": [{"name": "a", "url": "https://example.com/", "first_run": -1}]}, "first_run"),
        ({"feeds": [{"name": "a", "url": "https://example.com/", "basic": "x"}]}, "basic must be user:password"),
        ({"feeds": [{"name": "a", "url": "https://x.org/"}, {"name": "a", "url": "https://y.org/"}]}, "a"),
    ],
)
def test_what_is_no_list_of_feeds_is_refused_before_anything_starts(
    home: Path, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        RssConnector("news", home, options).sync()
    assert why in str(caught.value)
