"""A GitHub to try things with, offline: `python -m connectors.testing.github [--port N] [--push URL]`.

Issues and comments that are typed are there; what the connector's account does is printed. It runs until `/quit`,
Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

from connectors.testing.github.fake import FakeGitHub
from connectors.testing.github.screen import Screen
from connectors.testing.program import played, say

REPOSITORY = "acme/app"
#: How often it is looked for what the connector did.
_LOOK_S = 0.2


def introduction(fake: FakeGitHub, push: str | None = None, secret: str = "") -> str:
    """What somebody needs to connect to it."""
    listen = f"    listen: true\n    port: {urlsplit(push).port or 80}\n" if push else ""
    more = f"GITHUB_WEBHOOK_SECRET={secret}\n" if push else ""
    return f"""\
A fake GitHub listens on {fake.url}; nothing leaves this machine.

base_url  {fake.url}
token     {fake.token}

connectors.yml:

connectors:
  - name: github-fake
    type: github
    base_url: {fake.url}
    repositories: [{REPOSITORY}]
    schedule: 2s
{listen}
.env:

GITHUB_TOKEN={fake.token}
{more}
Type /open TITLE to open an issue; what you type then are comments on it. /help lists what else there is.
"""


def read(screen: Screen, lines: Iterable[str], stop: threading.Event) -> None:
    """Do what is typed until `/quit`; when the lines end, wait for `stop`."""
    for line in lines:
        if line.strip() == "/quit":
            return
        if answer := screen.typed(line):
            say(answer)
    stop.wait()


def watch(screen: Screen, stop: threading.Event) -> None:
    """Print what the connector does, from a thread."""

    def show() -> None:
        while not stop.wait(_LOOK_S):
            for line in screen.news():
                say(line)

    threading.Thread(target=show, daemon=True).start()


def main(argv: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.testing.github", description="A GitHub to try things with."
    )
    parser.add_argument("--port", type=int, default=0, help="where on 127.0.0.1 to listen (default: any free port)")
    parser.add_argument("--push", metavar="URL", help="also post webhooks there, such as …:4800/webhook/github-fake")
    options = parser.parse_args(argv)

    def play() -> None:
        stop = threading.Event()
        with FakeGitHub(options.port) as fake:
            repository = fake.repository(REPOSITORY, team=[fake.login, "ada", "bob"])
            secret = secrets.token_hex(16)
            if options.push:
                fake.hook(options.push, secret)
            screen = Screen(fake, repository)
            watch(screen, stop)
            say(introduction(fake, options.push, secret))
            try:
                read(screen, sys.stdin, stop)
            finally:
                stop.set()

    return played(play, options.port)


if __name__ == "__main__":
    sys.exit(main())
