"""`connectors env`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import error_line, print_json, say, table

if TYPE_CHECKING:
    from connectors.base.needs import Need


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
    from connectors.commands.onboarding import show_need

    home = home_of(seed_home, new=type_name is not None)
    needs = Needs(home)
    found = needs.of_home() if type_name is None else needs.of_type(type_name)
    if as_json:
        print_json([{**asdict(need), "help": need.help, "set": bool(need.source)} for need in found])
    elif not found:
        say("no variables are needed")
    elif sys.stdout.isatty():
        for need in found:
            facts = [need.place, f"in {need.source}" if need.source else ""]
            show_need(need, f" ({', '.join(filter(None, facts))})" if any(facts) else "")
    else:
        table((), [(need.mark, need.variable, need.place, need.source, _text(need)) for need in found])
    for name, why in needs.unknown.items():
        error_line(f'the variables of type "{name}" are not known: {why}')
    if needs.unknown or not all(need.met for need in found):
        raise typer.Exit(1)


def _text(need: Need) -> str:
    return " ".join(filter(None, (need.description, need.help)))
