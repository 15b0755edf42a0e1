"""From an envelope of Slack's to an event, or to nothing. No input and no output: everything here is a pure function.

Envelopes: https://docs.slack.dev/apis/events-api/using-socket-mode . What is not known by name becomes an event of
kind `event` with its raw payload; a field that is missing or of another type is as if it were empty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from connectors.base.message import Sender, SourceEvent
from connectors.slack.incoming import (
    Incoming,
    Json,
    Me,
    capped,
    event,
    ident,
    mapping,
    message_id,
    stamp,
    text,
)
from connectors.slack.interactions import command, interactive
from connectors.slack.messages import NOISE, POSTS, delete, edit, post
from connectors.slack.text import literally

_MEMBERSHIP = frozenset(
    {"member_joined_channel", "member_left_channel", "channel_left", "group_left", "im_created", "channel_joined"}
)
_REACTIONS = frozenset({"reaction_added", "reaction_removed"})


def normalise(envelope: Json, me: Me, instance: str) -> Incoming | None:
    """The event that the envelope carries. None: nothing that anybody has to hear of (own posts, previews, noise)."""
    kind, payload = text(envelope.get("type")), mapping(envelope.get("payload"))
    extra = _retry(envelope)
    if kind == "slash_commands":
        return command(payload, me, instance, extra)
    if kind == "interactive" and payload.get("type") == "block_suggestion":
        return None  # asked at every keystroke, for options that only an immediate answer could give
    if kind == "interactive":
        return interactive(payload, me, instance, extra)
    if kind == "events_api":
        found = mapping(payload.get("event"))
        extra["event_id"] = ident(payload.get("event_id"))
        return occurrence(found, me, instance, extra)
    unique = ident(envelope.get("envelope_id")) or _digest(payload)
    return _unknown(payload, kind or "envelope", f"slack:{me.team_id}:envelope:{unique}", me, instance, extra)


def occurrence(found: Json, me: Me, instance: str, extra: dict[str, Any] | None = None) -> Incoming | None:
    """The inner event of an `events_api` envelope; or a post from conversations.history, with its `channel` added."""
    extra = dict(extra or {})
    kind, subtype = text(found.get("type")), text(found.get("subtype"))
    if kind in ("message", "app_mention"):
        if subtype == "message_changed":
            return edit(found, me, instance, extra)
        if subtype == "message_deleted":
            return delete(found, me, instance, extra)
        if subtype in NOISE:
            return None
        if subtype in POSTS and ident(found.get("channel")) and stamp(found.get("ts")):
            return post(found, me, instance, extra)
    elif kind in _REACTIONS and mapping(found.get("item")).get("type") == "message":
        return _reaction(found, me, instance, extra)
    elif kind in _MEMBERSHIP and ident(_channel(found)):
        return _membership(found, me, instance, extra)
    unique = ident(extra.get("event_id")) or _digest(found)
    return _unknown(
        found, f"{kind}.{subtype}" if subtype else kind, f"slack:{me.team_id}:event:{unique}", me, instance, extra
    )


def as_it_came(envelope: Json, me: Me, instance: str) -> Incoming | None:
    """The envelope's payload as an event of kind `event`, whatever it holds."""
    payload = mapping(envelope.get("payload"))
    found = mapping(payload.get("event")) or payload
    unique = ident(payload.get("event_id")) or ident(envelope.get("envelope_id")) or _digest(payload)
    kind = text(found.get("type")) or text(envelope.get("type"))
    return _unknown(found, kind, f"slack:{me.team_id}:event:{unique}", me, instance, _retry(envelope))


def _reaction(found: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming | None:
    """https://docs.slack.dev/reference/events/reaction_added"""
    item, user = mapping(found.get("item")), ident(found.get("user"))
    channel, ts, at = ident(item.get("channel")), stamp(item.get("ts")), stamp(found.get("event_ts"))
    if user == me.user_id or not channel or not ts:
        return None
    removed = found.get("type") == "reaction_removed"
    name, original = text(found.get("reaction")), message_id(me, channel, ts)
    # Both carry the event's own time, so that taking a reaction back and setting it again are four events.
    message = event(
        instance,
        event_id=f"{original}:reaction:{user}:{ident(name) or _digest(name)}:{at}{':removed' if removed else ''}",
        kind="reaction",
        ts=at,
        sender=Sender(id=user),
        channel=channel,
        reply_to=original,
        metadata={"ts": ts, "target_id": ts, "reaction": name, "removed": removed or None, **extra},
        mentions_me=found.get("item_user") == me.user_id,
    )
    mine = bool(me.user_id) and found.get("item_user") == me.user_id
    texts = {"text": literally(f":{name}:")} if name else {}
    return Incoming(message, texts, channel.startswith("D"), mine, "reply" if mine else "", about=original)


def _membership(found: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming:
    """Somebody came or went. That this connector did is told whatever the rules say."""
    kind, channel = text(found.get("type")), ident(_channel(found))
    user = ident(found.get("user")) or (me.user_id if kind.endswith("_left") or kind == "channel_joined" else "")
    at = stamp(found.get("event_ts"))
    mine = user == me.user_id
    words = {"member_joined_channel": "joined", "channel_joined": "joined", "im_created": "opened"}
    message = event(
        instance,
        event_id=f"slack:{me.team_id}:{channel}:membership:{kind}:{user}:{at or ident(extra.get('event_id'))}",
        kind="membership",
        ts=at,
        sender=Sender(id=ident(found.get("inviter")) or ident(found.get("actor_id")) or user),
        channel=channel,
        channel_type={"C": "channel", "G": "group"}.get(text(found.get("channel_type")), ""),
        metadata={"membership": words.get(kind, "left"), "user": user, "me": mine or None, **extra},
        mentions_me=mine,
    )
    return Incoming(message, {}, channel.startswith("D"), mine, "", gate="none" if mine else "full")


def _unknown(found: Json, kind: str, event_id: str, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming | None:
    """What this connector has no words for, as it came."""
    user = found.get("user")
    sender = ident(user) or ident(mapping(user).get("id")) or ident(found.get("user_id"))
    if sender and sender == me.user_id:
        return None
    channel = (
        ident(_channel(found)) or ident(found.get("channel_id")) or ident(mapping(found.get("item")).get("channel"))
    )
    at = stamp(found.get("event_ts"))
    message = event(
        instance,
        event_id=event_id,
        kind="event",
        ts=at,
        sender=Sender(id=sender or "slack"),
        channel=channel or sender or me.team_id,
        channel_type=text(found.get("channel_type")),
        metadata=extra,
        source=SourceEvent(
            type="slack",
            platform_event=kind[:200] or "unknown",
            provenance={"platform": "slack", "team": me.team_id},
            payload=capped(found),
        ),
    )
    direct = not channel or channel.startswith("D")
    return Incoming(message, {}, direct, gate="place" if channel or sender else "none")


def _channel(found: Json) -> Any:
    """Some events carry an id, some the whole conversation."""
    channel = found.get("channel")
    return channel.get("id") if isinstance(channel, Mapping) else channel


def _retry(envelope: Json) -> dict[str, Any]:
    """That Slack delivers it again is information; whether it was received before is known by the event's id."""
    attempt, reason = envelope.get("retry_attempt"), text(envelope.get("retry_reason"))
    if isinstance(attempt, int) and attempt > 0:
        return {"retry": {"attempt": attempt, "reason": reason}}
    return {}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(capped({"": value}), sort_keys=True).encode()).hexdigest()[:32]
