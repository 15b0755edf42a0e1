"""What `connectors doctor` asks Slack.

https://docs.slack.dev/reference/methods/auth.test (the answer's X-OAuth-Scopes header names what the token may),
…/apps.connections.open, …/conversations.info
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from connectors.base.checks.finding import Finding, Level
from connectors.base.errors import ConnectorError, Rejected
from connectors.slack.answers import word_of
from connectors.slack.client import Web
from connectors.slack.incoming import mapping, text
from connectors.slack.options import SlackOptions

#: What the connector does with each; manifest.yml asks for all of them.
SCOPES = {
    "chat:write": "sending, editing and deleting",
    "app_mentions:read": "mentions in channels",
    "channels:history": "messages in public channels",
    "groups:history": "messages in private channels",
    "im:history": "direct messages",
    "mpim:history": "group direct messages",
    "channels:read": "names and membership of public channels",
    "groups:read": "names and membership of private channels",
    "im:write": "opening a direct conversation",
    "users:read": "names of people",
    "files:read": "files that come in",
    "files:write": "files that go out",
    "reactions:read": "reactions that come in",
    "reactions:write": "reactions that go out",
    "commands": "slash commands",
}
_NEEDED = frozenset({"chat:write"})
_APPS = "https://api.slack.com/apps"
_ID = re.compile(r"[CGDUWB][A-Z0-9]+|\*")
_PLACE = re.compile(r"[CG][A-Z0-9]+")


def examine(bot: Web, app: Web, options: SlackOptions, where: str) -> Iterator[Finding]:
    """All that is wrong, and who the bot is."""
    yield from _wrong_ids(options, where)
    answer, headers = bot.ask("auth.test")
    who = f"{text(answer.get('user'))} ({text(answer.get('user_id'))}) in {text(answer.get('team'))}"
    yield Finding(Level.INFO, "slack", f"the bot is {who}", where, "nothing to do")
    if not text(answer.get("bot_id")):
        yield Finding(
            Level.ERROR,
            "slack",
            "bot_token is a user's token, not a bot's",
            where,
            "take the one that begins with xoxb-",
        )
    yield from _scopes(headers.get("x-oauth-scopes"), where)
    yield from _socket(app, where)
    yield from _membership(bot, options, where)


def _wrong_ids(options: SlackOptions, where: str) -> Iterator[Finding]:
    """Names where ids belong."""
    allow = options.allow
    lists = {
        "channels": options.channels,
        "allow.conversations": allow.conversations,
        "allow.users": allow.users,
        "allow.group_users": allow.group_users,
        "allow.bots": allow.bots,
        "allow.send": allow.send or [],
    }
    for name, ids in lists.items():
        for given in ids:
            if not _ID.fullmatch(given):
                fix = "names change, ids do not: in Slack open the details; the id is at the bottom (C… or U…)"
                yield Finding(Level.ERROR, "slack", f"{name}: {given!r} is no id", where, fix)
            elif name in ("channels", "allow.conversations") and given[0] in "UWB":
                fix = "a person's id belongs into allow.users, a bot's into allow.bots"
                yield Finding(Level.ERROR, "slack", f"{name}: {given} is no conversation", where, fix)


def _scopes(granted: str | None, where: str) -> Iterator[Finding]:
    if granted is None:
        return
    have = {scope.strip() for scope in granted.split(",")}
    for scope, use in SCOPES.items():
        if scope not in have:
            level = Level.ERROR if scope in _NEEDED else Level.WARNING
            fix = f"{_APPS}: your app, OAuth & Permissions: add {scope}, then install the app again"
            yield Finding(level, "slack", f"the scope {scope} is missing: no {use}", where, fix)


def _socket(app: Web, where: str) -> Iterator[Finding]:
    try:
        app.call("apps.connections.open")
    except ConnectorError as error:
        fix = error.hint or f"{_APPS}: your app, Basic Information, App-Level Tokens: one with connections:write"
        if word_of(error) == "missing_scope":
            fix = f"{_APPS}: your app, Basic Information: make an app-level token with the scope connections:write"
        yield Finding(Level.ERROR, "slack", f"no socket: {error}", where, fix)
    else:
        hint = "no events come? event subscriptions must be those of connectors/slack/manifest.yml"
        yield Finding(Level.INFO, "slack", "Socket Mode works with this app_token", where, hint)


def _membership(bot: Web, options: SlackOptions, where: str) -> Iterator[Finding]:
    for channel in dict.fromkeys([*options.allow.conversations, *options.channels]):
        if not _PLACE.fullmatch(channel):
            continue
        try:
            found: Any = mapping(bot.call("conversations.info", channel=channel).get("channel"))
        except Rejected as error:
            fix = error.hint or "check the id, and invite the bot"
            yield Finding(Level.WARNING, "slack", f"{channel}: {error}", where, fix)
            continue
        name = f"#{text(found.get('name'))} ({channel})"
        if found.get("is_archived"):
            yield Finding(Level.WARNING, "slack", f"{name} is archived", where, f"remove {channel}, or unarchive it")
        elif found.get("is_member") is False:
            yield Finding(Level.ERROR, "slack", f"the bot is not in {name}", where, "in that channel: /invite @the-bot")
