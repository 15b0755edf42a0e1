"""response_url: answers to a click or a command, without a token.

https://docs.slack.dev/interactivity/handling-user-interaction, …/messaging/modifying-messages : up to five times within
thirty minutes; `response_type` ephemeral (default) or in_channel, `replace_original`, `delete_original`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from connectors.testing.slack import messages
from connectors.testing.slack.api import SlackError
from connectors.testing.slack.state import Json, World

VALID_S = 30 * 60
USES = 5


@dataclass
class ResponseUrl:
    """One address and what is left of it."""

    channel: str
    user: str
    made_at: float
    message_ts: str | None = None
    used: int = 0


def issue(world: World, channel: str, user: str, message_ts: str | None = None) -> str:
    """A new address."""
    ticket = secrets.token_hex(8)
    world.response_urls[ticket] = ResponseUrl(channel, user, world.clock(), message_ts)
    return f"{world.origin}/response/{ticket}"


def use(world: World, ticket: str, body: Json) -> str:
    """Answer by it."""
    url = world.response_urls.get(ticket)
    if url is None:
        raise SlackError("no_such_url", status=404)
    if world.clock() - url.made_at > VALID_S:
        raise SlackError("expired_url", status=404)
    if url.used >= USES:
        raise SlackError("used_url", status=404)
    url.used += 1
    channel = world.channel(url.channel)
    original = channel.messages.get(url.message_ts or "")
    if body.get("delete_original") and original is not None:
        messages.remove(world, channel, original)
    elif body.get("replace_original") and original is not None:
        messages.change(world, channel, original, _content(body), edited_by=world.bot_user)
    else:
        say(world, url, body)
    return "ok"


def say(world: World, url: ResponseUrl, body: Json) -> None:
    """A new message: for one person, or for all."""
    channel = world.channel(url.channel)
    content = _content(body)
    if not content:
        raise SlackError("no_text", status=400)
    if body.get("response_type") == "in_channel":
        message = messages.by_bot(world, channel, {"text": "", **content}, thread=body.get("thread_ts"))
        messages.publish(world, channel, message)
    else:
        channel.ephemeral.append({"text": "", **content, "user": url.user, "ts": world.new_ts()})
        messages.tell_privately(world, channel, content, url.user)


def _content(body: Json) -> Json:
    return {key: value for key, value in body.items() if key in ("text", "blocks", "attachments")}
