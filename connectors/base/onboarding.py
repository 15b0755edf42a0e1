"""What is left to do besides variables until a connector works: steps on the other side, programs, a sign-in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.auth import READY, Method, usable
from connectors.base.declaration import Declaration
from connectors.base.nix import PROGRAM


@dataclass(frozen=True)
class Step:
    """One thing. `done` is None where nobody can tell. `how`: the command, the page, or what to do."""

    kind: str  #: integration, tool, nix, sign-in
    name: str
    description: str
    how: str
    done: bool | None = None
    required: bool = True

    @property
    def mark(self) -> str:
        """✓ done, ✗ not done, - may stay undone, · nobody can tell."""
        if self.done is None:
            return "·"
        return "✓" if self.done else "✗" if self.required else "-"

    def __str__(self) -> str:
        return f"{self.name} — {self.description}" if self.description else self.name


def steps_of(declared: Declaration, options: Any = None, environ: Mapping[str, str] | None = None) -> Iterator[Step]:
    """The steps of a type, or of one instance, whose options are given then."""
    path = (os.environ if environ is None else environ).get("PATH")
    for item in declared.integrations:
        description = f"{item.description} ({item.platform})" if item.platform else item.description
        done = None if item.check is None else _looked(item.check, options)
        yield Step("integration", item.id, description, item.command or item.help_url or "", done)
    for tool in declared.tools:
        found = shutil.which(tool.command, path=path) is not None
        how = tool.help_command or tool.help_url or (f"nix: [{tool.nix}]" if tool.nix else "")
        yield Step("tool", tool.command, tool.description, how, found, tool.required and tool.nix is None)
    if declared.nix:
        here = shutil.which(PROGRAM, path=path) is not None
        yield Step("nix", PROGRAM, f"provides {', '.join(declared.nix)}", "https://nixos.org/download", here)
    method = _method(declared, options)
    if method is not None and method.type not in READY:
        yield Step("sign-in", method.type, method.description, "nothing signs in yet: use another method")


def _method(declared: Declaration, options: Any) -> Method | None:
    """The one that is in use; of a type the best one."""
    if options is None:
        return declared.auth[0] if declared.auth else None
    return usable(declared.auth, dict(options))


def _looked(check: Any, options: Any) -> bool | None:
    try:
        return bool(check(options))
    except Exception:  # noqa: BLE001 - it is the author's; whether it is done is then what nobody can tell
        return None
