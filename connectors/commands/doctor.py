"""`connectors doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import typer

from connectors.commands.arguments import HERE, AsJson, SeedHome
from connectors.commands.output import print_json, prose, say

_STYLES = {"error": "red", "warning": "yellow", "info": "dim"}
#: Of one finding, on a terminal.
_MOST_LINES = 4


def doctor(seed_home: SeedHome = HERE, as_json: AsJson = False) -> None:
    """Looks at configuration, secrets, permissions, disk, notifications, mounts, clock, processes, stores and queues;
    changes nothing. Every finding has its fix. Exit code 0 all well, 1 warnings, 2 errors.
    """
    from connectors.base.checks import examine
    from connectors.base.home import Home

    home = Home(seed_home)
    found = examine(home)
    levels = Counter(str(finding.level) for finding in found)
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            prose(f"{finding.level:<8}", finding.what, _STYLES[finding.level], most_lines=_MOST_LINES)
            say(f"        at:  {finding.where}")
            say(f"        fix: {finding.fix}")
        counts = [f"{levels[level]} {level}{'s' if levels[level] != 1 else ''}" for level in ("error", "warning")]
        say(", ".join(counts) if levels["error"] or levels["warning"] else f"{home.root} is well")
    raise typer.Exit(2 if levels["error"] else 1 if levels["warning"] else 0)
