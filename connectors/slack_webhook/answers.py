"""What Slack's answers to an incoming webhook mean for the outgoing and for the operator. Pure: no I/O.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks ("Handling errors")
https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks (the statuses)
"""

from __future__ import annotations

from connectors.base.errors import AuthError, ConfigError, ConnectorError, Rejected

DOCS = "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"
_RENEW = f"make a new webhook and put its URL into .env as SLACK_WEBHOOK_URL: {DOCS}"
#: The URL is the credential: these say that it is none any more.
_DEAD = {
    "no_service": "the webhook was removed or disabled, or the URL is not whole",
    "no_service_id": "the URL is not whole",
    "no_active_hooks": "the webhook is disabled",
    "no_team": "the workspace does not exist, or the URL is not whole",
    "team_disabled": "the workspace is deactivated",
    "invalid_token": "the URL is not whole, or was revoked",
}
#: Slack, or the workspace, has to be changed; what was to be posted is not the reason.
_CLOSED = {
    "action_prohibited": ("an admin restricts this webhook", "ask an admin of the workspace to allow it"),
    "posting_to_general_channel_denied": (
        "only some may post to the general channel",
        "allow it in the workspace's settings, or make a webhook for another channel",
    ),
    "channel_is_archived": ("the channel is archived", "unarchive it, or make a webhook for another channel"),
    "channel_not_found": ("the channel does not exist any more", "make a webhook for another channel"),
}
_RESTART = "then edit .env or run `connectors restart`"


def explain(status: int, text: str, *, names_channel: bool) -> ConnectorError | None:
    """The error of an answer; None where the status says enough. `names_channel`: the body says where to post."""
    word = text.strip().partition("\n")[0][:80]
    if status < 300:
        return None if word == "ok" else _NotSlack(status)
    if word in _DEAD:
        return AuthError(f"Slack says {word}: {_DEAD[word]}", hint=_RENEW)
    if word in _CLOSED and not (names_channel and word.startswith("channel_")):
        why, cure = _CLOSED[word]
        return ConfigError(f"Slack says {word}: {why}", hint=f"{cure}; {_RESTART}")
    if status in (400, 403, 404, 410, 413):
        return Rejected(
            f"Slack says {word or status}", hint=f"correct what is posted, then `connectors failed retry`: {DOCS}"
        )
    return None


class _NotSlack(Rejected):
    """Whoever answered may have taken it, or be somebody else: not sent again."""

    reason_class = "ambiguous"

    def __init__(self, status: int) -> None:
        super().__init__(
            f"the answer is {status}, and not Slack's ok: this may not have reached Slack",
            hint="is url a Slack webhook, and no proxy's sign-in page in between? Then `connectors failed retry`",
        )
