"""Waiting for a condition, in tests: never a sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.005


def wait_for(condition: Callable[[], T], *, deadline_s: float = 10, what: str = "") -> T:
    """Return the first true value of `condition`, which is called every few milliseconds.

    AssertionError after `deadline_s` seconds, with the last value; what `condition` raises is not caught.
    """
    never = threading.Event()
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline_s} s: {what or condition}; the last value: {value!r}")
        never.wait(POLL_INTERVAL_S)
