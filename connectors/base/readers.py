"""What every way of reading shares: an event as a file, where event files lie, and how one is found by its
id.

A plain agent may delete or rename any of these files at any moment, so every function here takes "it is
gone" as an ordinary answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.base.errors import BadMessage, ConfigError, ConnectorError
from connectors.base.files import read_regular
from connectors.base.home import INSTANCE_NAME, Home

if TYPE_CHECKING:
    from connectors.base.message import Message

#: An inbox file that is larger is not read: it is no event that a connector wrote.
MAX_EVENT_BYTES = 50_000_000
#: Readers and worker folders that nobody used for so long no longer count.
READER_EXPIRES_S = 7 * 86_400.0
_QUIET_S = 2.0
#: `<UTC time>Z-<instance>-<8 hex of the id's SHA-256>.json`: the names that connectors give.
_OWN_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-.+-([0-9a-f]{8})(?:~\w+)?\.json", re.DOTALL)


class LostClaim(ConnectorError):
    """The event is not (or no longer) claimed by this consumer.

    Acknowledged, given back, or taken by another.
    """


class NotFound(ConnectorError):
    """No kept event has this id."""


class Ambiguous(ConnectorError):
    """Several instances have an event with this id; name the instance."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event file. `data` is its JSON object as it stands; `raw` its bytes; `path` where it was read.

    The properties read the fields that version 1.0 has; `message` is the whole as a `Message`.
    """

    path: Path
    raw: bytes
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The event's id; the file's name for a file that carries none."""
        return _text(self.data.get("id")) or self.path.stem

    @property
    def has_id(self) -> bool:
        return bool(_text(self.data.get("id")))

    @property
    def kind(self) -> str:
        return _text(self.data.get("kind")) or "message"

    @property
    def instance(self) -> str:
        return _text(self.data["connector"]["instance"])

    @property
    def type(self) -> str:
        return _text(self.data["connector"]["type"])

    @property
    def sender_id(self) -> str:
        return _text(self.data["sender"]["id"])

    @property
    def sender_name(self) -> str:
        """How the sender is called: display name, else handle, else id."""
        sender = self.data["sender"]
        return _text(sender.get("display_name")) or _text(sender.get("username")) or self.sender_id

    @property
    def text(self) -> str:
        return _text(self.data["content"]["text"])

    @property
    def conversation_id(self) -> str:
        return _text(self.data["conversation"]["id"])

    @property
    def thread_id(self) -> str | None:
        return _text(self.data["conversation"].get("thread_id")) or None

    @property
    def key(self) -> tuple[str, str]:
        """What order is kept within: (instance, conversation)."""
        return self.instance, self.conversation_id

    @property
    def message(self) -> Message:
        """Raises BadMessage when an optional field is not what the format says."""
        from connectors.base.message import Message  # pydantic: a fifth of a second that `tail` does not need

        return Message.from_dict(self.data)


def parse_event(raw: bytes, path: Path) -> Event:
    """Raises BadMessage when the bytes are no event.

    No JSON object, or without the fields that every event has.
    """
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"not JSON: {error}") from error
    for part, field in _NEEDED:
        owner = data.get(part) if isinstance(data, dict) else None
        if not isinstance(owner, dict) or not isinstance(owner.get(field), str):
            raise BadMessage(f"no event: {part}.{field} is missing")
    return Event(path, raw, data)


def read_event(path: Path) -> Event:
    """Raises BadMessage when the file is no event, OSError (FileNotFoundError above all) when it cannot be
    read.
    """
    return parse_event(read_regular(path, MAX_EVENT_BYTES)[0], path)


def is_quiet(path: Path) -> bool:
    """Whether nobody has written to the file for 2 s: a careless program may still be at it, so no warning before."""
    try:
        return time.time() - os.lstat(path).st_mtime >= _QUIET_S
    except OSError:
        return False


def event_names(folder: Path) -> list[str]:
    """The names in a folder that may be events, in no order; none when the folder is not there."""
    try:
        return [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def event_files(folder: Path) -> list[str]:
    """`event_names` without what is no regular file (links, FIFOs, folders), which every reader leaves alone."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if entry.name.endswith(".json") and not entry.name.startswith(".") and _is_regular(entry)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:  # gone meanwhile, on a file system that has to be asked for the kind
        return False


def consumer_folders(home: Home) -> list[Path]:
    """The folders of those who claim, plain `mv` workers included."""
    try:
        with os.scandir(home.claimed) as entries:
            return sorted(
                Path(e.path) for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def acked_folder(home: Home) -> Path:
    """Where an acknowledged event waits for the independent readers that have not had it yet."""
    return home.messages / ".acked"


def private_folder(home: Home) -> Path:
    """Locks, leases, cursors. The dot keeps it apart from every instance's folder in state/."""
    return home.state / ".readers"


def check_reader(name: str) -> str:
    """The name, if a consumer or a cursor can have it. Raises ConfigError otherwise."""
    if not INSTANCE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a reader's name",
            hint="use 1 to 64 of the characters A-Z a-z 0-9 . _ - and begin with a letter or a digit",
        )
    return name


def digest(event_id: str) -> str:
    """The part of a connector's file name that comes from the event's id."""
    return hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def find_in(folder: Path, event_id: str) -> Iterator[Event]:
    """The events in `folder` with this id. Only files whose name can be theirs are opened."""
    wanted = digest(event_id)
    for name in sorted(event_names(folder)):
        own = _OWN_NAME.fullmatch(name)
        if own and own[1] != wanted:
            continue
        try:
            event = read_event(folder / name)
        except (BadMessage, OSError):
            continue
        if event.id == event_id:
            yield event


def locate(home: Home, name: str) -> Event | None:
    """The event file of this name, wherever a reader has moved it meanwhile; None when it is gone or no
    event.

    The folders are tried in the order in which files move, so a file on its way is met.
    """
    for folder in (home.inbox, *consumer_folders(home), acked_folder(home)):
        try:
            return read_event(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (BadMessage, OSError):
            return None
    return None


_NEEDED = (
    ("connector", "type"),
    ("connector", "instance"),
    ("sender", "id"),
    ("content", "text"),
    ("conversation", "id"),
)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
