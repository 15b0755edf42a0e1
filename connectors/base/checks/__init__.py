"""What `connectors doctor` looks at: this machine, this home. Every finding has its fix.

It changes nothing; whether a folder can be written it tries with a file that it deletes at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from connectors.base import config as configuration
from connectors.base.checks.finding import Finding, Level, Look
from connectors.base.home import Home
from connectors.base.settings import Config

__all__ = ["Finding", "Level", "Look", "examine"]

Check = Callable[[Look], Iterator[Finding]]

_log = logging.getLogger("connectors.doctor")


def examine(
    home: Home, *, clock: Callable[[], float] = time.time, checks: Sequence[Check] | None = None
) -> list[Finding]:
    """Every finding, the errors first. `checks`: by default all that there are."""
    from connectors.base.checks import machine, mail, onboarding, platforms, processes, setup, tree, writable

    config = configuration.load(home) if home.config_file.exists() else Config(file=home.config_file)
    if config.usable and home.config_file.exists():
        config, _ = configuration.check_options(config, home)
    look = Look(home, config, clock())
    found: list[Finding] = []
    # The trial of the folders changes when they were changed, so it is the last to look at them.
    modules = (setup, onboarding, tree, machine, processes, mail, writable, platforms)
    for check in [check for module in modules for check in module.CHECKS] if checks is None else checks:
        found += _guarded(check, look)
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def _guarded(check: Check, look: Look) -> Iterator[Finding]:
    """One check that fails must not hide what the others find."""
    try:
        yield from check(look)
    except OSError as error:
        where = str(error.filename or look.home.root)
        yield Finding(
            Level.WARNING, "access", f"cannot look: {error.strerror}", where, "run the doctor as the connectors' user"
        )
    except Exception as error:  # noqa: BLE001 - the finding carries it, and the traceback is logged
        name = check.__name__.strip("_")
        _log.exception("%s could not end", name)
        what = f'the doctor could not end its check "{name}": {type(error).__name__}: {error}'
        yield replace(Finding(Level.WARNING, "doctor", what, "", "report this"), where=str(look.home.root))
