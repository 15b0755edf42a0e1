"""What is sent without a file: places, contacts, polls, dice; and chat actions.

https://core.telegram.org/bots/api#sendlocation, #sendvenue, #sendcontact, #sendpoll, #senddice, #sendchataction.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.content import build, poll
from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.model import Chat
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.registry import method
from connectors.testing.telegram.sending import say, topic
from connectors.testing.telegram.world import World

ACTIONS = frozenset({
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
})  # fmt: skip
GENERAL_TOPIC_ID = 1
_NOWHERE = Chat(0, "private")


def _place(params: Params) -> tuple[float, float]:
    for name in ("latitude", "longitude"):
        if name not in params:
            raise bad(f"{name} is empty")
    return float(params.values["latitude"]), float(params.values["longitude"])


def _required(params: Params, name: str) -> str:
    if name not in params:
        raise bad(f'parameter "{name}" is required')
    return params.text(name)


@method("sendLocation")
def send_location(world: World, params: Params) -> dict[str, Any]:
    """A point on the map."""
    return say(world, params, build(world, "location", _place(params), _NOWHERE))


@method("sendVenue")
def send_venue(world: World, params: Params) -> dict[str, Any]:
    """A place with a name."""
    value = (*_place(params), _required(params, "title"), _required(params, "address"))
    return say(world, params, build(world, "venue", value, _NOWHERE))


@method("sendContact")
def send_contact(world: World, params: Params) -> dict[str, Any]:
    """A phone number with a name."""
    value = (_required(params, "phone_number"), _required(params, "first_name"))
    return say(world, params, build(world, "contact", value, _NOWHERE))


@method("sendPoll")
def send_poll(world: World, params: Params) -> dict[str, Any]:
    """A question with answers to choose from."""
    question = _required(params, "question")
    options = params.decoded("options", "options")
    if not isinstance(options, list):
        raise bad("expected an Array of String as options")
    texts = [str(option["text"]) if isinstance(option, dict) else str(option) for option in options]
    if len(texts) < 2:
        raise bad("poll must have at least 2 option")
    if len(texts) > 12:
        raise bad("poll can't have more than 12 options")
    if len(question) > 300:
        raise bad("poll question length must not exceed 300")
    if any(not text or len(text) > 100 for text in texts):
        raise bad("poll options length must not exceed 100")
    return say(world, params, {"poll": poll(world, question, texts)})


@method("sendDice")
def send_dice(world: World, params: Params) -> dict[str, Any]:
    """A random value."""
    return say(world, params, build(world, "dice", params.text("emoji", "🎲"), _NOWHERE))


@method("sendChatAction")
def send_chat_action(world: World, params: Params) -> bool:
    """Nothing stays of it: the journal has it. Other than messages it may name the General topic.

    https://github.com/openclaw/openclaw/pull/848 has the observation: without the number nothing is shown there.
    """
    if params.text("action") not in ACTIONS:
        raise bad("wrong parameter action in request")
    chat = world.destination(params)
    if not (chat.is_forum and params.integer("message_thread_id") == GENERAL_TOPIC_ID):
        topic(params, chat)
    return True
