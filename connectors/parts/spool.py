"""What programs of this machine have to tell a connector, kept until it listens: one file each, in its private folder.

Who tells writes the file first, then posts the same bytes, and deletes the file when the connector has taken them. What
is still there, because nobody listened or somebody was killed, the connector takes in by itself. The same bytes make
the same event: nothing is lost on the way, and nothing comes twice.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from connectors.base.errors import BadMessage, ConfigError, RetryLater
from connectors.base.files import publish_here, read_regular

#: More than a machine's tools say in weeks; a connector that never runs must not fill the disk.
_MAX_FILES = 10_000
_MAX_REFUSED = 100
_REFUSED = ".refused"


class Unreadable(Exception):
    """Raised by who takes a body in: it can never become an event."""


class Spool:
    """The bodies that wait for one instance, whose private folder this is."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "spool"

    def put(self, body: bytes) -> Path:
        """Keep a body, durably. Raises OSError, and ConfigError when too many wait."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if len(os.listdir(self.folder)) >= _MAX_FILES:
            raise ConfigError(
                f"{_MAX_FILES} wait in {self.folder} already", hint="start the connector, or delete what is there"
            )
        return publish_here(self.folder, f"{time.time_ns():020d}-{secrets.token_hex(4)}.json", body)

    def adopt(self, other: Spool) -> None:
        """Move here what waits there: it was told under a name that this one has, too. Raises OSError."""
        for path in other._waiting():
            with suppress(FileNotFoundError):  # somebody else moved it
                path.rename(self.folder / path.name)

    def take(
        self, handle: Callable[[bytes], object], logger: logging.Logger, *, max_bytes: int, older_than_s: float = 0.0
    ) -> None:
        """Hand over what waits, oldest first, and delete it. What is younger may still be on its way by itself.

        `handle` raises Unreadable for what is then set aside, and RetryLater for what stays.
        """
        newest = time.time() - older_than_s
        for path in self._waiting():
            try:
                if older_than_s and path.stat().st_mtime > newest:
                    continue
                handle(read_regular(path, max_bytes)[0])
                path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue  # it arrived, and who posted it has deleted it
            except RetryLater:
                return
            except (Unreadable, BadMessage) as error:
                self._set_aside(path, logger, str(error))
            except Exception:  # whatever it is, it must not end the thread that looks; the file stays
                logger.exception("%s could not be taken in", path.name)
                return

    def _waiting(self) -> list[Path]:
        try:
            return sorted(self.folder / name for name in os.listdir(self.folder) if name.endswith(".json"))
        except OSError:
            return []  # nobody has told anything yet

    def _set_aside(self, path: Path, logger: logging.Logger, why: str) -> None:
        aside = path.with_name(path.name + _REFUSED)
        with suppress(FileNotFoundError):
            path.rename(aside)
        logger.warning("what a program left for this connector is no event: %s; it is kept as %s", why, aside)
        old = sorted(name for name in os.listdir(self.folder) if name.endswith(_REFUSED))[:-_MAX_REFUSED]
        for name in old:
            (self.folder / name).unlink(missing_ok=True)


def mark_of(body: bytes) -> str:
    """Stands for the bytes: the id of their delivery, whichever way they come."""
    return hashlib.sha256(body).hexdigest()[:32]
