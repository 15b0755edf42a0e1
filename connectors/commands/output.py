"""What the verbs print: tables on a terminal, tab-separated lines in a pipe, JSON where asked for."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from connectors.base.logbook import visible

_STYLES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def colourful(stream: TextIO) -> bool:
    """Whether colour is wanted there: a terminal, and nobody said no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a colour, where colour is wanted."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and colourful(stream or sys.stdout) else text


def say(text: str = "") -> None:
    """One line, or several, for people. Control characters of foreign text never reach the terminal raw."""
    print(visible(text, keep="\n"))


def prose(label: str, text: str, style: str = "", *, most_lines: int = 0, stream: TextIO | None = None) -> None:
    """A sentence behind its label; on a terminal wrapped at words, the further lines below the first one's text.

    With `most_lines` it has at most so many there, and elsewhere exactly one. `stream`: default stdout.
    """
    stream = stream or sys.stdout
    terminal = stream.isatty()
    text = visible(text, keep="" if most_lines and not terminal else "\n")
    if terminal:
        text = _wrapped(label, text, most_lines)[len(label) :]
    print(paint(label, style, stream) + text, file=stream)


def _wrapped(label: str, text: str, most_lines: int) -> str:
    """A word that is longer than a line, a path mostly, stays whole to be copied where nothing is cut anyway."""
    import textwrap

    width, indent = _columns(), " " * len(label)
    wrap = textwrap.TextWrapper(
        width, subsequent_indent=indent, break_long_words=most_lines > 0, break_on_hyphens=False
    )
    lines: list[str] = []
    for number, line in enumerate(text.split("\n")):
        wrap.initial_indent = indent if number else label
        lines += wrap.wrap(line) if line.strip() else [label if not number else ""]
    if most_lines and len(lines) > most_lines:
        lines[most_lines - 1 :] = [lines[most_lines - 1][: width - 2] + " …"]
    return "\n".join(lines)


def cut(text: str, width: int) -> str:
    """The text, on a terminal cut to so many characters; whole elsewhere."""
    return f"{text[: width - 1]}…" if sys.stdout.isatty() and len(text) > width else text


def room(taken: int) -> int:
    """How many characters a line of the terminal has besides those."""
    return max(_columns() - taken, 8)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def error_line(text: str, hint: str = "") -> None:
    """`error: …` and, below it, what to do; on stderr."""
    prose("error: ", text, "red", stream=sys.stderr)
    if hint and hint not in text:
        prose("hint:  ", hint, stream=sys.stderr)


def json_text(data: Any, indent: int | None = 2) -> str:
    """JSON in which characters that steer a terminal, and lone surrogates, are escaped; others are as they are."""
    text = json.dumps(data, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":"), default=str)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\u200c\u200d" else _escaped(c) for c in text)


def print_json(data: Any, indent: int | None = 2) -> None:
    print(json_text(data, indent))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    styles: Sequence[str] | None = None,
    *,
    one_line: bool = False,
) -> bool:
    """Rows with a heading on a terminal; without one, and with tabs, elsewhere. `styles`: a colour for each row.

    What does not fit the terminal is cut; only the last column is folded, unless a row is to have `one_line`.
    Returns whether anything was cut.
    """
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(cell or "-" for cell in row))
        return False
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    natural = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    widths = fitting(natural, console.width)
    for column, width in zip(columns, widths, strict=True):
        folded = column is columns[-1] and not one_line
        grid.add_column(column, no_wrap=not folded, overflow="fold" if folded else "ellipsis", width=width)
    for number, row in enumerate(cells):
        grid.add_row(*map(Text, row), style=(styles[number] or None) if styles else None)
    console.print(grid)
    return (widths if one_line else widths[:-1]) != (natural if one_line else natural[:-1])


def fitting(widths: Sequence[int], columns: int) -> list[int]:
    """The widths of a table's columns on a terminal that is so wide: the widest gives way first, the last one of
    equals. Two spaces are between columns.
    """
    left = columns - 2 * (len(widths) - 1)
    found = [min(width, left) for width in widths]
    while sum(found) > max(left, len(found)):
        found[max(range(len(found)), key=lambda number: (found[number], number))] -= 1
    return found


def age(moment: object, now: float | None = None) -> str:
    """How long ago: `3 s`, `5 min`, `2 h`, `4 d`. `moment`: seconds since 1970, or ISO 8601; `-` when it is none."""
    at = _seconds(moment)
    if at is None:
        return "-"
    past = (datetime.now(UTC).timestamp() if now is None else now) - at
    return span(past) if past >= 0 else f"in {span(-past)}"


def span(seconds: float) -> str:
    """A length of time, in one unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def size(number: float) -> str:
    """Bytes, with a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def count(number: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show what the project logs, redacted, on stderr."""
    from connectors.base.logbook import set_up
    from connectors.base.secrets import Redactor

    set_up(Redactor())
    logging.getLogger().setLevel(level)


def _seconds(moment: object) -> float | None:
    if isinstance(moment, int | float):
        return float(moment)
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return None


def _escaped(c: str) -> str:
    code = ord(c)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
