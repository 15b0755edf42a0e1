"""Texts with parse_mode MarkdownV2, and Markdown, its older form.

https://core.telegram.org/bots/api#markdownv2-style and #markdown-style: the marks, what must be escaped where, how
`___` is read (from left to right, as the longest mark). What is refused, and with which words, is known from
https://github.com/tdlib/td (test/message_entities.cpp); places are counted in bytes of UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.testing.telegram.entities import in_order, link, outside_of_code, units
from connectors.testing.telegram.errors import ApiError, bad

_MARKS = {"*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler"}
_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_ESCAPED = re.compile(r"\\([\x01-\x7e])")
_LANGUAGE = re.compile(r"([^\s`]+)(?=\s)")
_LINE_END = re.compile(r"\r\n|\n\r|\r|\n")
_NAMES = {"text_link": "TextUrl", "custom_emoji": "CustomEmoji"}


@dataclass
class _Open:
    """What was begun and has not ended."""

    kind: str
    begin: int  #: in the source
    at: int  #: in the text, in UTF-16 units
    first: int  #: … and in the pieces of the text
    language: str = ""

    @property
    def name(self) -> str:
        """As the server calls it."""
        return "PreCode" if self.language else _NAMES.get(self.kind, self.kind.capitalize())


@dataclass
class _Parser:
    source: str
    position: int = 0
    length: int = 0
    line_begins: bool = True
    pieces: list[str] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        while self.position < len(self.source):
            if escaped := _ESCAPED.match(self.source, self.position):
                self.add(escaped[1], 2)
            elif self.inside("code", "pre"):
                self.code()
            else:
                self.text()
        if self.inside("blockquote", "expandable_blockquote"):
            self.close(0)
        if self.open:
            raise self.unclosed()

    def inside(self, *kinds: str) -> bool:
        """Whether what was begun last is one of these."""
        return bool(self.open) and self.open[-1].kind in kinds

    def at(self, mark: str) -> bool:
        return self.source.startswith(mark, self.position)

    def add(self, piece: str, width: int = 1) -> None:
        """To the text; it is so wide in the source."""
        self.pieces.append(piece)
        self.length += units(piece)
        self.position += width
        self.line_begins = piece in "\r\n"

    def begin(self, kind: str, width: int, language: str = "") -> None:
        self.open.append(_Open(kind, self.position, self.length, len(self.pieces), language))
        self.position += width

    def close(self, width: int, **details: Any) -> None:
        last = self.open.pop()
        if self.length > last.at:
            named = {"language": last.language} if last.language else {}
            place = {"offset": last.at, "length": self.length - last.at}
            self.found.append({**place, "type": last.kind, **named, **details})
        self.position += width

    # ── what there is ─────────────────────────────────────────────────────────────────────────────────────────

    def text(self) -> None:
        character = self.source[self.position]
        mark = next((two for two in ("__", "||") if self.at(two)), character)
        if character == "\n":
            self.line_end()
        elif character == ">" and self.line_begins and self.quote() is None:
            self.begin("blockquote", 1)
        elif mark == "||" and self.inside("blockquote") and self.source[self.position + 2 :][:1] in ("", "\r", "\n"):
            self.open[-1].kind = "expandable_blockquote"
            self.position += 2
        elif mark in _MARKS:
            self.close(len(mark)) if self.inside(_MARKS[mark]) else self.begin(_MARKS[mark], len(mark))
        elif character == "`":
            self.begin_pre() if self.at("```") else self.begin("code", 1)
        elif character == "[" or self.at("!["):
            self.begin("text_link", 1) if character == "[" else self.begin("custom_emoji", 2)
        elif character == "]" and self.inside("text_link", "custom_emoji"):
            self.end_of_link()
        elif character in _RESERVED:
            raise _refused(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")
        else:
            self.add(character)

    def code(self) -> None:
        """Nothing but ` is a mark in it."""
        if self.at("```") and self.inside("pre"):
            self.close(3)
        elif self.at("`"):
            self.close(1) if self.inside("code") else self.begin("code", 1)
        else:
            self.add(self.source[self.position])

    def begin_pre(self) -> None:
        after = self.position + 3
        language = _LANGUAGE.match(self.source, after)
        after = language.end() if language else after
        line_end = _LINE_END.match(self.source, after)
        self.begin("pre", (line_end.end() if line_end else after) - self.position, language[1] if language else "")

    def quote(self) -> _Open | None:
        return next((one for one in self.open if one.kind.endswith("blockquote")), None)

    def line_end(self) -> None:
        """A quotation goes on where the next line begins with > too."""
        self.add("\n")
        quote = self.quote()
        if quote is None:
            return
        if self.at(">") and quote.kind == "blockquote":
            self.position += 1
            self.line_begins = False
        elif self.open[-1] is quote:
            self.close(0)
        else:
            raise self.unclosed()

    def end_of_link(self) -> None:
        last = self.open[-1]
        said = "".join(self.pieces[last.first :])
        width, url = self.address() if self.source[self.position + 1 :][:1] == "(" else (1, None)
        if last.kind == "custom_emoji":
            self.close(width, custom_emoji_id=_emoji(url))
            return
        place = {"offset": last.at, "length": self.length - last.at}
        self.open.pop()
        self.position += width
        if place["length"] and (entity := link(place, said if url is None else url)):
            self.found.append(entity)

    def address(self) -> tuple[int, str]:
        """How wide `](…)` is, and what is in it."""
        begin = end = self.position + 2
        found = ""
        while end < len(self.source) and self.source[end] != ")":
            escaped = _ESCAPED.match(self.source, end)
            found += escaped[1] if escaped else self.source[end]
            end += 2 if escaped else 1
        if end == len(self.source):
            what = "a custom emoji URL" if self.inside("custom_emoji") else "a URL"
            raise _refused(f"Can't find end of {what} at byte offset {_bytes(self.source, begin)}")
        return end + 1 - self.position, found

    def unclosed(self) -> ApiError:
        last = self.open[-1]
        return _refused(f"Can't find end of {last.name} entity at byte offset {_bytes(self.source, last.begin)}")


