"""The parser in a process of its own: what takes too long, or too much, ends there."""

from __future__ import annotations

import json
import select
import signal
import time
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

from connectors.base.child import Child
from connectors.base.errors import RetryLater
from connectors.base.launch import launch
from connectors.rss.faults import FeedError
from connectors.rss.parser import MEMORY_BYTES, NO_MEMORY

_PARSER = "connectors.rss.parser:run"
_LOOK_EVERY_S = 0.2


def read_apart(
    data: bytes, url: str, content_type: str, *, limit_s: float, stopped: Callable[[], bool]
) -> dict[str, Any]:
    """What `parser.read` makes of it. Raises FeedError when it comes to no end within its limits."""
    with TemporaryFile() as source, TemporaryFile() as result, TemporaryFile() as errors:
        source.write(data)
        source.seek(0)
        child = launch(
            _PARSER,
            {"url": url, "content_type": content_type, "limit_s": limit_s},
            name="feed-parser",
            stdio=(source.fileno(), result.fileno(), errors.fileno()),
            method="exec",
        )
        try:
            _wait(child, limit_s, stopped)
        finally:
            child.end()
        if child.status == 0:
            result.seek(0)
            document: dict[str, Any] = json.load(result)
            return document
        errors.seek(0)
        raise FeedError(_why(child.status, limit_s, errors.read(100_000).decode("utf-8", "replace")))


def _wait(child: Child, limit_s: float, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + limit_s
    while child.poll() is None:
        if stopped():
            raise RetryLater("stopped")
        if time.monotonic() >= end:
            raise FeedError(f"making sense of it took more than {limit_s:g} s")
        select.select([child.pidfd] if child.pidfd is not None else [], [], [], _LOOK_EVERY_S)


def _why(status: int | None, limit_s: float, said: str) -> str:
    if status == NO_MEMORY or "MemoryError" in said:
        return f"making sense of it took more than {MEMORY_BYTES >> 20} MB of memory"
    if status == -signal.SIGXCPU:
        return f"making sense of it took more than {limit_s:g} s"
    last = said.strip().rpartition("\n")[2]
    return f"the parser ended with {status}: {last[:300]}"
