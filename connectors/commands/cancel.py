"""`connectors cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, Instance, SeedHome, home_of
from connectors.commands.output import say


def cancel(
    outgoing: Annotated[str, typer.Argument(metavar="ID", help="The outgoing's id, or its claim's key.")],
    seed_home: SeedHome = HERE,
    instance: Instance = None,
) -> None:
    """Exit code 1 when it is being sent, was sent, or is not known. Deleting its file in the outbox does the same."""
    from connectors.base.mailbox import Mailbox

    with Mailbox(home_of(seed_home)) as mailbox:
        mailbox.cancel(outgoing, instance)
    say(f"{outgoing} is cancelled")
