"""`connectors explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connectors.base.logbook import visible
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import cut, error_line, paint, print_json, prose, room, say

if TYPE_CHECKING:
    from connectors.base.explain import Life

_WANTED = "An event's or an outgoing's id, key or file name; or a sender, conversation or instance."
#: Of one field, on a terminal; a pipe gets it whole.
_MOST_LINES = 4


def explain(
    wanted: Annotated[str, typer.Argument(metavar="ID", help=_WANTED)],
    seed_home: SeedHome = HERE,
    as_json: AsJson = False,
) -> None:
    """When it came, where it is now, who has it, every attempt, the receipt or the reason. For a sender, a conversation
    or an instance: what was not let in, and the key to edit. Exit code 1 when nobody knows the id.
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
    owner = f" of {visible(life.instance)}"
    print(cut(visible(life.id), room(len(life.what) + 1 + len(owner))) + owner)
    prose("  now: ", life.now, most_lines=_MOST_LINES)
    if life.path:
        say(f"  file: {life.path}")
    for label, value in life.facts.items():
        prose(f"  {label}: ", str(value), most_lines=_MOST_LINES)
    for moment in life.moments:
        at = moment.at.replace("T", " ").removesuffix("+00:00")[:23]
        prose(f"  {at or '-':<23}  ", moment.what, most_lines=_MOST_LINES)
    for answer in life.answers:
        say(f"  answered by {answer}: connectors explain {answer}")
