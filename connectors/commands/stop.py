"""`connectors stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.base.control import NotRunning, request
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import say


def stop(
    name: Annotated[str | None, typer.Argument(help="The connector; without it the manager ends.")] = None,
    seed_home: SeedHome = HERE,
) -> None:
    """Waits until it has stopped: 10 seconds at most. A connector that was stopped stays so until `restart`, or until
    the manager starts again.
    """
    home = home_of(seed_home)
    try:
        request(home, "stop", name, timeout_s=20)
    except NotRunning:
        if name is not None:
            raise
        say("no manager runs")
        return
    say(f"{name or 'the manager'} has stopped")
