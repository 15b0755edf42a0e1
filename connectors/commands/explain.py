"""`connectors explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import error_line, paint, print_json, prose, say

if TYPE_CHECKING:
    from connectors.base.explain import Life

_TEXT_SHOWN = 300


def explain(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="An event's or an outgoing's id, key or file name.")],
    seed_home: SeedHome = HERE,
    as_json: AsJson = False,
) -> None:
    """When it came, where it is now, who has it, every attempt, the receipt or the reason. Exit code 1 when nobody
    knows the id.
    """
    from connectors.base.explain import explain as look

    lives, places = look(home_of(seed_home), wanted)
    if as_json:
        print_json([life.to_dict() for life in lives])
    for number, life in enumerate(() if as_json else lives):
        if number:
            say()
        _print(life)
    if not lives:
        if not as_json:
            error_line(f"nobody knows {wanted!r}", f"looked in {', '.join(places)}; ids are forgotten after a while")
        raise typer.Exit(1)


def _print(life: Life) -> None:
    print(paint(f"{life.what} ", "bold"), end="")
    say(f"{life.id} of {life.instance}")
    prose("  now: ", life.now)
    if life.path:
        say(f"  file: {life.path}")
    for label, value in life.facts.items():
        text = str(value)
        prose(f"  {label}: ", text if len(text) <= _TEXT_SHOWN else f"{text[:_TEXT_SHOWN]} …")
    for moment in life.moments:
        at = moment.at.replace("T", " ").removesuffix("+00:00")[:23]
        prose(f"  {at or '-':<23}  ", moment.what)
    for answer in life.answers:
        say(f"  answered by {answer}: connectors explain {answer}")
