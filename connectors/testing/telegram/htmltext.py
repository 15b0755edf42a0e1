"""Texts with parse_mode HTML.

https://core.telegram.org/bots/api#html-style: the tags, the four named entities, what may be nested. What is refused,
and with which words, is from https://github.com/tdlib/td (td/telegram/MessageEntity.cpp, parse_html); places are
counted in bytes of UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from connectors.testing.telegram.entities import link, outside_of_code, units
from connectors.testing.telegram.errors import ApiError, bad

_TAGS = {
    "a": "text_link",
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "u": "underline",
    "ins": "underline",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
_REFERENCE = re.compile(r"&(?:(?:lt|gt|amp|quot)(?![a-zA-Z])|#(?:x[0-9a-fA-F]{1,6}|[0-9]{1,7}));?")
_NAME = re.compile(r"[^\s>]*")
_SPACE = re.compile(r"\s*")
_ATTRIBUTE = re.compile(r"""\s+([^\s=>"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9.-]+)(?=[\s>])))?""")


@dataclass
class _Open:
    """A tag that was not closed yet."""

    name: str
    at: int  #: where its text begins, in UTF-16 units
    details: dict[str, Any]
    first: int  #: … and in the pieces of the text


@dataclass
class _Parser:
    source: str
    position: int = 0
    length: int = 0
    pieces: list[str] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        while self.position < len(self.source):
            character = self.source[self.position]
            if character == "<":
                self.close_tag() if self.source.startswith("</", self.position) else self.open_tag()
            elif character == "&" and (match := _REFERENCE.match(self.source, self.position)):
                self.add(unescape(match[0].rstrip(";") + ";"), match.end())
            else:
                self.add(character, self.position + 1)
        if self.open:
            raise bad(f"can't parse entities: Can't find end tag corresponding to start tag \"{self.open[-1].name}\"")

    def add(self, piece: str, position: int) -> None:
        self.pieces.append(piece)
        self.length += units(piece)
        self.position = position

    def open_tag(self) -> None:
        begin = self.position
        end = _NAME.match(self.source, begin + 1).end()  # type: ignore[union-attr]  # it matches the empty text
        if end == len(self.source):
            raise self.refused("Unclosed start tag", begin)
        name = self.source[begin + 1 : end].lower()
        if name not in _TAGS:
            raise self.refused(f'Unsupported start tag "{name}"', begin)
        given: dict[str, str] = {}
        while match := _ATTRIBUTE.match(self.source, end):
            given[match[1].lower()] = unescape(match[2] or match[3] or (match[4] or "").lower())
            end = match.end()
        end = _SPACE.match(self.source, end).end()  # type: ignore[union-attr]  # as above
        if self.source[end : end + 1] != ">":
            if ">" in self.source[end:]:
                raise self.refused(f'Empty attribute name in the tag "{name}"', begin)
            raise self.refused("Unclosed start tag", begin)
        self.open.append(_Open(name, self.length, self.details(name, given, begin), len(self.pieces)))
        self.position = end + 1

    def details(self, name: str, given: dict[str, str], begin: int) -> dict[str, Any]:
        if name == "span" and given.get("class") != "tg-spoiler":
            raise self.refused('Tag "span" must have class "tg-spoiler"', begin)
        if name == "a":
            return {"type": "text_link", "url": given.get("href", "")}
        if name == "tg-emoji":
            return {"type": "custom_emoji", "custom_emoji_id": given.get("emoji-id", "")}
        if name == "blockquote" and "expandable" in given:
            return {"type": "expandable_blockquote"}
        if name == "code" and given.get("class", "").startswith("language-"):
            return {"type": "code", "language": given["class"].removeprefix("language-")}
        return {"type": _TAGS[name]}

    def close_tag(self) -> None:
        begin = self.position
        if not self.open:
            raise self.refused("Unexpected end tag", begin)
        end = _NAME.match(self.source, begin + 2).end()  # type: ignore[union-attr]  # as above
        name = self.source[begin + 2 : end].lower()
        end = _SPACE.match(self.source, end).end()  # type: ignore[union-attr]  # as above
        if self.source[end : end + 1] != ">":
            raise self.refused("Unclosed end tag", begin)
        opened = self.open[-1]
        if name and name != opened.name:
            raise self.refused("Unmatched end tag", begin, f', expected "</{opened.name}>", found "</{name}>"')
        self.open.pop()
        if self.length > opened.at:
            self.enter(opened)
        self.position = end + 1

    def enter(self, opened: _Open) -> None:
        new = {"offset": opened.at, "length": self.length - opened.at, **opened.details}
        if opened.name == "a":
            target = new["url"] or "".join(self.pieces[opened.first :])
            new = link(new, target)
        if opened.name == "pre":  # <pre><code class="language-…"> is one entity with a language
            inner = next((e for e in self.found if e["type"] == "code" and _same(e, new) and e.get("language")), None)
            if inner is not None:
                new["language"] = inner["language"]
        if opened.name == "tg-emoji" and not new["custom_emoji_id"].isdecimal():
            raise bad("can't parse entities: Invalid custom emoji identifier specified")
        if new:
            self.found.append(new)

    def refused(self, why: str, position: int, more: str = "") -> ApiError:
        offset = len(self.source[:position].encode("utf-8", "replace"))
        return bad(f"can't parse entities: {why} at byte offset {offset}{more}")


def parse(source: str) -> tuple[str, list[dict[str, Any]]]:
    """The text without the tags, and the entities that they make."""
    parser = _Parser(source)
    parser.run()
    kept = outside_of_code(parser.found)
    for one in kept:
        if one["type"] == "code":
            one.pop("language", None)
    return "".join(parser.pieces), kept


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["offset"] == other["offset"] and one["length"] == other["length"])
