"""Editing, deleting, forwarding, copying, reacting.

https://core.telegram.org/bots/api#updating-messages, #deletemessage (not after 48 hours; others' messages only in
private chats and as an administrator), #forwardmessage, #copymessage, #setmessagereaction. Wordings: Client.cpp of the
server.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.model import Chat
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.registry import method
from connectors.testing.telegram.sending import envelope, markup, place
from connectors.testing.telegram.texts import caption, message_text
from connectors.testing.telegram.world import World

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)
MAX_DELETE_AGE_S = 48 * 3600
#: https://core.telegram.org/bots/api#reactiontypeemoji
_REACTIONS = (
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 "
    "🤡 🥱 🥴 😍 🐳 ❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 "
    "🖕 😈 😴 😭 🤓 👻 👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ "
    "💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷\u200d♂ 🤷 🤷\u200d♀ 😡 "
)
REACTIONS = frozenset(_REACTIONS.split())
_AROUND = ("message_id", "date", "chat", "from", "sender_chat", "edit_date", "message_thread_id", "is_topic_message",
           "reply_to_message", "reply_markup", "media_group_id", "has_protected_content", "quote",
           "external_reply", "sender_business_bot", "business_connection_id")  # fmt: skip


def found(world: World, params: Params, what: str, chat_name: str = "chat_id") -> tuple[Chat, dict[str, Any]]:
    """The chat and the message that a call names; `what` is the server's word for it."""
    chat = world.chat(params.values.get(chat_name))
    return chat, there(chat, params, what)


def there(chat: Chat, params: Params, what: str) -> dict[str, Any]:
    """The message of the chat that a call names."""
    message = chat.message(params.integer("message_id"))
    if message is None:
        raise bad(f"{what} not found")
    return message


def _own(world: World, params: Params) -> tuple[Chat, dict[str, Any]]:
    if "chat_id" not in params and "message_id" not in params:
        raise bad("message identifier is not specified")
    chat = world.destination(params)
    message = there(chat, params, "message to edit")
    author = message.get("sender_business_bot", message.get("from", {}))
    own = author.get("id") == world.bot.id or (chat.type == "channel" and "sender_chat" in message)
    if not own or "forward_origin" in message:
        raise bad("message can't be edited")
    return chat, message


def _edited(world: World, chat: Chat, message: dict[str, Any], new: dict[str, Any], params: Params) -> dict[str, Any]:
    """Put the new version in the old one's place; without a keyboard in the call the old one goes."""
    keyboard = markup(params)
    if keyboard and keyboard.get("inline_keyboard"):
        new["reply_markup"] = keyboard
    if all(new.get(name) == message.get(name) for name in {*new, *message} - {"edit_date"}):
        raise bad(NOT_MODIFIED)
    new["edit_date"] = world.now()
    world.resolve(new)
    chat.messages[message["message_id"]] = new
    chat.edits[new["message_id"]] = chat.edits.get(new["message_id"], 0) + 1
    world.changed()
    return new


def _without(message: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in message.items() if k not in (*names, "reply_markup")}


@method("editMessageText")
def edit_text(world: World, params: Params) -> dict[str, Any]:
    """Another text."""
    said = message_text(params)
    chat, message = _own(world, params)
    if "text" not in message:
        raise bad("there is no text in the message to edit")
    new = {**_without(message, "text", "entities", "link_preview_options"), **said.content()}
    if "link_preview_options" in params:
        new["link_preview_options"] = params.decoded("link_preview_options", "link preview options")
    return _edited(world, chat, message, new, params)


@method("editMessageCaption")
def edit_caption(world: World, params: Params) -> dict[str, Any]:
    """Another caption, or none."""
    said = caption(params)
    chat, message = _own(world, params)
    if not {"photo", "document", "voice", "audio", "video", "animation"} & set(message):
        raise bad("there is no caption in the message to edit")
    new = {**_without(message, "caption", "caption_entities"), **said.content("caption")}
    return _edited(world, chat, message, new, params)


@method("editMessageReplyMarkup")
def edit_markup(world: World, params: Params) -> dict[str, Any]:
    """Another keyboard, or none."""
    chat, message = _own(world, params)
    return _edited(world, chat, message, _without(message), params)


