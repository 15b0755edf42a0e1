"""Members of chats and what changes about them.

https://core.telegram.org/bots/api#chatmember and #chatmemberupdated: the bot's own status comes as my_chat_member,
others' as chat_member, which a bot gets as an administrator that asked for it in allowed_updates.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.model import Chat, User
from connectors.testing.telegram.world import World

_RIGHTS = ("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats",
           "can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories",
           "can_edit_stories", "can_delete_stories")  # fmt: skip
_PERMISSIONS = ("can_send_messages", "can_send_audios", "can_send_documents", "can_send_photos", "can_send_videos",
                "can_send_video_notes", "can_send_voice_notes", "can_send_polls", "can_send_other_messages",
                "can_add_web_page_previews", "can_change_info", "can_invite_users", "can_pin_messages",
                "can_manage_topics", "can_edit_tag", "can_react_to_messages")  # fmt: skip


def member(user: User, status: str) -> dict[str, Any]:
    """A ChatMember, with the fields that its status brings along."""
    found: dict[str, Any] = {"user": user.json(), "status": status}
    if status == "creator":
        found["is_anonymous"] = False
    if status == "administrator":
        found.update(dict.fromkeys(_RIGHTS, False) | {"can_manage_chat": True, "can_delete_messages": True})
    if status == "restricted":
        found.update(dict.fromkeys(_PERMISSIONS, False) | {"is_member": True, "until_date": 0})
    if status == "kicked":
        found["until_date"] = 0
    return found


def change(world: World, chat: Chat, user: User, status: str, by: User) -> int | None:
    """Give somebody another status in a chat. Returns the update's id, None when the bot is not told."""
    before = chat.members.get(user.id, "left")
    chat.members[user.id] = status
    update = {
        "chat": chat.json(),
        "from": by.json(),
        "date": world.now(),
        "old_chat_member": member(user, before),
        "new_chat_member": member(user, status),
    }
    if user.id == world.bot.id:
        return world.emit("my_chat_member", update)
    if chat.members.get(world.bot.id) not in ("administrator", "creator"):
        return None
    return world.emit("chat_member", update)
