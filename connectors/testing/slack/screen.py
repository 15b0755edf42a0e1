"""The fake Slack on a terminal: what a person types is done, what happens in the workspace is shown.

Every function takes and gives text; the program around it is `__main__`.
"""

from __future__ import annotations

from pathlib import Path

from connectors.testing.slack.fake import FakeSlack
from connectors.testing.slack.state import Json

HELP = """\
/in C1          speak there from now on: a channel's id or name, or D1, D2
/as U2          be somebody else: U1 is alice, U2 is bob
/file PATH TEXT share a file; the text may be left out
/thread         answer in the thread of the newest message (again: no longer)
/edit TEXT      change what you said last here
/delete         take back what you said last here
/react NAME     react to the bot's newest message; /unreact NAME takes it back
/press ACTION   press a button of the bot's newest message
/quit           end
@fakebot in a line mentions the bot. Every other line that begins with / is a
slash command, and all the rest is said as it is.
"""
_QUOTED = 40  # characters of a message that something happens to


class Screen:
    """Who types, and where. A line is answered by what to tell the person, mostly nothing."""

    def __init__(self, fake: FakeSlack) -> None:
        self._fake = fake
        self._user, self._channel = "U1", "D1"
        self._thread: str | None = None
        self._words = {
            "/help": self._help,
            "/?": self._help,
            "/in": self._in,
            "/as": self._as,
            "/file": self._file,
            "/thread": self._in_thread,
            "/edit": self._edit,
            "/delete": self._delete,
            "/react": self._react,
            "/unreact": self._unreact,
            "/press": self._press,
        }

    def typed(self, line: str) -> str:
        """Do what the line says."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        try:
            if word in self._words:
                return self._words[word](rest.strip())
            return self._command(word, rest.strip()) if word.startswith("/") else self._say(line.strip())
        except KeyError as problem:
            return f"  {problem.args[0]}"
        except (OSError, ValueError) as problem:
            return f"  {problem}"

    # ── the words ─────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, text: str, **more: dict[str, bytes]) -> str:
        world = self._fake.world
        text = text.replace(f"@{world.bot_name}", self._fake.mention)
        self._fake.post(self._channel, self._user, text, thread_ts=self._thread, files=more.get("files"))
        return "" if world.bot_user in world.channel(self._channel).members else "  (the bot is not in this channel)"

    def _command(self, word: str, rest: str) -> str:
        self._fake.slash_command(self._channel, self._user, word, rest)
        return ""

    def _help(self, _rest: str) -> str:
        return HELP

    def _in(self, rest: str) -> str:
        world = self._fake.world
        named = [channel.id for channel in world.channels.values() if channel.name == rest.removeprefix("#")]
        self._channel = world.channel(named[0] if named else rest).id
        self._thread = None
        return self._where()

    def _as(self, rest: str) -> str:
        users = self._fake.world.users
        named = [user for user, entry in users.items() if rest in (user, entry["name"])]
        if not named:
            raise ValueError(f"nobody is called {rest}; there are {', '.join(users)}")
        self._user = named[0]
        if self._fake.world.channel(self._channel).kind == "im":
            self._channel = self._fake.world.direct(self._user).id
        return self._where()

    def _file(self, rest: str) -> str:
        name, _, text = (rest, "", "") if Path(rest).expanduser().is_file() else rest.partition(" ")
        path = Path(name).expanduser()
        return self._say(text.strip(), files={path.name: path.read_bytes()})

    def _in_thread(self, _rest: str) -> str:
        newest = self._newest()
        self._thread = None if self._thread else str(newest.get("thread_ts", newest["ts"]))
        return "  in its thread from now on" if self._thread else "  in the channel again"

    def _edit(self, text: str) -> str:
        self._fake.edit(self._channel, str(self._newest(self._user)["ts"]), text)
        return ""

    def _delete(self, _rest: str) -> str:
        self._fake.delete(self._channel, str(self._newest(self._user)["ts"]))
        return ""

    def _react(self, name: str) -> str:
        self._fake.react(self._channel, self._bots(), self._user, name.strip(":"))
        return ""

    def _unreact(self, name: str) -> str:
        self._fake.unreact(self._channel, self._bots(), self._user, name.strip(":"))
        return ""

    def _press(self, action: str) -> str:
        self._fake.press_button(self._channel, self._bots(), self._user, action)
        return ""

    def _where(self) -> str:
        world = self._fake.world
        channel = world.channel(self._channel)
        place = f"#{channel.name}" if channel.name else "the direct conversation with the bot"
        return f"  you are {world.users[self._user]['name']}, in {place} ({channel.id})"

    def _bots(self) -> str:
        return str(self._newest(self._fake.world.bot_user)["ts"])

    def _newest(self, user: str | None = None) -> Json:
        found = [m for m in self._fake.messages(self._channel) if user in (None, m.get("user"))]
        if not found:
            raise ValueError("there is no such message here")
        return found[-1]


def shown(fake: FakeSlack, channel: str, message: Json, what: str, user: str) -> str:
    """What happened to a message, as one line: `what` is empty when it is new; `user` did it, otherwise its author."""
    world = fake.world
    who = _name(fake, user or str(message.get("user", ""))) or message.get("username") or "somebody"
    place = world.channels[channel].name or channel
    if user:
        said = " ".join(str(message.get("text", "")).split())
        quoted = said if len(said) <= _QUOTED else f"{said[: _QUOTED - 1]}…"
        return f"[{place}] {who} {what} “{quoted}”"
    thread = message.get("thread_ts") not in (None, message["ts"])
    marks = [mark for mark in ("in a thread" if thread else "", what) if mark]
    files = "".join(f" [{file.get('name', file['id'])}]" for file in message.get("files", []))
    mark = f" ({', '.join(marks)})" if marks else ""
    return f"[{place}] {who}{mark}: " + f"{message.get('text', '')}{_buttons(message)}{files}".lstrip()


def _name(fake: FakeSlack, user: str) -> str:
    return str(fake.world.users.get(user, {}).get("name", ""))


def _buttons(message: Json) -> str:
    """What /press takes, for each button."""
    elements = [e for block in message.get("blocks", []) for e in block.get("elements", []) if isinstance(e, dict)]
    return "".join(f" [{element['action_id']}]" for element in elements if element.get("action_id"))
