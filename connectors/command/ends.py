"""How a program ended, and what that means: exit codes as connectors have them. Pure."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress

from connectors.base.errors import AuthError, ConfigError, ConnectorError, Exit, Rejected, RetryLater

#: sysexits(3), EX_DATAERR: what was to be sent is wrong.
_DATA_ERROR = 65


class Ended(ConnectorError):
    """It ended, and nobody had asked for that."""


def end_of(program: str, code: int | None, tail: Sequence[str]) -> ConnectorError:
    """The error that a program's end stands for; `tail` are its last words."""
    words = f": {tail[-1]}" if tail else ""
    text = f"{program} {_meaning(code)}{words}"
    if code == Exit.AUTH:
        return AuthError(text, hint="renew the program's credential, then connectors restart")
    if code == Exit.CONFIG:
        return ConfigError(text, hint="correct what the program needs, then connectors restart")
    if code == Exit.LOCKED:
        return RetryLater(text)
    return Ended(text)


def outcome_of(program: str, code: int | None, tail: Sequence[str]) -> ConnectorError | None:
    """What became of the outgoing that it was run for, by its exit code alone. None: it was sent."""
    if code == 0:
        return None
    error = end_of(program, code, tail)
    if code == _DATA_ERROR:
        return Rejected(str(error), hint="correct the outgoing, then `connectors failed retry`")
    if isinstance(error, Ended):
        # What a signal ended may have sent before.
        return RetryLater(str(error), ambiguous=code is None or code < 0)
    return error


def _meaning(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"
    return f"ended with exit status {code}"
