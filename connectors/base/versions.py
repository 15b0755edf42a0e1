"""Which version of this project a connector was written for.

class ShopConnector(Connector):
    min_version = "1.2"            # of mailbox-connectors; an older one says so instead of failing somewhere inside
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from connectors.base.errors import ConfigError, MissingDependency

DISTRIBUTION = "mailbox-connectors"
_VERSION = re.compile(r"\d+(?:\.\d+){0,3}", re.ASCII)
#: As it stands in the source of a class that cannot even be imported.
_WRITTEN = re.compile(r"""^[ \t]+min_version[ \t]*(?::[^=\n]+)?=[ \t]*["']([\d.]+)["']""", re.MULTILINE | re.ASCII)


@cache
def installed_version() -> str:
    """The installed version; empty where it is run without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return ""


def min_version_of(cls: type) -> str:
    """What a class declares; empty when it declares nothing. Raises ConfigError for what is no version."""
    wanted = getattr(cls, "min_version", None) or ""
    if wanted and (not isinstance(wanted, str) or not _VERSION.fullmatch(wanted)):
        what = f"{cls.__name__}.min_version must be a version of {DISTRIBUTION} such as 1.2, not {wanted!r:.40}"
        raise ConfigError(what, hint="correct the class")
    return wanted


def require(name: str, wanted: str, here: str | None = None) -> None:
    """Raises MissingDependency when `name`, a connector, needs a newer version than `here`, the installed one."""
    if here is None:
        here = installed_version() if wanted else ""
    if here and _numbers(here) < _numbers(wanted):
        what = f"{name} needs {DISTRIBUTION} {wanted} or newer, and this is {here}"
        raise MissingDependency(what, install=f"pip install --upgrade {DISTRIBUTION}")


def written_in(file: Path) -> str:
    """The version that a source file asks for, for one that cannot be imported because it is not there."""
    try:
        found = _WRITTEN.search(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    """Without zeros at its end: 1.2 is 1.2.0. A version that is being made (1.2.dev3, 1.2rc1) counts as that one."""
    found = _VERSION.match(version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
