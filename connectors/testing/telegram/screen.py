"""The fake Telegram on a terminal: what a person types is posted, what the bot does is shown.

Every function takes and gives text; the program around it is `__main__`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.testing.telegram.content import dimensions
from connectors.testing.telegram.fake import FakeTelegram
from connectors.testing.telegram.model import Chat, File, Posted, User

HELP = """\
/private       write to the bot in the private chat (this is how it begins)
/group         write in the group: the bot sees what mentions it (@{bot}), replies to it, or is a command
/as NAME       be somebody else (a new person, or one that was there before)
/file PATH     send a file; pictures go as photos
/press TEXT    press the button with this text or data below the bot's newest message
/react EMOJI   react to the bot's newest message; without one, take it back
/reply TEXT    answer the bot's newest message
/edit TEXT     change what you wrote last
/quit          end
Every other line is posted as it is, commands such as /start too.
"""


class Screen:
    """Who types where, and what of the bot's messages was shown."""

    def __init__(self, fake: FakeTelegram) -> None:
        self.fake = fake
        self.person = fake.user("Ada", username="ada")
        self.people = {"Ada": self.person}
        self.group = fake.group("Friends", [self.person])
        self.chat: Chat = fake.private(self.person)
        self.last: Posted | None = None
        self._shown: dict[tuple[int, int], tuple[int, bool]] = {}
        self._reactions: dict[tuple[int, int, int], list[str]] = {}
        self._answers: set[str] = set()
        self._words = {
            "/private": self._private,
            "/group": self._group,
            "/as": self._as,
            "/file": self._file,
            "/press": self._press,
            "/react": self._react,
            "/reply": self._reply,
            "/edit": self._edit,
            "/help": self._help,
        }

    # ── what a person types ───────────────────────────────────────────────────────────────────────────────────

    def typed(self, line: str) -> str:
        """Do what the line says. Returns what to tell the person, mostly nothing."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        try:
            if word in self._words:
                return self._words[word](rest.strip())
            return self._post(line.strip())
        except (LookupError, OSError, ValueError) as problem:
            return f"  {problem}"

    def _post(self, text: str, **kind: Any) -> str:
        self.last = self.fake.post(self.chat, self.person, text, **kind)
        return "" if self.last.update_id is not None else "  (the bot is not told of this)"

    def _private(self, _rest: str) -> str:
        self.chat = self.fake.private(self.person)
        return f"  you are {self.person.first_name}, alone with the bot"

    def _group(self, _rest: str) -> str:
        self.chat = self.group
        return f"  you are {self.person.first_name}, in the group {self.group.title}"

    def _as(self, name: str) -> str:
        if not name:
            raise ValueError("/as NAME")
        self.person = self.people.setdefault(name, self.person if name == self.person.first_name else self._new(name))
        return self._private("") if self.chat.type == "private" else self._group("")

    def _new(self, name: str) -> User:
        found = self.fake.user(name)
        if self.chat.type != "private":
            self.fake.join(self.group, [found])
        return found

    def _file(self, path: str) -> str:
        file = Path(path).expanduser()
        data = file.read_bytes()
        return self._post("", **{"photo" if dimensions(data) else "document": File(file.name, data)})

    def _press(self, label: str) -> str:
        message = self._newest("reply_markup")
        for row in message["reply_markup"]["inline_keyboard"]:
            for button in row:
                if label in ("", button["text"], button.get("callback_data")) and "callback_data" in button:
                    self.fake.press(self.chat, message["message_id"], self.person, button["callback_data"])
                    return ""
        raise ValueError(f"no button says {label!r}")

    def _react(self, emoji: str) -> str:
        told = self.fake.react(self.chat, self._newest()["message_id"], self.person, emoji.split())
        return "" if told is not None else "  (the bot is not told of this)"

    def _reply(self, text: str) -> str:
        return self._post(text, reply_to=self._newest()["message_id"])

    def _edit(self, text: str) -> str:
        if self.last is None:
            raise ValueError("you wrote nothing yet")
        self.last = self.fake.edit(self.last.chat_id, self.last.message_id, text)
        return ""

    def _help(self, _rest: str) -> str:
        return HELP.format(bot=self.fake.bot.username)

    def _newest(self, having: str = "message_id") -> dict[str, Any]:
        mine = [
            m for m in self.fake.messages(self.chat) if m.get("from", {}).get("id") == self.fake.bot.id and having in m
        ]
        if not mine:
            raise ValueError("the bot sent no such message here")
        return mine[-1]

    # ── what the bot does ─────────────────────────────────────────────────────────────────────────────────────

    def news(self) -> list[str]:
        """A line for each thing that the bot did since the last call."""
        lines = []
        for sent in self.fake.sent:
            key, now = (sent.chat_id, sent.message_id), (sent.edits, sent.deleted)
            if self._shown.get(key) == now:
                continue
            before = self._shown.get(key)
            self._shown[key] = now
            verb = "deleted" if sent.deleted else "" if before is None else "edited"
            lines.append(self._line(sent.message, verb))
        with self.fake.world.lock:
            reactions = dict(self.fake.world.reactions)
        for where, emoji in reactions.items():
            if where[2] == self.fake.bot.id and self._reactions.get(where) != emoji:
                self._reactions[where] = emoji
                lines.append(f"[{self.fake.bot.first_name}] reacts: {' '.join(emoji) or 'nothing'}")
        for query_id, answer in self.fake.answers.items():
            if query_id not in self._answers:
                self._answers.add(query_id)
                if answer.get("text"):
                    lines.append(f"[{self.fake.bot.first_name}] notes: {answer['text']}")
        return lines

    def _line(self, message: dict[str, Any], verb: str) -> str:
        chat = message["chat"]
        where = f" in {chat['title']}" if "title" in chat else f" to {chat['first_name']}"
        said = message.get("text", message.get("caption", ""))
        kinds = [
            k for k in ("photo", "document", "voice", "audio", "video", "sticker", "location", "poll") if k in message
        ]
        file = f" <{kinds[0]} {_name(message[kinds[0]])}>".replace(" >", ">") if kinds else ""
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        buttons = "".join(f" [{button['text']}]" for row in rows for button in row)
        return f"[{self.fake.bot.first_name}{where}{', ' + verb if verb else ''}]{file} {said}{buttons}".rstrip()


def _name(media: Any) -> str:
    return str(media.get("file_name", "")) if isinstance(media, dict) else ""
