"""Fetching: bounded, guarded, and every answer of a site made into what happens next."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base.errors import RetryLater
from connectors.rss.faults import FeedError, Gone
from connectors.rss.fetching import Answer, Fetcher
from connectors.rss.options import ArticleFeed
from tests.rss.site import Page, Site, feed

MILLION = 1_000_000


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def fetch(site: Site, path: str = "/feed", host: str = "127.0.0.1", **options: Any) -> Answer:
    url = site.url(path, host)
    conditional = {name: options.pop(name) for name in ("etag", "modified") if name in options}
    return Fetcher("tests").fetch(
        url, ArticleFeed(**{"name": "a", "url": url, "private": True, **options}), **conditional
    )


def test_what_has_not_changed_is_not_sent_again(site: Site) -> None:
    site.has("/feed", "a")
    first = fetch(site)
    assert first.body == feed("a")
    assert first.etag
    assert first.modified
    again = fetch(site, etag=first.etag, modified=first.modified)
    assert (again.body, site.statuses) == (None, [200, 304])
    assert site.requests[1].headers["if-modified-since"] == first.modified
    assert site.requests[0].headers["user-agent"] == "tests"


def test_a_feed_of_100_mb_is_not_read_to_its_end(site: Site) -> None:
    site.pages["/feed"] = Page(chunks=lambda: iter([b"x" * MILLION] * 100))
    with pytest.raises(FeedError, match="more than 1,000,000 bytes") as caught:
        fetch(site, max_bytes=MILLION)
    assert "max_bytes" in caught.value.hint
    assert site.sent < 50 * MILLION
    site.pages["/feed"] = Page(b"x" * 2 * MILLION)
    with pytest.raises(FeedError, match="has 2,000,000 bytes"):
        fetch(site, max_bytes=MILLION)


def test_a_small_body_that_becomes_large_is_noticed_before_it_is(site: Site) -> None:
    bomb = gzip.compress(b"x" * 500 * MILLION, compresslevel=9)
    assert len(bomb) < MILLION
    site.pages["/feed"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(FeedError, match="more than 1,000,000 bytes"):
        fetch(site, max_bytes=MILLION)
    site.pages["/feed"] = Page(bomb)
    with pytest.raises(FeedError, match="more than 1,000,000 bytes"):
        fetch(site, max_bytes=MILLION)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("gzip", lambda data: data),
        ("identity", lambda data: data),
        ("", gzip.compress),
    ],
)
def test_bodies_are_unpacked_however_they_were_packed(site: Site, encoding: str, pack: Any) -> None:
    site.pages["/feed"] = Page(pack(feed("a")), headers={"Content-Encoding": encoding} if encoding else {})
    assert fetch(site).body == feed("a")


def test_what_is_packed_again_and_again_is_unpacked_twice_at_most(site: Site) -> None:
    twice = gzip.compress(gzip.compress(feed("a")))
    site.pages["/feed"] = Page(twice, headers={"Content-Encoding": "gzip"})
    assert fetch(site).body == feed("a")
    site.pages["/feed"] = Page(gzip.compress(twice), headers={"Content-Encoding": "gzip"})
    assert (fetch(site).body or b"").startswith(b"\x1f\x8b")


def test_a_body_that_is_cut_off_is_no_feed(site: Site) -> None:
    packed = gzip.compress(feed(*map(str, range(1000))))
    site.pages["/feed"] = Page(packed[:-100], headers={"Content-Encoding": "gzip"})
    with pytest.raises(FeedError, match="too early"):
        fetch(site)
    site.pages["/feed"] = Page(packed[:100] + b"\0" * 100, headers={"Content-Encoding": "gzip"})
    with pytest.raises(FeedError):
        fetch(site)
    site.pages["/feed"] = Page(feed("a"), headers={"Content-Length": "9999", "Connection": "close"})
    with pytest.raises(FeedError):
        fetch(site, timeout_s=1)
    site.pages["/feed"] = Page(b"x", headers={"Content-Encoding": "br"})
    with pytest.raises(FeedError, match="not asked for"):
        fetch(site)


def test_a_site_that_never_ends_its_answer_is_not_waited_for(site: Site) -> None:
    over = threading.Event()

    def drip() -> Iterator[bytes]:
        while not over.wait(0.05):
            yield b" "

    site.pages["/feed"] = Page(chunks=drip)
    try:
        with pytest.raises(FeedError, match="no answer within 0.5 s"):
            fetch(site, timeout_s=0.5)
    finally:
        over.set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_those_for_good_are_told(site: Site, status: int) -> None:
    site.pages["/feed"] = Page(status=status, headers={"Location": "/new"})
    site.has("/new", "a")
    answer = fetch(site)
    assert answer.body == feed("a")
    assert (answer.url, answer.moved) == (site.url("/new"), site.url("/new") if status in (301, 308) else "")


def test_a_way_that_is_not_for_good_all_along_is_not_for_good(site: Site) -> None:
    site.pages["/feed"] = Page(status=302, headers={"Location": "/b"})
    site.pages["/b"] = Page(status=301, headers={"Location": "/c"})
    site.has("/c", "a")
    assert fetch(site).moved == ""


def test_redirects_in_a_circle_have_an_end(site: Site) -> None:
    site.pages["/feed"] = Page(status=302, headers={"Location": "/feed"})
    with pytest.raises(FeedError, match="redirected more than 5 times"):
        fetch(site)
    assert len(site.requests) == 6


@pytest.mark.parametrize("private", [True, False])
def test_nobody_else_leads_to_a_private_address(site: Site, private: bool) -> None:
    with Site() as victim:
        victim.has("/secret", "a")
        for place in (victim.url("/secret", "localhost"), "http://[::1]:80/", "http://169.254.169.254/meta"):
            site.pages["/feed"] = Page(status=302, headers={"Location": place})
            with pytest.raises(FeedError, match="not public"):
                fetch(site, private=private)
        assert victim.requests == []


def test_a_private_address_is_asked_only_if_it_is_meant(site: Site) -> None:
    site.has("/feed", "a")
    with pytest.raises(FeedError, match="not public") as caught:
        fetch(site, private=False)
    assert "private: true" in caught.value.hint
    assert site.requests == []


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[", ""])
def test_a_redirect_to_nonsense_is_a_fault_of_this_feed(site: Site, place: str) -> None:
    site.pages["/feed"] = Page(status=302, headers={"Location": place})
    with pytest.raises(FeedError):
        fetch(site)


def test_credentials_go_to_the_feeds_own_site_only(site: Site) -> None:
    with Site() as other:
        other.has("/feed", "a")
        site.pages["/feed"] = Page(status=302, headers={"Location": other.url()})
        assert fetch(site, bearer="t0ken").body == feed("a")
        assert site.requests[0].headers["authorization"] == "Bearer t0ken"
        assert "authorization" not in other.requests[0].headers
    site.has("/feed", "a")
    fetch(site, basic="ada:secret")
    assert site.requests[-1].headers["authorization"] == "Basic YWRhOnNlY3JldA=="


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 429, 503])
def test_a_refusal_says_what_the_site_said(site: Site, status: int) -> None:
    site.pages["/feed"] = Page(b"no", status=status)
    with pytest.raises(FeedError, match=f"/feed: {status} "):
        fetch(site)


def test_a_wait_that_the_site_asks_for_is_kept(site: Site) -> None:
    for status in (429, 503):
        site.pages["/feed"] = Page(status=status, headers={"Retry-After": "120"})
        with pytest.raises(RetryLater) as caught:
            fetch(site)
        assert caught.value.after_s == 120
    site.pages["/feed"] = Page(status=410)
    with pytest.raises(Gone, match="the feed is gone") as gone:
        fetch(site)
    assert gone.value.after_s == 86_400


def test_nobody_there_is_a_fault_of_this_feed(site: Site) -> None:
    url = site.url()
    given = ArticleFeed(name="a", url="http://no-such-host.invalid/", private=True)
    with pytest.raises(FeedError, match="cannot be resolved"):
        Fetcher("tests").fetch("http://no-such-host.invalid/", given)
    with Site() as other:
        url = other.url()
    with pytest.raises(FeedError, match=url):
        Fetcher("tests").fetch(url, ArticleFeed(name="a", url=url, private=True))
