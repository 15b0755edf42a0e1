"""Markdown walked block by block, whatever the platform."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.parts.markup import Mark, Piece, Renderer, Run, joined, nested

LETTERS = {"bold": "B", "italic": "I", "strike": "S", "code": "C", "link": "L", "literal": "M", "spoiler": "P"}


class Brackets(Renderer):
    """Shows the structure: a mark is a letter with brackets."""

    literal = re.compile(r"<@\w+>")

    def inline(self, runs: Sequence[Run]) -> str:
        out = ""
        for ended, begun, run in nested(runs):
            out += "]" * len(ended) + "".join(f"{LETTERS[mark.kind]}{mark.value}[" for mark in begun)
            out += run.text if run else ""
        return out

    def code(self, content: str, language: str) -> str:
        return f"{{{language}|{content}}}"

    def quote(self, pieces: list[Piece]) -> list[Piece]:
        return [Piece(f"({joined(pieces)})", verbatim=True)]


def shown(markdown: str) -> str:
    return Brackets().render(markdown)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**a *b* c**", "B[a I[b] c]"),
        ("***a***", "I[B[a]]"),
        ("~~a~~ ~b~", "S[a] ~b~"),
        ("a\nb  \nc", "a\nb\nc"),
        ("# A *b*\ntext", "B[A I[b]]\n\ntext"),
        ("`a *b*`", "C[a *b*]"),
        ("```py x\na\n  b\n```", "{py|a\n  b}"),
        ("    indented", "{|indented}"),
        ("~~~~\n```\n~~~~", "{|```}"),
        ("[a **b**](https://x.org)", "Lhttps://x.org[a B[b]]"),
        ("![alt](https://x.org/i.png)", "Lhttps://x.org/i.png[alt]"),
        ("[![alt](https://i.org)](https://x.org)", "Lhttps://x.org[alt]"),
        ("[](https://x.org)", "Lhttps://x.org[https://x.org]"),
        ("[a](docs/b.md) [c](#d)", "a (docs/b.md) c"),
        ("<https://x.org>", "Lhttps://x.org[https://x.org]"),
        ("- a\n- b\n  1. c\n  2. d\n- e", "• a\n• b\n  1. c\n  2. d\n• e"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("- a\n\n  b\n\n- c", "• a\n\n  b\n\n• c"),
        ("- a\n  ```\n  x\n  ```\n- b", "• a\n{|x}\n• b"),
        ("> a\n> > b\n\nc", "(a\n\nb)\n\nc"),
        ("a\n\n***\n\nb", "a\n\n──────────\n\nb"),
        ("| a | bb |\n|---|---:|\n| *ccc* | d |", "{|a   | bb\n----|---\nccc |  d}"),
        ("<b>html</b> <!-- c -->", "<b>html</b> <!-- c -->"),
        ("&lt;b&gt; &copy;", "<b> ©"),
        ("<@U1> `<@U1>`", "M[<@U1>] C[<@U1>]"),
        ("[INFO]: started", "[INFO]: started"),
        ("#", "#"),
        ("", ""),
    ],
)
def test_each_construct_of_markdown_becomes_marks_and_blocks(markdown: str, expected: str) -> None:
    assert shown(markdown) == expected


@pytest.mark.parametrize(
    "text",
    [
        "snake_case_name and __init__.py_file",
        "2*3*4 and 2 * 3 * 4",
        "x**2 + y**2",
        "src/*.py and tests/*.py",
        "f(*args, **kwargs)",
        ":smile: 10:30:45",
        "a || b || c",
        "1.5 < 2 > 1 & so on",
    ],
)
def test_text_that_is_no_markup_stays_as_it_is(text: str) -> None:
    assert shown(text).replace("B[init]", "__init__") == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://x.org/_a_/b_c_d.", "https://x.org/_a_/b_c_d"),
        ("(https://x.org/a_(b))", "https://x.org/a_(b)"),
        ("**https://x.org/a*b**", "https://x.org/a*b"),
        ("HTTP://x.org/?q=1&r=~2, and", "HTTP://x.org/?q=1&r=~2"),
        ("https://x.org/a。", "https://x.org/a"),
    ],
)
def test_an_address_in_the_text_is_one_word(text: str, address: str) -> None:
    assert f"[{address}]" in shown(text)
    assert "I[" not in shown(text)


def test_an_address_in_a_label_is_no_link_in_the_link() -> None:
    assert shown("[https://a.org/_b_](https://c.org)") == "Lhttps://c.org[https://a.org/_b_]"
    assert shown("[a https://b.org](c.md)") == "a https://b.org (c.md)"


@pytest.mark.parametrize(
    "text", ["> " * 300 + "deep", "".join(" " * 2 * n + "- a\n" for n in range(100)) + " " * 200 + "- deep"]
)
def test_what_is_nested_too_deep_is_shown_and_not_dropped(text: str) -> None:
    assert "deep" in shown(text)


def test_a_table_of_one_long_cell_does_not_fill_all_its_rows() -> None:
    rows = 200
    table = "|a|\n|-|\n|" + "x" * 5_000 + "|\n" + "|b|\n" * rows
    assert len(shown(table)) < 5_000 + 50 * (rows + 5)


def test_wide_characters_take_two_columns_of_a_table() -> None:
    assert shown("|a|b|\n|-|-|\n|漢字|c|\n|e\u0301|d|") == "{|a    | b\n-----|--\n漢字 | c\ne\u0301    | d}".replace(
        "-----|--", "-----|--"
    )


@given(st.text(alphabet=st.sampled_from("ab *_~`[]()<>!#-|\n>1.\\&:/") | st.characters(), max_size=120))
@settings(max_examples=150, deadline=None)
def test_any_text_renders_and_only_blank_text_to_nothing(text: str) -> None:
    assert bool(shown(text).strip()) >= bool(re.search(r"\w", text))


@given(st.lists(st.lists(st.sampled_from([Mark("bold"), Mark("italic"), Mark("link", "x")]), unique=True, max_size=3)))
@settings(max_examples=100, deadline=None)
def test_marks_are_balanced_and_nested(formats: list[list[Mark]]) -> None:
    stack: list[Mark] = []
    for ended, begun, run in nested([Run("a", tuple(marks)) for marks in formats]):
        for mark in ended:
            assert stack.pop() == mark
        stack += begun
        assert tuple(stack) == (run.marks if run else ())
