"""`state/manager.json`, {pid, started_at, version, verdicts}: for display; that a manager runs, its lock says."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from connectors.base import files

log = logging.getLogger(__name__)


class ManagerFile:
    """Stays there as it was written: what a full disk, or anybody, did to it is made good as soon as it can be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data: dict[str, Any] | None = None
        self._written: tuple[int, int, int] | None = None

    def write(self, data: dict[str, Any]) -> None:
        self._data = data
        try:
            files.replace_private(self._path, json.dumps(data).encode() + b"\n")
            self._written = self._found()
        except OSError as error:
            log.debug("%s not written: %s", self._path, error)
            self._written = None
            with suppress(OSError):
                self._path.unlink()  # it tells of a manager that is no more, or of what was

    def look(self) -> None:
        """Write it again where it is not what was written."""
        if self._data is not None and (self._written is None or self._found() != self._written):
            self.write(self._data)

    def _found(self) -> tuple[int, int, int] | None:
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
