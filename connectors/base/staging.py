"""One instance's staging folder: the files of events that are being written, or wait for their attachments."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from connectors.base.errors import BadMessage
from connectors.base.files import move_all, sync_folder, write_all_new, write_new
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.base.store import EventRow


@dataclass(frozen=True)
class Staged:
    """An event on its way: its file's name, its content, its row."""

    name: str
    body: bytes
    row: EventRow

    @classmethod
    def of(cls, message: Message, name: str, body: bytes, received_at: float) -> Self:
        source = message.event
        row = EventRow(
            id=message.id,
            file=name,
            kind=message.kind,
            conversation_id=message.conversation.id,
            thread_id=message.conversation.thread_id,
            held_s=0.0,
            received_at=received_at,
            body=body,
            origin=source.origin_id if source is not None else None,
            digest=source.digest if source is not None else None,
        )
        return cls(name, body, row)


class Staging:
    """Nobody watches it, and only this instance writes there."""

    def __init__(self, home: Home, name: str, logger: logging.Logger) -> None:
        self.folder = home.staging(name)
        self._inbox = home.inbox
        self._modes = home.modes
        self._logger = logger

    def add(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write them durably. Their entries in the folder are not durable before `sync`."""
        write_all_new(
            [(f"{self.folder}/{name}", body) for name, body in files], mode=self._modes.file, gid=self._modes.gid
        )

    def put(self, name: str, body: bytes) -> None:
        """Write one durably, in place of one that is there. Repeatable."""
        part = self.folder / f"{name}.tmp"
        part.unlink(missing_ok=True)
        write_new(part, body, self._modes.file, self._modes.gid)
        os.replace(part, self.folder / name)
        sync_folder(self.folder)

    def drop(self, names: Sequence[str]) -> None:
        """What was added is not wanted any more."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/{name}")

    def publish(self, names: Sequence[str]) -> None:
        """Rename into the inbox, which is not synced. Repeatable: those that are gone had been renamed before."""
        move_all(self.folder, self._inbox, names, "again")

    def sync(self) -> None:
        """Make the entries of the folder durable."""
        sync_folder(self.folder)

    def try_sync(self) -> None:
        """`sync` where a failure changes nothing any more."""
        try:
            self.sync()
        except OSError as error:
            self._logger.warning("%s was not synced: %s", self.folder, error)

    @staticmethod
    def sync_file(path: Path) -> None:
        """Make the content of one durable that an earlier process wrote."""
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @staticmethod
    def age_s(path: Path) -> float:
        """How long ago it was staged. Counted anew when the clock was set back: nothing waits for as long as that."""
        age_s = time.time() - path.stat().st_mtime
        if age_s < -1.0:
            os.utime(path)
        return max(0.0, age_s)

    def events(self, torn: Callable[[Path], None] = lambda path: None) -> Iterator[tuple[Path, Message]]:
        """What can be read of the staged events, in order of arrival; `torn` gets the files that are none."""
        for path in sorted(self.folder.iterdir()):
            if path.is_symlink() or not path.is_file():
                continue  # somebody else left it there; doctor names it
            if path.suffix != ".json":
                torn(path)
                continue
            try:
                message = Message.from_file(path)
            except OSError as error:
                # No verdict on its content, which may have been acknowledged: the next start tries again.
                self._logger.warning("%s cannot be read and stays staged: %s", path.name, error)
            except BadMessage:
                torn(path)
            else:
                yield path, message

    def drop_torn(self, path: Path) -> None:
        """What a writer that died was about to write."""
        if path.suffix == ".json":
            self._logger.warning("recovery: %s is torn; it was never acknowledged and will come again", path.name)
        path.unlink(missing_ok=True)
