"""`connectors prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import print_json, say, size

_WORDS = {
    "receipts": "receipts",
    "dead_letters": "dead letters",
    "events": "ids of events",
    "outgoings": "records of outgoings",
    "attachments": "attachments",
    "logs": "log files",
    "leftovers": "temporary files",
}


def prune(
    seed_home: SeedHome = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """By `limits:` of connectors.yml: what is too old, or too much. The manager does the same every hour. Nothing that
    is still referred to goes.
    """
    from connectors.base.config import load
    from connectors.base.retention import prune as delete
    from connectors.base.settings import Config

    home = home_of(seed_home)
    config = load(home) if home.config_file.exists() else Config()
    if not config.usable:
        raise ConfigError(f"{home.config_file.name} cannot be read, and its limits with it", hint="connectors validate")
    counts = delete(home, config, dry_run=dry_run)
    if as_json:
        print_json(counts)
        return
    for what, words in _WORDS.items():
        if counts.get(what):
            extra = f" ({size(counts['attachment_bytes'])})" if what == "attachments" else ""
            say(f"{'would delete' if dry_run else 'deleted'} {counts[what]} {words}{extra}")
    if not counts:
        say("nothing to delete")
