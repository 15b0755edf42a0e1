"""What the programs that play a platform share: how they print, and how they end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from connectors.base.errors import MissingDependency


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def played(play: Callable[[], None], port: int) -> int:
    """Play until the input ends, Ctrl-C or SIGTERM. Returns the exit code: 1 without the port, 2 without a package."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        play()
    except MissingDependency as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
