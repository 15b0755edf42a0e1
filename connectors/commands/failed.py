"""`connectors failed list|show|retry|drop`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.base.errors import ConfigError, ConnectorError
from connectors.base.home import Home
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import age, count, error_line, print_json, prose, say, table

if TYPE_CHECKING:
    from connectors.base.failed import DeadLetter

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_ID = typer.Argument(metavar="ID", help="Its key, id or file name; the beginning is enough.", show_default=False)
Instance = Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Only those of this instance.")]
Kind = Annotated[str | None, typer.Option("--class", metavar="CLASS", help="Only those with this class of reason.")]
All = Annotated[bool, typer.Option("--all", help="All of them, or all that the filters leave.")]


@app.command("list")
def list_(seed_home: SeedHome = HERE, instance: Instance = None, kind: Kind = None, as_json: AsJson = False) -> None:
    """List what was not sent or was given up, the newest last."""
    from connectors.base.failed import choose, dead_letters

    letters = choose(dead_letters(home_of(seed_home)), instance=instance, kind=kind)
    if as_json:
        print_json([letter.to_dict() for letter in letters])
        return
    if not letters and sys.stdout.isatty():
        say("no dead letters")
        return
    shortened = table(
        ("KEY", "FAILED", "INSTANCE", "CLASS", "REASON"),
        [
            (letter.key or letter.file, age(letter.failed_at), letter.instance or "-", letter.kind, _why(letter))
            for letter in letters
        ],
        one_line=True,
    )
    if shortened:
        say("all of it: connectors failed show KEY")


@app.command()
def show(wanted: Annotated[str, _ID], seed_home: SeedHome = HERE, as_json: AsJson = False) -> None:
    """Show one: why it failed, what to do, and its content."""
    from connectors.base.failed import find

    letter = find(home_of(seed_home), wanted)
    content = letter.path.read_bytes()[:100_000].decode("utf-8", "backslashreplace")
    if as_json:
        print_json({**letter.to_dict(), "content": content})
        return
    say(f"file:      {letter.path}")
    for label, name in (("key", "key"), ("id", "id"), ("instance", "connector_instance"), ("attempts", "attempts")):
        if letter.reason.get(name):
            say(f"{label + ':':<11}{letter.reason[name]}")
    say(f"failed:    {age(letter.failed_at)} ago ({letter.failed_at})")
    say(f"class:     {letter.kind}")
    prose("reason:    ", _why(letter))
    if letter.reason.get("hint"):
        prose("hint:      ", str(letter.reason["hint"]))
    say()
    say(content.removesuffix("\n"))


@app.command()
def retry(
    wanted: Annotated[str | None, _ID] = None,
    seed_home: SeedHome = HERE,
    everything: All = False,
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="NAME", help="With --all: only of this one. Else: where to.")
    ] = None,
    kind: Kind = None,
) -> None:
    """Send it again, from the first part that is not sent.

    What an agent gave up goes back to the inbox.
    """
    from connectors.base.failed import retry as put_back

    home = home_of(seed_home)
    failed = 0
    for letter in _chosen(home, wanted, everything=everything, instance=instance, kind=kind):
        try:
            say(str(put_back(home, letter, None if everything else instance)))
        except FileNotFoundError:
            continue  # somebody else was faster
        except ConnectorError as error:
            if not everything:
                raise
            error_line(str(error), error.hint)
            failed += 1
    if failed:
        raise typer.Exit(1)


@app.command()
def drop(
    wanted: Annotated[str | None, _ID] = None,
    seed_home: SeedHome = HERE,
    everything: All = False,
    instance: Instance = None,
    kind: Kind = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")] = False,
) -> None:
    """Delete it for good, with its reason."""
    from connectors.base.failed import drop as delete

    home = home_of(seed_home)
    letters = _chosen(home, wanted, everything=everything, instance=instance, kind=kind)
    if everything and letters and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{count(len(letters), 'dead letter')} would be deleted for good", hint="say so: --yes")
        typer.confirm(f"Delete {count(len(letters), 'dead letter')} for good?", abort=True, err=True)
    for letter in letters:
        delete(home, letter)
        say(f"dropped {letter.file}")


def _chosen(
    home: Home, wanted: str | None, *, everything: bool, instance: str | None, kind: str | None
) -> list[DeadLetter]:
    from connectors.base.failed import choose, dead_letters, find

    if (wanted is None) == (not everything):
        raise ConfigError("name one dead letter, or say --all", hint="connectors failed list")
    if wanted is not None:
        return [find(home, wanted)]
    return choose(dead_letters(home), instance=instance, kind=kind)


def _why(letter: DeadLetter) -> str:
    return str(letter.reason.get("reason") or "there is no reason beside it")
