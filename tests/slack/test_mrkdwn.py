"""Markdown as Slack's mrkdwn, and mrkdwn, blocks and attachments as text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.parts.mrkdwn import TEXT_MAX, to_mrkdwn
from connectors.slack.connector import SlackConnector
from connectors.slack.mrkdwn import from_mrkdwn, plain_of_attachments, plain_of_blocks

ZW = "\u200b"
NAMES = {"U1": "alice", "C2": "general"}
ALLOWED = re.compile(r"<[@#][A-Z0-9]+>|<[a-zA-Z][a-zA-Z0-9+.-]*:[^<>|]*(?:\|[^<>\n]*)?>")
PIECES = st.sampled_from([
    "<", ">", "<!", "<!channel>", "<!here|here>", "<!everyone>", "<!subteam^S1>", "<@U1>", "<@U1|x>", "<#C1>", "&lt;",
    "&gt;", "&amp;", "!channel", "@U1", "|", "[", "](", ")", "[x](!channel)", "](<!here>)", "`", "```", "\n", "\n\n",
    "> ", "- ", "**", "*", "_", "~~", "~", "\\", "https://x.org/", "](https://x.org)", "![", "a", " ", "date^1^x", ":",
    "|a|b|\n|-|-|\n|<!here>|<@U1>|\n", "&#60;", "&#x3c;!channel&#62;", "<https:!here>", "mailto:", "<http://",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)


def test_a_text_is_cut_where_the_connector_says_that_it_is() -> None:
    assert SlackConnector.limits.text_max == TEXT_MAX


def read(text: str) -> str:
    return from_mrkdwn(text, user=lambda name: NAMES.get(name, ""), channel=lambda name: NAMES.get(name, ""))


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_no_text_makes_a_control_sequence_but_a_link_or_a_mention_that_stands_in_it(text: str) -> None:
    out = to_mrkdwn(text)
    for mention in re.findall(r"<([@#][A-Z0-9]+)>", out):
        assert f"<{mention}" in text
    rest = re.sub(r"(?m)^>(?: |$)", "", ALLOWED.sub("", out))
    assert not re.search(r"[<>]|&(?!(?:amp|lt|gt);)", rest)
    assert bool(out.strip()) == bool(text.replace("\x00", "x").strip())


# https://docs.slack.dev/messaging/formatting-message-text/
@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("**bold** and *italic* and ~~strike~~ and `code`", "*bold* and _italic_ and ~strike~ and `code`"),
        ("***both***", "_*both*_"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("[text](https://x.org/?a=1&b=2)", "<https://x.org/?a=1&amp;b=2|text>"),
        ("see https://x.org/_a_b*c.", "see <https://x.org/_a_b*c>."),
        ("<bob@example.com>", "<mailto:bob@example.com|bob@example.com>"),
        ("![alt](https://x.org/i.png)", "<https://x.org/i.png|alt>"),
        ("**[a](https://x.org)** [**b**](https://x.org)", "*<https://x.org|a>* *<https://x.org|b>*"),
        ("[`a` > b](https://x.org)", "<https://x.org|a &gt; b>"),
        ("[f](docs/f.md)", "f (docs/f.md)"),
        ("# Title *x*\ntext", "*Title _x_*\n\ntext"),
        ("> a\n> b\n>\n> c", "> a\n> b\n>\n> c"),
        ("> a\n> > b", "> a\n>\n> b"),
        ("- a\n- b\n  1. c", "• a\n• b\n  1. c"),
        ("```python\nx < 1\n```", "```\nx &lt; 1\n```"),
        ("| a | b |\n|---|---|\n| <@U1> | 2 |", "```\na     | b\n------|--\n&lt;@U1&gt; | 2\n```"),
        ("a\n\n---\n\nb", "a\n\n──────────\n\nb"),
        ("**two\nlines**", "*two*\n*lines*"),
    ],
)
def test_markdown_becomes_what_slack_shows_the_same_way(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn


@pytest.mark.parametrize(
    "text",
    ["snake_case_name", "2*3*4", "2 * 3 * 4", "~5 and ~6", "f(*args, **kwargs)", ":smile: :+1:", "~/a/b", "10:30:45"],
)
def test_text_that_only_looks_like_markup_stays_as_it_is(text: str) -> None:
    assert to_mrkdwn(text) == text


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        (r"\*a\*", f"*{ZW}a*"),
        (r"\_a\_ b", f"_{ZW}a_ b"),
        ("~a~", f"~{ZW}a~"),
        (r"\> a", f"{ZW}&gt; a"),
        (r"**a\* b**", f"*a*{ZW} b*"),
        ("foo**bar**baz", f"foo{ZW}*bar*{ZW}baz"),
        ("`a`s", f"`a`{ZW}s"),
        ("~~~\n```\n~~~", f"```\n`{ZW}``\n```"),
    ],
)
def test_marks_that_are_text_do_not_format_and_those_inside_a_word_do(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn


def test_code_with_a_backtick_comes_without_marks_but_whole() -> None:
    assert to_mrkdwn("``a`b``") == "a`b"


def test_a_noncharacter_in_the_text_is_not_taken_for_a_mark() -> None:
    assert to_mrkdwn("\ufdd0a\ufdd0") == "\ufffda\ufffd"


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("<@U123> in <#C123>", "<@U123> in <#C123>"),
        ("<@U123|bob> <#C123|general>", "<@U123> <#C123>"),
        (r"`<@U123>` \<@U123>", "`&lt;@U123&gt;` &lt;@U123&gt;"),
        ("**<@U123>**", "*<@U123>*"),
        ("[<@U123>](https://x.org)", "<https://x.org|&lt;@U123&gt;>"),
        ("<@bob> <@U1 x>", "&lt;@bob&gt; &lt;@U1 x&gt;"),
    ],
)
def test_a_mention_that_the_agent_wrote_passes_outside_of_code(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn


@pytest.mark.parametrize("call", ["<!here>", "<!channel>", "<!everyone>", "<!subteam^S123>", "<!here|here>"])
def test_a_call_to_many_people_passes_only_when_it_is_allowed(call: str) -> None:
    bare = re.sub(r"\|[^>]*", "", call)
    assert to_mrkdwn(f"hi {call}") == "hi " + call.replace("<", "&lt;").replace(">", "&gt;")
    assert to_mrkdwn(f"hi {call}", allow_broadcast=True) == f"hi {bare}"
    assert bare not in to_mrkdwn(f"`{call}` [x]({bare[1:-1]})", allow_broadcast=True)


@pytest.mark.parametrize(
    ("mrkdwn", "text"),
    [
        ("hi <@U1>, <@U9|bob> and <@U8>", "hi @alice, @bob and @U8"),
        ("<#C1|random> <#C2> <#C2|> <#C3>", "#random #general #general #C3"),
        ("<!here> <!channel> <!everyone> <!here|here>", "@here @channel @everyone @here"),
        ("<!subteam^S1|@ops> <!subteam^S1>", "@ops @S1"),
        ("<!date^1392734382^{date}^https://x.org|Feb 18>", "Feb 18"),
        ("<https://x.org/?a=1&amp;b=2>", "https://x.org/?a=1&b=2"),
        ("<https://x.org|label> <https://x.org|https://x.org>", "label (https://x.org) https://x.org"),
        ("<mailto:a@b.c|a@b.c> <mailto:a@b.c|Al>", "a@b.c Al (a@b.c)"),
        ("a &lt; b &amp;&amp; c &gt; d &amp;lt;", "a < b && c > d &lt;"),
        ("&lt;@U1&gt; `&lt;!here&gt;`", "<@U1> `<!here>`"),
        ("a < b > c <> <!new|thing>", "a < b > c <> thing"),
        ("*bold* _i_ :smile:", "*bold* _i_ :smile:"),
    ],
)
def test_what_slack_sends_reads_as_people_see_it(mrkdwn: str, text: str) -> None:
    assert read(mrkdwn) == text


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_any_text_from_slack_is_read(text: str) -> None:
    assert isinstance(read(text), str)


BLOCKS: list[dict[str, Any]] = [
    {"type": "header", "text": {"type": "plain_text", "text": "Head & <b>"}},
    {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "hi <@U1> &amp; all"},
        "fields": [{"type": "mrkdwn", "text": "*a*"}, {"type": "plain_text", "text": "b"}],
        "accessory": {"type": "button", "text": {"type": "plain_text", "text": "Press"}, "value": "hidden"},
    },
    {"type": "divider"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}, {"type": "image", "alt_text": "pic"}]},
    {"type": "image", "title": {"type": "plain_text", "text": "T"}, "alt_text": "alt", "image_url": "https://x.org"},
    {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": n}} for n in "YN"]},
    {"type": "markdown", "text": "**md** <b>"},
    {
        "type": "from_the_future",
        "parts": 1,
        "elements": [{"type": "odd", "label": {"type": "plain_text", "text": "L"}}],
    },
    {"type": "table", "rows": [[{"type": "raw_text", "text": "1"}, {"type": "raw_text", "text": "2"}]]},
]
RICH: dict[str, Any] = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "a < ", "style": {"bold": True}},
                {"type": "user", "user_id": "U1"},
                {"type": "text", "text": " in "},
                {"type": "channel", "channel_id": "C2"},
                {"type": "emoji", "name": "wave"},
                {"type": "link", "url": "https://x.org", "text": "x"},
                {"type": "broadcast", "range": "here"},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "date", "timestamp": 1, "fallback": "Feb"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "ordered",
            "offset": 2,
            "indent": 1,
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": t}]} for t in "cd"],
        },
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "q\nr"}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "code"}]},
    ],
}


def test_blocks_read_in_their_order_with_names_for_ids() -> None:
    expected = (
        "Head & <b>\nhi @alice & all\n*a*\nb\nPress\n---\nx [image] pic\n[image] T alt\nY N\n**md** <b>\nL\n1 | 2"
    )
    assert plain_of_blocks(BLOCKS, user=lambda name: NAMES.get(name, ""), channel=str) == expected


def test_rich_text_reads_as_it_was_written() -> None:
    text = plain_of_blocks([RICH], user=lambda name: NAMES.get(name, ""), channel=lambda name: NAMES.get(name, ""))
    assert text == (
        "a < @alice in #general:wave:x (https://x.org)@here@S1Feb\n  3. c\n  4. d\n> q\n> r\n```\ncode\n```"
    )


def test_attachments_read_with_title_and_fields_and_else_the_fallback() -> None:
    full = {
        "pretext": "pre",
        "title": "t",
        "title_link": "https://x.org",
        "text": "hi <@U1>",
        "fields": [{"title": "k", "value": "v"}, {"title": "only"}],
        "blocks": [BLOCKS[0]],
        "fallback": "not shown",
    }
    text = plain_of_attachments([full, {"fallback": "fall"}], user=lambda name: NAMES.get(name, ""))
    assert text == "pre\nt (https://x.org)\nhi @alice\nk: v\nonly\nHead & <b>\n\nfall"


KEYS = ["type", "text", "elements", "fields", "rows", "title", "alt_text", "blocks", "indent", "offset", "style", "url"]
KINDS = [
    "section",
    "rich_text",
    "rich_text_list",
    "image",
    "table",
    "context",
    "mrkdwn",
    "text",
    "link",
    "date",
    "user",
]
HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(HOSTILE)
@settings(max_examples=200, deadline=None)
def test_blocks_and_attachments_of_any_shape_are_read(shape: object) -> None:
    assert isinstance(plain_of_blocks(shape), str)
    assert isinstance(plain_of_blocks([shape]), str)
    assert isinstance(plain_of_attachments([shape, {"fields": shape, "blocks": [shape]}]), str)


@pytest.mark.parametrize("kind", ["rich_text", "section"])
def test_blocks_that_are_nested_without_end_are_read(kind: str) -> None:
    block: dict[str, Any] = {"type": kind, "text": "end"}
    for _ in range(5_000):
        block = {"type": kind, "elements": [block]}
    assert isinstance(plain_of_blocks([block]), str)
