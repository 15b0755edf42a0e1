"""What several verbs take, declared once."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.base.home import Home, Modes

SeedHome = Annotated[
    Path,
    typer.Option(
        "--seed-home",
        metavar="FOLDER",
        envvar="MAILBOX_HOME",
        help="Folder of connectors.yml and messages/.",
        show_default=True,
    ),
]
HERE = Path()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="The reader's name.")]
Instance = Annotated[
    str | None, typer.Option("--instance", metavar="NAME", help="The instance, where several have this id.")
]


def home_of(path: Path, *, new: bool = False) -> Home:
    """The home in this folder, with the modes that its messages/ has.

    ConfigError where there is none, unless it may be `new`: a verb in the wrong folder must not make one.
    """
    home = Home(path)
    if not new and not any(p.exists() for p in (home.config_file, home.messages, home.state)):
        raise ConfigError(
            f"{home.root} is no home: it has neither connectors.yml nor messages/",
            hint="name it with --seed-home FOLDER, or make one: connectors init",
        )
    return Home(path, _modes(home))


def kinds_of(text: str | None) -> frozenset[str] | None:
    """`message,command` as a set; None for `all`. Raises ConfigError for a kind that is none."""
    if text is None or text == "all":
        return None
    from typing import get_args

    from connectors.base.message import Kind
    from connectors.base.problems import did_you_mean, nearest

    known = get_args(Kind)
    found = [kind.strip() for kind in text.split(",") if kind.strip()]
    for kind in found:
        if kind not in known:
            near = did_you_mean(nearest(kind, known))
            raise ConfigError(f'there is no kind "{kind}"{near}', hint=f"all, or some of: {', '.join(known)}")
    return frozenset(found)


def text_of(text: str) -> str:
    """The argument itself; for `-` what comes on stdin, less one final newline."""
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode("utf-8", "backslashreplace").removesuffix("\n")


def _modes(home: Home) -> Modes:
    """`group:` of connectors.yml shows on the folder that the connectors made: no need to read the file for that."""
    try:
        status = home.inbox.stat()
    except OSError:
        return Modes()
    shared = status.st_mode & stat.S_ISGID and status.st_mode & 0o070 == 0o070
    return Modes.for_group(status.st_gid) if shared else Modes()
