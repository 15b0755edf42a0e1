"""A Slack to try things with, offline: `python -m connectors.testing.slack [--port N] [--demo]`.

Lines that are typed are said by alice in her direct conversation with the bot; what happens in the workspace is
printed. It runs until `/quit`, Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.testing.program import played, say

if TYPE_CHECKING:
    from connectors.testing.slack.fake import FakeSlack
    from connectors.testing.slack.screen import Screen


def introduction(fake: FakeSlack) -> str:
    """What somebody needs to connect to it."""
    port = fake.url.rpartition(":")[2]
    return f"""\
A fake Slack listens on {fake.url}; nothing leaves this machine.

connectors.yml:

connectors:
  - name: slack-fake
    type: slack
    base_url: {fake.api_url}
    allow: {{conversations: ["*"]}}

.env:

SLACK_BOT_TOKEN={fake.bot_token}
SLACK_APP_TOKEN={fake.app_token}

Start it with --port {port} next time, and what you have pasted stays valid.
A direct message is answered by a code at first: `connectors pair approve CODE`
lets its sender in.

Type something: alice (U1) says it to the bot. /help lists what else there is.
"""


def demo(fake: FakeSlack) -> None:
    """A few people say a few things, when the bot is there."""
    fake.wait_connected(deadline_s=threading.TIMEOUT_MAX)
    fake.post("D1", "U1", "Hello! Are you there?")
    ts = fake.post("C1", "U1", f"{fake.mention} what is in this file?", files={"note.txt": b"Buy milk.\n"})
    fake.post("C1", "U2", f"{fake.mention} and what would you add?", thread_ts=ts)
    fake.post("C1", "U2", "Nobody asked the bot here.")


def read(screen: Screen, lines: Iterable[str], stop: threading.Event) -> None:
    """Do what is typed until `/quit`; when the lines end, wait for `stop`."""
    for line in lines:
        if line.strip() == "/quit":
            return
        if answer := screen.typed(line):
            say(answer)
    stop.wait()


#: The same at every start, so that what was pasted once stays valid.
APP_TOKEN = "xapp-1-A1-demo"  # noqa: S105 - it opens nothing


def main(argv: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.testing.slack", description="A Slack to try things with."
    )
    parser.add_argument("--port", type=int, default=0, help="where on 127.0.0.1 to listen (default: any free port)")
    parser.add_argument("--demo", action="store_true", help="some people say some things once the bot is connected")
    options = parser.parse_args(argv)

    def play() -> None:
        from connectors.testing.slack.fake import FakeSlack
        from connectors.testing.slack.screen import Screen, shown

        with FakeSlack(options.port, app_token=APP_TOKEN) as fake:
            fake.world.watchers.append(lambda *happened: say(shown(fake, *happened)))
            say(introduction(fake))
            if options.demo:
                threading.Thread(target=demo, args=(fake,), daemon=True).start()
            read(Screen(fake), sys.stdin, threading.Event())

    return played(play, options.port)


if __name__ == "__main__":
    sys.exit(main())
