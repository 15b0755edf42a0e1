"""Which messages are the bot's own: a reaction does not say to whose message it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

FILE = "own-messages"
#: So many are remembered, the newest; the file has at most twice as many lines.
KEPT = 5000


class OwnMessages:
    """The newest messages that were sent. A line each in the instance's private folder; a lost one costs little."""

    def __init__(self, folder: Path, logger: logging.Logger, *, kept: int = KEPT) -> None:
        self._file = folder / FILE
        self._logger = logger
        self._kept = kept
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}
        self._lines = 0
        try:
            lines = self._file.read_text().splitlines()
        except FileNotFoundError:
            lines = []
        except (OSError, ValueError) as error:
            self._say(error)
            lines = []
        self._known = dict.fromkeys(lines[-kept:])
        self._lines = len(lines)

    def note(self, chat: str, numbers: Iterable[str]) -> None:
        """These were sent there."""
        fresh = [f"{chat} {number}" for number in numbers]
        if not fresh:
            return
        with self._lock:
            self._known.update(dict.fromkeys(fresh))
            self._lines += len(fresh)
            while len(self._known) > self._kept:
                del self._known[next(iter(self._known))]
            whole = self._lines > 2 * self._kept
            lines = list(self._known) if whole else fresh
            try:
                self._write(lines, whole=whole)
            except OSError as error:
                self._say(error)
            else:
                self._lines = len(lines) if whole else self._lines

    def has(self, chat: str, number: object) -> bool:
        """Whether it is known to be the bot's."""
        with self._lock:
            return f"{chat} {number}" in self._known

    def _write(self, lines: list[str], *, whole: bool) -> None:
        with self._file.open("w" if whole else "a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        self._file.chmod(0o600)

    def _say(self, error: Exception) -> None:
        self._logger.warning("%s: %s: reactions to older messages of the bot may be left out", FILE, error)
