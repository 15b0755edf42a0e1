"""Methods about channels: conversations.list, info, history, replies, open, members, join.

https://docs.slack.dev/reference/methods/conversations.history : newest first; `oldest` and `latest` exclude their own
ts unless `inclusive`; at most 999 a page; replies of threads are not in it, except broadcast ones; metadata only with
`include_all_metadata`; `not_in_channel` for a bot that is no member.
https://docs.slack.dev/reference/methods/conversations.replies : the root and its replies, oldest first;
`thread_not_found`. …/conversations.open, …/conversations.join (`method_not_supported_for_channel_type`).
"""

from __future__ import annotations

from connectors.testing.slack import messages
from connectors.testing.slack.api import Args, SlackError, find_channel, method, need, page
from connectors.testing.slack.state import SCOPE_WORD, Channel, Json, World, seconds

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def described(world: World, channel: Channel) -> Json:
    """A conversation as apps see it: https://docs.slack.dev/reference/objects/conversation-object"""
    common: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_ext_shared": channel.shared,
        "is_org_shared": False,
        "is_shared": channel.shared,
        "context_team_id": world.team_id,
    }
    if channel.kind == "im":
        others = [user for user in channel.members if user != world.bot_user]
        return {**common, "user": others[0] if others else world.bot_user, "is_open": True}
    return {
        **common,
        "name": channel.name,
        "name_normalized": channel.name.lower(),
        "is_general": channel.name == "general",
        "is_member": world.bot_user in channel.members,
        "creator": channel.members[0] if channel.members else "",
        "num_members": len(channel.members),
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


@method("conversations.list")
def conversations_list(world: World, args: Args) -> Json:
    """The channels of these types; private ones only where the bot is a member."""
    kinds = [_TYPES.get(name, "") for name in args.names("types") or ["public_channel"]]
    if "" in kinds:
        raise SlackError("invalid_types")
    for kind in kinds:
        need(world, f"{SCOPE_WORD[kind]}:read")  # type: ignore[index]
    found = [
        channel
        for channel in world.channels.values()
        if channel.kind in kinds
        and (channel.kind == "channel" or world.bot_user in channel.members)
        and not (args.flag("exclude_archived") and channel.archived)
    ]
    channels, cursor = page(found, args, default=100, most=1000)
    return {"channels": [described(world, c) for c in channels], "response_metadata": {"next_cursor": cursor}}


@method("conversations.info")
def info(world: World, args: Args) -> Json:
    """One channel."""
    return {"channel": described(world, find_channel(world, args, "read"))}


@method("conversations.members")
def members(world: World, args: Args) -> Json:
    """Who is in it."""
    channel = find_channel(world, args, "read")
    found, cursor = page(channel.members, args, default=100, most=1000)
    return {"members": found, "response_metadata": {"next_cursor": cursor}}


@method("conversations.history")
def history(world: World, args: Args) -> Json:
    """The messages of a channel, newest first."""
    channel = _readable(world, args)
    found = [
        message
        for message in reversed(channel.ordered())
        if message.get("thread_ts", message["ts"]) == message["ts"] or message.get("subtype") == "thread_broadcast"
    ]
    found = _between(found, args)
    chosen, cursor = page(found, args, default=100, most=999)
    metadata = args.flag("include_all_metadata")
    return {
        "messages": [messages.shown(message, metadata=metadata) for message in chosen],
        "has_more": bool(cursor),
        "pin_count": 0,
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.replies")
def replies(world: World, args: Args) -> Json:
    """A thread, its root first."""
    channel = _readable(world, args)
    root = channel.messages.get(args.text("ts"))
    if root is None:
        raise SlackError("thread_not_found")
    first = channel.messages.get(str(root.get("thread_ts", root["ts"])), root)
    found = [first, *_between(channel.replies(first["ts"]), args)]
    chosen, cursor = page(found, args, default=1000, most=1000)
    metadata = args.flag("include_all_metadata")
    return {
        "messages": [messages.shown(message, metadata=metadata) for message in chosen],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.open")
def conversations_open(world: World, args: Args) -> Json:
    """The direct conversation with one person or several."""
    if "channel" in args:
        channel = find_channel(world, args)
    else:
        users = args.names("users")
        if not users:
            raise SlackError("users_list_not_supplied")
        unknown = [user for user in users if user not in world.users]
        if unknown:
            raise SlackError("user_not_found")
        need(world, "im:write" if len(users) == 1 else "mpim:write")
        channel = world.direct(*users)
    return {"channel": described(world, channel) if args.flag("return_im") else {"id": channel.id}}


@method("conversations.join", scope="channels:join")
def join(world: World, args: Args) -> Json:
    """The bot enters a public channel."""
    channel = find_channel(world, args)
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    if world.bot_user in channel.members:
        return {"channel": described(world, channel), "warning": "already_in_channel"}
    channel.members.append(world.bot_user)
    event = {"type": "member_joined_channel", "user": world.bot_user, "channel": channel.id, "channel_type": "C"}
    world.announce(channel, {**event, "team": world.team_id, "event_ts": world.new_ts()})
    return {"channel": described(world, channel)}


def _readable(world: World, args: Args) -> Channel:
    channel = find_channel(world, args, "history")
    if world.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _between(found: list[Json], args: Args) -> list[Json]:
    """Those after `oldest` and before `latest`."""
    try:
        oldest, latest = (seconds(args.text(name)) if name in args else None for name in ("oldest", "latest"))
    except ValueError:
        raise SlackError("invalid_ts_oldest") from None
    inclusive = args.flag("inclusive")
    kept = []
    for message in found:
        ts = seconds(message["ts"])
        after = oldest is None or ts > oldest or (inclusive and ts == oldest)
        before = latest is None or ts < latest or (inclusive and ts == latest)
        if after and before:
            kept.append(message)
    return kept
