"""`connectors approve`."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectors.base.errors import ConfigError
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import json_text, say

if TYPE_CHECKING:
    from connectors.base.home import Home
    from connectors.parts.approvals import Request

_MAX_BYTES = 10_000_000


def approve(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Its id; the beginning is enough.")],
    seed_home: SeedHome = HERE,
    edit: Annotated[
        Path | None,
        typer.Option(
            "--edit", metavar="FILE", help="Run it with this input instead: a JSON object.", show_default=False
        ),
    ] = None,
) -> None:
    """It runs once, at once, or when its connector is up. Exit code 1 when it was decided before, has expired, or is
    not known.
    """
    from connectors.parts.approvals import Approvals

    home = home_of(seed_home)
    folder = Approvals(home)
    request = folder.find(wanted)
    given = None if edit is None else _read(edit)
    if given is not None:
        _check(home, request, given)
    folder.decide(request, "approve", by=who(), given=given)
    used = json_text(request.input if given is None else given, None)
    say(f"approved {request.action} of {request.instance} with {used}")


def who() -> str:
    """Who decides: the person behind sudo, where there is one."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _read(path: Path) -> dict[str, Any]:
    from connectors.base.files import read_regular

    try:
        data = json.loads(read_regular(path, _MAX_BYTES)[0])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}", hint='write the whole input: {"name": value}') from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is no JSON object", hint='write the whole input: {"name": value}')
    return data


def _check(home: Home, request: Request, given: dict[str, Any]) -> None:
    """The connector checks it again; here it can still be corrected. Raises Rejected that names every problem."""
    from connectors.base.registry import load_class
    from connectors.parts.contract import Action

    try:
        cls = load_class(_type(home, request), home.root)
    except ConfigError:
        return
    for action in getattr(cls, "actions", ()):
        if isinstance(action, Action) and action.name == request.action:
            action.read_input(given)


def _type(home: Home, request: Request) -> str:
    """As connectors.yml names it: a type of a file has another name than its class says."""
    from connectors.base import config

    entry = config.load(home).entry(request.instance) if home.config_file.exists() else None
    return entry.type if entry is not None else request.type
