"""`connectors init`."""

from __future__ import annotations

from connectors.commands.arguments import HERE, SeedHome
from connectors.commands.output import say


def init(seed_home: SeedHome = HERE) -> None:
    """connectors.yml with a cli connector, .env for secrets (only you can read it), lines in .gitignore, and
    messages/README.md for agents. What is there stays as it is.
    """
    from connectors.base.home import Home
    from connectors.base.starting import begin

    home = Home(seed_home)
    for path, made in begin(home):
        say(f"{'made' if made else 'kept'}  {path.relative_to(home.root)}")
    say("next: connectors run, or connectors add TYPE (connectors types lists them)")
