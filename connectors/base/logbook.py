"""Where a connector process logs to: redacted always; a rotated file when it runs alone, stderr under the manager."""

from __future__ import annotations

import logging
import sys
import time
import unicodedata
from contextlib import suppress
from pathlib import Path

from connectors.base.secrets import RedactingFilter, Redactor

#: httpx and its kin log request lines with the URL, and Telegram's URLs hold the token.
_TALKATIVE = ("httpx", "httpcore", "urllib3", "slack_sdk", "telegram", "websockets", "asyncio")


class _UtcFormatter(logging.Formatter):
    """One line a record: control characters of foreign text would forge lines or steer a terminal."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return visible(super().formatMessage(record))


def visible(text: str, keep: str = "") -> str:
    """`text` with control, format and unassigned characters as escapes, except those in `keep`.

    Spaces of all scripts and the joiners that emoji and Indic scripts need stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _harmless(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def _harmless(c: str) -> bool:
    return c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs"


def set_up(
    redactor: Redactor, *, file: Path | None = None, max_bytes: int = 5_000_000, files: int = 5
) -> list[logging.Handler]:
    """Log to stderr and, when given, to `file`, rotated. Returns the handlers, for `tear_down`."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        from logging.handlers import RotatingFileHandler  # half a MB, and not needed under the manager

        handlers.append(
            RotatingFileHandler(
                file,
                maxBytes=max_bytes,
                backupCount=files - 1,
                encoding="utf-8",
                errors="backslashreplace",
                delay=True,
            )
        )
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(_UtcFormatter())
        handler.addFilter(RedactingFilter(redactor))
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handlers


def tear_down(handlers: list[logging.Handler]) -> None:
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
        with suppress(OSError):  # a full disk takes no last line, and must not change how the process ends
            handler.close()