def parse(source: str) -> tuple[str, list[dict[str, Any]]]:
    """MarkdownV2: the text without the marks, and the entities that they make."""
    parser = _Parser(source)
    parser.run()
    return "".join(parser.pieces), outside_of_code(parser.found)


_OLD = re.compile(
    r"\\(?P<escaped>[_*`\[])"
    r"|```(?:(?P<language>[^\s`]+)(?=\s))?(?:\r\n|\n\r|\r|\n)?(?P<pre>.*?)```"
    r"|_(?P<italic>[^_]*)_|\*(?P<bold>[^*]*)\*|(?!```)`(?P<code>[^`]*)`"
    r"|\[(?P<text_link>[^]]*)\](?:\((?P<url>[^)]*)\)?)?"
    r"|(?P<unclosed>[_*`\[])|(?P<plain>.)",
    re.DOTALL,
)


def parse_old(source: str) -> tuple[str, list[dict[str, Any]]]:
    """Markdown: nothing is nested, and nothing is escaped inside of an entity."""
    text, found = "", []
    for match in _OLD.finditer(source):
        kind = str(match.lastgroup if match.lastgroup != "url" else "text_link")
        if kind == "unclosed":
            raise _refused(f"Can't find end of the entity starting at byte offset {_bytes(source, match.start())}")
        entity = {"offset": units(text), "length": units(match[kind]), "type": kind}
        text += match[kind]
        if kind == "text_link":
            entity = link(entity, match["text_link"] if match["url"] is None else match["url"])
        if kind == "pre" and match["language"]:
            entity["language"] = match["language"]
        if kind not in ("escaped", "plain") and entity and entity["length"]:
            found.append(entity)
    return text, in_order(found)


def _emoji(url: str | None) -> str:
    """The id in tg://emoji?id=…"""
    if url is None:
        raise _refused("Custom emoji entity must contain a tg://emoji URL")
    parts = urlsplit(url)
    if parts.scheme.lower() != "tg":
        raise _refused("Custom emoji URL must have scheme tg")
    if (parts.netloc or parts.path.strip("/")).lower() != "emoji":
        raise _refused('Custom emoji URL must have host "emoji"')
    found = parse_qs(parts.query).get("id", [""])[0]
    if not found:
        raise _refused("Custom emoji URL must have an emoji identifier")
    if not re.fullmatch(r"[1-9]\d*", found):
        raise _refused("Invalid custom emoji identifier specified")
    return found


def _bytes(source: str, position: int) -> int:
    return len(source[:position].encode("utf-8", "replace"))


def _refused(why: str) -> ApiError:
    return bad(f"can't parse entities: {why}")
