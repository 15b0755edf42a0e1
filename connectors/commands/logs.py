"""`connectors logs`."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.base.logtail import Follower, Line, last_lines, sources
from connectors.base.problems import did_you_mean, nearest
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import print_json, say

#: Appending makes no event that a watch on the folder reports; this is how late a line may be shown.
_LOOK_EVERY_S = 0.25


def logs(
    name: Annotated[str | None, typer.Argument(help="A connector, or manager; without it all of them.")] = None,
    seed_home: SeedHome = HERE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="So many of the last lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Without a name the logs of all are merged by their times, each line behind the name of who logged it."""
    home = home_of(seed_home)
    known = sources(home)
    if name is not None and name not in known:
        raise ConfigError(
            f'there is no log of "{name}"{did_you_mean(nearest(name, known))}',
            hint=f"there are: {', '.join(known) or 'none yet'}",
        )
    follower = Follower(home, lambda: sources(home) if name is None else [name])
    try:
        _show(last_lines(home, known if name is None else [name], lines), alone=name is not None, as_json=as_json)
        pause = threading.Event()
        while follow:
            _show(list(follower.lines()), alone=name is not None, as_json=as_json)
            pause.wait(_LOOK_EVERY_S)
    finally:
        follower.close()


def _show(found: list[Line], *, alone: bool, as_json: bool) -> None:
    for line in found:
        if as_json:
            print_json({"source": line.source, "line": line.text}, indent=None)
        else:
            say(line.text if alone else f"{line.source} | {line.text}")
    if found:
        print(end="", flush=True)
