"""What a child process prints, kept in `logs/<instance>.log`: by line, redacted, rotated, private."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

#: Of a line without an end only the beginning is kept: cut elsewhere, it might show half a secret.
MAX_LINE_BYTES = 256_000
KEPT_OF_LONG_LINE = 1_000

# Escape sequences in a log would be carried out by the terminal that shows it.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}


class LineLog:
    """Appends lines to one log file. A disk that is full loses lines and stops nobody."""

    def __init__(
        self,
        path: Path,
        redact: Callable[[str], str],
        *,
        max_bytes: int = 5_000_000,
        files: int = 5,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        self.last = ""  #: the last line that was not blank, nor what a connector logs in the ordinary course of things
        self._redact = redact
        self._echo = echo
        self._partial = b""
        self._overlong = False
        self._handler = _PrivateFile(
            path, maxBytes=max_bytes, backupCount=max(files - 1, 0), encoding="utf-8", delay=True
        )

    def keep(self, *, max_bytes: int, files: int) -> None:
        """Other limits from now on."""
        self._handler.maxBytes, self._handler.backupCount = max_bytes, max(files - 1, 0)

    def feed(self, data: bytes) -> None:
        """Take what came out of a pipe; complete lines are written."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._partial) > MAX_LINE_BYTES:
            self._take(self._partial)
            self._partial, self._overlong = b"", True

    def end(self) -> None:
        """The process is gone: what has no end of line is a line, too."""
        if self._partial:
            self._take(self._partial)
        self._partial, self._overlong = b"", False

    def write(self, text: str) -> None:
        """Lines of the manager's own, with the time."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for line in text.splitlines():
            clean = self._clean(line)
            self._put(f"{stamp} manager: {clean}", clean)

    def close(self) -> None:
        self.end()
        self._handler.close()

    def _take(self, raw: bytes) -> None:
        if self._overlong:
            # The rest of a line whose beginning is in the log already.
            self._overlong = len(raw) > MAX_LINE_BYTES
            return
        text = self._clean(raw.decode("utf-8", "backslashreplace").rstrip("\r"))
        if len(raw) > MAX_LINE_BYTES:
            text = f"{text[:KEPT_OF_LONG_LINE]} [a line of more than {MAX_LINE_BYTES} bytes: the rest is left out]"
        if text.strip() and not _ORDINARY.match(text):
            self.last = text.strip()
        self._put(text, text)

    def _clean(self, text: str) -> str:
        return self._redact(text).translate(_CONTROLS)

    def _put(self, line: str, shown: str) -> None:
        self._handler.emit(logging.makeLogRecord({"msg": line, "args": None}))
        if self._echo is not None:
            self._echo(shown)


#: What a connector logs in the ordinary course of things is no cause of its end.
_ORDINARY = re.compile(r"\S+Z (WARNING|INFO|DEBUG) ")


class _PrivateFile(RotatingFileHandler):
    """Mode 0600 whatever the umask is; begins anew when somebody has moved or deleted the file."""

    def _open(self) -> io.TextIOWrapper:
        os.makedirs(os.path.dirname(self.baseFilename), mode=0o700, exist_ok=True)
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return io.TextIOWrapper(io.FileIO(fd, "ab"), encoding=self.encoding, errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None and not os.path.exists(self.baseFilename):
            self.stream.close()
            self.stream = None  # as the handler itself does with delay=True
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing: there is no better place to write to."""
