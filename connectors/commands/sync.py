"""`connectors sync`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import error_line, print_json, say


def sync(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME[/FEED]", help="This source only, or one of its feeds.", show_default=False),
    ] = None,
    seed_home: SeedHome = HERE,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for all of them.")
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """All sources of connectors.yml, or one, whatever their schedule says. Each must be running. Prints what came: new
    records, revised ones, and those that are as they were. Exit code 1 when any of them failed.
    """
    from connectors.parts.syncing import sources
    from connectors.parts.syncing import sync as ask

    home = home_of(seed_home)
    instance, _, feed = (name or "").partition("/")
    names = sources(home, instance or None)
    ended = []
    for one in ask(home, names, wait, feed=feed):
        ended.append(one)
        if as_json:
            continue
        if one.ok:
            say(f"{one.label}: {_counts(one.result)}")
            for problem in one.result.get("problems") or []:
                say(f"  could not be read: {problem}")
        else:
            text = one.error if one.label in one.error else f"{one.label}: {one.error}"
            error_line(text, one.hint)
    if as_json:
        print_json([asdict(one) for one in ended])
    elif not ended and sys.stdout.isatty():
        say("there are no sources")
    if not all(one.ok for one in ended):
        raise typer.Exit(1)


def _counts(result: dict[str, Any]) -> str:
    said = ", ".join(f"{result.get(what, 0)} {what}" for what in ("new", "revised", "unchanged"))
    return f"{said}, in {result.get('seconds', 0):.1f} s"
