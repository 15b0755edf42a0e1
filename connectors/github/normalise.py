"""GitHub's records in the mailbox's words: the same event for the same state, whether it was polled or pushed. Pure.

https://docs.github.com/en/rest/issues/issues, https://docs.github.com/en/rest/issues/comments,
https://docs.github.com/en/webhooks/webhook-events-and-payloads.

The two faces of a record differ in ids (of a pull request), counters and links. So its id is made of what both have
(the repository's number and its own), and so is its revision: texts, state, labels, assignees. `updated_at` is none of
it: GitHub sets that of an issue with every comment, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.github.faults import Nonsense
from connectors.github.own import without_mark
from connectors.parts.events import Event

#: https://docs.github.com/en/graphql/reference/enums#commentauthorassociation
_TEAM = ("OWNER", "MEMBER", "COLLABORATOR")


@dataclass(frozen=True)
class Place:
    """A repository. Its `id` stays when its name changes."""

    id: int
    name: str  #: owner/name

    @classmethod
    def of(cls, record: object) -> Place:
        """Raises Nonsense."""
        found = mapping(record, "the repository")
        return cls(whole(found, "id"), text(found, "full_name"))


@dataclass(frozen=True)
class Told:
    """What a push says beside the record: its action, who did it, and the delivery's id."""

    action: str
    actor: str | None
    delivery: str | None


def issue_id(place: Place, number: int) -> str:
    return f"issue:{place.id}#{number}"


def comment_id(number: int, *, review: bool) -> str:
    return f"{'review_comment' if review else 'comment'}:{number}"


def issue_event(record: object, place: Place, told: Told | None = None) -> Event:
    """Of an issue or a pull request, in the shape of the Issues or of the Pulls endpoints. Raises Nonsense."""
    issue = mapping(record, "an issue")
    number = whole(issue, "number")
    pull = issue.get("pull_request") if isinstance(issue.get("pull_request"), Mapping) else None
    is_pull = pull is not None or "merged_at" in issue
    merged_at = (pull or issue).get("merged_at") if is_pull else None
    kind = "pull_request" if is_pull else "issues"
    body = _body(issue)
    state = {
        "title": text(issue, "title"),
        "state": text(issue, "state"),
        "labels": sorted(_names(issue, "labels", "name")),
        "assignees": sorted(_names(issue, "assignees", "login")),
        "milestone": _name(issue.get("milestone"), "title"),
        "locked": bool(issue.get("locked")),
    }
    state |= {"draft": bool(issue.get("draft")), "merged": bool(merged_at)} if is_pull else {}
    state |= {} if is_pull else {"state_reason": issue.get("state_reason")}
    state |= _end(told)
    reactions = issue.get("reactions")
    counts = _number(issue.get("comments"))
    counts += _number(reactions.get("total_count")) if isinstance(reactions, Mapping) else 0
    payload = {
        **_common(issue, place, number),
        **{name: value for name, value in state.items() if name != "title"},
        "comments": _number(issue.get("comments")),
        "closed_at": issue.get("closed_at"),
    }
    if is_pull:
        payload["merged_at"] = merged_at
    return Event(
        issue_id(place, number),
        body,
        platform_event=kind,
        title=f"#{number} {state['title']}",
        score=min(100, counts),
        payload=payload,
        revision=_revision({**state, "body": body}),
        conversation_name=str(state["title"]),
        **_around(issue, place, number, told),
    )


def comment_event(
    record: object, place: Place, number: int, *, review: bool, title: str | None, told: Told | None = None
) -> Event:
    """Of a comment, or with `review` of one on the lines of a pull request. `title`: its issue's. Raises Nonsense."""
    comment = mapping(record, "a comment")
    body = _body(comment)
    payload = {
        **_common(comment, place, number),
        "comment_id": whole(comment, "id"),
        "pull_request": review or "/pull/" in str(comment.get("html_url")),
        **_end(told),
    }
    if review:
        payload |= {name: comment.get(name) for name in ("path", "line", "in_reply_to_id", "pull_request_review_id")}
    return Event(
        comment_id(whole(comment, "id"), review=review),
        body,
        platform_event="pull_request_review_comment" if review else "issue_comment",
        title=f"#{number} {title}" if title else f"#{number}",
        parent=issue_id(place, number),
        payload=payload,
        revision=_revision({"body": body, **_end(told)}),
        conversation_name=title,
        **_around(comment, place, number, told),
    )


