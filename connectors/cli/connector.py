"""The terminal as a platform: a chat on a terminal, lines or JSON lines in a pipe, a Unix socket without either."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import threading
import time
import uuid
from typing import Any, Literal, cast

from connectors.base.connector import Connector
from connectors.base.declaration import Capabilities
from connectors.base.errors import BadMessage, RetryLater
from connectors.base.logbook import visible
from connectors.base.message import ConnectorInfo, Message, OutgoingMessage
from connectors.base.options import Options, option
from connectors.cli.chat import ChatServer

#: While nobody is attached to the socket, what is to be shown waits; an attaching client wakes it.
_NOBODY_S = 5.0
_LINE_MAX = 1_000_000


class CLIOptions(Options):
    """Options of the `cli` type."""

    username: str = option("user", description="Your name in the events' sender.", env="CLI_USERNAME")
    conversation: str = option("cli", description="The conversation's id in the events.")
    json_lines: bool = option(False, description="Read and write JSON lines instead of plain lines.", alias="json")
    linger_s: float = option(
        10.0, ge=0, description="At the end of a pipe: wait so long after the last sign of life for replies."
    )


class CLIConnector(Connector):
    """Chat in a terminal, or pipe lines in and replies out."""

    connector_type = "cli"
    version = "1"
    capabilities = Capabilities(threads=True)
    setup_help = "Nothing to set up: `connectors run` in a terminal is a chat, `… | connectors run` reads the pipe."
    Options = CLIOptions

    def connect(self) -> None:
        """Nothing to reach; reads the options."""
        options = cast(CLIOptions, self.options)
        self._username = options.username
        self._conversation = options.conversation
        self._json = options.json_lines
        self._linger_s = options.linger_s
        self._where = self._stdin if self._stdin != "alone" else _kind_of_stdin()
        self._open: dict[str, str] = {}
        self._news = threading.Condition()
        self._alive_at = time.monotonic()
        self._chat: ChatServer | None = None
        if self._where == "none" and self._in_run:
            self._chat = ChatServer(
                self._home.state_dir(self.name), self._receive, on_attach=self._retry_now, logger=self.logger
            )

    def disconnect(self) -> None:
        """End the socket, if there is one."""
        chat = getattr(self, "_chat", None)
        if chat is not None:
            chat.close()
        if getattr(self, "_where", "") == "terminal":
            self._show("\n")  # behind the prompt

    def send_message(self, msg: OutgoingMessage) -> bool:
        """Show the text. While nobody is attached to the socket it stays queued."""
        if self._chat is not None:
            if not self._chat.show(msg):
                raise RetryLater("nobody is attached: `connectors chat`", after_s=_NOBODY_S)
        else:
            try:
                self._print(msg)
            except BrokenPipeError:
                # Who read our output has left, as in `… | head -1`; what is queued stays queued.
                self.stop()
                return False
        with self._news:
            self._open.pop(msg.reply_to or "", None)
            self._alive_at = time.monotonic()
            self._news.notify_all()
        return True

    def run_loop(self) -> None:
        """Read to the end of the input, then wait for the replies; without an input serve the socket until stopped."""
        if self._chat is not None:
            self._chat.serve(self._stop)
            return
        if self._where == "terminal":
            self._show("> ")
        for line in _lines(self._stop):
            self._receive(line)
            if self._where == "terminal":
                self._show("> ")
        if self._running:
            self._linger()

    def _receive(self, line: str) -> None:
        """One line, plain or JSON, becomes an event."""
        try:
            message = self._message(line)
        except BadMessage as error:
            sys.stderr.write(f"{self.name}: line ignored: {visible(str(error))} ({error.hint})\n")
            return
        if message is None:
            return
        with self._news:
            self._open[message.id] = ""
            self._alive_at = time.monotonic()
        path = self.write_to_inbox(message)
        with self._news:
            if message.id in self._open:
                self._open[message.id] = path.name

    def _message(self, line: str) -> Message | None:
        """Raises BadMessage for a JSON line that is no message."""
        if not line.strip() and (self._json or self._where == "terminal"):
            return None
        fields = _parse(line) if self._json else {"text": line}
        user = fields.get("username", self._username)
        return Message.from_dict(
            {
                "id": fields.get("id", f"cli:{self.name}:{uuid.uuid4()}"),
                "connector": ConnectorInfo(type=self.connector_type, instance=self.name),
                "sender": {"id": fields.get("sender_id", user), "username": user},
                "content": {"text": fields.get("text")},
                "conversation": {
                    "id": fields.get("conversation_id", self._conversation),
                    "type": "dm",
                    "name": self.name,
                    "thread_id": fields.get("thread_id"),
                },
            }
        )

    def _linger(self) -> None:
        """Wait until every line is answered or given up, or nothing has moved for `linger_s`."""
        while self._running and self._unanswered():
            with self._news:
                if time.monotonic() - self._alive_at > self._linger_s:
                    break
                self._news.wait(0.05)
        left = len(self._unanswered())
        if left and self._running:
            sys.stderr.write(
                f"{self.name}: {left} lines without a reply after {self._linger_s:g} s; is an agent running?\n"
            )

    def _unanswered(self) -> list[str]:
        """Lines that may still get a reply. One that was acknowledged without a reply is done."""
        with self._news:
            waiting = dict(self._open)
        if not waiting:
            return []
        claimed = {name for folder in _folders(self._home.claimed) for name in os.listdir(folder)}
        if claimed & set(waiting.values()):
            self._alive_at = time.monotonic()
        replies = [name for name in os.listdir(self.outbox) if name.endswith(".json")]
        if replies or self._open_runtime().delivery.backlog()["sending"]:
            return list(waiting)
        there = claimed | set(os.listdir(self.inbox))
        return [event for event, name in waiting.items() if not name or name in there]

    def _print(self, msg: OutgoingMessage) -> None:
        if getattr(self, "_json", False):
            # ASCII only: what is no ASCII may steer a terminal, too.
            text = json.dumps({"text": msg.text, "reply_to": msg.reply_to, "conversation_id": msg.conversation_id})
        else:
            text = visible(msg.text, keep="\n\t")
        if getattr(self, "_where", "pipe") == "terminal":
            # Over the prompt; the half-typed line stays in the terminal's own buffer.
            self._show(f"\r\x1b[K{text}\n> ")
        else:
            self._show(f"{text}\n")

    def _show(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _retry_now(self) -> None:
        """Somebody attached: what waited for that is due."""
        self._open_runtime().delivery.retry_now()
        self._wake.set()


def _parse(line: str) -> dict[str, Any]:
    hint = 'write {"text": "…"}; also id, username, sender_id, conversation_id, thread_id'
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"not JSON: {error}", hint=hint) from error
    if not isinstance(fields, dict):
        raise BadMessage("not a JSON object", hint=hint)
    return fields


def _kind_of_stdin() -> Literal["terminal", "pipe", "none"]:
    try:
        status = os.fstat(0)
    except OSError:
        return "none"
    if os.isatty(0):
        return "terminal"
    null = os.stat(os.devnull)
    return "none" if stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev else "pipe"


def _lines(stop: threading.Event) -> Any:
    """The lines of descriptor 0 without their line breaks, until its end or a stop."""
    rest = b""
    while not stop.is_set():
        # A regular file is always ready; a pipe or a terminal is looked at often enough to notice a stop.
        if not select.select([0], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(0, 65536)
        except OSError:
            data = b""  # the terminal is gone
        rest += data
        *lines, rest = rest.split(b"\n")
        if (not data and rest) or len(rest) > _LINE_MAX:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode("utf-8", "backslashreplace").removesuffix("\r")
        if not data:
            return


def _folders(parent: os.PathLike[str]) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=CLIConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="cli")
    parser.add_argument("--json", action="store_true", help="read and write JSON lines")
    args = parser.parse_args()
    CLIConnector(name=args.name, seed_home=args.seed_home, config={"json": True} if args.json else None).run()
