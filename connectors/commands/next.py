"""`connectors next`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from connectors.commands.arguments import HERE, As, SeedHome, home_of, kinds_of
from connectors.commands.output import log_to_stderr, print_json


def next(  # noqa: A001 - the verb's name
    name: As,
    seed_home: SeedHome = HERE,
    lease: Annotated[
        float, typer.Option("--lease", metavar="SECONDS", min=1, help="So long it is yours; a touch begins anew.")
    ] = 300,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for one.")] = 0,
    kinds: Annotated[str | None, typer.Option("--kinds", metavar="LIST", help="Only these kinds of events.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Only of this instance.")] = None,
) -> None:
    """Nobody else gets it, nor another event of its conversation, until `ack`, `nack` or the lease's end; the file is
    in messages/claimed/NAME/ meanwhile. Exit code 1 when there is none.
    """
    from connectors.base.mailbox import Mailbox

    log_to_stderr(logging.WARNING)
    with Mailbox(home_of(seed_home)) as mailbox:
        claimed = mailbox.claim(name, wait_s=wait, lease_s=lease, kinds=kinds_of(kinds), instance=instance)
        if claimed is None:
            raise typer.Exit(1)
        print_json(claimed.event.data, indent=None)
