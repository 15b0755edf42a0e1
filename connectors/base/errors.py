"""Errors by what the reader of them does next, and the exit codes that carry them out of a process.

    ConnectorError
    ├── ConfigError            the operator must edit something        exit 78
    │   └── MissingDependency  carries the install command             exit 2
    ├── AuthError              someone must renew a credential         exit 77
    ├── InstanceLocked         another process runs this instance      exit 75
    ├── RetryLater             the outgoing stays queued; out of connect(): the platform is waited for
    └── Rejected               this outgoing can never succeed: dead letter
        └── BadMessage         the file is not an outgoing

Anything else is a bug: in `send_message` it costs that outgoing an attempt, out of `connect()` or
`run_loop()` it is exit 1 and the process is restarted. So is a RetryLater that leaves `run_loop()`.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Literal


class Exit(IntEnum):
    """What a connector process says by its exit code.

    0, 1 and 2 are the seed document's; 75, 77 and 78 are `EX_TEMPFAIL`, `EX_NOPERM` and `EX_CONFIG` of sysexits(3).
    """

    OK = 0  #: a clean end; final
    CRASH = 1  #: a bug or a fault; restarted with growing backoff
    DEPENDENCY = 2  #: a package is missing; not restarted
    LOCKED = 75  #: another process holds the instance or the credential; tried again with backoff
    AUTH = 77  #: a credential was refused; not restarted until it changes
    CONFIG = 78  #: connectors.yml or .env must be edited; not restarted until they change


class ConnectorError(Exception):
    """The root. `hint` says what to do next; it is shown in logs, status and reasons."""

    exit_code = Exit.CRASH

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(ConnectorError):
    """The operator must edit connectors.yml, .env or the machine."""

    exit_code = Exit.CONFIG


class MissingDependency(ConfigError, ImportError):
    """A package is not installed. `install` is the command that installs it.

    Also an ImportError, because the seed's users catch that one around `connect()`.
    """

    exit_code = Exit.DEPENDENCY

    def __init__(self, message: str, *, install: str = "") -> None:
        super().__init__(f"{message}: {install}" if install else message, hint=install)
        self.install = install


class AuthError(ConnectorError):
    """The platform refused the credential."""

    exit_code = Exit.AUTH


class InstanceLocked(ConnectorError):
    """Another process runs this instance, or uses this exclusive credential."""

    exit_code = Exit.LOCKED


class RetryLater(ConnectorError):
    """Nothing was sent; try again.

    `after_s` is the wait that the platform gave (Retry-After): it uses up no attempt. Without it the default
    backoff applies and an attempt is used. `ambiguous=True` says that the request may have reached the platform.

    A header's text may be given as it is. What is no number of seconds (a date, NaN, infinity) is no wait that was
    given; less than nothing is nothing.
    """

    def __init__(
        self, message: str = "", *, after_s: float | str | None = None, ambiguous: bool = False, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.after_s = _seconds(after_s)
        self.ambiguous = ambiguous


class Rejected(ConnectorError):
    """The platform, or the connector, says that this outgoing can never succeed.

    `reason_class` is how its dead letter is filed.
    """

    reason_class: Literal["rejected", "expired", "ambiguous", "bug"] = "rejected"


class BadMessage(Rejected):
    """The file in the outbox is not an outgoing."""


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
