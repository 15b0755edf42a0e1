"""`connectors add`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import say


def add(
    type_name: Annotated[str, typer.Argument(metavar="TYPE", help="What `connectors types` lists.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OPTION=VALUE", help="Options of the type; of a list of mappings, as feeds, NAME.OPTION=VALUE."
        ),
    ] = None,
    seed_home: SeedHome = HERE,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name. Default: the type's, with a number if that is taken."),
    ] = None,
) -> None:
    """Comments stay. A secret goes into .env: one that is required and not given gets a line there, to be filled in. A
    running manager starts the connector as soon as all is there.
    """
    from connectors.base.addition import add as append
    from connectors.commands.onboarding import show, show_step

    home = home_of(seed_home)
    given: dict[str, str] = {}
    for option in options or []:
        key, sign, value = option.partition("=")
        if not sign or not key:
            raise ConfigError(f'"{option}" is no OPTION=VALUE', hint=f"connectors types {type_name} lists the options")
        given[key] = value
    added = append(home, type_name, given, name)
    say(f"added to {home.config_file.name}:")
    say(added.text.removesuffix("\n"))
    if added.taken:
        say(f"its name is {added.name}: there is a connector {added.taken} already; --name NAME picks another")
    if added.fill:
        say(f"fill in {home.env_file.name}:")
    for fill in added.fill:
        show("✗", f"{fill.variable} — {fill.description}" if fill.description else fill.variable, fill.help)
    for step in added.steps:
        show_step(step, added.name)
