"""What many tests share: waiting for a condition, and programs that a machine may lack."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

import pytest

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


def missing(reason: str) -> NoReturn:
    """Skip the test because the machine lacks something; fail it under CI (`CI=true`): no gap goes unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: a test must not be skipped for that)")
    pytest.skip(reason)


def requires(program: str) -> str:
    """Return the path of `program`; without it, skip the test at home and fail it under CI."""
    path = shutil.which(program)
    if path is None:
        missing(f"{program} is not installed: scripts/setup --test installs it on Debian")
    return path
