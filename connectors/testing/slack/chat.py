"""Methods that send: chat.postMessage, chat.postEphemeral, chat.update, chat.delete, chat.getPermalink.

https://docs.slack.dev/reference/methods/chat.postMessage : text is cut at 40,000 characters; markdown_text takes
12,000 and goes with neither text nor blocks (`markdown_text_conflict`); at most 100 attachments and 50 blocks;
`metadata` is an object with event_type and event_payload.
An empty or malformed thread_ts is `invalid_thread_ts`, the ts of no message `thread_not_found`
(https://github.com/vercel/chat/issues/268, https://github.com/slackapi/bolt-js/issues/2307).
https://docs.slack.dev/reference/methods/chat.update : `msg_too_long` above 4,000 characters of text; text without
blocks removes the blocks, blocks leave no `edited`; metadata stays unless given; `is_inactive` in an archived channel.
https://docs.slack.dev/reference/methods/chat.delete : `cant_delete_message`, `message_not_found`.
What an app posts comes back to it as a message event with its own bot_id: https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

import re
from typing import Any

from connectors.testing.slack import messages
from connectors.testing.slack.api import Args, SlackError, find_channel, method, need
from connectors.testing.slack.state import Channel, Json, World

TEXT_CUT = 40_000
UPDATE_MAX = 4_000
MARKDOWN_MAX = 12_000
BLOCKS_MAX = 50
ATTACHMENTS_MAX = 100
_TS = re.compile(r"\d{10,}\.\d{6}")


@method("chat.postMessage", scope="chat:write")
def post_message(world: World, args: Args) -> Json:
    """Say something as the bot."""
    channel = _target(world, args)
    content = _content(args)
    if content.get("metadata") == {}:
        raise SlackError("invalid_metadata_format")
    thread = thread_root(channel, args)
    message = messages.by_bot(world, channel, content, thread=thread, broadcast=args.flag("reply_broadcast"))
    for flag in ("unfurl_links", "unfurl_media"):
        if flag in args:
            message.setdefault("_sent", {})[flag] = args.flag(flag)
    if "client_msg_id" in args:
        message["client_msg_id"] = args.text("client_msg_id")
    channel.statuses.pop(thread or "", None)
    messages.publish(world, channel, message)
    return {"channel": channel.id, "ts": message["ts"], "message": messages.shown(message)}


@method("chat.postEphemeral", scope="chat:write")
def post_ephemeral(world: World, args: Args) -> Json:
    """Say something that one person sees; it is no message of the channel."""
    channel = _target(world, args)
    if args.text("user") not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _content(args)
    ts = world.new_ts()
    channel.ephemeral.append({**content, "ts": ts, "user": args.text("user"), "thread_ts": args.text("thread_ts")})
    messages.tell_privately(world, channel, content, args.text("user"))
    return {"message_ts": ts}


@method("chat.update", scope="chat:write")
def update(world: World, args: Args) -> Json:
    """Change what the bot said."""
    channel = find_channel(world, args)
    message = _own(world, channel, args, "cant_update_message")
    if channel.archived:
        raise SlackError("is_inactive")
    if len(args.text("text")) > UPDATE_MAX:
        raise SlackError("msg_too_long")
    content = _content(args)
    if "blocks" not in content:
        message.pop("blocks", None)
    if content.get("metadata") == {}:
        message.pop("metadata", None)
        del content["metadata"]
    edited_by = None if "blocks" in content else world.bot_user
    messages.change(world, channel, message, content, edited_by=edited_by)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": messages.shown(message)}


@method("chat.delete", scope="chat:write")
def delete(world: World, args: Args) -> Json:
    """Take back what the bot said."""
    channel = find_channel(world, args)
    message = _own(world, channel, args, "cant_delete_message")
    messages.remove(world, channel, message)
    return {"channel": channel.id, "ts": message["ts"]}


@method("chat.getPermalink")
def get_permalink(world: World, args: Args) -> Json:
    """The address of a message for people."""
    channel = find_channel(world, args)
    ts = args.text("message_ts")
    if ts not in channel.messages:
        raise SlackError("message_not_found")
    return {
        "channel": channel.id,
        "permalink": f"https://fakes.slack.com/archives/{channel.id}/p{ts.replace('.', '')}",
    }


def _target(world: World, args: Args) -> Channel:
    """Where to: a channel's id, its name, or a user's id (the direct conversation with them)."""
    wanted = args.text("channel")
    if wanted in world.users and wanted != world.bot_user:
        return world.direct(wanted)
    named = [c for c in world.channels.values() if c.name and c.name == wanted.removeprefix("#")]
    channel = named[0] if named else find_channel(world, args)
    if channel.archived:
        raise SlackError("is_archived")
    if world.bot_user not in channel.members:
        if channel.kind == "channel" and "chat:write.public" in world.scopes:
            return channel
        raise SlackError("not_in_channel" if channel.kind == "channel" else "channel_not_found")
    return channel


def _content(args: Args) -> Json:
    """text, blocks, attachments and metadata of a call, checked as the documentation says."""
    text, markdown = args.text("text"), args.text("markdown_text")
    blocks = args.json("blocks", error="invalid_blocks_format")
    attachments = args.json("attachments", [])
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if len(markdown) > MARKDOWN_MAX:
        raise SlackError("msg_too_long")
    if not (text.strip() or markdown.strip() or blocks or attachments):
        raise SlackError("no_text")
    _check_blocks(blocks)
    if len(attachments) > ATTACHMENTS_MAX:
        raise SlackError("too_many_attachments")
    content: Json = {"text": (text or markdown)[:TEXT_CUT]}
    if blocks:
        content["blocks"] = blocks
    if attachments:
        content["attachments"] = attachments
    metadata = args.json("metadata", error="invalid_metadata_format")
    if metadata is not None:
        if not isinstance(metadata, dict) or (metadata and not {"event_type", "event_payload"} <= set(metadata)):
            raise SlackError("invalid_metadata_format")
        content["metadata"] = metadata
    return content


def _check_blocks(blocks: Any) -> None:
    if blocks is None:
        return
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if len(blocks) > BLOCKS_MAX or not all(isinstance(b, dict) and b.get("type") for b in blocks):
        raise SlackError("invalid_blocks")
    for block in blocks:
        text = block.get("text")
        if block["type"] == "section" and isinstance(text, dict) and len(text.get("text", "")) > 3000:
            raise SlackError("invalid_blocks")


def thread_root(channel: Channel, args: Args) -> str | None:
    """The thread that a call names, checked."""
    if args.values.get("thread_ts") is None:
        return None
    ts = args.text("thread_ts")
    if not _TS.fullmatch(ts):
        said = {"messages": [f"[ERROR] {ts} is not a valid thread_ts"]}
        raise SlackError("invalid_thread_ts", response_metadata=said)
    root = channel.messages.get(ts)
    if root is None:
        raise SlackError("thread_not_found")
    return str(root.get("thread_ts", ts))


def _own(world: World, channel: Channel, args: Args, otherwise: str) -> Json:
    """A message that the bot said."""
    need(world, "chat:write")
    message = channel.messages.get(args.text("ts"))
    if message is None:
        raise SlackError("message_not_found")
    if message.get("user") != world.bot_user:
        raise SlackError(otherwise)
    return message
