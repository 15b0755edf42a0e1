"""`connectors chat`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, SeedHome, home_of


def chat(
    name: Annotated[str, typer.Argument(help="The instance of type cli.")] = "cli",
    seed_home: SeedHome = HERE,
) -> None:
    """Lines that you type are messages; what comes back is shown. Ends with Ctrl-D. Works with a pipe, too."""
    from connectors.base.home import check_name
    from connectors.cli.chat import attach

    home = home_of(seed_home)
    attach(home.state_dir(check_name(name)))
