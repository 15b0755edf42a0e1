"""`connectors deny`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.approve import who
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import say


def deny(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Its id; the beginning is enough.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What the agent is told.")],
    seed_home: SeedHome = HERE,
) -> None:
    """The agent is told, and the same idempotency key gets the same answer. Exit code 1 as `approve`."""
    from connectors.parts.approvals import Approvals

    folder = Approvals(home_of(seed_home))
    request = folder.find(wanted)
    folder.decide(request, "deny", by=who(), why=why)
    say(f"denied {request.action} of {request.instance}")
