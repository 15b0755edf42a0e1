"""The bot itself, its files and commands, chats and their members.

https://core.telegram.org/bots/api#getme, #getfile (downloads of up to 20 MB), #getchat, #getchatmember,
#getchatadministrators, #leavechat, #setmycommands, #answercallbackquery, #logout, #close.
"""

from __future__ import annotations

import re
from typing import Any

from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.members import change, member
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.registry import method
from connectors.testing.telegram.world import World

MAX_DOWNLOAD_BYTES = 20 * 1024 * 1024
MAX_COMMANDS = 100
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"
_COMMAND = re.compile(r"[a-z0-9_]{1,32}")


@method("getMe")
def get_me(world: World, _params: Params) -> dict[str, Any]:
    """The bot; can_read_all_group_messages is the opposite of privacy mode."""
    return {
        **world.bot.json(),
        "can_join_groups": world.can_join_groups,
        "can_read_all_group_messages": not world.privacy,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


@method("getFile")
def get_file(world: World, params: Params) -> dict[str, Any]:
    """Where to download a file."""
    file_id = params.text("file_id")
    if not file_id:
        raise bad("file_id not specified")
    stored = world.files.get(file_id)
    if stored is None:
        raise bad("wrong file_id or the file is temporarily unavailable")
    if stored.content.length > MAX_DOWNLOAD_BYTES:
        raise bad("file is too big")
    return {
        "file_id": file_id,
        "file_unique_id": stored.unique_id,
        "file_size": stored.content.length,
        "file_path": stored.path,
    }


@method("getChat")
def get_chat(world: World, params: Params) -> dict[str, Any]:
    """ChatFullInfo."""
    chat = world.chat(params.values.get("chat_id"))
    if chat.type != "private" and chat.migrated_to is None and not chat.username:
        world.inside(chat)
    found = {
        **chat.json(),
        "accent_color_id": 1,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(
            ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
        ),
    }
    if chat.linked_chat_id is not None:
        found["linked_chat_id"] = chat.linked_chat_id
    return found


@method("getChatMember")
def get_chat_member(world: World, params: Params) -> dict[str, Any]:
    """A member, or somebody who left or never was one."""
    user_id = params.integer("user_id")
    if user_id <= 0:
        raise bad("invalid user_id specified")
    chat = world.chat(params.values.get("chat_id"))
    if chat.type != "private":
        world.inside(chat)
    if user_id not in world.users:
        raise bad("PARTICIPANT_ID_INVALID")
    return member(world.users[user_id], chat.members.get(user_id, "left"))


@method("getChatAdministrators")
def get_chat_administrators(world: World, params: Params) -> list[dict[str, Any]]:
    """Owner and administrators, without other bots."""
    chat = world.chat(params.values.get("chat_id"))
    if chat.type == "private":
        raise bad("there are no administrators in the private chat")
    world.inside(chat)
    return [
        member(world.users[user_id], status)
        for user_id, status in chat.members.items()
        if status in ("creator", "administrator") and (not world.users[user_id].is_bot or user_id == world.bot.id)
    ]


@method("getChatMemberCount", "getChatMembersCount")
def get_chat_member_count(world: World, params: Params) -> int:
    """How many there are."""
    chat = world.chat(params.values.get("chat_id"))
    return sum(1 for status in chat.members.values() if status not in ("left", "kicked"))


@method("leaveChat")
def leave_chat(world: World, params: Params) -> bool:
    """The bot goes."""
    chat = world.chat(params.values.get("chat_id"))
    if chat.type == "private":
        raise bad("chat member status can't be changed in private chats")
    world.inside(chat)
    change(world, chat, world.bot, "left", world.bot)
    return True


def _scope(params: Params) -> str:
    scope = params.decoded("scope", "BotCommandScope") or {"type": "default"}
    return (
        "/".join(str(scope.get(name, "")) for name in ("type", "chat_id", "user_id"))
        + "/"
        + params.text("language_code")
    )


@method("setMyCommands")
def set_my_commands(world: World, params: Params) -> bool:
    """The list that people see when they type a slash."""
    commands = params.decoded("commands", "commands") or []
    if not isinstance(commands, list):
        raise bad("expected an Array of BotCommand")
    if len(commands) > MAX_COMMANDS:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    for one in commands:
        for name in ("command", "description"):
            if not isinstance(one, dict) or name not in one:
                raise bad(f"can't parse BotCommand: Can't find field \"{name}\"")
        if not _COMMAND.fullmatch(str(one["command"]).lstrip("/")):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(str(one["description"])) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    world.commands[_scope(params)] = [
        {k: str(one[k]).lstrip("/") for k in ("command", "description")} for one in commands
    ]
    return True


@method("getMyCommands")
def get_my_commands(world: World, params: Params) -> list[dict[str, str]]:
    """As they were set for this scope and language."""
    return world.commands.get(_scope(params), [])


@method("deleteMyCommands")
def delete_my_commands(world: World, params: Params) -> bool:
    """As if none had been set."""
    world.commands.pop(_scope(params), None)
    return True


@method("answerCallbackQuery")
def answer_callback_query(world: World, params: Params) -> bool:
    """The button stops waiting."""
    query = world.callbacks.get(params.text("callback_query_id"))
    if query is None or query["expired"]:
        raise bad(TOO_OLD)
    if len(params.text("text")) > 200:
        raise bad("MESSAGE_TOO_LONG")
    query["answer"] = {k: v for k, v in params.values.items() if k != "callback_query_id"}
    world.changed()
    return True


@method("logOut")
def log_out(world: World, _params: Params) -> bool:
    """The server forgets the bot and its updates; what comes then is refused."""
    world.updates.clear()
    world.logged_out = True
    return True


@method("close")
def close(_world: World, _params: Params) -> bool:
    """Before a bot moves to another server; nothing changes here."""
    return True
