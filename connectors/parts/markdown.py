"""Markdown as the tokens of markdown-it: CommonMark with tables and strikethrough, made for text that agents write.

https://spec.commonmark.org and https://github.github.com/gfm, with these departures, so that no text is lost or
mangled: HTML is text; so are link reference definitions, since the part of a long text in which one is used may not be
the part that defines it; an address is a link and one word; 2*3*4 has no emphasis; what is nested too deep is shown.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

_DEEPEST_BLOCK = 24
_DEEPEST = 60
_ASCII_WORD = re.compile(r"[A-Za-z0-9]")
_BARE_URL = re.compile(r"://[^\s<>\[\]`\"|\\^{}。，、；！？）」』】》]+")


@cache
def parser(literal: re.Pattern[str] | None) -> MarkdownIt:
    """The parser. What `literal` matches, in angle brackets, becomes a token of type "literal"."""
    from markdown_it import MarkdownIt

    parsing = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST})
    parsing.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "reference"])
    parsing.block.ruler.before("table", "too_deep", _too_deep)
    parsing.inline.ruler.before("escape", "bare_url", _bare_url)
    parsing.inline.ruler.before("emphasis", "times", _times)
    if literal:

        def literally(state: StateInline, silent: bool) -> bool:
            found = literal.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "<" else None
            return _push(state, silent, found.group(), "literal") if found else False

        parsing.inline.ruler.before("autolink", "literal", literally)
    return parsing


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The library drops what is nested deeper than its limit; this shows it as a paragraph."""
    if silent or state.level < _DEEPEST_BLOCK:
        return False
    state.line = end
    state.push("paragraph_open", "p", 1)
    inline = state.push("inline", "", 0)
    inline.content, inline.children = state.getLines(start, end, state.blkIndent, False).strip(), []
    state.push("paragraph_close", "p", -1)
    return True


def _bare_url(state: StateInline, silent: bool) -> bool:
    """An address in the text is a link and one word: the underscores and asterisks in it are no emphasis."""
    scheme = re.search(r"(?<![a-z0-9])https?$", state.src[max(state.pos - 6, 0) : state.pos], re.IGNORECASE)
    found = _BARE_URL.match(state.src, state.pos, state.posMax) if scheme else None
    if not scheme or not found or not (rest := _trimmed(found.group())):
        return False
    url = scheme.group() + rest
    if not silent:
        if not state.pending.endswith(scheme.group()):
            return False
        state.pending = state.pending.removesuffix(scheme.group())
    if state.linkLevel:
        return _push(state, silent, rest, "text", url)
    if not silent:
        state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(url)}
    _push(state, silent, rest, "text", url)
    if not silent:
        state.push("link_close", "a", -1)
    return True


def _times(state: StateInline, silent: bool) -> bool:
    """An asterisk that multiplies or stands for any file is text: 2*3*4, x**2 + y**2, src/*.py and tests/*.py."""
    source, begin = state.src, state.pos
    if source[begin] != "*" or source[begin - 1 : begin] == "*":
        return False
    end = begin
    while end < state.posMax and source[end] == "*":
        end += 1
    before, after = source[begin - 1 : begin], source[end : end + 1]
    word = bool(_ASCII_WORD.fullmatch(before))
    if (word and _ASCII_WORD.fullmatch(after) and (end - begin == 1 or after.isdigit())) or (
        end - begin == 1 and ((before == "/" and after == ".") or (before + after == "//"))
    ):
        return _push(state, silent, source[begin:end], "text")
    return False


def _trimmed(rest: str) -> str:
    """Without the punctuation that ends the sentence, not the address (GFM, extended autolinks); "" for no address."""
    while rest:
        if rest[-1] in "?!.,:;*_~'" or (rest[-1] == ")" and rest.count(")") > rest.count("(")):
            rest = rest[:-1]
        else:
            break
    return rest if len(rest) > len("://") else ""


def _push(state: StateInline, silent: bool, consumed: str, kind: str, content: str | None = None) -> bool:
    if not silent:
        state.push(kind if not state.linkLevel else "text", "", 0).content = consumed if content is None else content
    state.pos += len(consumed)
    return True
