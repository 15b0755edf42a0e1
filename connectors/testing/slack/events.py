"""The payloads of envelopes: an event with its wrapping, a click, a command, a shortcut, a modal.

https://docs.slack.dev/apis/events-api/#event-type-structure : event_callback, event_id, event_time, authorizations.
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload, …/shortcuts-interaction-payload,
…/view-interactions-payload ; https://docs.slack.dev/interactivity/implementing-slash-commands.
An app gets the events that it subscribed to, of which its token has the scope, in channels it is a member of:
https://docs.slack.dev/apis/events-api/#subscribing
"""

from __future__ import annotations

import secrets
from typing import Any

from connectors.testing.slack import responses
from connectors.testing.slack.messages import shown
from connectors.testing.slack.state import SCOPE_WORD, Channel, Json, World

_SCOPES = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "file_shared": "files:read",
}


def subscription(world: World, event: Json) -> tuple[str, str | None]:
    """The name under which an app subscribes to an event, and the scope that it wants."""
    kind = str(event.get("type"))
    if kind != "message":
        return kind, _SCOPES.get(kind)
    channel = world.channels.get(str(event.get("channel")))
    word = SCOPE_WORD[channel.kind] if channel is not None else "channels"
    return f"message.{word}", f"{word}:history"


def callback(world: World, event: Json) -> Json:
    """An event as the Events API delivers it."""
    return {
        "token": "verification",
        "team_id": world.team_id,
        "context_team_id": world.team_id,
        "context_enterprise_id": None,
        "api_app_id": world.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": world.new_id("Ev"),
        "event_time": int(world.clock()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": world.team_id,
                "user_id": world.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{secrets.token_hex(12)}",
    }


def _common(world: World, kind: str, user: str) -> Json:
    return {
        "type": kind,
        "token": "verification",
        "team": {"id": world.team_id, "domain": "fakes"},
        "user": {
            "id": user,
            "username": world.users[user]["name"],
            "name": world.users[user]["name"],
            "team_id": world.team_id,
        },
        "api_app_id": world.app_id,
        "trigger_id": f"{world.new_id('')}.{secrets.token_hex(8)}",
        "is_enterprise_install": False,
        "enterprise": None,
    }


def block_actions(world: World, channel: Channel, message: Json, user: str, action: Json) -> Json:
    """Somebody used a button or a menu of a message."""
    return {
        **_common(world, "block_actions", user),
        "container": {
            "type": "message",
            "message_ts": message["ts"],
            "channel_id": channel.id,
            "is_ephemeral": False,
            **({"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}),
        },
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message": shown(message),
        "state": {"values": {}},
        "response_url": responses.issue(world, channel.id, user, message["ts"]),
        "actions": [{"type": "button", "block_id": "b1", "action_ts": world.new_ts(), **action}],
    }


def command(world: World, channel: Channel, user: str, name: str, text: str) -> Json:
    """Somebody used a slash command."""
    return {
        "token": "verification",
        "team_id": world.team_id,
        "team_domain": "fakes",
        "channel_id": channel.id,
        "channel_name": channel.name or "directmessage",
        "user_id": user,
        "user_name": world.users[user]["name"],
        "command": name if name.startswith("/") else f"/{name}",
        "text": text,
        "api_app_id": world.app_id,
        "is_enterprise_install": "false",
        "response_url": responses.issue(world, channel.id, user),
        "trigger_id": f"{world.new_id('')}.{secrets.token_hex(8)}",
    }


def shortcut(world: World, user: str, callback_id: str, channel: Channel | None, message: Json | None) -> Json:
    """Somebody used a global shortcut, or one on a message."""
    base = {
        **_common(world, "shortcut" if message is None else "message_action", user),
        "callback_id": callback_id,
        "action_ts": world.new_ts(),
    }
    if channel is None or message is None:
        return base
    return {
        **base,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message_ts": message["ts"],
        "message": shown(message),
        "response_url": responses.issue(world, channel.id, user, message["ts"]),
    }


def view_submission(world: World, user: str, callback_id: str, values: Json, more: dict[str, Any]) -> Json:
    """Somebody submitted a modal."""
    view = {
        "id": world.new_id("V"),
        "team_id": world.team_id,
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": "",
        "state": {"values": values},
        "hash": secrets.token_hex(8),
        "title": {"type": "plain_text", "text": callback_id},
        "blocks": [],
        "bot_id": world.bot_id,
        "app_id": world.app_id,
        **more,
    }
    return {**_common(world, "view_submission", user), "view": view, "response_urls": []}
