"""An outgoing's blocks as Slack wants them, and where its text is cut."""

from __future__ import annotations

from typing import Any

from connectors.base.errors import Rejected
from connectors.base.message import OutgoingMessage
from connectors.base.split import split_text
from connectors.parts.mrkdwn import TEXT_MAX, quiet_all, render


def blocks_of(msg: OutgoingMessage, *, allow_broadcast: bool) -> list[Any] | None:
    """`metadata.blocks`, if the outgoing brings some. Raises Rejected for what is no list."""
    blocks = msg.metadata.get("blocks")
    if blocks is None:
        return None
    if not isinstance(blocks, list):
        raise Rejected("metadata.blocks is no list", hint="https://docs.slack.dev/reference/block-kit/blocks")
    return blocks if allow_broadcast else [quiet_all(block) for block in blocks]


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


def _with(msg: OutgoingMessage, text: str) -> OutgoingMessage:
    return msg.model_copy(update={"text": text})
