"""`connectors new`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import say


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The type's name, for example irc.")],
    seed_home: SeedHome = HERE,
) -> None:
    """Makes connectors/NAME/ in the home, where `type: NAME` is found at once, and tests/test_NAME.py, which fails
    until the connector does what every connector promises.
    """
    from connectors.base.scaffold import scaffold

    home = home_of(seed_home)
    for path in scaffold(home, name):
        say(f"made  {path.relative_to(home.root)}")
        test = path
    say(f"next: pytest {os.path.relpath(test, os.getcwd())}, then write send_message in connector.py")
