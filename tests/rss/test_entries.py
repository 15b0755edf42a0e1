"""Entries as events: identity, order, the first look, revisions. Pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.parts.checking import check
from connectors.parts.events import Checked
from connectors.rss.entries import Memory, identity, take, to_event
from connectors.rss.parser import read
from connectors.rss.plain import plain
from tests.rss.site import feed, item

URL = "https://example.com/blog/feed.xml"
FIRST = Memory(URL)
LATER = Memory(URL, looked=True)


def read_feed(*entries: Any, url: str = URL, **how: Any) -> dict[str, Any]:
    return read(feed(*entries, **how), url)


def ids(document: dict[str, Any], memory: Memory = LATER, first_run: str | int = "all") -> list[str]:
    events, _ = take(document, memory, feed="news", first_run=first_run, revisions=True)
    return [event.origin_id for event in events]


def digests(document: dict[str, Any], *, revisions: bool = True) -> list[str]:
    events, _ = take(document, LATER, feed="news", first_run="all", revisions=revisions)
    found = [check(event, ("item.published",)) for event in events]
    return [item.digest for item in found if isinstance(item, Checked)]


def test_an_entry_is_known_by_its_guid_then_its_link_then_what_it_says() -> None:
    guid, link, neither = read_feed(
        {"guid": "17", "link": "https://example.com/a"}, {"link": "https://example.com/b"}, {"title": "c"}
    )["entries"]
    assert identity(guid) == "17"
    assert identity(link) == "https://example.com/b"
    assert identity(neither).startswith("sha256-")
    assert identity(neither) != identity({**neither, "title": "d"})


@pytest.mark.parametrize("guid", ["17", "a/b", "?p=3", "tag:example.com,2026:1", "urn:uuid:1", "wörd", "https://x/y"])
def test_a_guid_stays_the_same_when_the_feed_moves(guid: str) -> None:
    entry = {"guid": guid, "title": "a"}
    assert ids(read_feed(entry)) == ids(read_feed(entry, url="http://elsewhere.org/rss?format=2")) == [guid]


def test_a_guid_that_several_entries_have_is_no_identity() -> None:
    both = read_feed({"guid": "x", "link": "https://example.com/b"}, {"guid": "x", "link": "https://example.com/a"})
    events, memory = take(both, LATER, feed="news", first_run="all", revisions=True)
    assert [event.origin_id for event in events] == ["https://example.com/a", "https://example.com/b"]
    one = read_feed({"guid": "y", "link": "https://example.com/c"}, {"guid": "x", "link": "https://example.com/b"})
    assert ids(one, memory) == ["https://example.com/b", "y"]


def test_the_oldest_comes_first() -> None:
    assert ids(read_feed("c", "b", "a")) == ["a", "b", "c"]
    days = [{"guid": f"d{day}", "pubDate": f"Fri, {day:02} Nov 2026 10:00:00 GMT"} for day in (6, 20, 13)]
    assert ids(read_feed(*days)) == ["d6", "d13", "d20"]


@pytest.mark.parametrize(("first_run", "come"), [("all", "abcde"), ("new", ""), (0, ""), (2, "de"), (9, "abcde")])
def test_the_first_look_brings_what_the_operator_wants_and_the_next_ones_what_is_new(
    first_run: str | int, come: str
) -> None:
    old = read_feed(*"edcba")
    events, memory = take(old, FIRST, feed="news", first_run=first_run, revisions=True)
    assert "".join(event.origin_id for event in events) == come
    memory = Memory.read(memory.to_json(), URL)
    assert "".join(ids(read_feed(*"gfedcba"), memory, first_run)) == come + "fg"


def test_what_was_not_to_come_stays_away_also_when_it_was_gone_for_a_while() -> None:
    _, memory = take(read_feed(*"ba"), FIRST, feed="news", first_run="new", revisions=True)
    _, memory = take(read_feed("c"), memory, feed="news", first_run="new", revisions=True)
    assert ids(read_feed(*"cba"), memory, "new") == ["c"]


def test_a_change_of_what_people_read_is_a_revision_and_a_change_of_dates_is_none() -> None:
    entry = {"guid": "1", "title": "a", "description": "b", "pubDate": "Fri, 20 Nov 2026 10:00:00 GMT"}
    before = digests(read_feed(entry))
    assert digests(read_feed({**entry, "pubDate": "Fri, 20 Nov 2026 11:00:00 GMT"})) == before
    assert digests(read_feed({**entry, "link": "https://example.com/?session=1"})) == before
    assert digests(read_feed({**entry, "description": "c"})) != before
    assert digests(read_feed({**entry, "title": "c"})) != before
    assert digests(read_feed({**entry, "title": "c"}), revisions=False) == digests(read_feed(entry), revisions=False)


def test_an_event_says_what_the_entry_says() -> None:
    entry = {
        "guid": "1",
        "title": "A <b>bold</b> title",
        "link": "../post/1",
        "description": '<p>One &amp; <a href="two">two</a>.</p><script>alert(1)</script><ul><li>x</li><li>y</li></ul>',
        "author": "ada@example.com (Ada)",
        "category": "news",
        "pubDate": "Fri, 20 Nov 2026 11:00:00 +0100",
    }
    document = read_feed(entry, more="<ttl>90</ttl><link>https://example.com/</link>")
    event = to_event(document["entries"][0], "1", document, feed="lwn", revisions=True)
    assert (event.title, event.text) == ("A bold title", "One & two.\n\n- x\n- y")
    assert event.source_url == "https://example.com/post/1"
    assert 'href="https://example.com/blog/two"' in event.payload["description"]
    assert "script" not in event.payload["description"]
    assert (event.occurred_at, event.conversation) == ("2026-11-20T10:00:00+00:00", "lwn")
    assert event.payload["feed"] == {"name": "lwn", "title": "News", "link": "https://example.com/"}
    assert event.payload["categories"] == ["news"]
    assert document["ttl_s"] == 5400.0
    assert isinstance(check(event, ("item.published",)), Checked)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "file:///etc/passwd"]
)
def test_a_link_that_nobody_may_follow_is_left_out(link: str) -> None:
    entry = {"guid": "1", "title": "a", "link": link, "comments": link}
    data = feed(entry, more=f"<link>{link}</link>").replace(b"</item>", f'<enclosure url="{link}"/></item>'.encode())
    document = read(data, URL)
    event = to_event(document["entries"][0], "1", document, feed="lwn", revisions=True)
    assert event.source_url is None
    assert not {"link", "comments", "enclosures"} & set(event.payload)
    assert event.payload["feed"] == {"name": "lwn", "title": "News"}


def test_an_enclosure_is_named_with_its_type() -> None:
    data = feed("1").replace(b"</item>", b'<enclosure url="/a.mp3" type="audio/mpeg" length="7"/></item>')
    [entry] = read(data, URL)["entries"]
    assert entry["enclosures"] == [{"url": "https://example.com/a.mp3", "type": "audio/mpeg", "length": "7"}]


def test_encodings_are_seen_through() -> None:
    text = '<?xml version="1.0" encoding="{}"?><rss version="2.0"><channel>' + item({"title": "zwölf €"})
    text += "</channel></rss>"
    for encoding in ("utf-8", "utf-16", "windows-1252", "iso-8859-15"):
        found = read(text.format(encoding).encode(encoding), URL, "application/rss+xml")
        assert (found["entries"][0]["title"], found["problem"]) == ("zwölf €", "")
    wrong = text.format("utf-8").encode("windows-1252")
    assert read(wrong, URL)["entries"][0]["title"] == "zwölf €"


def test_what_is_broken_says_where_and_gives_what_can_be_read() -> None:
    whole = feed(*"cba")
    found = read(whole[: whole.index(b"a</guid>")], URL)
    assert [entry["guid"] for entry in found["entries"]][:2] == ["c", "b"]
    assert found["problem"]
    assert read(b"<html><body>Please log in</body></html>", URL)["version"] == ""


NAMES = st.sampled_from(["url", "etag", "looked", "skipped", "shared", "ttl_s", "x"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.just(URL)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_a_checkpoint_that_is_none_of_ours_is_a_first_look(data: Any) -> None:
    memory = Memory.read(data, URL)
    assert Memory.read(memory.to_json(), URL) == memory
    take(read_feed("a"), memory, feed="news", first_run="new", revisions=True)


def test_no_secret_of_an_address_is_in_the_checkpoint() -> None:
    url = f"{URL}?token=s3cret"
    _, memory = take(read_feed("a"), Memory(url, moved=f"{url}2"), feed="news", first_run="new", revisions=True)
    assert "s3cret" not in str(memory.to_json())
    assert Memory.read(memory.to_json(), url).looked
    assert Memory.read({**memory.to_json(), "url": url}, url).looked  # as it was written before


def test_another_address_is_another_feed() -> None:
    _, memory = take(read_feed("a"), FIRST, feed="news", first_run="new", revisions=True)
    assert Memory.read(memory.to_json(), URL).looked
    assert not Memory.read(memory.to_json(), "https://example.com/other").looked


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<pre>  x\n    y</pre>", "x\n    y"),
        ("&lt;tag&gt; &amp; &nbsp;", "<tag> &"),
        ('<img src="x" alt="a cat">', "a cat"),
        ("<style>p{}</style>text", "text"),
        ("no markup at all", "no markup at all"),
        ("", ""),
    ],
)
def test_html_as_people_see_it(html: str, text: str) -> None:
    assert plain(html) == text


@given(st.text(alphabet="<>/&;apbr \n\"='!-[]", max_size=60))
def test_anything_is_plain_text_somehow(html: str) -> None:
    assert isinstance(plain(html), str)
