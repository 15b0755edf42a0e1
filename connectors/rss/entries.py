"""Entries of a feed as events: who is who, what is new, what has changed. Pure: no I/O, no clock."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlsplit

from connectors.parts.events import Event

PLATFORM_EVENT = "item.published"
#: Of the entries that were not to come, so many are remembered beside those that are still in the feed.
_MOST_SKIPPED = 5000
_MOST_SHARED = 500
_ID_MAX = 500
_WEB = re.compile(r"https?://[^\x00-\x20]", re.IGNORECASE)


@dataclass(frozen=True)
class Memory:
    """What is remembered of a feed between two looks: its checkpoint."""

    url: str
    etag: str = ""
    modified: str = ""
    body: str = ""  #: a hash of what was read last
    moved: str = ""  #: where the feed is now, for good
    looked: bool = False  #: there was a first look
    ttl_s: float = 0.0  #: for so long the site wants not to be asked again
    shared: tuple[str, ...] = ()  #: guids that stood for several entries: for those the link is the identity
    skipped: tuple[str, ...] = ()  #: entries that were there at the first look, and were not to come

    @classmethod
    def read(cls, data: object, url: str) -> Self:
        """Of another address nothing is remembered, nor of what is no memory."""
        if not isinstance(data, Mapping) or data.get("url") not in (_address(url), url):
            return cls(url)
        known = {**{item.name: data[item.name] for item in fields(cls) if item.name in data}, "url": url}
        fitting = {name: value for name, value in known.items() if isinstance(value, type(getattr(cls(url), name)))}
        lists = {name: tuple(map(str, value)) for name, value in known.items() if isinstance(value, list)}
        return cls(**{**fitting, **{name: value for name, value in lists.items() if name in ("shared", "skipped")}})

    def to_json(self) -> dict[str, Any]:
        """Without what has its default, and without the address, which may have a secret in it."""
        data = {**asdict(self), "url": _address(self.url), "shared": list(self.shared), "skipped": list(self.skipped)}
        if "?" in self.moved:
            data["moved"] = ""  # the next look is led there anew
        return {name: value for name, value in data.items() if value or name == "url"}


def take(
    document: Mapping[str, Any], memory: Memory, *, feed: str, first_run: str | int, revisions: bool
) -> tuple[list[Event], Memory]:
    """The events of a document, oldest first, and what to remember of it.

    All entries that may come are among them: which of them came before, and are unchanged, is known to who writes them.
    """
    entries: Sequence[Mapping[str, Any]] = document["entries"]
    shared = tuple(dict.fromkeys([*memory.shared, *_shared_guids(entries)]))[-_MOST_SHARED:]
    known: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        known.setdefault(identity(entry, shared), entry)
    order = _oldest_first(known)
    skipped = memory.skipped
    if not memory.looked:
        count = {"all": len(order), "new": 0}.get(str(first_run), first_run)
        skipped = tuple(_short(name) for name in order[: max(0, len(order) - int(count))])
    there, unwanted = {_short(name) for name in order}, frozenset(skipped)
    gone = [text for text in skipped if text not in there][-_MOST_SKIPPED:]
    kept = (*gone, *(text for text in skipped if text in there))
    events = [
        to_event(known[name], name, document, feed=feed, revisions=revisions)
        for name in order
        if _short(name) not in unwanted
    ]
    return events, replace(memory, looked=True, skipped=kept, shared=shared)


def identity(entry: Mapping[str, Any], shared: Sequence[str] = ()) -> str:
    """The guid; without one the link; without both what the entry says."""
    guid, link = entry["guid"], entry["link"]
    if guid and guid not in shared:
        name = guid
    elif link:
        name = link
    else:
        said = json.dumps([guid, entry["title"], entry["html"] or entry["text"], entry["published"]])
        name = f"sha256-{hashlib.sha256(said.encode()).hexdigest()[:32]}"
    return name if len(name) <= _ID_MAX else f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"


def to_event(entry: Mapping[str, Any], name: str, document: Mapping[str, Any], *, feed: str, revisions: bool) -> Event:
    """One entry."""
    at = entry["published"] or entry["updated"]
    names = ("title", "link", "description", "published", "updated", "categories", "enclosures", "comments")
    entry = {**entry, **{key: _followed(entry[key]) for key in ("link", "comments")}}
    entry["enclosures"] = [item for item in entry["enclosures"] if _followed(item["url"])]
    payload = {key: entry[key] for key in names if entry[key]}
    if entry["html"] and entry["html"] != entry["description"]:
        payload["html"] = entry["html"]
    site = {"title": document["title"], "link": _followed(document["link"])}
    site = {key: text for key, text in site.items() if text}
    return Event(
        name,
        entry["text"],
        platform_event=PLATFORM_EVENT,
        title=entry["title"] or None,
        source_url=entry["link"] or None,
        occurred_at=at,
        author=entry["author"] or None,
        author_type="external",
        conversation=feed,
        conversation_name=document["title"] or None,
        payload={**payload, "feed": {"name": feed, **site}},
        revision=_content(entry) if revisions else "once",
    )


def _followed(link: str) -> str:
    """The link, if it is one that people may follow: a click on `javascript:…` would run what a stranger wrote."""
    return link if _WEB.match(link) else ""


def _address(url: str) -> str:
    """Stands for the address of a feed, and does not tell it."""
    return f"sha256-{hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _content(entry: Mapping[str, Any]) -> str:
    """Stands for what people read. Dates are no content: some sites renew them at every request; nor are parameters of
    addresses."""
    files = [urlsplit(item["url"])._replace(query="", fragment="").geturl() for item in entry["enclosures"]]
    said = json.dumps([entry["title"], entry["html"] or entry["text"], files])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _shared_guids(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that stand for entries with different links: they are the id of something else."""
    links = {(entry["guid"], entry["link"]) for entry in entries if entry["guid"] and entry["link"]}
    return sorted(guid for guid, count in Counter(guid for guid, _ in links).items() if count > 1)


def _oldest_first(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """By their dates; where not all have one, the other way round than the feed has them: the newest is its first."""
    names = list(entries)[::-1]
    dates = {name: entry["published"] or entry["updated"] for name, entry in entries.items()}
    return sorted(names, key=lambda name: str(dates[name])) if all(dates.values()) else names


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
