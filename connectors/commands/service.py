"""`connectors service install|uninstall|print`."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import error_line, say

if TYPE_CHECKING:
    from connectors.base.service import Plan

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", metavar="NAME", help="The service's name.")]
System = Annotated[bool, typer.Option("--system", help="For the whole machine, from boot on. Default: for you.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="USER", help="With --system: run as. Default: the home's owner.")
]
For = Annotated[Literal["systemd", "launchd"] | None, typer.Option("--for", help="Default: what this machine has.")]
_NAME = "mailbox-connectors"


@app.command()
def install(
    seed_home: SeedHome = HERE,
    name: Name = _NAME,
    system: System = False,
    user: User = None,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Also start it, now and from now on.")] = True,
) -> None:
    """Write the service's definition and start it."""
    from connectors.base import service

    plan = _plan(seed_home, name, system=system, user=user)
    service.install(plan, start=start)
    say(f"wrote {plan.path}")
    if not start:
        for command in plan.start:
            say(f"start it: {' '.join(command)}")
    elif plan.kind == "systemd":
        say(f"started; its log: journalctl {'' if system else '--user '}-u {name}")
    if plan.kind == "systemd" and not system:
        say(f"so that it runs while you are logged out: loginctl enable-linger {getpass.getuser()}")


@app.command()
def uninstall(seed_home: SeedHome = HERE, name: Name = _NAME, system: System = False) -> None:
    """Stop the service and delete its definition. The home stays as it is."""
    from connectors.base import service

    plan = _plan(seed_home, name, system=system)
    for complaint in service.uninstall(plan):
        error_line(complaint)
    say(f"deleted {plan.path}")


@app.command("print")
def print_(
    seed_home: SeedHome = HERE, name: Name = _NAME, system: System = False, user: User = None, kind: For = None
) -> None:
    """Print the definition; nothing is written."""
    plan = _plan(seed_home, name, system=system, user=user, kind=kind)
    print(plan.text, end="")


def _plan(
    seed_home: Path,
    name: str,
    *,
    system: bool,
    user: str | None = None,
    kind: Literal["systemd", "launchd"] | None = None,
) -> Plan:
    from connectors.base.config import load
    from connectors.base.service import plan

    home = home_of(seed_home)
    group = load(home).group if home.config_file.exists() else None
    return plan(home, name, kind=kind, system=system, user=user, group=group)
