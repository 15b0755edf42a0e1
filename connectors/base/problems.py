"""What is wrong with a configuration: each problem with its place and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
#: Where in the data of a file: `("connectors", 0, "channels", 2)`.
DataPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One problem, which prints as one line:

        connectors.yml:7: slack-main: unknown option "chanels" (did you mean "channels"?)

    `line` counts from 1; 0 means the file as a whole. `instance` is the entry's name, None outside the
    entries. `text` holds no value of a variable.
    """

    file: str
    line: int
    instance: str | None
    text: str
    suggestion: str | None = None
    severity: Severity = "error"
    variable: str | None = None  #: the one that is missing, if that is the problem

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        who = f"{self.instance}: " if self.instance is not None else ""
        level = "warning: " if self.severity == "warning" else ""
        line = f"{place}: {level}{who}{self.text}{did_you_mean(self.suggestion)}"
        # Names and keys come from the file: a line break or an escape sequence must not reach the terminal.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def did_you_mean(suggestion: str | None) -> str:
    return f' (did you mean "{suggestion}"?)' if suggestion is not None else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most probably meant, if any is near."""
    lowered = {name.lower(): name for name in known}
    import difflib  # for whoever mistyped something; the others save its memory

    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None
