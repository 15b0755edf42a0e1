"""Methods about reactions and status lines: reactions.add, remove, get; assistant.threads.setStatus.

https://docs.slack.dev/reference/methods/reactions.add : `already_reacted`, `message_not_found`, `bad_timestamp`,
`invalid_name`, `is_archived`; …/reactions.remove : `no_reaction`; …/reactions.get.
https://docs.slack.dev/reference/methods/assistant.threads.setStatus : wants chat:write, a thread's ts
(`invalid_thread_ts`); a message of the bot's own clears the status.
https://docs.slack.dev/reference/events/reaction_added : `item`, `item_user`, `event_ts`.
"""

from __future__ import annotations

import re

from connectors.testing.slack import messages
from connectors.testing.slack.api import Args, SlackError, find_channel, method
from connectors.testing.slack.state import Channel, Json, World

_TS = re.compile(r"\d+\.\d{6}")
_NAME = re.compile(r"[a-z0-9_+'\-]+(::skin-tone-[2-6])?")


@method("reactions.add", scope="reactions:write")
def add(world: World, args: Args) -> Json:
    """React as the bot."""
    channel, message = _target(world, args)
    if not react(world, channel, message, world.bot_user, _name(args)):
        raise SlackError("already_reacted")
    return {}


@method("reactions.remove", scope="reactions:write")
def remove(world: World, args: Args) -> Json:
    """Take the bot's reaction back."""
    channel, message = _target(world, args)
    if not unreact(world, channel, message, world.bot_user, _name(args)):
        raise SlackError("no_reaction")
    return {}


@method("reactions.get", scope="reactions:read")
def get(world: World, args: Args) -> Json:
    """A message with its reactions."""
    channel, message = _target(world, args)
    return {"type": "message", "channel": channel.id, "message": messages.shown(message)}


@method("assistant.threads.setStatus", scope="chat:write")
def set_status(world: World, args: Args) -> Json:
    """What people see below a thread while the bot works."""
    channel = find_channel(world, args, name="channel_id")
    root, status = channel.messages.get(args.text("thread_ts")), args.text("status")
    if root is None:
        raise SlackError("invalid_thread_ts")
    channel.statuses[args.text("thread_ts")] = status
    if status:
        world.tell(channel, root, f"shows “{status}” below", world.bot_user)
    return {}


def react(world: World, channel: Channel, message: Json, user: str, name: str) -> bool:
    """False: this person did so already."""
    for reaction in message.setdefault("reactions", []):
        if reaction["name"] == name:
            if user in reaction["users"]:
                return False
            reaction["users"].append(user)
            reaction["count"] = len(reaction["users"])
            break
    else:
        message["reactions"].append({"name": name, "users": [user], "count": 1})
    _announce(world, channel, message, user, name, "reaction_added")
    return True


def unreact(world: World, channel: Channel, message: Json, user: str, name: str) -> bool:
    """False: there is no such reaction."""
    for reaction in message.get("reactions", []):
        if reaction["name"] == name and user in reaction["users"]:
            reaction["users"].remove(user)
            reaction["count"] = len(reaction["users"])
            message["reactions"] = [r for r in message["reactions"] if r["users"]]
            if not message["reactions"]:
                del message["reactions"]
            _announce(world, channel, message, user, name, "reaction_removed")
            return True
    return False


def _announce(world: World, channel: Channel, message: Json, user: str, name: str, kind: str) -> None:
    event: Json = {
        "type": kind,
        "user": user,
        "reaction": name,
        "item": {"type": "message", "channel": channel.id, "ts": message["ts"]},
        "event_ts": world.new_ts(),
    }
    if message.get("user"):
        event["item_user"] = message["user"]
    world.announce(channel, event)
    what = f"reacts :{name}: to" if kind == "reaction_added" else f"takes :{name}: back from"
    world.tell(channel, message, what, user)


def _target(world: World, args: Args) -> tuple[Channel, Json]:
    if "channel" not in args or "timestamp" not in args:
        raise SlackError("no_item_specified")
    channel = find_channel(world, args)
    if channel.archived:
        raise SlackError("is_archived")
    if not _TS.fullmatch(args.text("timestamp")):
        raise SlackError("bad_timestamp")
    message = channel.messages.get(args.text("timestamp"))
    if message is None:
        raise SlackError("message_not_found")
    return channel, message


def _name(args: Args) -> str:
    name = args.text("name").strip(":")
    if not _NAME.fullmatch(name):
        raise SlackError("invalid_name")
    return name
