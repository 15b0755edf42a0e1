"""`connectors run`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, SeedHome, home_of


def run(
    seed_home: SeedHome = HERE,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing runs any more, also for want of a correct configuration.")
    ] = False,
    logs: Annotated[
        bool | None,
        typer.Option(
            "--logs/--no-logs",
            help="Show what the connectors log, on stderr. Default: unless a connector has the terminal or the pipe.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """On a terminal the first cli connector is a chat. With a pipe on stdin its lines are messages, the replies are
    printed, and the program ends with the input. Verdicts and problems go to stderr.

    A saved change of connectors.yml or .env is carried out at once. SIGHUP reads them again, SIGTERM or Ctrl-C stops.
    """
    from connectors.base.manager import ConnectorManager

    home = home_of(seed_home)
    try:
        manager = ConnectorManager.from_config(home.config_file, home.root)
    except FileNotFoundError:
        raise ConfigError(f"there is no {home.config_file}", hint="connectors init makes one") from None
    # Under a chat the log lines would tear what is being typed.
    echo = None if logs is False else _echo
    raise typer.Exit(manager.start(once=once, say=_say, echo=echo, quiet_under_chat=logs is None))


def _say(line: str) -> None:
    _write(line)


def _echo(instance: str, line: str) -> None:
    _write(f"{instance} | {line}")


def _write(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        return  # the terminal is gone; the log files have it too
