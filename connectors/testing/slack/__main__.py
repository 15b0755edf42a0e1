"""A Slack to try things with, offline: `python -m connectors.testing.slack [--port N] [--demo]`.

Lines that are typed are said by alice in her direct conversation with the bot; what the bot says is printed. It runs
until `/quit`, Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from connectors.testing.program import played, say

if TYPE_CHECKING:
    from connectors.testing.slack.fake import FakeSlack
    from connectors.testing.slack.state import Json

HELP = """\
/in C1         speak there from now on: a channel's id or name, or D1, D2
/as U2         be somebody else
/react NAME    react to the bot's newest message
/press ACTION  press a button of the bot's newest message
/thread        answer in the thread of the newest message (again: no longer)
/quit          end
@fakebot in a line mentions the bot; any other line that begins with / is a slash command.
"""


class Person:
    """Who types, and where."""

    def __init__(self, fake: FakeSlack, say: Callable[[str], None]) -> None:
        self._fake, self._say = fake, say
        self._user, self._channel = "U1", "D1"
        self._thread: str | None = None

    def type(self, line: str) -> bool:
        """False: that was enough."""
        word, _, rest = line.strip().partition(" ")
        if word == "/quit":
            return False
        try:
            self._do(word, rest.strip(), line)
        except (KeyError, ValueError) as error:
            self._say(f"  {error.args[0]}")
        return True

    def _do(self, word: str, rest: str, line: str) -> None:
        world = self._fake.world
        if not word:
            return
        if word in ("/help", "/?"):
            self._say(HELP)
        elif word == "/in":
            named = [channel.id for channel in world.channels.values() if channel.name == rest.removeprefix("#")]
            self._channel = world.channel(named[0] if named else rest).id
            self._thread = None
        elif word == "/as":
            self._user = str(world.users[rest]["id"])
        elif word == "/thread":
            newest = self._newest(bot=False)
            self._thread = None if self._thread else str(newest.get("thread_ts", newest["ts"]))
        elif word == "/react":
            self._fake.react(self._channel, str(self._newest()["ts"]), self._user, rest.strip(":"))
        elif word == "/press":
            self._fake.press_button(self._channel, str(self._newest()["ts"]), self._user, rest)
        elif word.startswith("/"):
            self._fake.slash_command(self._channel, self._user, word, rest)
        else:
            text = line.strip().replace(f"@{world.bot_name}", self._fake.mention)
            self._fake.post(self._channel, self._user, text, thread_ts=self._thread)

    def _newest(self, *, bot: bool = True) -> Json:
        found = [m for m in self._fake.messages(self._channel) if not bot or "bot_id" in m]
        if not found:
            raise ValueError("there is no such message here")
        return found[-1]


def introduction(fake: FakeSlack) -> str:
    """What somebody needs to connect to it."""
    return f"""\
A fake Slack listens on {fake.url} (Web API: {fake.api_url}); nothing leaves this machine.

connectors.yml:

connectors:
  - name: slack-fake
    type: slack
    base_url: {fake.api_url}
    bot_token: ${{SLACK_BOT_TOKEN}}
    app_token: ${{SLACK_APP_TOKEN}}
    allow: {{users: [U1, U2], conversations: ["*"]}}

.env:

SLACK_BOT_TOKEN={fake.bot_token}
SLACK_APP_TOKEN={fake.app_token}

Type something: alice (U1) says it to the bot. /help lists what else there is.
"""


def shown(fake: FakeSlack, channel: str, message: Json) -> str:
    """A message as one line."""
    world = fake.world
    who = world.users.get(str(message.get("user")), {}).get("name") or message.get("username") or "somebody"
    place = world.channels[channel].name or channel
    thread = message.get("thread_ts") not in (None, message["ts"])
    files = "".join(f" [{file.get('name', file['id'])}]" for file in message.get("files", []))
    marks = (" (in a thread)" if thread else "") + (" (edited)" if "edited" in message else "")
    return f"[{place}] {who}{marks}: {message.get('text', '')}{files}"


def demo(fake: FakeSlack) -> None:
    """A few people say a few things, when the bot is there."""
    fake.wait_connected(deadline_s=threading.TIMEOUT_MAX)
    fake.post("D1", "U1", "Hello! Are you there?")
    ts = fake.post("C1", "U1", f"{fake.mention} what is in this file?", files={"note.txt": b"Buy milk.\n"})
    fake.post("C1", "U2", f"{fake.mention} and what would you add?", thread_ts=ts)
    fake.post("C1", "U2", "Nobody asked the bot here.")


def run(fake: FakeSlack, lines: Iterable[str], say: Callable[[str], None], stop: threading.Event) -> None:
    """Read lines until `/quit`; when they end, wait for `stop`."""
    person = Person(fake, say)
    for line in lines:
        if not person.type(line):
            return
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
    stop = threading.Event()

    def play() -> None:
        from connectors.testing.slack.fake import FakeSlack

        with FakeSlack(options.port, app_token=APP_TOKEN) as fake:
            fake.world.watchers.append(lambda channel, message: say(shown(fake, channel, message)))
            say(introduction(fake))
            if options.demo:
                threading.Thread(target=demo, args=(fake,), daemon=True).start()
            run(fake, sys.stdin, say, stop)

    return played(play, options.port)


if __name__ == "__main__":
    sys.exit(main())
