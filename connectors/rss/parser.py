"""A feed's bytes made into plain data by feedparser, which is imported here only, in a process that may be killed.

A feed is somebody else's file: it may declare entities that multiply, or find what makes a parser slow. So it is read
in a process of its own with limits for memory and time, and what comes back is JSON.
"""

from __future__ import annotations

import calendar
import json
import resource
import sys
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urljoin, urlsplit

from connectors.rss.plain import plain

#: Ten times what a feed of 20 MB needs.
MEMORY_BYTES = 1 << 30
#: The process's exit code when that was not enough.
NO_MEMORY = 3
#: What is longer is cut.
MAX_TEXT = 500_000
_MOST = 50
_MARKUP = frozenset({"text/html", "application/xhtml+xml"})


def run(argument: dict[str, Any]) -> int:
    """In the process: read stdin, print a document as JSON. The argument: {"url", "content_type", "limit_s"}."""
    seconds = max(1, int(argument["limit_s"]) + 1)
    with suppress(ValueError, OSError):  # macOS has no limit of this kind
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    try:
        document = read(sys.stdin.buffer.read(), argument["url"], argument["content_type"])
        sys.stdout.write(json.dumps(document))
        sys.stdout.flush()
    except MemoryError:
        return NO_MEMORY
    return 0


def read(data: bytes, url: str, content_type: str = "") -> dict[str, Any]:
    """The feed: version ("" for what is none), title, link, ttl_s, problem (what is wrong with its XML), entries.

    Relative addresses are made whole by the feed's own `xml:base`, or by `url`. HTML has no scripts. Times are ISO 8601
    in UTC.
    """
    feedparser = _library()
    headers = {"content-location": url, **({"content-type": content_type} if content_type else {})}
    # A stream: of bytes it would look whether they are the name of a file.
    found = feedparser.parse(BytesIO(data), response_headers=headers, resolve_relative_uris=True, sanitize_html=True)
    feed = found.get("feed", {})
    return {
        "version": _text(found.get("version")),
        "title": _title(feed),
        "link": _text(feed.get("link")),
        "ttl_s": _ttl_s(feed.get("ttl")),
        "problem": _problem(found, feedparser),
        "entries": [_entry(entry, url) for entry in found.get("entries", [])],
    }


def _library() -> Any:
    import feedparser  # type: ignore[import-untyped]  # it ships no types

    # It makes a guid like "17" an address, which changes with that of the feed. But a guid is compared, never followed
    # (RFC 4287, 4.2.6.1, and RSS 2.0, <guid>).
    for kind in (feedparser.api.StrictFeedParser, feedparser.api.LooseFeedParser):
        kind.can_be_relative_uri = frozenset(kind.can_be_relative_uri) - {"id"}
    return feedparser


def _problem(found: Any, feedparser: Any) -> str:
    """Where the XML is broken. Wrong declarations of the encoding or the type are none: they were seen through."""
    error = found.get("bozo_exception")
    harmless = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)
    return "" if error is None or isinstance(error, harmless) else _text(str(error) or type(error).__name__)[:300]


def _entry(entry: Any, url: str) -> dict[str, Any]:
    contents = [_body(item) for item in entry.get("content") or [] if isinstance(item, dict)]
    summary = _body(entry.get("summary_detail") or {})
    html, text = next((found for found in contents if found[1]), summary)
    return {
        "guid": _text(entry.get("id")),
        "link": _whole(_text(entry.get("link")), url),
        "title": _title(entry),
        "text": text,
        "html": html,
        "description": summary[0] or summary[1],
        "author": _text(entry.get("author")),
        "published": _time(entry, "published_parsed"),
        "updated": _time(entry, "updated_parsed"),
        "categories": [text for tag in (entry.get("tags") or [])[:_MOST] if (text := _text(tag.get("term")))],
        "enclosures": [
            {
                "url": _whole(_text(item.get("href")), url),
                "type": _text(item.get("type")),
                "length": _text(item.get("length")),
            }
            for item in (entry.get("enclosures") or [])[:_MOST]
            if item.get("href")
        ],
        "comments": _text(entry.get("comments")),
    }


def _whole(link: str, url: str) -> str:
    """A link that is a guid is as it was written."""
    try:
        return link if not link or urlsplit(link).scheme else urljoin(url, link)
    except ValueError:
        return link


def _body(detail: Any) -> tuple[str, str]:
    """(HTML, or nothing where it is none; plain text)."""
    value = _text(detail.get("value"))[:MAX_TEXT]
    if detail.get("type") in _MARKUP:
        return value, plain(value)
    return "", value


def _title(data: Any) -> str:
    detail = data.get("title_detail") or {}
    text = _text(detail.get("value") or data.get("title"))[:2000]
    return " ".join((plain(text) if detail.get("type") in _MARKUP else text).split())


def _text(value: object) -> str:
    """Without what cannot be written as UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _time(entry: Any, name: str) -> str | None:
    # Asked in another way, what was never updated says when it was published.
    if name not in entry or not entry[name]:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(entry[name]), UTC).isoformat()
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _ttl_s(value: object) -> float:
    """RSS 2.0, <ttl>: minutes for which it may be cached."""
    text = str(value or "").strip()
    return min(int(text) * 60.0, 86_400.0) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0
