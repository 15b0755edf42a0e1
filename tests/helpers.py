"""What many tests share: waiting for a condition, and programs that a machine may lack."""

import os
import shutil
from typing import NoReturn

import pytest

from connectors.testing.waiting import POLL_INTERVAL_S, wait_for

__all__ = ["POLL_INTERVAL_S", "missing", "requires", "wait_for"]


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
