"""A finding, and what every check is given."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.settings import Config

#: So many files are named one by one; of more, the number.
MOST_NAMED = 20


class Level(StrEnum):
    ERROR = "error"  #: something does not work, or a secret is open
    WARNING = "warning"  #: it may go wrong, or waits for a person
    INFO = "info"  #: worth knowing


@dataclass(frozen=True)
class Finding:
    """One thing. `where` is a path or a place in a file; `fix` a command, or what to do; `facts` are for programs."""

    level: Level
    area: str
    what: str
    where: str
    fix: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """One examination: `config` with its options checked, `now` in seconds since 1970."""

    home: Home
    config: Config
    now: float

    def instances(self) -> list[str]:
        """The configured ones, disabled and broken ones included."""
        broken = {problem.instance for problem in self.config.problems if problem.instance}
        return sorted({entry.name for entry in self.config.entries} | broken)

    def owner(self) -> int:
        """The user whom the home belongs to, and who should run the connectors. FileNotFoundError without a home."""
        return (self.home.state if self.home.state.exists() else self.home.root).stat().st_uid

    def folders(self, parent: Path) -> list[Path]:
        """Its folders whose names can be instances'."""
        return [Path(e.path) for e in entries(parent) if INSTANCE_NAME.match(e.name) and is_folder(e)]


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing where there is none."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def kind_of(mode: int) -> str:
    """What something is that is no regular file."""
    for test, word in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return word
    return "a device"


def one_by_one(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first MOST_NAMED; then how many more there are."""
    found = list(findings)
    yield from found[:MOST_NAMED]
    if len(found) > MOST_NAMED:
        first = found[0]
        yield Finding(first.level, first.area, f"and {len(found) - MOST_NAMED} more of these", first.where, first.fix)


def shell(*words: object) -> str:
    """A command line that can be pasted."""
    return " ".join(shlex.quote(os.fspath(word) if isinstance(word, os.PathLike) else str(word)) for word in words)


def names(paths: list[Path], home: Home) -> str:
    """A few paths below the home, for people."""
    shown = ", ".join(str(path.relative_to(home.root)) for path in paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"


def count(number: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def user_name(uid: int) -> str:
    """A user's name; the number of one who has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
