"""Posts, edits and deletions.

https://docs.slack.dev/reference/events/message and the pages of its subtypes below it; threads:
https://docs.slack.dev/messaging/#threading-and-replies . The same functions read what conversations.history returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base.message import Sender
from connectors.slack.incoming import (
    Incoming,
    Json,
    Me,
    event,
    ident,
    listing,
    mapping,
    message_id,
    stamp,
    text,
)
from connectors.slack.text import said_in

#: Subtypes that are posts.
POSTS = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message", "file_comment"})
#: Subtypes that say what other events say too, or what Slack writes about the channel.
NOISE = frozenset(
    {
        *("channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name", "channel_archive"),
        *("channel_unarchive", "channel_convert_to_private", "channel_posting_permissions", "channel_canvas_updated"),
        *("group_join", "group_leave", "group_topic", "group_purpose", "group_name", "group_archive"),
        *("group_unarchive", "message_replied", "tombstone", "ekm_access_denied", "pinned_item", "unpinned_item"),
        *("bot_add", "bot_remove", "bot_enable", "bot_disable", "reminder_add", "reply_broadcast", "huddle_thread"),
        *("sh_room_created", "sh_room_shared", "joiner_notification", "joiner_notification_for_inviter"),
        *("assistant_app_thread", "document_mention", "app_conversation_join"),
    }
)
_SLACKBOT = "USLACKBOT"


def is_own(post: Json, me: Me) -> bool:
    """Whether this app wrote it: by user, by bot and by app, because not every post carries all three."""
    profile = mapping(post.get("bot_profile"))
    return (
        (bool(me.user_id) and post.get("user") == me.user_id)
        or (bool(me.bot_id) and post.get("bot_id") == me.bot_id)
        or (bool(me.app_id) and me.app_id in (post.get("app_id"), profile.get("app_id")))
    )


def sender_of(post: Json) -> Sender:
    """Who wrote it. A bot that has no user is known by its bot id."""
    profile, bot = mapping(post.get("user_profile")), mapping(post.get("bot_profile"))
    user, bot_id = ident(post.get("user")), ident(post.get("bot_id"))
    name = text(post.get("username")) or text(bot.get("name"))
    return Sender(
        id=user or bot_id,
        username=text(profile.get("name")) or name,
        display_name=text(profile.get("display_name")) or text(profile.get("real_name")) or name,
        is_bot=bool(bot_id) or post.get("subtype") == "bot_message" or user == _SLACKBOT,
    )


def post(found: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming | None:
    """A `message` or `app_mention`. Both of one post have the same id, and say the same of who is addressed."""
    channel, ts = ident(found.get("channel")), stamp(found.get("ts"))
    if is_own(found, me):
        return None
    said, root = said_in(found), stamp(found.get("thread_ts"))
    addressed = me.user_id in said.users or found.get("type") == "app_mention"
    author = found.get("parent_user_id") or mapping(found.get("root")).get("user")
    replies = root not in ("", ts) and bool(me.user_id) and author == me.user_id
    channel_type = text(found.get("channel_type"))
    direct = _direct(channel, channel_type)
    message = event(
        instance,
        event_id=message_id(me, channel, ts),
        kind="message",
        ts=ts,
        sender=sender_of(found),
        channel=channel,
        channel_type=channel_type,
        thread=root if root != ts else "",
        metadata={
            "ts": ts,
            "raw_text": said.raw,
            "channel_type": channel_type,
            "subtype": text(found.get("subtype")),
            "team": ident(found.get("team")),
            **extra,
        },
        attachments=attachments(found.get("files")),
        mentions_me=addressed or direct,
    )
    why = "mention" if addressed else "reply" if replies else ""
    return Incoming(message, {"text": said}, direct, addressed or replies, why)


def edit(found: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming | None:
    """A `message_changed` that people made; not the ones that only bring previews, languages or reply counts."""
    after, before = mapping(found.get("message")), mapping(found.get("previous_message"))
    if after.get("subtype") == "tombstone":  # a thread's first post that was deleted, its replies being kept
        return delete({**found, "deleted_ts": after.get("ts")}, me, instance, extra)
    channel, ts = ident(found.get("channel")), stamp(after.get("ts"))
    if not channel or not ts or is_own(after, me) or not _changed(before, after):
        return None
    if text(after.get("subtype")) in NOISE:
        return None
    at = stamp(found.get("event_ts")) or stamp(found.get("ts")) or stamp(mapping(after.get("edited")).get("ts"))
    said, said_before, root = said_in(after), said_in(before), stamp(after.get("thread_ts"))
    original, addressed = message_id(me, channel, ts), me.user_id in said.users | said_before.users
    channel_type = text(found.get("channel_type"))
    message = event(
        instance,
        event_id=f"{original}:edit:{at}",
        kind="edit",
        ts=at,
        sender=sender_of(after),
        channel=channel,
        channel_type=channel_type,
        thread=root if root != ts else "",
        reply_to=original,
        metadata={"ts": ts, "target_id": ts, "raw_text": said.raw, "channel_type": channel_type, **extra},
        attachments=attachments(after.get("files")),
        mentions_me=addressed,
    )
    texts = {"text": said, "after": said, **({"before": said_before} if before else {})}
    why = "mention" if addressed else ""
    return Incoming(message, texts, _direct(channel, channel_type), addressed, why, about=original)


def delete(found: Json, me: Me, instance: str, extra: Mapping[str, Any]) -> Incoming | None:
    """A `message_deleted`."""
    before = mapping(found.get("previous_message"))
    channel, ts = ident(found.get("channel")), stamp(found.get("deleted_ts"))
    if not channel or not ts or is_own(before, me):
        return None
    at = stamp(found.get("event_ts")) or stamp(found.get("ts"))
    said, root = said_in(before), stamp(before.get("thread_ts"))
    original, addressed = message_id(me, channel, ts), me.user_id in said.users
    channel_type = text(found.get("channel_type"))
    message = event(
        instance,
        event_id=f"{original}:delete:{at}",
        kind="delete",
        ts=at,
        sender=sender_of(before),
        channel=channel,
        channel_type=channel_type,
        thread=root if root != ts else "",
        reply_to=original,
        metadata={"ts": ts, "target_id": ts, "channel_type": channel_type, **extra},
    )
    texts = {"before": said} if before else {}
    why = "mention" if addressed else ""
    return Incoming(message, texts, _direct(channel, channel_type), addressed, why, about=original)


def attachments(files: Any) -> list[dict[str, Any]]:
    """The files of a post, each to be fetched or with the reason why it cannot be.

    https://docs.slack.dev/reference/objects/file-object
    """
    return [_attachment(item) for item in listing(files) if isinstance(item, Mapping)]


def _attachment(item: Json) -> dict[str, Any]:
    file_id, size = ident(item.get("id")), item.get("size")
    entry: dict[str, Any] = {"name": text(item.get("name")) or text(item.get("title")) or file_id or "file"}
    if isinstance(size, int) and size > 0:
        entry["size"] = size
    if text(item.get("mimetype")):
        entry["media_type"] = text(item.get("mimetype"))
    url, mode = text(item.get("url_private_download")) or text(item.get("url_private")), text(item.get("mode"))
    if mode in _GONE:
        return {**entry, "error": _GONE[mode]}
    if item.get("is_external") or mode == "external":
        # The bot's token is Slack's; it is never shown to where the file lives.
        return {**entry, "url": text(item.get("external_url")) or url, "error": "not in Slack: it is only linked here"}
    if not file_id and not url:
        return {**entry, "error": "Slack names no address for it"}
    reference = {"id": file_id, "url": url}
    if item.get("file_access") == "check_file_info" or not url:
        reference = {"id": file_id}  # of another workspace: files.info knows more
    return {**entry, "ref": {key: value for key, value in reference.items() if value}}


_GONE = {
    "tombstone": "deleted in Slack",
    "hidden_by_limit": "hidden by the limit of the workspace's free plan",
    "access_denied": "Slack shows it to others only",
}


def _changed(before: Json, after: Json) -> bool:
    """Whether a person changed it: text, or files, or Slack says `edited` and that is new."""
    edited = mapping(after.get("edited")).get("ts")
    if not before:
        return edited is not None
    files = [
        {ident(f.get("id")) for f in listing(side.get("files")) if isinstance(f, Mapping)} for side in (before, after)
    ]
    if edited != mapping(before.get("edited")).get("ts") and edited is not None:
        return True
    return text(before.get("text")) != text(after.get("text")) or files[0] != files[1]


def _direct(channel: str, channel_type: str) -> bool:
    return channel_type == "im" or (not channel_type and channel.startswith("D"))
