"""`connectors validate`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from connectors.base.errors import Exit
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import print_json, prose, say


def validate(seed_home: SeedHome = HERE, as_json: AsJson = False) -> None:
    """Prints every problem at once, one a line, with its place. Exit code 0, or 78 when there is an error; warnings
    are none.
    """
    from connectors.base.config import check_options, load

    home = home_of(seed_home)
    config, _ = check_options(load(home), home)
    if as_json:
        print_json({"valid": not config.errors, "problems": [asdict(problem) for problem in config.problems]})
    for problem in () if as_json else config.problems:
        place, colon, text = str(problem).partition(": ")
        prose(f"{place}{colon}", text)
    if config.errors:
        raise typer.Exit(Exit.CONFIG)
    if not as_json:
        enabled = sum(entry.enabled for entry in config.entries)
        say(f"{home.config_file.name} is valid: {enabled} of {len(config.entries)} connectors are enabled")
