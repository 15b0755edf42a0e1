"""The text or caption of a call, as people get to see it.

https://core.telegram.org/bots/api#formatting-options. Lengths, trimming and wordings are those of the server
(get_formatted_text in Client.cpp; fix_formatted_text in td/telegram/MessageEntity.cpp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from connectors.testing.telegram.entities import detect, units
from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.htmltext import parse as parse_html
from connectors.testing.telegram.markdowntext import parse as parse_markdown
from connectors.testing.telegram.markdowntext import parse_old
from connectors.testing.telegram.params import Params

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
#: of the text as it is given, before anything is parsed
MAX_SOURCE_BYTES = 1 << 15
#: more are left out
MAX_ENTITIES = 100
_PARSERS = {"html": parse_html, "markdownv2": parse_markdown, "markdown": parse_old}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f]")


@dataclass
class Formatted:
    """A text, and what is marked in it."""

    text: str
    entities: list[dict[str, Any]]
    parse_mode: str | None = None

    def content(self, name: str = "text") -> dict[str, Any]:
        """As fields of a message: `text` and `entities`, or `caption` and `caption_entities`."""
        if not self.text:
            return {}
        found: dict[str, Any] = {name: self.text}
        if self.entities:
            found["entities" if name == "text" else f"{name}_entities"] = self.entities
        return found


def message_text(params: Params) -> Formatted:
    """The text of sendMessage and editMessageText: 1-4096 characters after entities parsing."""
    if not params.text("text"):
        raise bad("message text is empty")
    said = formatted(params, "text", "entities")
    if not said.text:
        raise bad("text must be non-empty")
    if units(said.text) > MAX_TEXT_UNITS:
        raise bad("message is too long")
    return said


def caption(params: Params) -> Formatted:
    """The caption of a file: up to 1024 characters after entities parsing."""
    said = formatted(params, "caption", "caption_entities")
    if units(said.text) > MAX_CAPTION_UNITS:
        raise bad("message caption is too long")
    return said


def formatted(params: Params, name: str, entities: str) -> Formatted:
    """A text by the names of the parameters for it and for its entities."""
    raw = params.text(name)
    if len(raw.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        raise bad("text is too long")
    mode = params.text("parse_mode").strip().lower()
    given: list[dict[str, Any]] = []
    if not raw or mode in ("", "none"):
        given = list(params.decoded(entities, "entities") or [])
        text = raw
    elif mode in _PARSERS:
        text, given = _PARSERS[mode](raw)
    else:
        raise bad("unsupported parse_mode")
    text, given = trimmed(_CONTROLS.sub(" ", text.replace("\r", "")), given[:MAX_ENTITIES])
    return Formatted(text, detect(text, given), params.text("parse_mode") or None)


def trimmed(text: str, entities: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Without white space at its end, and at its beginning as far as no entity begins there."""
    text = text.rstrip()
    first = min((e["offset"] for e in entities), default=len(text))
    start = min(first, units(text) - units(text.lstrip()))
    text = text[start:]  # white space is in the basic plane: one unit each
    end = units(text)
    kept = []
    for one in entities:
        begin, last = max(0, one["offset"] - start), min(end, one["offset"] + one["length"] - start)
        if last > begin:
            kept.append({**one, "offset": begin, "length": last - begin})
    return text, kept
