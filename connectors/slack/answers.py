"""What an answer of Slack's Web API means for who called: an error of the project's tree for each of its words.

https://docs.slack.dev/apis/web-api/ ("Evaluating responses"), the error tables of the methods' own pages below
https://docs.slack.dev/reference/methods, https://docs.slack.dev/apis/web-api/rate-limits (429 and Retry-After).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base.errors import AuthError, ConnectorError, Rejected, RetryLater
from connectors.slack.options import WEB_API

TOKENS = "https://api.slack.com/apps: your app, OAuth & Permissions"
APP_TOKENS = "https://api.slack.com/apps: your app, Basic Information, App-Level Tokens"
#: The credential is not, or no longer, good.
_AUTH = {
    "invalid_auth": "the token is wrong",
    "not_authed": "the token is missing",
    "account_inactive": "the bot was removed, or its workspace deactivated",
    "token_revoked": "the token was revoked",
    "token_expired": "the token has expired",
    "user_removed_from_team": "the bot was removed from the workspace",
    "team_access_not_granted": "the token has no access to this workspace",
    "org_login_required": "the workspace is being moved to an organisation",
    "no_permission": "the token may not do this",
    "app_not_installed": "the app is not installed",
}
#: It may work later. `True`: the request may have had its effect all the same.
_LATER = {
    "ratelimited": False,
    "rate_limited": False,
    "message_limit_exceeded": False,
    "internal_error": True,
    "fatal_error": True,
    "service_unavailable": True,
    "request_timeout": False,
    "team_added_to_org": False,
    "accesslimited": False,
}
#: Statuses of answers without a word of Slack's that waiting does not change (RFC 9110, 15.5 and 15.6).
_FINAL = {
    404: "there is no such method at base_url",
    405: "what is at base_url takes no such request",
    410: "there is no such method at base_url any more",
    413: "it is larger than what is on the way to Slack lets through",
    501: "what is at base_url does not do this",
    505: "what is at base_url takes no such request",
}
#: What to change, for the words that people meet. Everything else is said with Slack's word alone.
_HINTS = {
    "channel_not_found": "give the id of a conversation that the bot sees (C…, G…, D…); into a private one, invite it",
    "not_in_channel": "invite the bot: /invite @name in that channel",
    "is_archived": "the channel is archived: unarchive it, or write elsewhere",
    "msg_too_long": "shorten the text; an edit takes 4,000 characters",
    "msg_blocks_too_long": "shorten metadata.blocks: all blocks together take about 13,000 characters",
    "no_text": "give a text that is not blank, or metadata.blocks",
    "invalid_blocks": "mend metadata.blocks: https://app.slack.com/block-kit-builder",
    "invalid_blocks_format": "metadata.blocks is a list of blocks",
    "thread_not_found": "thread_id is the ts of a post in this very channel",
    "invalid_thread_ts": "thread_id is the ts of a post, such as 1700000000.000100",
    "message_not_found": "target_id is the ts of a post in this very channel, or the id of its event",
    "cant_update_message": "a bot edits its own posts only",
    "cant_delete_message": "a bot deletes its own posts only",
    "edit_window_closed": "the workspace allows no edits any more",
    "restricted_action": "an admin has restricted posting in this channel",
    "restricted_action_read_only_channel": "the channel is read-only",
    "user_not_found": "give the id of a user of this workspace (U… or W…)",
    "invalid_name": "emoji is a name such as thumbsup, without colons",
    "too_many_reactions": "the post has all the reactions that Slack allows",
    "cannot_dm_bot": "Slack lets bots write to people only",
    "user_disabled": "this user's account is deactivated",
    "metadata_too_large": "shorten what is in metadata",
    "not_allowed_token_type": "bot_token is the one that begins with xoxb-, app_token the one that begins with xapp-",
}


def error_for(
    method: str, answer: Mapping[str, Any], status: int = 200, retry_after: str | None = None
) -> ConnectorError:
    """The error that a call of `method` is to raise, after an answer that is not `ok`."""
    word = str(answer.get("error") or f"HTTP {status}")
    said = f"{method}: {word}"
    if status == 429 or word in ("ratelimited", "rate_limited"):
        return RetryLater(said, after_s=_seconds(retry_after))
    if word == "not_allowed_token_type":
        return AuthError(said, hint=_HINTS[word])
    if word in _AUTH:
        hint = f"renew app_token: {APP_TOKENS}" if method == "apps.connections.open" else f"renew bot_token: {TOKENS}"
        return AuthError(f"{said}: {_AUTH[word]}", hint=hint)
    if word == "missing_scope":
        needed = str(answer.get("needed") or "")
        hint = f"add the scope {needed} to the app and install it again: {TOKENS}"
        return Rejected(f"{said}: the token lacks {needed}", hint=hint)
    if status in _FINAL and not answer.get("error"):
        return Rejected(said, hint=f"{_FINAL[status]}; base_url is {WEB_API} for Slack itself")
    if status >= 500 or word in _LATER or not answer.get("error"):
        # "It's possible some aspect of the operation succeeded": the pages of fatal_error and internal_error.
        return RetryLater(said, ambiguous=status >= 500 or _LATER.get(word, True))
    return Rejected(said, hint=_HINTS.get(word, f"https://docs.slack.dev/reference/methods/{method} lists its errors"))


def word_of(error: ConnectorError) -> str:
    """Slack's word in an error that `error_for` made."""
    return str(error).partition(": ")[2].partition(":")[0]


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; 30 when Slack does not say."""
    try:
        return max(0.1, float(text or 30))
    except ValueError:
        return 30.0
