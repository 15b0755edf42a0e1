"""`connectors ack`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, As, SeedHome, home_of


def ack(
    event: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    name: As,
    seed_home: SeedHome = HERE,
) -> None:
    """For what `next` handed out, and for the cursors of `tail --as`. Fails when the claim was lost meanwhile."""
    from connectors.base.mailbox import Mailbox

    with Mailbox(home_of(seed_home)) as mailbox:
        mailbox.ack(event, as_=name)
