"""Long texts in parts that a platform takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.split import Unit, split_text


def size(text: str, unit: Unit) -> int:
    if unit == "bytes":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 if unit == "utf16" else len(text)


@given(
    text=st.text(alphabet=st.sampled_from("ab \n`é😀")) | st.text(max_size=300),
    limit=st.integers(8, 60),
    unit=st.sampled_from(["characters", "utf16", "bytes"]),
)
def test_every_part_fits_and_nothing_but_line_breaks_is_lost(text: str, limit: int, unit: Unit) -> None:
    parts = split_text(text, limit, unit)
    assert all(size(part, unit) <= limit for part in parts)
    assert parts
    if "```" not in text:
        kept = "".join(parts)
        assert kept.replace("\n", "") == text.replace("\n", "")
        assert len(text) - len(kept) <= len(parts) - 1


def test_a_text_that_fits_is_not_touched() -> None:
    assert split_text(" as it is \n", 11) == [" as it is \n"]
    assert split_text("", 5) == [""]


def test_paragraphs_are_preferred_to_lines_and_lines_to_words() -> None:
    assert split_text("one two\nthree\n\nfour five six", 20) == ["one two\nthree", "\nfour five six"]
    assert split_text("one two three\nfour five", 18) == ["one two three", "four five"]
    assert split_text("one two three", 12) == ["one two ", "three"]
    assert split_text("abcdefghij", 8)[0].startswith("abcd")


def test_a_code_fence_is_closed_and_opened_again_with_its_language() -> None:
    code = "\n".join(f"line {number}" for number in range(20))
    parts = split_text(f"before\n```python\n{code}\n```\nafter", 80)
    assert len(parts) > 2
    for part in parts:
        assert part.count("```") % 2 == 0, part
    assert all(part.startswith("```python\n") for part in parts[1:-1])
    assert [line for part in parts for line in part.split("\n") if line.startswith("line")] == code.split("\n")


@pytest.mark.parametrize(("unit", "count"), [("characters", 1), ("utf16", 2), ("bytes", 4)])
def test_the_limit_is_in_the_platforms_unit_and_no_character_is_cut(unit: Unit, count: int) -> None:
    parts = split_text("😀" * 10, 10, unit)
    assert "".join(parts) == "😀" * 10
    assert len(parts) >= count
