"""What is printed, and how."""

import json
from pathlib import Path

import pytest

from connectors.commands.output import age, fitting, json_text, size, span, table
from tests.commands.program import on_terminal

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


def test_on_a_terminal_the_widest_column_gives_way_first() -> None:
    assert fitting([4, 6, 3000], 80) == [4, 6, 66]
    assert fitting([200, 6, 3000], 80) == [35, 6, 35]
    assert fitting([64, 5, 5, 5], 80) == [59, 5, 5, 5]
    assert fitting([4, 6], 80) == [4, 6]


def test_a_long_name_does_not_push_the_other_columns_off_the_terminal(box: Path) -> None:
    (box / "connectors.yml").write_text(f"connectors:\n  - name: {'n' * 64}\n    type: cli\n")

    lines = on_terminal("status", home=box).splitlines()

    assert "NAME TYPE STATE SINCE PID RECEIVED SENT WAITING" in [" ".join(line.split()) for line in lines]
    assert any(line.startswith("nnnn") and "…" in line and "never started" in line for line in lines)


@pytest.mark.parametrize("verb", ["validate", "env", "types slack", "status", "doctor", "cancel nobody-knows-this-one"])
def test_on_a_terminal_what_is_wrong_is_wrapped_at_words(box: Path, verb: str) -> None:
    entries = "  - name: cli\n    type: clu\n  - name: two\n    type: cli\n    linger_s: soon\n"
    (box / "connectors.yml").write_text(f"connectors:\n{entries}alerts:\n  on: [crash]\n")

    lines = on_terminal(*verb.split(), home=box).splitlines()

    too_long = [line for line in lines if len(line) > 80 and not line.lstrip().startswith(("at:", "fix:"))]
    assert too_long == []
    assert len(lines) > 1
