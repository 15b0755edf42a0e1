"""Markdown as the HTML of the Bot API, as plain text, and offsets in UTF-16 units."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.telegram.markup import (
    entity_texts,
    plain,
    rendered_units,
    shown_units,
    to_html,
    units,
    utf16_slice,
)

TOKEN = re.compile(
    r"</(?P<end>[a-z-]+)>"
    r"|<(?P<begin>b|i|s|tg-spoiler|code|pre|blockquote)>"
    r'|<(?P<a>a) href="[a-zA-Z][a-zA-Z0-9+.-]*:[^"<>]*">'
    r'|<(?P<language>code) class="language-[\w+#.-]+">'
    r"|[^<>&]+|&(?:lt|gt|amp|quot);"
)
PIECES = st.sampled_from([
    "**", "*", "_", "__", "~~", "`", "```", "~~~", "\n", "\n\n", "> ", "- ", "1. ", "# ", "|", "||", "---", " ", "  ",
    "[", "](", ")", "](https://x.org/?a=1&b=2)", "![", "<", ">", "&", "&lt;", '"', "\\", "a", "word", "</b>", "<b>",
    "https://x.org/_a_", "😀", "|a|b|\n|-|-|\n|c|d|\n", "```py\n", "http", ":", "tg://user?id=1",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)


def checked(html: str) -> str:
    """The text of valid HTML for Telegram; fails for any other."""
    stack: list[str] = []
    text, at = "", 0
    while at < len(html):
        token = TOKEN.match(html, at)
        assert token, html[at:]
        at = token.end()
        if end := token["end"]:
            assert stack.pop() == end
        elif begin := token["begin"] or token["a"] or token["language"]:
            assert begin not in stack
            outer = set(stack)
            if begin in {"code", "pre"}:
                assert outer <= ({"blockquote", "pre"} if token["language"] else {"blockquote"})
            assert not outer & {"code", "pre"} or (token["language"] and stack[-1] == "pre")
            stack.append(begin)
        else:
            text += unescape(token.group())
    assert not stack
    return text


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_becomes_html_that_telegram_parses(text: str) -> None:
    html = to_html(text)
    assert units(checked(html)) == rendered_units(text) == shown_units(html)
    assert bool(html.strip()) == bool(text.replace("\x00", "x").strip())


# The examples of https://core.telegram.org/bots/api#html-style, written in Markdown.
@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold**", "<b>bold</b>"),
        ("*italic*", "<i>italic</i>"),
        ("~~strikethrough~~", "<s>strikethrough</s>"),
        ("||spoiler||", "<tg-spoiler>spoiler</tg-spoiler>"),
        (
            "**bold *italic bold ~~italic bold strikethrough~~* bold**",
            "<b>bold <i>italic bold <s>italic bold strikethrough</s></i> bold</b>",
        ),
        ("[inline URL](http://www.example.com/)", '<a href="http://www.example.com/">inline URL</a>'),
        ("[a user](tg://user?id=123456789)", '<a href="tg://user?id=123456789">a user</a>'),
        ("`inline fixed-width code`", "<code>inline fixed-width code</code>"),
        ("```\npre-formatted block\n```", "<pre>pre-formatted block</pre>"),
        ("```python\nx < 1\n```", '<pre><code class="language-python">x &lt; 1</code></pre>'),
        ("> started\n> continued\n> last", "<blockquote>started\ncontinued\nlast</blockquote>"),
    ],
)
def test_the_formats_that_the_documentation_lists(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ('a < b & "c" > d', "a &lt; b &amp; &quot;c&quot; &gt; d"),
        ("# Title *x*", "<b>Title <i>x</i></b>"),
        ("**a `b` c**", "<b>a </b><code>b</code><b> c</b>"),
        ("[`code`](https://x.org)", '<a href="https://x.org">code</a>'),
        ('![a "b"](https://x.org/?a=1&b=2)', '<a href="https://x.org/?a=1&amp;b=2">a &quot;b&quot;</a>'),
        ("||a **b** c||, a||b||c", "<tg-spoiler>a <b>b</b> c</tg-spoiler>, a||b||c"),
        ("if a || b", "if a || b"),
        ("> a\n> > b\n>\n> ```\n> c\n> ```", "<blockquote>a\n\nb\n\n<pre>c</pre></blockquote>"),
        ('```"><script>\nx\n```', "<pre>x</pre>"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("|a|b|\n|-|-|\n|1|<|", "<pre>a | b\n--|--\n1 | &lt;</pre>"),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4"),
    ],
)
def test_what_telegram_has_no_format_for_comes_as_the_nearest_one(markdown: str, html: str) -> None:
    assert to_html(markdown) == html
    checked(html)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**a** _b_ ~~c~~ `d` ||e||", "a b c d e"),
        ("[label](https://x.org)", "label (https://x.org)"),
        ("<https://x.org> [x.org](https://x.org/)", "https://x.org x.org"),
        ("<mailto:a@b.c>", "mailto:a@b.c"),
        ("# T\n\n- a\n- b", "T\n\n• a\n• b"),
        ("> a\n> b", "> a\n> b"),
        ("```py\nx = 1 < 2\n```", "x = 1 < 2"),
        ("#", "#"),
    ],
)
def test_plain_text_has_no_markup_and_keeps_the_addresses(markdown: str, expected: str) -> None:
    assert plain(markdown) == expected


def test_the_length_is_in_utf16_units_without_the_markup() -> None:
    assert rendered_units("**😀** [a](https://example.org/long) &amp;") == len("😀") * 2 + len(" a &")


@given(st.text(max_size=30), st.integers(-5, 60), st.integers(-5, 60))
@settings(max_examples=100, deadline=None)
def test_a_slice_is_what_the_offsets_mark_and_never_fails(text: str, offset: int, length: int) -> None:
    encoded = text.encode("utf-16-le")
    inside = encoded[2 * max(offset, 0) : 2 * max(offset + length, 0)]
    assert utf16_slice(text, offset, length) == inside.decode("utf-16-le", "replace")


def test_a_slice_counts_an_emoji_as_two() -> None:
    assert utf16_slice("😀 @bot ok", 3, 4) == "@bot"
    assert utf16_slice("😀", 0, 10**30) == "😀"


def test_entities_come_with_their_text_and_unusable_ones_are_left_out() -> None:
    mention: dict[str, Any] = {"type": "mention", "offset": 3, "length": 4}
    hostile: list[Any] = [{}, {"offset": "3", "length": 4}, {"offset": None, "length": 1}, "x", None, {"offset": 1}]
    assert entity_texts("😀 @bot", [mention, *hostile]) == [(mention, "@bot")]
