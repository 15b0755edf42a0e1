"""`connectors agent`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands.arguments import HERE, SeedHome, home_of, kinds_of
from connectors.commands.output import log_to_stderr

# The command's own options are not ours.
SETTINGS = {"allow_interspersed_args": False}


def agent(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The program and its arguments, after --.")],
    seed_home: SeedHome = HERE,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="The consumer's name.")] = "agent",
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=1000, help="How many run at a time.")] = 1,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="A run's time limit.")] = 300,
    kinds: Annotated[
        str, typer.Option("--kinds", metavar="LIST", help="Kinds of events, with commas between them; or all.")
    ] = "message,command,button",
    attempts: Annotated[
        int, typer.Option("--attempts", metavar="N", min=1, help="Runs of an event before it is given up.")
    ] = 5,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do.")] = False,
) -> None:
    """The event is on the command's stdin as JSON, its main fields are in MAILBOX_* variables. What the command prints
    is the reply: plain text, or one or more JSON outgoings; nothing is no reply. When it fails, or takes too long, it
    is run again after a growing wait; in the end the event goes to messages/failed/. Within a conversation the order
    is kept.

        connectors agent --jobs 4 -- ./answer.sh
    """
    from connectors.base.agent import AgentRunner, Terms

    terms = Terms(jobs=jobs, timeout_s=timeout, kinds=kinds_of(kinds), max_attempts=attempts, once=once)
    log_to_stderr()
    raise typer.Exit(AgentRunner(home_of(seed_home), command, name=name, terms=terms).run())
