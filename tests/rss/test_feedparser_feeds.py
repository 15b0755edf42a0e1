"""feedparser's own test feeds, 2,242 oddities of the real world: each gives events, or a reason, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from connectors.parts.checking import check_all
from connectors.rss.entries import Memory, take
from connectors.rss.parser import read
from tests.helpers import missing

FEEDS = Path(sys.prefix) / "feeds" / "tests"
URL = "http://127.0.0.1:8097/tests/feed.xml"


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if not FEEDS.is_dir():
        missing("feedparser's test feeds are not here: scripts/setup --test gets them")
    return sorted(path for path in FEEDS.rglob("*") if path.suffix in (".xml", ".z", ".gz"))


def test_each_gives_events_or_a_reason(files: list[Path]) -> None:
    assert len(files) > 2000
    entries = silent = 0
    for path in files:
        document = read(path.read_bytes(), URL)
        events, memory = take(document, Memory(URL), feed="f", first_run="all", revisions=True)
        checked = check_all(events, ("item.published",))
        assert len({item.event.origin_id for item in checked}) == len(checked), path
        assert bool(events) == bool(document["entries"]), path
        entries += len(events)
        # What is a feed without entries is no fault; what is none says so by its version, or what is wrong with it.
        silent += not events and not document["version"] and not document["problem"]
        assert Memory.read(memory.to_json(), URL) == memory, path
    assert entries > 1000
    assert silent < 20


def test_each_is_the_same_at_every_look(files: list[Path]) -> None:
    for path in files:
        data = path.read_bytes()
        looks = []
        for _ in range(2):
            events, _ = take(read(data, URL), Memory(URL), feed="f", first_run="all", revisions=True)
            looks.append([(item.event.origin_id, item.digest) for item in check_all(events)])
        assert looks[0] == looks[1], path
