"""Text from Slack: mrkdwn and blocks as text that one reads. The other way is `connectors.parts.mrkdwn`.

Rules: https://docs.slack.dev/messaging/formatting-message-text/ (formatting, escaping, links, mentions, dates).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.slack import blocktext

_SEQUENCE = re.compile(r"<([^<>]+)>")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:\S", re.IGNORECASE)


def from_mrkdwn(text: str, *, user: Callable[[str], str], channel: Callable[[str], str]) -> str:
    """What a person reads in the text of a Slack message.

    `user` and `channel` give the name for an id, without @ or #; "" when they do not know it.
    """

    def resolved(found: re.Match[str]) -> str:
        body, _, label = found[1].partition("|")
        return _resolved(body, label, user, channel)

    # The sequences come first: what a person typed as <@U1> arrives escaped, and is no mention.
    return _unescaped(_SEQUENCE.sub(resolved, text))


def plain_of_blocks(blocks: object, *, user: Callable[[str], str] = str, channel: Callable[[str], str] = str) -> str:
    """What a person reads in the `blocks` of a message. Never fails, whatever the shape."""
    return blocktext.of_blocks(blocks, lambda text: from_mrkdwn(text, user=user, channel=channel))


def plain_of_attachments(
    attachments: object, *, user: Callable[[str], str] = str, channel: Callable[[str], str] = str
) -> str:
    """What a person reads in the (legacy) `attachments` of a message. Never fails, whatever the shape."""
    return blocktext.of_attachments(attachments, lambda text: from_mrkdwn(text, user=user, channel=channel))


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _resolved(body: str, label: str, user: Callable[[str], str], channel: Callable[[str], str]) -> str:
    kind, rest = body[:1], body[1:]
    if kind == "@":
        return "@" + (user(rest) or label or rest).removeprefix("@")
    if kind == "#":
        return "#" + (label or channel(rest) or rest).removeprefix("#")
    if kind == "!":
        name, *more = rest.split("^")
        if name == "subteam" and more:
            return "@" + (label or more[0]).removeprefix("@")
        return f"@{name}" if name in {"here", "channel", "everyone", "group"} else label or f"<{body}>"
    if not _ADDRESS.match(body):
        return f"<{body}|{label}>" if label else f"<{body}>"
    address = re.sub(r"^(?:mailto|tel):", "", body)
    return address if label in {"", address, body} else f"{label} ({address})"
