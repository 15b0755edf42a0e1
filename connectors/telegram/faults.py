"""What the Bot API refuses, as errors that say what happens next and hints that say what to change.

The form of a refusal: https://core.telegram.org/bots/api#making-requests and #responseparameters. Descriptions are the
server's own words, https://github.com/tdlib/telegram-bot-api (telegram-bot-api/Client.cpp); capital ones come from
Telegram itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base.errors import AuthError, ConnectorError, Rejected, RetryLater

#: The server knows no such method, or form of request, and will not by waiting (RFC 9110, 15.5 and 15.6).
_UNKNOWN = frozenset({404, 405, 410, 501, 505})
#: A gateway lost the server behind it, which may have done it; 520 and 524 are Cloudflare's
#: (https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/).
_LOST = frozenset({502, 504, 520, 524})
TOKEN_HINT = "set TELEGRAM_BOT_TOKEN to the token that @BotFather shows for this bot (/mybots, API Token)"  # noqa: S105


class Conflict(RetryLater):
    """Somebody else receives this bot's updates. `webhook`: it is one that is set."""

    def __init__(self, message: str, *, webhook: bool) -> None:
        super().__init__(message)
        self.webhook = webhook


class Stalled(RetryLater):
    """A request for updates was not answered in time: its connection may be dead without anybody having said so."""


class Migrated(Rejected):
    """The group became a supergroup: its id is another one now."""

    def __init__(self, message: str, new_id: int) -> None:
        super().__init__(message, hint=f'use "{new_id}"')
        self.new_id = new_id


class BadMarkup(Rejected):
    """The text's markup does not parse; plain, it may."""


class NoPhoto(Rejected):
    """The picture is none that Telegram shows as a photo; as a document it may go."""


class NothingToDo(Rejected):
    """It is already as it should be: edited to the same, deleted before."""


def fault_of(
    method: str, status: int, description: str, parameters: Mapping[str, Any], *, known: bool
) -> ConnectorError:
    """`known`: the token was accepted before, so that 404 means the method."""
    text = description or f"HTTP {status}"
    if status == 401 or (status == 404 and not known):
        return AuthError(f"Telegram refused the token: {text}", hint=TOKEN_HINT)
    if status in _UNKNOWN:
        return Rejected(f"{method}: {text}", hint="the Bot API server at base_url does not know this: update it")
    if status == 409:
        return Conflict(text, webhook="webhook" in text.lower())
    if parameters.get("migrate_to_chat_id"):
        return Migrated(text, int(parameters["migrate_to_chat_id"]))
    if status == 429 or parameters.get("retry_after"):
        wait_s = parameters.get("retry_after")
        return RetryLater(text, after_s=float(wait_s) if isinstance(wait_s, int | float) else None)
    if status in _LOST:
        return RetryLater(f"{method}: {text}", ambiguous=True)
    if 300 <= status < 400:
        return RetryLater(f"{method}: {text}: base_url, or a proxy on the way, leads elsewhere")
    if is_transient(status):
        return RetryLater(f"{method}: {text}")
    return _rejected(method, status, text)


def is_transient(status: int) -> bool:
    """Whether the same request may succeed later."""
    return (status >= 500 and status not in _UNKNOWN) or status in (408, 425, 429)


def _rejected(method: str, status: int, text: str) -> Rejected:
    lower = text.lower()
    for words, cls in _SPECIAL:
        if any(word in lower for word in words):
            return cls(text, hint=_hint(lower, status))
    return Rejected(text, hint=_hint(lower, status) or f"{method} was refused: https://core.telegram.org/bots/api")


def _hint(lower: str, status: int) -> str:
    for words, hint in _HINTS:
        if any(word in lower for word in words):
            return hint
    return _RIGHTS if status == 403 else ""


_SPECIAL: tuple[tuple[tuple[str, ...], type[Rejected]], ...] = (
    (("can't parse entities", "can't find end", "unsupported start tag", "entity_bounds_invalid"), BadMarkup),
    (
        (
            "photo_invalid_dimensions",
            "image_process_failed",
            "photo_ext_invalid",
            "photo_save_file_invalid",
            "wrong type",
        ),
        NoPhoto,
    ),
    (
        ("message is not modified", "message to delete not found", "reaction is not modified", "message_not_modified"),
        NothingToDo,
    ),
)

_RIGHTS = "give the bot the right to do this, in the chat's settings (administrators, permissions)"
_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("bot was blocked by the user",), "the user blocked the bot, and only the user can undo that"),
    (("user is deactivated", "user_deactivated"), "the account is gone: take its id out of connectors.yml"),
    (("bot was kicked", "not a member", "chat was deleted", "chat_not_found"), "add the bot to the chat again"),
    (("can't initiate conversation",), "the user has to write to the bot first: press Start in its chat"),
    (("can't send messages to bots", "can't send messages to the bot"), "bots cannot be written to"),
    (
        ("chat not found", "peer_id_invalid", "chat_id is empty", "user not found"),
        "use the chat's number, as in its events; the bot must be a member, and a user must have written to it first",
    ),
    (
        ("message thread not found", "topic_deleted", "topic_id_invalid", "topic not found"),
        "the topic is gone: use the thread_id of an event of this chat; without thread_id it goes to General",
    ),
    (("topic_closed", "topic is closed"), "the topic is closed: open it, or make the bot an administrator who may"),
    (("too long", "message_too_long", "caption_too_long"), "shorten the text: 4096 characters, 1024 as a caption"),
    (
        ("text is empty", "text must be non-empty", "text must be encoded"),
        "Telegram takes no blank text: write one, or attach a file",
    ),
    (
        ("can't be edited", "message to edit not found", "message_id_invalid", "there is no text in the message"),
        "only the bot's own messages can be edited, while they exist: take target_id from the receipt",
    ),
    (
        ("can't be deleted",),
        "a bot deletes its own messages of the last 48 hours, and others' where it is an administrator",
    ),
    (("message to react not found", "message not found"), "target_id is the id of a message in this chat"),
    (("reaction_invalid", "reaction"), "use one of the emoji that Telegram offers as reactions in this chat"),
    (("voice_messages_forbidden",), "this user takes no voice messages: send the file with metadata.as_document: true"),
    (("file is too big", "request entity too large"), "at most 50 MB, or 2000 MB with a local Bot API server"),
    (("file must be non-empty", "file of size 0"), "the file is empty"),
    (("button", "keyboard"), "see metadata.buttons in the README of the telegram type"),
    (
        ("not enough rights", "have no rights", "chat_write_forbidden", "chat_admin_required", "need administrator"),
        _RIGHTS,
    ),
    (("chat_send_", "chat_restricted", "chat_guest_send_forbidden", "user_restricted"), _RIGHTS),
    (("logged out",), "the bot was logged out of this server: see base_url, and logOut in the Bot API"),
    (("can't parse entities",), "mend the markup, or send it with format: plain"),
)
