"""What every message of the bot goes through, and sendMessage.

https://core.telegram.org/bots/api#sendmessage, #replyparameters, #inlinekeyboardbutton (callback_data has 1-64 bytes),
#replykeyboardmarkup. Wordings: Client.cpp of the server. That the General topic of a forum is refused when it is named:
https://github.com/python-telegram-bot/python-telegram-bot/issues/4739.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.entities import units
from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.model import Chat
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.registry import method
from connectors.testing.telegram.texts import message_text
from connectors.testing.telegram.world import World

MAX_CALLBACK_BYTES = 64
#: an answer to a message carries no answers of that one
NOT_QUOTED = ("reply_to_message", "external_reply", "quote")
_BUTTON_ACTIONS = (
    "callback_data",
    "url",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


@method("sendMessage")
def send_message(world: World, params: Params) -> dict[str, Any]:
    """A text."""
    said = message_text(params)
    content = said.content()
    if "link_preview_options" in params:
        content["link_preview_options"] = params.decoded("link_preview_options", "link preview options")
    elif params.flag("disable_web_page_preview"):
        content["link_preview_options"] = {"is_disabled": True}
    return say(world, params, content)


def say(world: World, params: Params, content: dict[str, Any]) -> dict[str, Any]:
    """Put a message of the bot into the chat. Everything that may be refused is looked at before anything happens."""
    around, chat = envelope(world, params)
    return place(world, params, chat, around, content)


def envelope(world: World, params: Params, n: int = 1) -> tuple[dict[str, Any], Chat]:
    """The fields around the content (topic, reply, keyboard) and the chat; `n` messages are counted for the rates."""
    keyboard = markup(params)
    chat = world.destination(params)
    found = topic(params, chat)
    found.update(reply(world, params, chat))
    if keyboard and "inline_keyboard" in keyboard:
        found["reply_markup"] = keyboard
    if params.flag("protect_content"):
        found["has_protected_content"] = True
    world.rates.take(chat.id, group=chat.type in ("group", "supergroup"), n=n)
    return found, chat


def place(world: World, params: Params, chat: Chat, around: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """The message is in the chat now; nothing is refused from here on."""
    message: dict[str, Any] = {"message_id": world.message_id(chat), "date": world.now(), "chat": chat.json()}
    if chat.type == "channel":
        message["sender_chat"] = chat.json()
    elif chat.business:
        message["from"] = world.connections[chat.business].json()
        message.update(sender_business_bot=world.bot.json(), business_connection_id=chat.business)
    else:
        message["from"] = world.bot.json()
    message.update(around)
    message.update(content)
    world.keep(chat, message)
    world.sent.append((params.method, chat, message["message_id"], params.text("parse_mode") or None))
    world.changed()
    return message


def topic(params: Params, chat: Chat) -> dict[str, Any]:
    """The topic that the call names. The General topic has no number of its own in calls: naming 1 is refused."""
    wanted = params.integer("message_thread_id")
    if not wanted:
        return {}
    if not chat.is_forum or wanted not in chat.topics:
        raise bad("message thread not found")
    if wanted in chat.closed_topics and chat.members.get(params.bot_id) not in ("administrator", "creator"):
        raise bad("TOPIC_CLOSED")
    return {"message_thread_id": wanted, "is_topic_message": True}


def reply(world: World, params: Params, chat: Chat) -> dict[str, Any]:
    """The message that this one answers."""
    given = params.decoded("reply_parameters", "reply parameters")
    if given is None and "reply_to_message_id" in params:
        given = {"message_id": params.integer("reply_to_message_id")}
        given["allow_sending_without_reply"] = params.flag("allow_sending_without_reply")
    if not given:
        return {}
    if not isinstance(given, dict):
        raise bad("object expected as reply parameters")
    other = given.get("chat_id") not in (None, "", chat.id, str(chat.id))
    source = world.chat(given["chat_id"]) if other else chat
    target = source.message(int(given.get("message_id") or 0))
    if target is None:
        if not other and given.get("allow_sending_without_reply") in (True, "true", "True", 1):
            return {}
        raise bad("message to be replied not found")
    found = quote(target, given)
    if other:
        origin = {"type": "user", "sender_user": target.get("from"), "date": target["date"]}
        found["external_reply"] = {"origin": origin, "chat": target["chat"], "message_id": target["message_id"]}
    else:
        found["reply_to_message"] = {k: v for k, v in target.items() if k not in NOT_QUOTED}
        found.update(thread_of(chat, target))
    return found


def quote(target: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The part of the message that is quoted: it must be an exact part of its text."""
    text = given.get("quote")
    if not text:
        return {}
    whole = target.get("text") or target.get("caption") or ""
    if text not in whole:
        raise bad("QUOTE_TEXT_INVALID")
    return {"quote": {"text": text, "position": units(whole[: whole.index(text)]), "is_manual": True}}


def thread_of(chat: Chat, target: dict[str, Any]) -> dict[str, Any]:
    """Where an answer goes: into the topic of the message, or, in a supergroup, the thread that hangs on it.

    https://github.com/tdlib/telegram-bot-api/issues/447: outside of topics the thread's number is that of its first
    message, without is_topic_message; calls do not take it.
    """
    if target.get("is_topic_message"):
        return {"message_thread_id": target["message_thread_id"], "is_topic_message": True}
    if chat.type == "supergroup":
        return {"message_thread_id": target.get("message_thread_id", target["message_id"])}
    return {}


def markup(params: Params) -> dict[str, Any] | None:
    """The keyboard below the message, looked at as the server does."""
    found = params.decoded("reply_markup", "reply keyboard markup")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise bad("object expected as reply markup")
    rows = found.get("inline_keyboard", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    for row in rows:
        for button in row:
            _look_at(button)
    return found


def _look_at(button: Any) -> None:
    if not isinstance(button, dict):
        raise bad("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if "text" not in button:
        raise bad("can't parse inline keyboard button: Can't find field \"text\"")
    if not any(button.get(name) not in (None, "") for name in _BUTTON_ACTIONS):
        raise bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if len(str(button.get("callback_data", "")).encode()) > MAX_CALLBACK_BYTES:
        raise bad("BUTTON_DATA_INVALID")
