"""Long texts in parts that a platform takes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base.split import Unit, split_text

PIECES = st.sampled_from(
    ["a", "word ", "Ends. ", "\n", "\n\n", "```", "```py\n", "\n```\n", "~~~\n", "````\n", "  ", "é", "😀", "e\u0301"]
)
TEXTS = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=200)
UNITS: st.SearchStrategy[Unit] = st.sampled_from(["characters", "utf16", "bytes"])


def size(text: str, unit: Unit = "characters") -> int:
    if unit == "bytes":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 if unit == "utf16" else len(text)


def compact(text: str) -> str:
    return "".join(text.split())


def without_fences(text: str) -> str:
    return compact(re.sub(r"(?m)^[ \t]*(?:```|~~~).*$", "", text))


@given(text=TEXTS, limit=st.integers(8, 60), unit=UNITS)
@settings(max_examples=300, deadline=None)
def test_every_part_fits_and_nothing_but_white_space_is_lost(text: str, limit: int, unit: Unit) -> None:
    parts = split_text(text, limit, unit)
    assert parts
    assert all(size(part, unit) <= limit for part in parts)
    assert all(part.strip() for part in parts) or len(parts) == 1
    if not re.search("```|~~~", text) and text.strip():
        assert compact("".join(parts)) == compact(text)


@given(
    blocks=st.lists(
        st.tuples(
            st.sampled_from(["```", "````", "~~~", "~~~~"]), st.sampled_from(["", "py", "sh x"]), st.integers(1, 30)
        ),
        min_size=1,
        max_size=4,
    ),
    limit=st.integers(60, 200),
)
@settings(max_examples=150, deadline=None)
def test_code_stays_code_in_every_part_and_text_stays_text(blocks: list[tuple[str, str, int]], limit: int) -> None:
    text = "\n\n".join(
        "text and more text\n" + f"{mark}{info}\n" + "".join(f"code {line}\n" for line in range(lines)) + mark
        for mark, info, lines in blocks
    )
    parts = split_text(text, limit)
    assert all(size(part) <= limit for part in parts)
    assert without_fences("\n".join(parts)) == without_fences(text)
    for part in parts:
        inside = ""
        for line in part.split("\n"):
            if fence := re.match(r"(```+|~~~+)(.*)", line):
                inside = "" if inside and fence[1] == inside else fence[1]
            elif line:
                assert line.startswith("code") == bool(inside), part
        assert not inside, part


@given(text=TEXTS, limit=st.integers(12, 60))
@settings(max_examples=200, deadline=None)
def test_every_part_measures_at_most_the_limit(text: str, limit: int) -> None:
    # As markup does: some of it is not seen, and some takes more room than in the text.
    def measure(part: str) -> int:
        return len(part.replace("`", "").replace("a", "").replace("😀", "four"))

    parts = split_text(text, limit, "characters", measure)
    assert parts
    assert all(measure(part) <= limit for part in parts)
    if not re.search("```|~~~", text) and text.strip():
        assert compact("".join(parts)) == compact(text)


def test_a_text_that_fits_is_not_touched() -> None:
    assert split_text(" as it is \n", 11) == [" as it is \n"]
    assert split_text("", 5) == [""]
    assert split_text("a" * 30, 10, measure=lambda part: len(part) // 3) == ["a" * 30]


def test_blank_text_is_one_empty_part_and_blank_parts_are_left_out() -> None:
    assert split_text(" " * 30, 10) == [""]
    assert split_text("\n" * 30 + "a" + "\n" * 30, 10) == ["a"]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("one two\nthree\n\nfour five six", 20, ["one two\nthree", "four five six"]),
        ("one two three\nfour. Five", 20, ["one two three", "four. Five"]),
        ("One two. Three four five", 15, ["One two.", "Three four five"]),
        ('He said "No." Then he went', 20, ['He said "No."', "Then he went"]),
        ("一二三。四五六七", 6, ["一二三。", "四五六七"]),
        ("one two three", 12, ["one two", "three"]),
        ("one two three", 13, ["one two three"]),
        ("abcdefghij", 8, ["abcdefgh", "ij"]),
        ("aaaa bbb\n    indented", 14, ["aaaa bbb", "    indented"]),
    ],
)
def test_paragraphs_are_preferred_to_lines_lines_to_sentences_and_those_to_words(
    text: str, limit: int, parts: list[str]
) -> None:
    assert split_text(text, limit) == parts


@pytest.mark.parametrize("word", ["#", "-", "```", "1.", ">"])
def test_a_part_does_not_begin_with_a_word_that_would_be_markup_there(word: str) -> None:
    assert split_text(f"one two three {word} four", 14)[0] == "one two"
    assert split_text("one two three 4 four", 14)[0] == "one two three"


@pytest.mark.parametrize("fence", ["```", "```python", "~~~", "~~~~ yaml x", "`````sh", "  ```js", "~~~~~~~~~~~~ x"])
def test_a_code_fence_is_closed_and_opened_again_as_it_was(fence: str) -> None:
    closing = re.match(r"\s*(`+|~+)", fence)[0]  # type: ignore[index]
    code = "\n".join(f"line {number}" for number in range(20))
    parts = split_text(f"before\n{fence}\n{code}\n{closing}\nafter", 80)
    assert len(parts) > 2
    assert parts[0].startswith(f"before\n{fence}\n")
    assert all(part.startswith(f"{fence}\n") for part in parts[1:])
    assert all(part.endswith(f"\n{closing}") for part in parts[:-1])
    assert parts[-1].endswith(f"\n{closing}\nafter")
    assert [line for part in parts for line in part.split("\n") if line.startswith("line")] == code.split("\n")


def test_a_shorter_or_other_fence_in_code_does_not_end_it() -> None:
    code = "\n".join(["```", "~~~~", "````` no end", "x"] * 8)
    parts = split_text(f"````md\n{code}\n````", 60)
    assert len(parts) > 1
    assert all(part.startswith("````md\n") and part.endswith("\n````") for part in parts)


def test_code_that_fits_into_one_part_is_not_cut() -> None:
    code = "```\n" + "line\n\n" * 6 + "```"
    assert split_text(f"{'word ' * 9}\n{code}", 75) == [("word " * 9).strip(), code]


def test_a_fence_that_ends_at_the_cut_is_not_opened_again() -> None:
    code = "```\n" + "a" * 12
    assert split_text(f"{code}\n``````\nafter text", 20) == [f"{code}\n```", "after text"]


def test_the_fence_of_a_list_that_is_not_opened_again_ends_where_it_did() -> None:
    code = "\n".join(f"      line {number}" for number in range(12))
    parts = split_text(f"- a\n  - b\n      ```yaml\n{code}\n      ```\n\ntext after", 90)
    assert all(part.startswith("```yaml\n") for part in parts[1:])
    assert parts[-1].endswith("\n```\n\ntext after")


def test_blank_lines_and_indentation_in_code_are_kept() -> None:
    code = "def a():\n    return 1\n\n\ndef b():\n    return 2"
    parts = split_text(f"```\n{code}\n```", 40)
    assert "\n".join(re.sub(r"^```\n|\n```$", "", part) for part in parts) == code


def test_no_room_is_kept_for_a_fence_where_none_is_open() -> None:
    assert split_text("a" * 40, 20) == ["a" * 20, "a" * 20]


def test_a_fence_too_long_for_the_limit_is_left_out() -> None:
    parts = split_text("```" + "x" * 30 + "\n" + "code " * 20, 10)
    assert all(len(part) <= 10 for part in parts)


@pytest.mark.parametrize(("unit", "count"), [("characters", 1), ("utf16", 2), ("bytes", 4)])
def test_the_limit_is_in_the_platforms_unit_and_no_character_is_cut(unit: Unit, count: int) -> None:
    parts = split_text("😀" * 10, 10, unit)
    assert "".join(parts) == "😀" * 10
    assert len(parts) >= count
    assert split_text("😀😀", 1, unit)[-1] == "😀"


@pytest.mark.parametrize(
    ("character", "limit"),
    [("👨\u200d👩\u200d👧", 12), ("e\u0301\u0323", 7), ("❤\ufe0f", 5), ("👍🏽", 5), ("🇩🇪", 5), ("\r\n", 5), ("각", 5)],
)
def test_what_is_seen_as_one_character_stays_whole(character: str, limit: int) -> None:
    text = f"x{character * 9}"
    parts = split_text(text, limit)
    assert compact("".join(parts)) == compact(text)
    assert all((len(part) - part.count("x")) % len(character) == 0 for part in parts if part.strip())


def test_a_character_that_never_ends_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 500
    parts = split_text(text, 100)
    assert "".join(parts) == text
    assert all(len(part) <= 100 for part in parts)


def test_markup_that_is_not_seen_lets_a_part_be_longer() -> None:
    text = "[ab](https://example.org) " * 40
    parts = split_text(text, 60, measure=lambda part: len(re.sub(r"\[(\w+)\]\([^)]*\)", r"\1", part)))
    assert max(map(len, parts)) > 60
    assert compact("".join(parts)) == compact(text)


@pytest.mark.parametrize(
    "text", ["word " * 200_000, "x" * 1_000_000, "```\nline\n" * 110_000, "[a](https://x.org) " * 50_000]
)
def test_a_megabyte_is_measured_a_bounded_number_of_times(text: str) -> None:
    measured = 0

    def measure(part: str) -> int:
        nonlocal measured
        measured += len(part)
        return len(re.sub(r"\(\S*\)", "", part))

    parts = split_text(text, 4_000, measure=measure)
    assert len(parts) > 50
    assert measured <= 12 * len(text)


def test_a_measure_that_nothing_satisfies_still_ends() -> None:
    assert "".join(split_text("abc" * 5, 4, measure=lambda part: 99)) == "abc" * 5


def test_splitting_loads_no_parser() -> None:
    program = "import sys, connectors.base.split; print('markdown_it' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
