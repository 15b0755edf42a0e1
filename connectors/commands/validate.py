"""`connectors validate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectors.base.errors import Exit
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import print_json, prose, say

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding
    from connectors.base.home import Home
    from connectors.base.settings import Config


def validate(
    seed_home: SeedHome = HERE,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="Ask the platforms whether the credentials work, and whose they are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prints every problem at once, one a line, with its place; below them the variables that are missing, with where
    their values come from. Exit code 0, or 78 when there is an error; warnings are none. With --credentials 77 when one
    is refused.
    """
    from connectors.base.config import check_options, load

    home = home_of(seed_home)
    config, _ = check_options(load(home), home)
    asked = _ask(config, home) if credentials else []
    if as_json:
        problems: dict[str, Any] = {"valid": not config.errors, "problems": [asdict(p) for p in config.problems]}
        print_json({**problems, "credentials": [finding.facts for finding in asked]} if credentials else problems)
    else:
        _show(config, home, asked)
    if config.errors:
        raise typer.Exit(Exit.CONFIG)
    if any(finding.facts["works"] is False for finding in asked):
        raise typer.Exit(Exit.AUTH)
    if not as_json:
        enabled = sum(entry.enabled for entry in config.entries)
        say(f"{home.config_file.name} is valid: {enabled} of {len(config.entries)} connectors are enabled")


def _ask(config: Config, home: Home) -> list[Finding]:
    from connectors.base.checks.platforms import ask

    return [found for found in ask(config, home, credentials_only=True) if found.area == "credentials"]


def _show(config: Config, home: Home, asked: list[Finding]) -> None:
    from connectors.base.needs import Needs
    from connectors.commands.onboarding import missing, show, show_need

    for problem in config.problems:
        place, colon, text = str(problem).partition(": ")
        prose(f"{place}{colon}", text)
    wanted = {problem.variable for problem in config.errors if problem.variable}
    for need in missing(Needs(home).of_home() if wanted else ()):
        if need.variable in wanted:
            show_need(need)
    marks = {True: "✓", False: "✗", None: "·"}
    for finding in asked:
        works = finding.facts["works"]
        show(marks[works], finding.what, "" if works else finding.fix)