def _deletable(world: World, chat: Chat, message: dict[str, Any]) -> bool:
    if world.clock() - message["date"] > MAX_DELETE_AGE_S:
        return False
    own = message.get("from", {}).get("id") == world.bot.id
    return own or chat.type == "private" or chat.members.get(world.bot.id) in ("administrator", "creator")


@method("deleteMessage")
def delete_message(world: World, params: Params) -> bool:
    """Remove a message."""
    if "chat_id" not in params:
        raise bad("chat identifier is not specified")
    if not params.integer("message_id"):
        raise bad("message identifier is not specified")
    world.writable(params.values["chat_id"])
    chat, message = found(world, params, "message to delete")
    if not _deletable(world, chat, message):
        raise bad("message can't be deleted")
    chat.deleted.add(message["message_id"])
    world.changed()
    return True


@method("deleteMessages")
def delete_messages(world: World, params: Params) -> bool:
    """Remove up to 100; what is not there is skipped."""
    chat = world.writable(params.values.get("chat_id"))
    ids = _ids(params)
    for message in [m for m in map(chat.message, ids) if m is not None]:
        if not _deletable(world, chat, message):
            raise bad("message can't be deleted")
        chat.deleted.add(message["message_id"])
    world.changed()
    return True


@method("deleteBusinessMessages")
def delete_business_messages(world: World, params: Params) -> bool:
    """On behalf of a business account: up to 100 messages of one of its chats; what is not there is skipped."""
    connection_id, ids = params.text("business_connection_id"), set(_ids(params))
    if connection_id not in world.connections:
        raise bad("business connection not found")
    for chat in world.business.values():
        if chat.business == connection_id:
            chat.deleted.update(ids & set(chat.messages))
    world.changed()
    return True


def _ids(params: Params) -> list[int]:
    ids = params.decoded("message_ids", "message_ids")
    if not ids:
        raise bad("message identifiers are not specified")
    if not isinstance(ids, list):
        raise bad("expected an Array of message identifiers")
    if len(ids) > 100:
        raise bad("too many message identifiers specified")
    return [int(i) for i in ids]


@method("forwardMessage")
def forward(world: World, params: Params) -> dict[str, Any]:
    """The message again, with its origin."""
    _, message = found(world, params, "message to forward", "from_chat_id")
    if message.get("has_protected_content"):
        raise bad("the message can't be forwarded")
    around, chat = envelope(world, params)
    origin = message.get("forward_origin") or {
        "type": "user",
        "sender_user": message.get("from"),
        "date": message["date"],
    }
    return place(world, params, chat, around, {**_content(message), "forward_origin": origin})


@method("copyMessage")
def copy(world: World, params: Params) -> dict[str, Any]:
    """The message again, without a link to the first one; only its id is answered."""
    _, message = found(world, params, "message to copy", "from_chat_id")
    if message.get("has_protected_content"):
        raise bad("message can't be copied")
    content = _content(message)
    if "caption" in params.values:
        content = {**_without(content, "caption", "caption_entities"), **caption(params).content("caption")}
    around, chat = envelope(world, params)
    return {"message_id": place(world, params, chat, around, content)["message_id"]}


def _content(message: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in message.items() if k not in (*_AROUND, "forward_origin")}


@method("setMessageReaction")
def set_reaction(world: World, params: Params) -> bool:
    """The bot's reaction: none or one of the emoji that the platform has."""
    wanted = params.decoded("reaction", "reaction types") or []
    if not isinstance(wanted, list):
        raise bad("expected an Array of ReactionType")
    for one in wanted:
        if not isinstance(one, dict) or one.get("type") not in ("emoji", "custom_emoji"):
            raise bad("can't parse ReactionType: invalid reaction type specified")
    chat = world.chat(params.values.get("chat_id"))
    world.writable(chat.id)
    message = chat.message(params.integer("message_id"))
    if message is None:
        raise bad("message to react not found")
    if any(
        one["type"] != "emoji" or str(one.get("emoji", "")).replace("\ufe0f", "") not in REACTIONS for one in wanted
    ):
        raise bad("REACTION_INVALID")
    if len(wanted) > 1:
        raise bad("REACTIONS_TOO_MANY")
    world.reactions[chat.id, message["message_id"], world.bot.id] = [one["emoji"] for one in wanted]
    world.changed()
    return True
