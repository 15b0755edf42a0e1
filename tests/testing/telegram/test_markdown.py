"""parse_mode MarkdownV2 and Markdown, as core.telegram.org/bots/api#markdownv2-style and the server have them."""

from typing import Any

import pytest

from connectors.testing.telegram import Chat, FakeTelegram
from tests.testing.telegram.client import Client
from tests.testing.telegram.test_html import marked

RESERVED = "is reserved and must be escaped with the preceding '\\'"


def check(fake: FakeTelegram, client: Client, chat: Chat, mode: str, source: str, text: str | None, found: Any) -> None:
    """What becomes of it; without a text: with which words it is refused."""
    if text is None:
        refused = client.refusal("sendMessage", chat_id=chat.id, text=source, parse_mode=mode)
        assert refused == (400, f"Bad Request: can't parse entities: {found}")
        assert fake.sent == []
    else:
        given = {"chat_id": chat.id, "text": source, "parse_mode": mode}
        client.raw("sendMessage", json=given).raise_for_status()
        assert marked(fake) == (text, found)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        (
            "*a* _b_ __c__ ~d~ ||e||",
            "a b c d e",
            [("bold", "a"), ("italic", "b"), ("underline", "c"), ("strikethrough", "d"), ("spoiler", "e")],
        ),
        ("*a _b __c___*", "a b c", [("bold", "a b c"), ("italic", "b c"), ("underline", "c")]),
        ("__a _b_**__", "a b", [("underline", "a b"), ("italic", "b")]),
        ("😀 *é*", "😀 é", [("bold", "é")]),
        ("1\\. a\\_b \\\\ \\a", "1. a_b \\ a", []),
        ("`a*b` `\\``", "a*b `", [("code", "a*b"), ("code", "`")]),
        ("```\na _b_\n```", "a _b_", [("pre", "a _b_")]),
        ("```py\nx = 1```", "x = 1", [("pre", "x = 1", "py")]),
        ("```py```", "py", [("pre", "py")]),
        (
            "[a *b*](https://example.org/\\)?x=1)",
            "a b",
            [("text_link", "a b", "https://example.org/)?x=1"), ("bold", "b")],
        ),
        ("[a](nonsense)", "a", []),
        ("![👍](tg://emoji?id=5368324170671202286)", "👍", [("custom_emoji", "👍", "5368324170671202286")]),
        (">a\n>*b*\nc", "a\nb\nc", [("blockquote", "a\nb\n"), ("bold", "b")]),
        (">a\n>b||\nc", "a\nb\nc", [("expandable_blockquote", "a\nb\n")]),
        (">a\n**>b", "a\nb", [("blockquote", "a\n"), ("blockquote", "b")]),
        ("a `*b*` **", "a *b*", [("code", "*b*")]),
        ("v1.0", None, f"Character '.' {RESERVED}"),
        ("a > b", None, f"Character '>' {RESERVED}"),
        ("hey!", None, f"Character '!' {RESERVED}"),
        ("a | b", None, f"Character '|' {RESERVED}"),
        ("é *a", None, "Can't find end of Bold entity at byte offset 3"),
        ("_a *b_", None, "Can't find end of Italic entity at byte offset 5"),
        ("a `b", None, "Can't find end of Code entity at byte offset 2"),
        ("```py\nb", None, "Can't find end of PreCode entity at byte offset 0"),
        ("[a](https://example.org", None, "Can't find end of a URL at byte offset 4"),
        ("[a", None, "Can't find end of TextUrl entity at byte offset 0"),
        (">a *b\nc*", None, "Can't find end of Bold entity at byte offset 3"),
        ("![a](https://example.org)", None, "Custom emoji URL must have scheme tg"),
        ("![a](tg://emoji?id=x)", None, "Invalid custom emoji identifier specified"),
    ],
)
def test_markdown_v2_is_parsed(
    fake: FakeTelegram, client: Client, chat: Chat, source: str, text: str | None, found: Any
) -> None:
    check(fake, client, chat, "MarkdownV2", source, text, found)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("*a* _b_ `c` \\_d", "a b c _d", [("bold", "a"), ("italic", "b"), ("code", "c")]),
        ("```py\nx```", "x", [("pre", "x", "py")]),
        ("[a](https://example.org/) v1.0!", "a v1.0!", [("text_link", "a", "https://example.org/")]),
        ("*a _b*", "a _b", [("bold", "a _b")]),
        ("é snake_case", None, "Can't find end of the entity starting at byte offset 8"),
    ],
)
def test_the_older_markdown_is_parsed(
    fake: FakeTelegram, client: Client, chat: Chat, source: str, text: str | None, found: Any
) -> None:
    check(fake, client, chat, "Markdown", source, text, found)


def test_a_user_is_mentioned_by_a_link(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    client.raw(
        "sendMessage", json={"chat_id": chat.id, "text": f"[you](tg://user?id={chat.id})", "parse_mode": "MarkdownV2"}
    )
    [(kind, part, user)] = marked(fake)[1]
    assert (kind, part, user["id"]) == ("text_mention", "you", chat.id)
