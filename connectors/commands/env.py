"""`connectors env`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import error_line, print_json, say, table


def env(
    type_name: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="What this type could need, in connectors.yml or not.")
    ] = None,
    seed_home: SeedHome = HERE,
    as_json: AsJson = False,
) -> None:
    """Shows whether each is set and where its value comes from, never the value. ✗: missing; -: may be missing. Exit
    code 1 when one is missing. In a pipe: set, variable, instance, option, where it is set, description, help.
    """
    from connectors.base.needs import Needs

    home = home_of(seed_home, new=type_name is not None)
    needs = Needs(home)
    found = needs.of_home() if type_name is None else needs.of_type(type_name)
    if as_json:
        print_json([{**asdict(need), "set": bool(need.source)} for need in found])
    elif not found:
        say("no variables are needed")
    else:
        table(
            ("", "VARIABLE", "FOR", "SET IN", "WHAT IT IS"),
            [
                (
                    "✓" if need.source else "✗" if need.required else "-",
                    need.variable,
                    f"{need.instance}.{need.option}" if need.instance else need.option,
                    need.source,
                    " ".join(filter(None, (need.description, need.help))),
                )
                for need in found
            ],
            ["green" if need.source else "red" if need.required else "" for need in found],
        )
    for name, why in needs.unknown.items():
        error_line(f'the variables of type "{name}" are not known: {why}')
    if needs.unknown or not all(need.met for need in found):
        raise typer.Exit(1)
