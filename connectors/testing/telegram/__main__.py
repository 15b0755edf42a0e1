"""A Telegram to try things with, offline: `python -m connectors.testing.telegram [--port N]`.

Lines that are typed are posted by Ada in her private chat with the bot; what the bot sends is printed. It runs until
`/quit`, Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.testing.program import played, say

if TYPE_CHECKING:
    from connectors.testing.telegram.fake import FakeTelegram
    from connectors.testing.telegram.screen import Screen


def introduction(fake: FakeTelegram) -> str:
    """What somebody needs to connect to it."""
    port = fake.url.rpartition(":")[2]
    return f"""\
A fake Telegram listens on {fake.url}; nothing leaves this machine.

connectors.yml:

connectors:
  - name: telegram-fake
    type: telegram
    base_url: {fake.base_url}
    allow: {{conversations: ["*"]}}

.env:

TELEGRAM_BOT_TOKEN={fake.token}

Start it with --port {port} next time, and what you have pasted stays valid.
A private message is answered by a code at first: `connectors pair approve CODE`
lets its sender in.

Type something: Ada says it to the bot, @{fake.bot.username}. /help lists what else there is.
"""


def read(screen: Screen, lines: Iterable[str], stop: threading.Event) -> None:
    """Do what is typed until `/quit`; when the lines end, wait for `stop`."""
    for line in lines:
        if line.strip() == "/quit":
            return
        if answer := screen.typed(line):
            say(answer)
    stop.wait()


def watch(fake: FakeTelegram, screen: Screen) -> None:
    """Print what the bot does, from a thread."""
    changed, wake = threading.Event(), fake.world.changed

    def both() -> None:
        wake()
        changed.set()

    def show() -> None:
        while True:
            changed.wait()
            changed.clear()
            for line in screen.news():
                say(line)

    fake.world.changed = both
    threading.Thread(target=show, daemon=True).start()


#: The same at every start, so that what was pasted once stays valid.
TOKEN = "7000000001:AA-demo-demo-demo-demo-demo-demo-dem"  # noqa: S105 - it opens nothing

_FIRST_PLAYED = 1_700_000_000  # keeps messages' numbers far below 2**31


def main(argv: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.testing.telegram", description="A Telegram to try things with."
    )
    parser.add_argument("--port", type=int, default=0, help="where on 127.0.0.1 to listen (default: any free port)")
    parser.add_argument("--all", action="store_true", help="the bot sees everything in groups (privacy mode off)")
    options = parser.parse_args(argv)

    def play() -> None:
        from connectors.testing.telegram.fake import FakeTelegram
        from connectors.testing.telegram.screen import Screen

        # A connector knows the numbers of the last time: these are higher.
        past = int(time.time()) - _FIRST_PLAYED
        with FakeTelegram(options.port, token=TOKEN, privacy=not options.all, past=past) as fake:
            screen = Screen(fake)
            watch(fake, screen)
            say(introduction(fake))
            read(screen, sys.stdin, threading.Event())

    return played(play, options.port)


if __name__ == "__main__":
    sys.exit(main())
