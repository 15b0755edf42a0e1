"""What reaches a bot in a group.

https://core.telegram.org/bots/features#privacy-mode, https://core.telegram.org/bots/faq#what-messages-will-my-bot-get:
service messages always; as an administrator, or with privacy mode off, everything but what other bots write; with
privacy mode on only commands for the bot, commands without a name if it was the last bot that wrote, what was sent via
it, and replies to its messages. @BotFather's text for /setprivacy adds messages that mention the bot by its username.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.entities import cut
from connectors.testing.telegram.model import Chat
from connectors.testing.telegram.world import World

_SERVICE = frozenset({
    "new_chat_members", "left_chat_member", "new_chat_title", "new_chat_photo", "delete_chat_photo",
    "group_chat_created", "supergroup_chat_created", "channel_chat_created", "migrate_to_chat_id",
    "migrate_from_chat_id", "pinned_message", "forum_topic_created", "forum_topic_edited", "forum_topic_closed",
    "forum_topic_reopened", "general_forum_topic_hidden", "general_forum_topic_unhidden", "video_chat_started",
    "video_chat_ended", "message_auto_delete_timer_changed", "chat_shared", "users_shared", "boost_added",
})  # fmt: skip


def reaches_bot(world: World, chat: Chat, message: dict[str, Any]) -> bool:
    """Whether the bot gets an update for this message of somebody else."""
    status = chat.members.get(world.bot.id, "left")
    if chat.type == "private":
        return not chat.blocked
    if status in ("left", "kicked"):
        return False
    if _SERVICE & set(message) or chat.type == "channel":
        return True
    sender = message.get("from", {})
    if sender.get("is_bot") and "sender_chat" not in message:
        return False
    if status in ("administrator", "creator") or not world.privacy:
        return True
    return _meant_for(world, chat, message)


def _meant_for(world: World, chat: Chat, message: dict[str, Any]) -> bool:
    replied = message.get("reply_to_message", {})
    if replied.get("from", {}).get("id") == world.bot.id:
        return True
    if message.get("via_bot", {}).get("id") == world.bot.id:
        return True
    name = f"@{world.bot.username}".lower()
    text = message.get("text") or message.get("caption") or ""
    for one in message.get("entities", message.get("caption_entities", [])):
        part = cut(text, one["offset"], one["length"]).lower()
        if one["type"] == "mention" and part == name:
            return True
        if one["type"] == "text_mention" and one["user"]["id"] == world.bot.id:
            return True
        if one["type"] == "bot_command":
            if part.endswith(name):
                return True
            if "@" not in part and chat.last_bot_id == world.bot.id:
                return True
    return False
