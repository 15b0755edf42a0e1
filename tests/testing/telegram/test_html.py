"""parse_mode HTML, as core.telegram.org/bots/api#html-style and the server's parser have it."""

from typing import Any

import pytest

from connectors.testing.telegram import Chat, FakeTelegram
from connectors.testing.telegram.entities import cut
from tests.testing.telegram.client import Client


def marked(fake: FakeTelegram) -> tuple[str, list[tuple[Any, ...]]]:
    """The text that people see, and what is marked in it."""
    sent = fake.sent[-1]
    extra = ("url", "language", "user", "custom_emoji_id")
    return sent.text, [
        (e["type"], cut(sent.text, e["offset"], e["length"]), *(e[k] for k in extra if k in e)) for e in sent.entities
    ]


def send(client: Client, chat: Chat, html: str) -> None:
    client.raw("sendMessage", json={"chat_id": chat.id, "text": html, "parse_mode": "html"}).raise_for_status()


@pytest.mark.parametrize(
    ("html", "text", "entities"),
    [
        ("<b>a</b><strong>b</strong>", "ab", [("bold", "a"), ("bold", "b")]),
        ("<i>a</i><em>b</em>", "ab", [("italic", "a"), ("italic", "b")]),
        ("<u>a</u><ins>b</ins>", "ab", [("underline", "a"), ("underline", "b")]),
        ("<s>a</s><strike>b</strike><del>c</del>", "abc", [("strikethrough", c) for c in "abc"]),
        ('<tg-spoiler>a</tg-spoiler><span class="tg-spoiler">b</span>', "ab", [("spoiler", "a"), ("spoiler", "b")]),
        ("<b>a <i>b</i></b>", "a b", [("bold", "a b"), ("italic", "b")]),
        ("<B>😀</B> <code>x &lt; y</code>", "😀 x < y", [("bold", "😀"), ("code", "x < y")]),
        ('<a href="https://example.org/?a=1&amp;b=2">x</a>', "x", [("text_link", "x", "https://example.org/?a=1&b=2")]),
        ("<a href='https://example.org'>x</a>", "x", [("text_link", "x", "https://example.org/")]),
        ('<a href="nonsense">x</a>', "x", []),
        ("<pre>a\n  b</pre>", "a\n  b", [("pre", "a\n  b")]),
        ('<pre><code class="language-py">a</code></pre>', "a", [("pre", "a", "py")]),
        ('<code class="language-py">a</code>', "a", [("code", "a")]),
        ("<blockquote>a</blockquote>", "a", [("blockquote", "a")]),
        ("<blockquote expandable>a</blockquote>", "a", [("expandable_blockquote", "a")]),
        (
            '<tg-emoji emoji-id="5368324170671202286">👍</tg-emoji>',
            "👍",
            [("custom_emoji", "👍", "5368324170671202286")],
        ),
        ("&quot;&amp;&gt;&#128512;&#x41;&nbsp;&unknown", '"&>😀A&nbsp;&unknown', []),
        ("  <b></b> a  ", "a", []),
        ("<b>a", None, 'Can\'t find end tag corresponding to start tag "b"'),
        ("é<i>a</b>", None, 'Unmatched end tag at byte offset 6, expected "</i>", found "</b>"'),
        ("a</b>", None, "Unexpected end tag at byte offset 1"),
        ("é<h1>a</h1>", None, 'Unsupported start tag "h1" at byte offset 2'),
        ("a < b", None, 'Unsupported start tag "" at byte offset 2'),
        ("a <3", None, "Unclosed start tag at byte offset 2"),
        ("a <3 b", None, 'Unsupported start tag "3" at byte offset 2'),
        ("<br/>", None, 'Unsupported start tag "br/" at byte offset 0'),
        ("<span>a</span>", None, 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("<b>a</b", None, "Unclosed end tag at byte offset 4"),
    ],
)
def test_html_is_parsed(
    fake: FakeTelegram, client: Client, chat: Chat, html: str, text: str | None, entities: Any
) -> None:
    if text is None:
        refused = client.refusal("sendMessage", chat_id=chat.id, text=html, parse_mode="HTML")
        assert refused == (400, f"Bad Request: can't parse entities: {entities}")
        assert fake.sent == []
    else:
        send(client, chat, html)
        assert marked(fake) == (text, entities)


def test_people_without_a_username_are_mentioned_by_their_id(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    send(client, chat, f'<a href="tg://user?id={chat.id}">you</a>')
    [(kind, part, user)] = marked(fake)[1]
    assert (kind, part, user["id"], user["first_name"]) == ("text_mention", "you", chat.id, "Ada")


def test_an_unknown_parse_mode_is_refused(client: Client, chat: Chat) -> None:
    assert client.refusal("sendMessage", chat_id=chat.id, text="x", parse_mode="BBCode") == (
        400,
        "Bad Request: unsupported parse_mode",
    )


def test_without_a_parse_mode_tags_are_text(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    client.do(client.bot.send_message(chat.id, "<b>a</b> & b"))
    assert marked(fake) == ("<b>a</b> & b", [])
