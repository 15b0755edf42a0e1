"""What is printed, and how."""

import json

import pytest

from connectors.commands.output import age, json_text, size, span, table

NOW = 1_800_000_000.0


@pytest.mark.parametrize("text", ["plain", "Grüße 🎉", "a\x1b[31mb", "\x9b31m", "\ud800", "\u202eabc", "\x00"])
def test_json_says_the_same_and_steers_no_terminal(text: str) -> None:
    shown = json_text({"text": text}, indent=None)

    assert json.loads(shown) == {"text": text}
    assert shown.isprintable()
    assert "Grüße 🎉" not in text or text in shown


def test_a_table_in_a_pipe_is_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "B"), [("x", 1), ("a\tb\n", "")])

    assert capsys.readouterr().out == "x\t1\na\\tb\\n\t-\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7000, "117 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_length_of_time_has_one_unit(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_ages_are_of_iso_times_and_of_seconds() -> None:
    assert age(NOW - 5, NOW) == "5 s"
    assert age("2027-01-15T08:00:00+00:00", NOW) == "0 s"
    assert age(NOW + 300, NOW) == "in 5 min"
    assert age(None) == age("soon") == "-"


def test_sizes_have_units() -> None:
    assert [size(number) for number in (0, 999, 1500, 25_000, 3_000_000, 2e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "25 kB",
        "3.0 MB",
        "2.0 TB",
    ]
