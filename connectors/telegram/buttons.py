"""Buttons under a message: `metadata.buttons`, rows of {"text", "data"} or {"text", "url"}.

https://core.telegram.org/bots/api#inlinekeyboardbutton
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base.errors import Rejected
from connectors.base.message import OutgoingMessage

DATA_MAX_BYTES = 64
_HINT = 'metadata.buttons is a list of rows, each a list of {"text": "…", "data": "…"} or {"text": "…", "url": "…"}'


def keyboard(msg: OutgoingMessage) -> dict[str, Any] | None:
    """The `reply_markup`; None without buttons. Raises Rejected that names the wrong one."""
    rows = msg.metadata.get("buttons")
    if rows is None:
        return None
    if not isinstance(rows, list) or not rows:
        raise Rejected("metadata.buttons is no list of rows", hint=_HINT)
    found = [
        [_button(button, f"row {r}, button {n}") for n, button in enumerate(_row(row, r), 1)]
        for r, row in enumerate(rows, 1)
    ]
    return {"inline_keyboard": found}


def _row(row: Any, number: int) -> list[Any]:
    if not isinstance(row, list) or not row:
        raise Rejected(f"metadata.buttons: row {number} is no list of buttons", hint=_HINT)
    return row


def _button(button: Any, where: str) -> dict[str, str]:
    if not isinstance(button, Mapping):
        raise Rejected(f"metadata.buttons: {where} is no object", hint=_HINT)
    text, data, url = button.get("text"), button.get("data"), button.get("url")
    named = f'{where} ("{str(text)[:40]}")'
    if not isinstance(text, str) or not text.strip():
        raise Rejected(f"metadata.buttons: {where} has no text", hint=_HINT)
    unknown = sorted(set(button) - {"text", "data", "url"})
    if unknown:
        raise Rejected(f"metadata.buttons: {named} has {', '.join(map(str, unknown))}, which nobody knows", hint=_HINT)
    if (data is None) == (url is None):
        raise Rejected(f"metadata.buttons: {named} needs either data or url", hint=_HINT)
    if url is not None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://", "tg://")):
            raise Rejected(f"metadata.buttons: {named}: url must begin with https://, http:// or tg://", hint=_HINT)
        return {"text": text, "url": url}
    size = len(data.encode("utf-8", "surrogatepass")) if isinstance(data, str) else 0
    if not isinstance(data, str) or not 1 <= size <= DATA_MAX_BYTES:
        raise Rejected(
            f"metadata.buttons: {named}: data must be a text of 1 to {DATA_MAX_BYTES} bytes, not {size}",
            hint="keep a key in data, and what it stands for in your agent",
        )
    return {"text": text, "callback_data": data}