def delivery_event(event: str, payload: Mapping[str, Any], place: Place | None, told: Told) -> Event:
    """Of a push that tells of none of these: one event for each delivery, with all that came."""
    number = None
    for name in ("issue", "pull_request", "discussion"):
        if isinstance(inner := payload.get(name), Mapping) and isinstance(inner.get("number"), int):
            number = inner["number"]
    texts = (payload.get(name) for name in ("comment", "review", "release"))
    said: Mapping[str, Any] = next((found for found in texts if isinstance(found, Mapping)), {})
    where = place.name if place is not None else "GitHub"
    sender = payload.get("sender")
    named = f"{event}.{told.action}" if told.action else event
    return Event(
        f"delivery:{told.delivery}",
        str(said.get("body") or ""),
        platform_event=named,
        title=f"{named} in {where}" + (f" #{number}" if number else ""),
        source_url=said.get("html_url") if isinstance(said.get("html_url"), str) else None,
        author=_name(sender, "login"),
        author_type="bot" if _is_bot(sender) else "unknown",
        provenance=_provenance(place, told, None),
        payload=payload,
        conversation=f"{where}#{number}" if number else where,
        format="markdown",
    )


def number_of(comment: Mapping[str, Any]) -> int:
    """The issue's: the last step of its address, where the record itself has no number. Raises Nonsense."""
    address = str(comment.get("issue_url") or comment.get("pull_request_url") or "")
    last = address.rpartition("/")[2]
    if not last.isdecimal():
        raise Nonsense(f"GitHub's answer is not what it should be: a comment without its issue ({address!r})")
    return int(last)


def updated_at(record: object) -> str:
    """As GitHub writes it: `2026-01-31T12:00:00Z`. Raises Nonsense for what is no such time."""
    found = text(mapping(record, "a record"), "updated_at")
    try:
        datetime.strptime(found, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - only whether it is one
    except ValueError:
        raise Nonsense(f"GitHub's answer is not what it should be: updated_at is {found!r:.40}") from None
    return found


# ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────


def _common(record: Mapping[str, Any], place: Place, number: int) -> dict[str, Any]:
    return {
        "repository": place.name,
        "repository_id": place.id,
        "number": number,
        "created_at": record.get("created_at"),
        "updated_at": updated_at(record),
        "author_association": record.get("author_association"),
    }


def _around(record: Mapping[str, Any], place: Place, number: int, told: Told | None) -> dict[str, Any]:
    """What every record has of where it is from."""
    user = record.get("user")
    association = record.get("author_association")
    kind = "bot" if _is_bot(user) else "team_member" if association in _TEAM else "external"
    url = record.get("html_url")
    return {
        "source_url": url if isinstance(url, str) else None,
        "occurred_at": updated_at(record),
        "author": _name(user, "login"),
        "author_type": kind if isinstance(user, Mapping) else "unknown",
        "provenance": _provenance(place, told, number),
        "conversation": f"{place.name}#{number}",
        "format": "markdown",
    }


def _provenance(place: Place | None, told: Told | None, number: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {"repository": place.name, "repository_id": place.id} if place is not None else {}
    if number is not None:
        found["number"] = number
    if told is not None:
        found |= {"action": told.action or None, "actor": told.actor, "delivery": told.delivery}
    return found


def _end(told: Told | None) -> dict[str, Any]:
    """Only a push tells that a record is no more."""
    return {"deleted": True} if told is not None and told.action in ("deleted", "transferred") else {}


def _revision(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _body(record: Mapping[str, Any]) -> str:
    body = record.get("body")
    if body is not None and not isinstance(body, str):
        raise Nonsense("GitHub's answer is not what it should be: body is no text")
    return without_mark(body or "")


def _is_bot(user: object) -> bool:
    return isinstance(user, Mapping) and (user.get("type") == "Bot" or str(user.get("login")).endswith("[bot]"))


def _names(record: Mapping[str, Any], field: str, name: str) -> list[str]:
    """Labels may be texts as well, says the documentation."""
    listed = record.get(field)
    found = [one if isinstance(one, str) else _name(one, name) for one in (listed if isinstance(listed, list) else [])]
    return [one for one in found if one is not None]


def _name(record: object, name: str) -> str | None:
    found = record.get(name) if isinstance(record, Mapping) else None
    return found if isinstance(found, str) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Nonsense(f"GitHub's answer is not what it should be: {what} is {type(value).__name__}")
    return value


def whole(record: Mapping[str, Any], name: str) -> int:
    found = record.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise Nonsense(f"GitHub's answer is not what it should be: {name} is {found!r:.40}")
    return found


def text(record: Mapping[str, Any], name: str) -> str:
    found = record.get(name)
    if not isinstance(found, str):
        raise Nonsense(f"GitHub's answer is not what it should be: {name} is {found!r:.40}")
    return found
