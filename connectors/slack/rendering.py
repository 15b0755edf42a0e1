"""An outgoing's text as Slack wants it, and where it is cut.

https://docs.slack.dev/messaging/formatting-message-text ; https://docs.slack.dev/reference/methods/chat.postMessage
("For best results, limit the number of characters in the text field to 4,000"; more than 40,000 are cut off).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.base.errors import Rejected
from connectors.base.message import OutgoingMessage
from connectors.base.split import split_text
from connectors.slack.mrkdwn import escaped, to_mrkdwn

TEXT_MAX = 4000
_BROADCAST = re.compile(r"<!(?:(here|channel|everyone)(?:\|[^<>]*)?|subteam\^(S[A-Z0-9]+)(?:\|([^<>]*))?)>")


def render(msg: OutgoingMessage, *, allow_broadcast: bool) -> dict[str, Any]:
    """`text`, and how Slack is to read it. Raises Rejected for a format that Slack cannot show."""
    if msg.format == "plain":
        return plain(msg.text)
    if msg.format == "native":
        return {"text": msg.text if allow_broadcast else quiet(msg.text)}
    if msg.format == "html":
        raise Rejected("Slack shows no HTML", hint='give the text as "format": "markdown", "plain" or "native"')
    text = to_mrkdwn(msg.text, allow_broadcast=allow_broadcast)
    return {"text": text} if text.strip() else plain(msg.text)


def plain(text: str) -> dict[str, Any]:
    """A text of which every character is shown as it is."""
    return {"text": escaped(text), "mrkdwn": False}


def blocks_of(msg: OutgoingMessage, *, allow_broadcast: bool) -> list[Any] | None:
    """`metadata.blocks`, if the outgoing brings some. Raises Rejected for what is no list."""
    blocks = msg.metadata.get("blocks")
    if blocks is None:
        return None
    if not isinstance(blocks, list):
        raise Rejected("metadata.blocks is no list", hint="https://docs.slack.dev/reference/block-kit/blocks")
    return blocks if allow_broadcast else [_quiet(block) for block in blocks]


def split(msg: OutgoingMessage) -> list[str]:
    """The texts to be sent one by one. Files are a call of their own, behind the last: an upload that fails sends no
    text again."""
    if msg.metadata.get("blocks") is not None or not msg.text:
        texts = [msg.text] if msg.text or not msg.attachments else []
    else:
        texts = split_text(
            msg.text, TEXT_MAX, measure=lambda text: len(render(_with(msg, text), allow_broadcast=False)["text"])
        )
    return [*texts, ""] if msg.attachments else texts


def quiet(text: str) -> str:
    """The text with nothing in it that calls many people."""
    return _BROADCAST.sub(lambda found: f"@{found[1] or (found[3] or found[2]).removeprefix('@')}", text)


def _with(msg: OutgoingMessage, text: str) -> OutgoingMessage:
    return msg.model_copy(update={"text": text})


def _quiet(value: Any) -> Any:
    if isinstance(value, str):
        return quiet(value)
    if isinstance(value, list):
        return [_quiet(item) for item in value]
    if isinstance(value, Mapping):
        if value.get("type") == "broadcast":
            return {"type": "text", "text": f"@{value.get('range', '')}"}
        if value.get("type") == "usergroup":
            return {"type": "text", "text": f"@{value.get('usergroup_id', '')}"}
        return {key: _quiet(item) for key, item in value.items()}
    return value
