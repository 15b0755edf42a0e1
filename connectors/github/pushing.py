"""GitHub's webhooks: a delivery becomes the events that a poll would have brought, or one of its own.

https://docs.github.com/en/webhooks/webhook-events-and-payloads. A delivery that is made again has the same
X-GitHub-Delivery (https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks), and is
acknowledged without a second event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.base.connector import Connector
from connectors.base.dropped import Drop
from connectors.github.arriving import Arrivals
from connectors.github.faults import Nonsense
from connectors.github.normalise import (
    Place,
    Told,
    comment_event,
    delivery_event,
    issue_event,
    mapping,
    number_of,
    whole,
)
from connectors.github.options import GithubOptions, wanted
from connectors.parts.drops import Drops
from connectors.parts.emitting import Counts
from connectors.parts.events import Event
from connectors.parts.webhook import Answer, Delivery, Refused

#: The bookmark with the ids of the newest deliveries; those that are made again are of the last three days
#: (https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks).
SEEN = ".deliveries"
_MOST_SEEN = 1000
#: What changes an issue or a pull request in a way that a poll sees, too. Other actions (synchronize, pinned …) are
#: events of their own.
_STATES = frozenset(
    {
        *("opened", "edited", "deleted", "transferred", "closed", "reopened", "assigned", "unassigned", "labeled"),
        *("unlabeled", "locked", "unlocked", "milestoned", "demilestoned", "ready_for_review", "converted_to_draft"),
    }
)
_COMMENTS = {"issue_comment": "issue", "pull_request_review_comment": "pull_request"}


class Emit(Protocol):
    """Writes events, and the ids of their deliveries in the same transaction. `repeated`: so many came before."""

    def __call__(self, events: list[Event], *, seen: list[str], repeated: int) -> Counts: ...


@dataclass(frozen=True)
class Push:
    """One delivery that was read. `id`: what GitHub is told."""

    id: str
    delivery: str
    events: tuple[Event, ...]


class Pushes:
    """The deliveries of one instance. `repositories`: the names that are let in, in lower case, and their numbers."""

    def __init__(
        self,
        connector: Connector,
        options: GithubOptions,
        arrivals: Arrivals,
        emit: Emit,
        repositories: Callable[[], frozenset[str | int]],
    ) -> None:
        self._connector = connector
        self._options = options
        self._arrivals = arrivals
        self._emit = emit
        self._repositories = repositories
        self._drops = Drops(connector.state_dir, logger=connector.logger)
        self._seen: dict[str, None] | None = None

    def close(self) -> None:
        """Safe twice."""
        self._drops.close()

    # ── one delivery ──────────────────────────────────────────────────────────────────────────────────────────

    def read(self, delivery: Delivery) -> Answer | list[Push]:
        """Raises webhook.Refused for what is no delivery of GitHub's."""
        name, guid = delivery.headers.get("x-github-event", ""), delivery.headers.get("x-github-delivery", "")
        if not name or not guid:
            raise Refused("X-GitHub-Event and X-GitHub-Delivery are needed")
        payload = delivery.payload
        if name == "ping":
            self._connector.logger.info("GitHub has set its webhook %s up", payload.get("hook_id"))
            return Answer(200, {"ok": True, "pong": True})
        action = payload.get("action")
        told = Told(action if isinstance(action, str) else "", _login(payload), guid)
        try:
            place = Place.of(payload["repository"]) if "repository" in payload else None
            if why := self._unwanted(name, told, place):
                return Answer(200, {"ok": True, "ignored": why})
            found = _event(name, payload, place, told)
        except Nonsense as error:
            raise Refused(str(error)) from error
        own = self._arrivals.own(found[0], found[1])
        events = (own,) if own is not None else ()
        return [Push(f"github:{self._connector.name}:{found[0].origin_id}", guid, events)]

    def write(self, pushes: Sequence[Push]) -> None:
        """Make them durable. Those that came before are left out."""
        seen = self._known()
        fresh = {push.delivery: push for push in pushes if push.delivery not in seen}
        ids = [*seen, *fresh][-_MOST_SEEN:]
        events = [event for push in fresh.values() for event in push.events]
        self._arrivals.take(events, lambda news: self._emit(news, seen=ids, repeated=len(pushes) - len(fresh)))
        self._seen = dict.fromkeys(ids)

    def _known(self) -> dict[str, None]:
        if self._seen is None:
            found = self._connector.checkpoint(SEEN)
            self._seen = dict.fromkeys(found if isinstance(found, list) else [])
        return self._seen

    def _unwanted(self, name: str, told: Told, place: Place | None) -> str:
        """Why it is not let in, counted for `connectors status`; empty: it is."""
        if not wanted(self._options.events, name, told.action):
            named = f"{name}.{told.action}" if told.action else name
            return self._dropped(place, told, f"{named} is not among events", f"events: [{named}]")
        if place is None:
            return ""
        allowed = self._repositories()
        if place.id in allowed or place.name.lower() in allowed:
            return ""
        return self._dropped(place, told, f"{place.name} is not among repositories", f"repositories: [{place.name}]")

    def _dropped(self, place: Place | None, told: Told, why: str, key: str) -> str:
        where = place.name if place is not None else "GitHub"
        self._drops.count(Drop(where, told.actor or "GitHub", why, f"connectors.yml: {self._connector.name}: {key}"))
        return why


def _event(name: str, payload: Mapping[str, Any], place: Place | None, told: Told) -> tuple[Event, object]:
    """The event, and the text in which a mark may be. Raises Nonsense."""
    if place is not None and name in ("issues", "pull_request") and told.action in _STATES:
        record = mapping(payload.get("issue" if name == "issues" else "pull_request"), name)
        return issue_event(record, place, told), record.get("body")
    if place is not None and name in _COMMENTS and told.action in ("created", "edited", "deleted"):
        comment = mapping(payload.get("comment"), "the comment")
        issue = mapping(payload.get(_COMMENTS[name]), "the comment's issue")
        number = whole(issue, "number") if "number" in issue else number_of(comment)
        review = name != "issue_comment"
        title = issue.get("title") if isinstance(issue.get("title"), str) else None
        return comment_event(comment, place, number, review=review, title=title, told=told), comment.get("body")
    return delivery_event(name, payload, place, told), ""


def _login(payload: Mapping[str, Any]) -> str | None:
    sender = payload.get("sender")
    login = sender.get("login") if isinstance(sender, Mapping) else None
    return login if isinstance(login, str) else None
