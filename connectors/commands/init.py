"""`connectors init`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connectors.base.errors import Exit
from connectors.commands.arguments import HERE, SeedHome
from connectors.commands.output import error_line, prose, say

if TYPE_CHECKING:
    from connectors.base.home import Home


def init(
    types: Annotated[
        list[str] | None,
        typer.Argument(metavar="TYPE", help="Connectors to begin with, as `connectors add TYPE` adds them."),
    ] = None,
    seed_home: SeedHome = HERE,
) -> None:
    """connectors.yml with a cli connector and those that are named, .env for secrets (only you can read it), lines in
    .gitignore, and messages/README.md for agents. What is there stays as it is. Then it shows what the connectors need.
    """
    from connectors.base.home import Home
    from connectors.base.starting import begin

    home = Home(seed_home)
    for path, made in begin(home):
        say(f"{'made' if made else 'kept'}  {path.relative_to(home.root)}")
    all_added = _add(home, types or [])
    waits = _show_needs(home)
    again = f"fill in {home.env_file.name} and do the rest, then: " if waits else ""
    prose("next: ", f"{again}connectors run, or connectors add TYPE (connectors types lists them)")
    if not all_added:
        raise typer.Exit(Exit.CONFIG)


def _add(home: Home, types: list[str]) -> bool:
    """Whether all of them are there now. One that needs more than init can know keeps no other away."""
    from connectors.base.addition import add
    from connectors.base.errors import ConfigError
    from connectors.base.needs import Needs

    there = {entry.get("type") for entry in Needs(home).entries()}
    left = []
    for type_name in types:
        if type_name in there:
            continue
        try:
            say(f"added {add(home, type_name, {}).name} to {home.config_file.name}")
        except ConfigError as error:
            left.append(type_name)
            error_line(
                str(error), f"connectors add {type_name} OPTION=VALUE …: connectors types {type_name} lists them"
            )
    return not left


def _show_needs(home: Home) -> bool:
    """Every variable, and what else is left to do. Returns whether something required is missing."""
    from connectors.base.declaration import declaration_of
    from connectors.base.errors import ConfigError
    from connectors.base.needs import Needs
    from connectors.base.onboarding import steps_of
    from connectors.base.registry import load_class
    from connectors.commands.onboarding import show_need, show_step

    found = Needs(home)
    needs = [need for need in found.of_home() if need.required or need.source]
    for need in needs:
        show_need(need)
    waits = not all(need.met for need in needs)
    for entry in found.entries():
        try:
            declared = declaration_of(load_class(str(entry.get("type") or ""), home.root))
        except ConfigError:
            continue  # validate says why
        for step in steps_of(declared):
            show_step(step, str(entry.get("name") or ""))
            waits = waits or (step.done is False and step.required)
    return waits
