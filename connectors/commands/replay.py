"""`connectors replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, Instance, SeedHome, home_of
from connectors.commands.output import say


def replay(
    event: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    seed_home: SeedHome = HERE,
    instance: Instance = None,
) -> None:
    """Every reader gets it again. One that an agent gave up leaves messages/failed/; one that still waits stays."""
    from connectors.base.mailbox import Mailbox

    with Mailbox(home_of(seed_home)) as mailbox:
        say(str(mailbox.replay(event, instance)))
