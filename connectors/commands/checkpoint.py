"""`connectors checkpoint show|reset|set`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of, text_of
from connectors.commands.output import print_json, say

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(metavar="NAME[/FEED]", help="The source; of one with feeds: which one, as in news/lwn.")
]


@app.command()
def show(name: Name, seed_home: SeedHome = HERE, as_json: AsJson = False) -> None:
    """Print where the next run begins, as JSON; null is a fresh start. With --json also when that was committed."""
    from connectors.parts import checkpoints

    found = checkpoints.show(home_of(seed_home), *_split(name))
    if not as_json:
        print_json(found.value)
        return
    at = None if found.updated_at is None else datetime.fromtimestamp(found.updated_at, UTC).isoformat()
    print_json({"name": found.name, "value": found.value, "updated_at": at, "version": found.version or None})


@app.command()
def reset(name: Name, seed_home: SeedHome = HERE) -> None:
    """Let the next run begin afresh. What it brings again and is unchanged does not arrive a second time.

    Refused while a run is in flight.
    """
    from connectors.parts import checkpoints

    checkpoints.change(home_of(seed_home), *_split(name), None)
    say(f"the next run of {name} is a fresh start; now: connectors sync {name}")


@app.command("set")
def set_(
    name: Name,
    value: Annotated[str, typer.Argument(metavar="JSON", help="The new checkpoint; - reads it from stdin.")],
    seed_home: SeedHome = HERE,
) -> None:
    """Let the next run begin there. What lies before it is not read.

    Refused while a run is in flight.
    """
    from connectors.parts import checkpoints
    from connectors.parts.emitting import checkpoint_problems

    try:
        data = json.loads(text_of(value))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"the checkpoint is no JSON: {error}", hint="""quote it: '{"since": 5}', '"text"'"""
        ) from None
    if problems := checkpoint_problems(data):
        raise ConfigError(problems[0])
    checkpoints.change(home_of(seed_home), *_split(name), data)
    say(f"the next run of {name} begins there; now: connectors sync {name}")


def _split(name: str) -> tuple[str, str]:
    """The instance, and the name of its checkpoint."""
    instance, _, which = name.partition("/")
    return instance, which or "main"
