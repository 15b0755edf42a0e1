"""`connectors approvals`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import age, error_line, json_text, print_json, prose, say, span, table

if TYPE_CHECKING:
    from connectors.parts.approvals import Approvals, Request


def approvals(
    wanted: Annotated[
        str | None, typer.Argument(metavar="ID", help="Show all of this one.", show_default=False)
    ] = None,
    seed_home: SeedHome = HERE,
    instance: Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Only this instance.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at all of one before you approve it: the list shows the beginning of its input. A request that was changed
    by somebody is named on stderr, and cannot be approved.
    """
    from connectors.parts.approvals import Approvals

    folder = Approvals(home_of(seed_home))
    if wanted is not None:
        request = folder.find(wanted)
        print_json(_row(folder, request)) if as_json else show(folder, request)
        return
    found, broken = folder.requests()
    for name, problem in broken.items():
        error_line(f"{folder.folder / name}: {problem}", "no connector of this home wrote it like that")
    rows = [_row(folder, request) for request in found if instance in (None, request.instance)]
    waiting = [row for row in rows if row["standing"] == "waiting"]
    if as_json:
        print_json(waiting)
    elif not waiting and sys.stdout.isatty():
        say("nothing waits for an approval")
    else:
        table(
            ("ID", "EXPIRES IN", "INSTANCE", "ACTION", "INPUT"),
            [
                (row["id"], span(row["expires_in_s"]), row["instance"], row["action"], json_text(row["input"], None))
                for row in waiting
            ],
            one_line=True,
        )


def show(folder: Approvals, request: Request) -> None:
    """All that a person must know to decide."""
    say(f"id:        {request.id}")
    say(f"action:    {request.action} of {request.instance} ({request.type}, version {request.version})")
    if request.description:
        prose("what:      ", request.description)
    said = [name.replace("_", " ") for name, value in request.hints.items() if value]
    say(f"hints:     {', '.join(said) or '-'}")
    say(f"asked:     {age(request.asked_at)} ago by {request.asked_by or '-'} (outgoing {request.outgoing})")
    if request.reply_to:
        say(f"answers:   {request.reply_to}")
    say(f"standing:  {folder.standing(request)}, expires {age(request.expires_at)}")
    say("input:")
    print(json_text(request.input))


def _row(folder: Approvals, request: Request) -> dict[str, Any]:
    left = round(request.expires_at - time.time())
    return {**request.to_dict(), "standing": folder.standing(request), "expires_in_s": left}
