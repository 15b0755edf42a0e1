"""A source whose platform is a file, and a home to run it in."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from connectors.base.errors import AuthError, ConfigError, RetryLater
from connectors.base.home import Home
from connectors.base.message import Message, OutgoingMessage
from connectors.base.options import option
from connectors.base.status import StatusFile
from connectors.parts import polling
from connectors.parts.polling import Event, PollResult, SourceConnector
from connectors.testing.process import RunningConnector


class ListOptions(polling.SourceOptions):
    """Where the platform is."""

    folder: str = option(description="Has records.json: what there is, and what the platform does.")


class ListSource(SourceConnector):
    """Brings the records of `records.json`: {"records": [[id, text] …], "do": …, "checkpoint": …}.

    `do`: raise, bug, auth, config, limit:SECONDS, exit, hang, cut, deaf, nonsense, generator, bad, wait:FILE, pages,
    stream, stream-bad.
    A line of polls.jsonl is written at the begin of every poll.
    """

    connector_type = "list"
    schedule = "1h"
    kinds = ("note", "comment")
    Options = ListOptions

    @property
    def folder(self) -> Path:
        return Path(cast(ListOptions, self.options).folder)

    def poll(self, checkpoint: Any) -> PollResult:
        platform = json.loads((self.folder / "records.json").read_bytes())
        entry = {"checkpoint": checkpoint, "thread": threading.get_ident(), "pid": os.getpid()}
        with (self.folder / "polls.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        events = [note(*record) for record in platform["records"]]
        what, _, text = str(platform.get("do", "")).partition(":")
        at = platform["checkpoint"] if "checkpoint" in platform else (checkpoint or 0) + 1
        if what:
            done: PollResult = self._do(what, text, events, at)
            return done
        return PollResult(events, at, problems=platform.get("problems", ()))

    def _do(self, what: str, text: str, events: list[Event], at: Any) -> Any:
        raised = {
            "raise": ConnectionError("the platform is down"),
            "bug": KeyError("nothing"),
            "auth": AuthError("the token was refused", hint="make a new one"),
            "config": ConfigError("the folder is wrong"),
            "limit": RetryLater("rate limit", after_s=float(text) if what == "limit" else None),
            "exit": SystemExit(3),
        }
        if what in raised:
            raise raised[what]
        if what == "hang":
            while self._running:
                self.wait(0.05)
            return PollResult(events, at)
        if what == "cut":
            self.wait()
            raise ConnectionError("cut off by the stop")
        if what == "deaf":
            threading.Event().wait()
        if what == "wait":
            wait_for_file(self, self.folder / text)
            return PollResult(events, at)
        if what == "pages":
            for number, event in enumerate(events, 1):
                self.emit([event], checkpoint=number)
            raise ConnectionError("lost after the last page")
        if what == "stream":
            return PollResult(iter(events), lambda: at)
        if what == "stream-bad":
            return PollResult(iter([*events, Event("")]), at)
        if what == "bad":
            return PollResult([*events, Event("x", platform_event="coment"), Event("", text=3)], at)  # type: ignore[arg-type]
        return {"nonsense": events, "generator": (event for event in events)}[what]


class VersionTwo(ListSource):
    """The same, with events of another shape."""

    version = "2"


class TwoWays(ListSource):
    """Also sends."""

    def send_message(self, msg: OutgoingMessage) -> bool:
        with (self.folder / "sent.jsonl").open("a") as file:
            file.write(msg.text + "\n")
        return True


def wait_for_file(connector: SourceConnector, path: Path) -> None:
    """Until it is there, or the connector stops."""
    while not path.exists() and not connector.wait(0.02):
        pass


def note(record_id: str, text: str = "", **fields: Any) -> Event:
    """A record's event."""
    return Event(record_id, text, platform_event="note", **fields)


class Seen:
    """What can be seen of one instance of a source, whose platform is a folder."""

    def __init__(self, home: Path, name: str, folder: Path) -> None:
        self.home = home
        self.name = name
        self.folder = folder
        self.folder.mkdir()

    @property
    def polls(self) -> list[dict[str, Any]]:
        """The polls that began."""
        path = self.folder / "polls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def events(self) -> list[Message]:
        """What is in the inbox, in order of arrival; not the events of kind delivery."""
        found = [Message.from_file(path) for path in sorted((self.home / "messages/inbox").glob("*.json"))]
        return [message for message in found if message.kind == "event"]

    @property
    def texts(self) -> list[str]:
        return [message.content.text for message in self.events]

    @property
    def status(self) -> dict[str, Any]:
        return StatusFile(Home(self.home), self.name).read()


class Place(Seen):
    """A home with a ListSource's platform in it."""

    def __init__(self, home: Path, name: str = "list-main") -> None:
        super().__init__(home, name, home / f"platform-{name}")
        self.has()

    def has(self, *records: tuple[str, str], **platform: Any) -> None:
        """What the platform has, and does, from now on."""
        data = json.dumps({"records": records, **platform})
        part = self.folder / "records.part"
        part.write_text(data)
        part.rename(self.folder / "records.json")

    @property
    def config(self) -> dict[str, Any]:
        return {"folder": str(self.folder)}

    def run(self, cls: type[SourceConnector] = ListSource, **arguments: Any) -> RunningConnector:
        """The source in a process of its own. `config` of the arguments comes on top."""
        config = {**self.config, **arguments.pop("config", {})}
        return RunningConnector(cls, self.home, self.name, config, **arguments)

    def here(self, cls: type[SourceConnector] = ListSource, **config: Any) -> SourceConnector:
        """The source in this process, not running."""
        return cls(self.name, self.home, {**self.config, **config})

    def ask(self, file: str = "sync.json") -> None:
        """As an agent does: {"action": "sync"}."""
        (self.home / f"messages/outbox/{self.name}/{file}").write_text('{"action": "sync"}')

    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.home / f"messages/sent/{self.name}").glob("*.json")]

    def reasons(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.home / "messages/failed").glob("*.reason.json")]


def many(count: int) -> Iterator[Event]:
    """New records, one after the other."""
    for number in range(count):
        yield note(f"n{number}", "x" * 200, payload={"number": number, "at": time.time()})
