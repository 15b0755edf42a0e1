"""`connectors restart`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.base.control import request
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import say


def restart(
    name: Annotated[str | None, typer.Argument(help="The connector; without it all of them.")] = None,
    seed_home: SeedHome = HERE,
) -> None:
    """Also starts what was stopped, has ended, or had been given up. The manager itself goes on."""
    request(home_of(seed_home), "restart", name, timeout_s=20)
    say(f"{name or 'all connectors'} restarted")
