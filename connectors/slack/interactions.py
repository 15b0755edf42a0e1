"""Slash commands, buttons, menus, modals and shortcuts.

https://docs.slack.dev/interactivity/implementing-slash-commands,
https://docs.slack.dev/reference/interaction-payloads (block_actions, view_submission, view_closed, shortcuts).
`response_url` is good for 30 minutes and 5 answers; it is in the event and in no log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.base.message import Sender
from connectors.slack.incoming import (
    Incoming,
    Json,
    Me,
    capped,
    event,
    ident,
    listing,
    mapping,
    message_id,
    stamp,
    text,
)
from connectors.slack.text import Said, literally

_MAX_VALUES = 500


def command(payload: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming:
    """A slash command. It is addressed at this connector by its nature."""
    channel, user = ident(payload.get("channel_id")), ident(payload.get("user_id"))
    name, arguments = text(payload.get("command")), text(payload.get("text"))
    direct = channel.startswith("D") or payload.get("channel_name") == "directmessage"
    raw = f"{name} {arguments}".strip()
    message = event(
        instance,
        event_id=f"slack:{me.team_id}:command:{_unique(payload)}",
        kind="command",
        ts="",
        sender=Sender(id=user, username=text(payload.get("user_name"))),
        channel=channel or user,
        channel_type="im" if direct or not channel else "",
        channel_name="" if direct else text(payload.get("channel_name")),
        metadata={
            "command": name,
            "arguments": arguments,
            "raw_text": raw,
            "trigger_id": text(payload.get("trigger_id")),
            "response_url": text(payload.get("response_url")),
            **extra,
        },
        mentions_me=True,
    )
    return Incoming(message, {"text": Said(raw)}, direct or not channel, True, "command")


def interactive(payload: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming:
    """A button, a choice, a modal, a shortcut: `metadata.interaction` says which, `metadata.actions` what."""
    kind, user = text(payload.get("type")), mapping(payload.get("user"))
    container, post, view = (mapping(payload.get(key)) for key in ("container", "message", "view"))
    place = mapping(payload.get("channel"))
    channel = ident(place.get("id")) or ident(container.get("channel_id"))
    ts = stamp(post.get("ts")) or stamp(container.get("message_ts")) or stamp(payload.get("message_ts"))
    root = stamp(post.get("thread_ts")) or stamp(container.get("thread_ts"))
    actions = [_action(item) for item in listing(payload.get("actions")) if isinstance(item, Mapping)]
    values = dict(_state(view or payload))
    raw = "\n".join(item["text"] for item in actions if item["text"]) or ident(payload.get("callback_id"))
    direct = not channel or channel.startswith("D")
    message = event(
        instance,
        event_id=f"slack:{me.team_id}:button:{_unique(payload)}",
        kind="button",
        ts=stamp(payload.get("action_ts")) or next((a["ts"] for a in actions if a["ts"]), ""),
        sender=Sender(
            id=ident(user.get("id")),
            username=text(user.get("username")) or text(user.get("name")),
        ),
        # A modal belongs to no conversation: answering the person opens the direct one.
        channel=channel or ident(user.get("id")),
        channel_type="im" if direct else "",
        channel_name="" if direct else text(place.get("name")),
        thread=root if root != ts else "",
        reply_to=message_id(me, channel, ts) if channel and ts else None,
        metadata={
            "interaction": kind,
            "actions": [{key: value for key, value in item.items() if value} for item in actions],
            "values": values,
            "target_id": ts,
            "callback_id": text(payload.get("callback_id")) or text(view.get("callback_id")),
            "view_id": ident(view.get("id")),
            "private_metadata": text(view.get("private_metadata")),
            "trigger_id": text(payload.get("trigger_id")),
            "response_url": text(payload.get("response_url")) or _response_urls(payload),
            **extra,
        },
        mentions_me=True,
    )
    return Incoming(message, {"text": literally(raw)}, direct, True, "command")


def _unique(payload: Json) -> str:
    """What tells this interaction from every other, and is the same when it is delivered again."""
    view = mapping(payload.get("view"))
    trigger = ident(payload.get("trigger_id"))
    if trigger:
        return trigger
    if ident(view.get("id")):  # view_closed has no trigger
        return f"{view.get('id')}:{payload.get('type')}:{ident(view.get('hash'))}"
    whole = json.dumps(capped(payload), sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def _action(item: Json) -> dict[str, Any]:
    """https://docs.slack.dev/reference/interaction-payloads/block_actions-payload"""
    chosen = _chosen(item)
    shown = mapping(item.get("text")).get("text")
    return {
        "action_id": text(item.get("action_id")) or text(item.get("name")),
        "block_id": text(item.get("block_id")),
        "type": text(item.get("type")),
        "value": chosen,
        "ts": stamp(item.get("action_ts")),
        "text": ", ".join(chosen) if isinstance(chosen, list) else chosen or text(shown),
    }


def _chosen(item: Json) -> str | list[str]:
    """The value of an element: a button's, or what was chosen."""
    for key in ("value", "selected_date", "selected_time", "selected_user", "selected_channel"):
        if text(item.get(key)):
            return text(item.get(key))
    if text(item.get("selected_conversation")):
        return text(item.get("selected_conversation"))
    if isinstance(item.get("selected_date_time"), int):
        return str(item["selected_date_time"])
    option = mapping(item.get("selected_option"))
    if option:
        return text(option.get("value")) or text(mapping(option.get("text")).get("text"))
    for key in ("selected_options", "selected_users", "selected_channels", "selected_conversations"):
        many = listing(item.get(key))[:_MAX_VALUES]
        if many:
            return [text(mapping(one).get("value")) if isinstance(one, Mapping) else text(one) for one in many]
    return ""


def _state(holder: Json) -> Iterator[tuple[str, str | list[str]]]:
    """What was filled in, by the inputs' action ids; by block and action id where an action id is not unique."""
    seen: set[str] = set()
    blocks = mapping(mapping(holder.get("state")).get("values"))
    for block_id, inputs in list(blocks.items())[:_MAX_VALUES]:
        for action_id, item in list(mapping(inputs).items())[:_MAX_VALUES]:
            yield (f"{block_id}.{action_id}" if action_id in seen else str(action_id)), _chosen(mapping(item))
            seen.add(action_id)


def _response_urls(payload: Json) -> str:
    """A modal has a list of them, when it asked for one."""
    return next((text(mapping(one).get("response_url")) for one in listing(payload.get("response_urls"))), "")
