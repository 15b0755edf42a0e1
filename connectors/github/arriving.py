"""Where polls and pushes meet: of one change one event, whichever comes first, and no step back.

A state that is older than what is known is no news: a push that was late, or was delivered again, while a poll was
faster. What a change changed is told in `payload.changed`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from connectors.base.connector import Connector
from connectors.github.options import GithubOptions
from connectors.github.own import is_marked
from connectors.parts.emitting import Counts
from connectors.parts.events import Event

#: What `payload.changed` may name, besides title and body.
_CONTENT = ("state", "state_reason", "labels", "assignees", "milestone", "locked", "draft", "merged", "deleted")


class Arrivals:
    """What is let in. `login`: the token's account, when it is known."""

    def __init__(self, connector: Connector, options: GithubOptions) -> None:
        self._connector = connector
        self._own_posts = options.own_posts
        self._one = threading.Lock()
        self.login: str | None = None

    def take(self, events: Sequence[Event], emit: Callable[[list[Event]], Counts]) -> Counts:
        """Emit what is news. Nobody else does so meanwhile: what is known is what was written."""
        with self._one:
            return emit(self._news(events))

    def own(self, event: Event, body: object) -> Event | None:
        """The event as it may arrive; None for what this connector posted. `body`: the text with its mark."""
        if self.login is None or (event.author or "").lower() != self.login.lower():
            return event
        ours = is_marked(str(body or ""))
        if self._own_posts == "drop_account" or (ours and self._own_posts == "drop" and _as_posted(event)):
            return None
        return replace(event, provenance={**event.provenance, "self": "connector" if ours else "account"})

    def _news(self, events: Sequence[Event]) -> list[Event]:
        newest = self._connector.newest_of([event.origin_id for event in events])
        known = {origin: self._known(event_id) for origin, (event_id, _) in newest.items()}
        news = []
        for event in events:
            before = known.get(event.origin_id)
            if before is not None:
                if before.get("deleted") or _at(event) < str(before.get("updated_at") or ""):
                    continue
                payload = {**event.payload, "changed": list(_changed(before, event))}
                event = replace(event, payload=payload)
            known[event.origin_id] = _face(event.payload, event.title, event.text)
            news.append(event)
        return news

    def _known(self, event_id: str) -> dict[str, Any] | None:
        """What was told of a record last; None when that is no longer kept."""
        message = self._connector.kept(event_id)
        if message is None or message.event is None:
            return None
        return _face(message.event.payload, message.event.title, message.content.text)


def _face(payload: Any, title: str | None, text: str) -> dict[str, Any]:
    """What can be compared. An event without a text shows its title in its place."""
    return {**payload, "title": title, "body": "" if text == title else text}


def _at(event: Event) -> str:
    return str(event.payload.get("updated_at") or "")


def _changed(before: dict[str, Any], event: Event) -> list[str]:
    now = _face(event.payload, event.title, event.text)
    # The title of a comment is its issue's.
    names = ("body", "deleted") if event.parent else ("title", "body", *_CONTENT)
    return [name for name in names if before.get(name) != now.get(name)]


def _as_posted(event: Event) -> bool:
    """Whether nothing has happened to it since: what others do with an issue of ours is news."""
    return event.parent is not None or event.payload.get("created_at") == event.payload.get("updated_at")
