"""`connectors nack`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, As, SeedHome, home_of


def nack(
    event: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    name: As,
    seed_home: SeedHome = HERE,
    delay: Annotated[float, typer.Option("--delay", metavar="SECONDS", min=0, help="Hand it out again so late.")] = 0,
) -> None:
    """It is handed out again, to whoever asks next. Fails when the claim was lost meanwhile."""
    from connectors.base.mailbox import Mailbox

    with Mailbox(home_of(seed_home)) as mailbox:
        mailbox.nack(event, as_=name, delay_s=delay)
