"""RSS and Atom feeds: what is new and what has changed comes as events, each feed on its own schedule."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any, cast

from connectors.base.errors import MissingDependency
from connectors.parts.feeds import Feed, FeedsConnector, FeedType
from connectors.parts.polling import PollResult
from connectors.rss.apart import read_apart
from connectors.rss.entries import PLATFORM_EVENT, Memory, take
from connectors.rss.faults import FeedError, Gone
from connectors.rss.fetching import Answer, Fetcher
from connectors.rss.options import ArticleFeed, RssOptions


class RssConnector(FeedsConnector):
    """RSS and Atom feeds: new entries and revised ones, each once."""

    connector_type = "rss"
    version = "1"
    extra = "rss"
    schedule = "30m"
    parallel = 8
    kinds = (PLATFORM_EVENT,)
    setup_help = "Nothing is needed but the addresses of feeds."
    Options = RssOptions
    feeds = (FeedType("feed", ArticleFeed, description="an RSS or Atom feed", kinds=(PLATFORM_EVENT,)),)

    def connect(self) -> None:
        """Nothing is acquired. Raises MissingDependency."""
        if find_spec("feedparser") is None:
            raise MissingDependency("the type rss needs feedparser", install="pip install 'mailbox-connectors[rss]'")

    @classmethod
    def feeds_given(cls, given: Mapping[str, Any]) -> list[Any]:
        """`url` on the entry itself is one feed more."""
        feeds = super().feeds_given(given)
        return [{"name": "main", "url": given["url"]}, *feeds] if given.get("url") else feeds

    def poll_feed(self, feed: Feed, checkpoint: Any) -> PollResult:
        """Fetch and read one feed. Raises FeedError for what is wrong with it, and RetryLater."""
        options = cast(ArticleFeed, feed.options)
        memory = Memory.read(checkpoint, options.url)
        answer, memory = self._ask(options, memory)
        if answer.body is None:
            return PollResult((), self._kept(memory), next_s=memory.ttl_s or None)
        body = hashlib.sha256(answer.body).hexdigest()[:32]
        memory = replace(memory, etag=answer.etag[:500], modified=answer.modified[:100])
        if body == memory.body:
            return PollResult((), self._kept(memory), next_s=memory.ttl_s or None)
        document = read_apart(
            answer.body, answer.url, answer.content_type, limit_s=options.parse_limit_s, stopped=lambda: self.wait(0)
        )
        _check(document, answer)
        events, memory = take(
            document, memory, feed=feed.name, first_run=options.first_run, revisions=options.revisions
        )
        # What is broken is read again, also if it stays the same.
        memory = replace(memory, body="" if document["problem"] else body, ttl_s=document["ttl_s"])
        problems = [f"{answer.url}: {document['problem']}"] if document["problem"] else []
        return PollResult(events, self._kept(memory), next_s=memory.ttl_s or None, problems=problems)

    def _kept(self, memory: Memory) -> dict[str, Any]:
        """The checkpoint. It has no secret: to an address with one the next look is led anew."""
        hidden = self.redactor.redact(memory.moved) != memory.moved
        return (replace(memory, moved="") if hidden else memory).to_json()

    def _ask(self, options: ArticleFeed, memory: Memory) -> tuple[Answer, Memory]:
        """Where the feed has moved to, or, when it is no longer there, where it was."""
        if memory.moved:
            try:
                answer = self._fetcher.fetch(memory.moved, options, etag=memory.etag, modified=memory.modified)
                return answer, replace(memory, moved=answer.moved or memory.moved)
            except (FeedError, Gone) as error:
                self.logger.warning("%s; asking at its old address", error)
                memory = replace(memory, moved="", etag="", modified="")
        answer = self._fetcher.fetch(options.url, options, etag=memory.etag, modified=memory.modified)
        if answer.moved:
            self.logger.warning("%s has moved to %s for good: correct url", options.url, answer.moved)
        return answer, replace(memory, moved=answer.moved)

    @cached_property
    def _fetcher(self) -> Fetcher:
        return Fetcher(cast(RssOptions, self.options).user_agent)


def _check(document: Mapping[str, Any], answer: Answer) -> None:
    """Raises FeedError for what is no feed, such as the page of a login."""
    if document["version"] or document["entries"]:
        return
    said = f" ({document['problem']})" if document["problem"] else ""
    kind = f", it says {answer.content_type}" if answer.content_type else ""
    raise FeedError(f"{answer.url}: this is no feed{kind}{said}", hint="open the address in a browser")


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=RssConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="rss")
    args = parser.parse_args()
    RssConnector(name=args.name, seed_home=args.seed_home).run()
