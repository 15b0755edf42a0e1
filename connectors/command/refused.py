"""Lines that meant nothing, kept for a person: `state/<instance>/refused.jsonl`, bounded."""

from __future__ import annotations

import json
import os
from pathlib import Path

from connectors.base.message import utc_now
from connectors.command.lines import TooLong

#: Then a new file begins; the one before is kept beside it.
_MAX_BYTES = 5_000_000


class Refused:
    """Written to by one thread."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "refused.jsonl"
        self.count = 0  #: since the start

    def keep(self, line: bytes | TooLong, why: str) -> None:
        """Write the line down, with what is wrong with it. Raises OSError."""
        self.count += 1
        text = (line.start if isinstance(line, TooLong) else line).decode("utf-8", "backslashreplace")
        entry = json.dumps({"at": utc_now(), "why": why, "line": text}).encode() + b"\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, entry)
            large = os.fstat(fd).st_size > _MAX_BYTES
        finally:
            os.close(fd)
        if large:
            os.replace(self.path, self.path.with_suffix(".1.jsonl"))

    def is_worth_a_line(self) -> bool:
        """Whether the log shall have another one: the first ten, then each that doubles the number."""
        return self.count <= 10 or self.count & (self.count - 1) == 0
