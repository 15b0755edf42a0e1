"""HTML of a feed as plain text, for who reads events. Pure."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

_BLOCK = re.compile(
    "address|article|aside|blockquote|br|dd|div|dl|dt|figcaption|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|pre"
    "|section|table|td|th|tr|ul"
)
_UNSEEN = frozenset({"script", "style", "template"})
_SPACES = re.compile(r"[ \t\r\n\f]+")
_TAG = re.compile(r"<[^<>]*>")
_GAPS = re.compile(r"\n{3,}")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _UNSEEN
        self._kept += tag == "pre"
        if _BLOCK.fullmatch(tag):
            self.parts.append("\n- " if tag == "li" else "\n")
        elif tag == "img":
            self.parts.append(dict(attrs).get("alt") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN and tag != "pre":  # nothing can be in it
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _UNSEEN))
        self._kept = max(0, self._kept - (tag == "pre"))
        if tag != "li" and _BLOCK.fullmatch(tag):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data if self._kept else _SPACES.sub(" ", data))


def plain(html: str) -> str:
    """What a person sees of it: blocks are lines, links are their text."""
    reader = _Text()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # so html.parser ends at what begins like a declaration and is none: <![;
        reader.parts = [unescape(_TAG.sub("\n", html))]
    lines = [line.rstrip() if line.startswith("  ") else line.strip() for line in "".join(reader.parts).split("\n")]
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()
