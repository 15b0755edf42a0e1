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


def prose(label: str, text: str, style: str = "") -> None:
    """A sentence behind its label; on a terminal wrapped at words, the further lines below the first one's text."""
    text = visible(text, keep="\n")
    if sys.stdout.isatty():
        import shutil
        import textwrap

        width, indent = shutil.get_terminal_size().columns, " " * len(label)
        wrap = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines = []
        for number, line in enumerate(text.split("\n")):
            wrap.initial_indent = indent if number else label
            lines.append(wrap.fill(line) if line.strip() else line)
        text = "\n".join(lines)[len(label) :]
    print(paint(label, style) + text)


def error_line(text: str, hint: str = "") -> None:
    """`error: …` and, below it, what to do; on stderr."""
    label = paint("error:", "red", sys.stderr)
    print(f"{label} {visible(text, keep=chr(10))}", file=sys.stderr)
    if hint and hint not in text:
        print(f"hint:  {visible(hint, keep=chr(10))}", file=sys.stderr)


def json_text(data: Any, indent: int | None = 2) -> str:
    """JSON in which characters that steer a terminal, and lone surrogates, are escaped; others are as they are."""
    text = json.dumps(data, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":"), default=str)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\u200c\u200d" else _escaped(c) for c in text)


def print_json(data: Any, indent: int | None = 2) -> None:
    print(json_text(data, indent))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str] | None = None) -> None:
    """Rows with a heading on a terminal; without one, and with tabs, elsewhere. `styles`: a colour for each row."""
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(cell or "-" for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        # The last one takes what is left; names and numbers are never broken.
        grid.add_column(column, no_wrap=column is not columns[-1], overflow="fold")
    for number, row in enumerate(cells):
        grid.add_row(*map(Text, row), style=(styles[number] or None) if styles else None)
    Console(highlight=False).print(grid)


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
