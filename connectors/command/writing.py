"""Lines of a program made durable: events, their files, and how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Protocol

from connectors.base.errors import Rejected
from connectors.base.message import Message
from connectors.command.files import Files
from connectors.command.protocol import EventLine
from connectors.parts.emitting import KEEP, Counts, Keep
from connectors.parts.events import Event
from connectors.parts.once import MAIN

_CHUNK = 1 << 16


class Inbox(Protocol):
    """What is needed of the connector."""

    def emit(self, events: Sequence[Event], checkpoint: Any = KEEP) -> Counts:
        """Events of records."""

    def take_messages(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None) -> None:
        """Events as they are."""

    def save_incoming(self, chunks: Iterator[bytes], name: str) -> dict[str, Any]:
        """A file."""


def write(inbox: Inbox, lines: Sequence[EventLine], files: Files, checkpoint: Any = KEEP) -> None:
    """In order; the checkpoint with the last of them. When it returns all of it is durable."""
    groups: list[tuple[bool, list[Any]]] = [
        (is_message, [_with_files(inbox, line.event, files) for line in group])
        for is_message, group in groupby(lines, lambda line: isinstance(line.event, Message))
    ]
    if not groups and not isinstance(checkpoint, Keep):
        groups = [(False, [])]
    for number, (is_message, group) in enumerate(groups, 1):
        mark = checkpoint if number == len(groups) else KEEP
        if is_message:
            inbox.take_messages(group, None if isinstance(mark, Keep) else (MAIN, mark))
        else:
            inbox.emit(group, mark)


def _with_files(inbox: Inbox, event: Event | Message, files: Files) -> Event | Message:
    """With the files that it names stored in the mailbox."""
    if isinstance(event, Event):
        return replace(event, attachments=_stored(inbox, event.attachments, files)) if event.attachments else event
    if not event.content.attachments:
        return event
    stored = _stored(inbox, event.content.attachments, files)
    return event.model_copy(update={"content": event.content.model_copy(update={"attachments": stored})})


def _stored(inbox: Inbox, entries: Sequence[Mapping[str, Any]], files: Files) -> list[dict[str, Any]]:
    found = []
    for given in entries:
        path, entry = given.get("path"), {name: value for name, value in given.items() if name != "path"}
        if isinstance(path, str):
            name = str(given.get("name") or os.path.basename(path))
            entry = {**entry, **_store(inbox, files, path, name)}
        found.append(entry)
    return found


def _store(inbox: Inbox, files: Files, path: str, name: str) -> dict[str, Any]:
    """What may not be read is named with the reason. Raises OSError when the mailbox has no room for it."""
    try:
        fd = files.open(path)
    except (OSError, ValueError) as error:
        return {"name": name, "error": getattr(error, "strerror", None) or str(error)}
    with os.fdopen(fd, "rb") as file:
        try:
            return inbox.save_incoming(iter(lambda: file.read(_CHUNK), b""), name)
        except Rejected as error:
            return {"name": name, "error": str(error)}
