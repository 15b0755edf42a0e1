"""Messages: how they are made, changed and taken back, and the events that say so.

https://docs.slack.dev/reference/events/message : the fields; `message_changed` and `message_deleted` carry `message`
and `previous_message`, are `hidden` and have a ts of their own; …/message/thread_broadcast ; …/app_mention : a mention
makes an `app_mention` event beside the `message` event.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from connectors.testing.slack.state import Channel, Json, World

MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


def shown(message: Json, *, metadata: bool = True) -> Json:
    """A message as an answer or an event gives it: a copy without what only the fake knows."""
    hidden = {"_sent"} if metadata else {"_sent", "metadata"}
    return copy.deepcopy({key: value for key, value in message.items() if key not in hidden})


def by_bot(
    world: World, channel: Channel, content: Json, *, thread: str | None = None, broadcast: bool = False
) -> Json:
    """A message of the bot's own."""
    bot = world.bots[world.bot_id]
    message: Json = {
        "type": "message",
        "user": world.bot_user,
        "ts": world.new_ts(),
        "bot_id": world.bot_id,
        "app_id": world.app_id,
        "team": world.team_id,
        "bot_profile": {**{k: bot[k] for k in ("id", "app_id", "name", "deleted")}, "team_id": world.team_id},
        **content,
    }
    in_thread(channel, message, thread, broadcast=broadcast)
    return message


def in_thread(channel: Channel, message: Json, thread: str | None, *, broadcast: bool = False) -> None:
    """Make it a reply."""
    if thread is None:
        return
    message["thread_ts"] = thread
    root = channel.messages.get(thread)
    if root is not None and root.get("user"):
        message["parent_user_id"] = root["user"]
    if broadcast:
        message["subtype"] = "thread_broadcast"
        message["root"] = shown(root) if root is not None else None


def event_of(channel: Channel, message: Json, **more: Any) -> Json:
    """The message event."""
    event = shown(message, metadata=False)
    return {**event, "channel": channel.id, "channel_type": channel.kind, "event_ts": message["ts"], **more}


def publish(world: World, channel: Channel, message: Json, *, mention_first: bool = False) -> None:
    """Put a message into its channel and tell the app: twice when it mentions the bot."""
    world.put(channel, message)
    events = [event_of(channel, message)]
    mentioned = MENTION.findall(str(message.get("text", "")))
    if world.bot_user in mentioned and message.get("user") != world.bot_user and channel.kind != "im":
        events.append({**{k: v for k, v in events[0].items() if k != "channel_type"}, "type": "app_mention"})
    if mention_first:
        events.reverse()
    for event in events:
        world.announce(channel, event)


def tell_privately(world: World, channel: Channel, content: Json, user: str) -> None:
    """Let those know who watch: the bot says something that only one person sees."""
    name = world.users.get(user, {}).get("name", user)
    world.tell(channel, {**content, "user": world.bot_user, "ts": ""}, f"only to {name}")


def change(world: World, channel: Channel, message: Json, content: Json, *, edited_by: str | None) -> Json:
    """Replace a message's content. `edited_by=None`: an unfurl or the like, which nobody edited."""
    before = shown(message, metadata=False)
    message.update(content)
    ts = world.new_ts()
    if edited_by is not None:
        message["edited"] = {"user": edited_by, "ts": ts}
    event = {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": shown(message, metadata=False),
        "previous_message": before,
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
    }
    world.announce(channel, event)
    world.tell(channel, message, "changed" if edited_by is None else "edited")
    return event


def remove(world: World, channel: Channel, message: Json) -> Json:
    """Take a message out of its channel."""
    del channel.messages[message["ts"]]
    root = channel.messages.get(message.get("thread_ts", ""))
    if root is not None:
        world.count_replies(channel, root)
    ts = world.new_ts()
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": message["ts"],
        "previous_message": shown(message, metadata=False),
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
    }
    world.announce(channel, event)
    world.tell(channel, message, "deleted")
    return event
