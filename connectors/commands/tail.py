"""`connectors tail`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, SeedHome, home_of, kinds_of
from connectors.commands.output import json_text, log_to_stderr


def tail(
    seed_home: SeedHome = HERE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what arrives.")] = False,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="A cursor: what it has not acknowledged.")
    ] = None,
    auto_ack: Annotated[
        bool, typer.Option("--auto-ack", help="Acknowledge each before it is printed. May lose events.")
    ] = False,
    kinds: Annotated[str | None, typer.Option("--kinds", metavar="LIST", help="Only these kinds of events.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Only of this instance.")] = None,
) -> None:
    """One event a line. Without --as: all that nobody has acknowledged. With --as: all that this cursor has not
    acknowledged (`connectors ack ID --as NAME`), whatever other readers do.
    """
    if auto_ack and name is None:
        raise ConfigError("--auto-ack needs a cursor", hint="give its name: --as NAME")
    from connectors.base.mailbox import Mailbox

    log_to_stderr(logging.WARNING)
    with Mailbox(home_of(seed_home)) as mailbox:
        for event in mailbox.tail(follow, name, auto_ack=auto_ack, kinds=kinds_of(kinds), instance=instance):
            print(json_text(event.data, indent=None), flush=follow)
