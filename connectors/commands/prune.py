"""`connectors prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.base.pruning import WORDS
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import print_json, say, size


def prune(
    seed_home: SeedHome = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """By `limits:` of connectors.yml. The newest keep_receipts receipts of an instance stay, whatever their age; dead
    letters go beyond keep_failed, or when they are older than keep_days. Nothing that is still referred to goes. The
    manager does the same every hour.
    """
    from connectors.base.config import load
    from connectors.base.retention import prune as delete
    from connectors.base.settings import Config

    home = home_of(seed_home)
    config = load(home) if home.config_file.exists() else Config()
    counts = delete(home, config, dry_run=dry_run)
    if as_json:
        print_json(counts)
        return
    for what, words in WORDS.items():
        if counts.get(what):
            extra = f" ({size(counts['attachment_bytes'])})" if what == "attachments" else ""
            say(f"{'would delete' if dry_run else 'deleted'} {counts[what]} {words}{extra}")
    if not counts:
        say("nothing to delete")
