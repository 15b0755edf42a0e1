"""A source of several feeds: one connector, one process, and for each feed a schedule, a checkpoint and its own errors.

    class NewsConnector(FeedsConnector):
        connector_type = "news"

        class Article(feeds.FeedOptions):
            url: str = option(description="where the feed is")

        feeds = (FeedType("article", Article, description="what a site publishes"),)

        def poll_feed(self, feed, checkpoint):
            return PollResult(fetch(feed.options.url, since=checkpoint), checkpoint=now())

A feed that fails waits and is tried again by itself; the others go on. Its name is that of its checkpoint, and stands
before the ids of its records, so that those of two feeds never meet.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

from pydantic import BaseModel

from connectors.base.errors import ConfigError, Rejected
from connectors.base.feeds import FeedType, GivenFeed, feed_secrets, feeds_of
from connectors.base.message import OutgoingMessage
from connectors.base.options import option
from connectors.base.problems import did_you_mean, nearest
from connectors.parts import polling
from connectors.parts.emitting import KEEP, Counts, Emitter
from connectors.parts.events import Event
from connectors.parts.polling import PollResult, SourceConnector
from connectors.parts.runs import Report
from connectors.parts.turns import Plan, Turn

__all__ = ["Feed", "FeedOptions", "FeedType", "FeedsConnector", "FeedsOptions"]


class FeedOptions(polling.TimingOptions):
    """The options of every feed; a feed type's own inherit them."""

    name: str = option(description="What it is called, here and in its checkpoint, its status and its events' ids.")
    feed: str | None = option(None, description="Which type of feed, where the connector has several.")


class FeedsOptions(polling.SourceOptions):
    """The options of every connector with feeds; its own inherit them."""

    feeds: list[dict[str, Any]] = option([], description="What to poll: a list of mappings, each with a name.")


@dataclass(frozen=True)
class Feed:
    """One feed, as `poll_feed` gets it. `options` is an instance of its type's model."""

    name: str
    type: str
    options: Any
    _emit: Callable[..., Counts]

    def emit(self, events: Iterable[Event], checkpoint: Any = KEEP) -> Counts:
        """As `SourceConnector.emit`, for events of this feed."""
        return self._emit(events, checkpoint)


class FeedsConnector(SourceConnector):
    """Base of all sources with feeds: `feeds` and `poll_feed` are all that one must write.

    `parallel` feeds are polled at once, each in a thread; with 1, the default, one after the other.
    """

    feeds: ClassVar[Sequence[FeedType]] = ()
    Options: ClassVar[type[FeedsOptions]] = FeedsOptions

    @abstractmethod
    def poll_feed(self, feed: Feed, checkpoint: Any) -> PollResult:
        """As `SourceConnector.poll`, for one feed.

        AuthError and ConfigError end the process, and with it all feeds: raise something else for what is wrong with
        this one. RetryLater(after_s=…) holds this feed only.
        """

    @classmethod
    def feeds_given(cls, given: Mapping[str, Any]) -> list[Any]:
        """The mappings that the options of an entry ask for. To override for a short form: their order is free, and
        those of `given` must be the very same ones."""
        feeds = given.get("feeds", [])
        return feeds if isinstance(feeds, list) else []

    def poll(self, checkpoint: Any) -> PollResult:
        """Never called: every feed is polled for itself."""
        raise NotImplementedError

    def emit(self, events: Iterable[Event], checkpoint: Any = KEEP) -> Counts:
        """Make events durable that belong to no feed: out of a webhook. In a poll: `feed.emit`."""
        if checkpoint is not KEEP:
            raise ValueError("a checkpoint is a feed's: feed.emit(events, checkpoint)")
        return self._common.emit(events)

    def sync(self, feed: str | None = None) -> Report:
        """Run now, in this thread: all feeds one after the other, or this one. Raises as `SourceConnector.sync`, and
        Rejected for a feed that is none."""
        return self._run_now(self._turns if feed is None else [self._turn(feed)])

    def poll_soon(self, feed: str | None = None) -> None:
        """Run all feeds, or this one, as soon as possible. Returns at once."""
        self._runner.ask("", self._turns if feed is None else [self._turn(feed)])

    # ── its parts ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _lock(self) -> threading.Lock:
        """Two feeds may tell of one record, where they share ids."""
        return threading.Lock()

    @cached_property
    def _common(self) -> Emitter:
        return Emitter(self, self.kinds, lock=self._lock)

    @cached_property
    def _turns(self) -> tuple[Turn, ...]:
        options = dict(self.options)
        self.redactor.add(feed_secrets(type(self), options))
        given, problems = feeds_of(type(self), options)
        if problems:
            raise ConfigError("; ".join(problem.text for problem in problems), hint=f"see connectors.yml, {self.name}")
        return tuple(map(self._turn_of, given))

    def _turn_of(self, given: GivenFeed) -> Turn:
        kind = given.type
        adopt = None if kind.shared_ids else partial(_adopt, given.name)
        turn = Turn(
            self,
            lambda checkpoint: self.poll_feed(feed, checkpoint),
            Emitter(self, kind.kinds or self.kinds, adopt=adopt, lock=self._lock),
            make_plan=partial(self._plan_for, given.options, kind),
            clock=type(self).clock,
            name=given.name,
            label=given.name,
        )
        feed = Feed(given.name, kind.name, given.options, turn.emit)
        return turn

    def _plan_for(self, options: BaseModel, kind: FeedType) -> Plan:
        return self._plan_of(options, self.options, schedule=kind.schedule)

    def _turn(self, name: str) -> Turn:
        found = {turn.name: turn for turn in self._turns}
        if name not in found:
            near = did_you_mean(nearest(name, found))
            raise Rejected(f'there is no feed "{name}"{near}', hint=f"there are: {', '.join(found)}")
        return found[name]

    def _asked(self, msg: OutgoingMessage) -> Sequence[Turn]:
        given = msg.input if isinstance(msg.input, Mapping) else {}
        wrong = sorted(str(key) for key in given if key != "feed")
        name = given.get("feed")
        if wrong or not (name is None or isinstance(name, str)):
            raise Rejected('the input of sync is nothing, or {"feed": NAME}', hint=f"not: {', '.join(wrong) or name}")
        return self._turns if name is None else [self._turn(name)]


def _adopt(feed: str, event: object) -> object:
    """The event with ids of this feed's own. What is no event is refused by who checks it."""
    given = vars(event) if isinstance(event, Event) else {}  # whatever was given, not what should have been
    origin, parent, provenance = (given.get(name) for name in ("origin_id", "parent", "provenance"))
    if not isinstance(event, Event) or not isinstance(origin, str) or not origin:
        return event
    return replace(
        event,
        origin_id=f"{feed}/{origin}",
        parent=f"{feed}/{parent}" if isinstance(parent, str) else event.parent,
        provenance={**provenance, "feed": feed} if isinstance(provenance, Mapping) else event.provenance,
    )
