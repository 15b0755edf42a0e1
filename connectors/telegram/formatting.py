"""A text as the Bot API takes it: which parse mode, what is left when that is refused, and where a long one is cut.

https://core.telegram.org/bots/api#formatting-options: 4096 characters after entities parsing; the request's own limit
on markup is about 9,500 bytes (https://github.com/tdlib/telegram-bot-api/issues/165); beyond 100 entities further ones
are ignored (https://docs.python-telegram-bot.org/en/stable/telegram.constants.html, MessageLimit.MESSAGE_ENTITIES).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.base.split import split_text
from connectors.telegram.markup import plain, rendered_units, to_html, units

TEXT_MAX = 4096
CAPTION_MAX = 1024
MARKUP_MAX_BYTES = 9500
ENTITIES_MAX = 100


@dataclass(frozen=True)
class Formatted:
    """`text` in `parse_mode` (None: as it stands); `fallback` when that does not parse."""

    text: str
    parse_mode: str | None = None
    fallback: str | None = None

    def fields(self, name: str = "text") -> dict[str, Any]:
        """As parameters of a call; `name` is `text` or `caption`."""
        mode = {"parse_mode": self.parse_mode} if self.parse_mode else {}
        return {name: self.text, **mode}

    @property
    def plain(self) -> Formatted:
        """Without markup."""
        return Formatted(self.text if self.fallback is None else self.fallback)


def formatted(text: str, form: str) -> Formatted:
    """`markdown` becomes HTML; `html` is the Bot API's HTML, `native` its MarkdownV2."""
    if form == "plain" or not text.strip():
        return Formatted(text)
    if form == "native":
        return Formatted(text, "MarkdownV2", text)
    if form == "html":
        return Formatted(text, "HTML", text)
    if not rendered_units(text):
        return Formatted(text)  # nothing but marks: people see what was written
    return Formatted(to_html(text), "HTML", plain(text))


def length(text: str, form: str) -> int:
    """How much of TEXT_MAX the text takes, in UTF-16 units, whatever becomes of its markup."""
    if form != "markdown":
        return units(text)
    by_bytes = len(to_html(text).encode("utf-8", "surrogatepass")) * TEXT_MAX // MARKUP_MAX_BYTES
    return max(rendered_units(text), units(plain(text)), by_bytes)


def parts(text: str, form: str) -> list[str]:
    """The text in parts that can each be sent."""
    return split_text(text, TEXT_MAX, "utf16", lambda piece: max(length(piece, form), _by_entities(piece, form)))


def _by_entities(text: str, form: str) -> int:
    """How much of TEXT_MAX the formats take: one more than ENTITIES_MAX exceeds it. Each has a tag or two."""
    if form != "markdown":
        return 0
    html = to_html(text)
    return (html.count("<") - html.count("</")) * TEXT_MAX // ENTITIES_MAX
