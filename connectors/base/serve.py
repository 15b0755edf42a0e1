"""What runs in a connector's process under the manager."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from connectors.base import logbook, nix
from connectors.base.errors import ConnectorError, Exit
from connectors.base.home import Home
from connectors.base.launch import become
from connectors.base.process import RUN_SPEC, SERVE, Spec
from connectors.base.registry import load_class
from connectors.base.runtime import Settings, report
from connectors.base.secrets import Redactor
from connectors.base.status import StatusFile


def serve(spec: Spec) -> int:
    """Run one connector to its end; returns its exit code."""
    if not spec.wrapped:  # which has them, and a PATH that nix-shell made
        os.environ.update(spec.environ)
    if spec.guard_fd is not None:
        nix.dismiss(spec.guard_fd)
    try:
        cls = load_class(spec.type, Path(spec.home))
        if not spec.wrapped and (packages := nix.packages(cls, spec.nix, os.environ)):
            _go_on_in(packages, spec)
        connector = cls(name=spec.name, seed_home=spec.home, config=dict(spec.options))
    except (ConnectorError, ImportError) as error:
        return _failed(spec, error, error.exit_code if isinstance(error, ConnectorError) else Exit.DEPENDENCY)
    connector.redactor.add(spec.values)
    connector._settings = Settings(spec.delivery, spec.limits, spec.group)
    connector._expanded = True
    connector._report_fd = spec.report_fd
    connector._log_file = spec.log_file
    connector._stdin = spec.stdin
    return connector._run()


def _go_on_in(packages: Sequence[str], spec: Spec) -> NoReturn:
    """As the same process, with these packages on its PATH."""
    sys.stderr.write(f"{nix.PROGRAM} provides {', '.join(packages)}\n")
    sys.stderr.flush()
    guard_fd = None if spec.lifeline_fd is None else nix.guard(spec.lifeline_fd)
    keep = [fd for fd in (spec.lifeline_fd, spec.report_fd, guard_fd) if fd is not None]
    again = replace(spec, wrapped=True, guard_fd=guard_fd)
    argument = {"entry": SERVE, "spec": again.to_dict()}
    become(RUN_SPEC, argument, name=spec.name, keep=keep, wrap=partial(nix.command, packages))


def _failed(spec: Spec, error: Exception, code: Exit) -> int:
    redactor = Redactor(spec.values)
    text, hint = redactor.redact(str(error)), redactor.redact(getattr(error, "hint", ""))
    StatusFile(Home(spec.home), spec.name).error(text, hint=hint, kind=type(error).__name__)
    kind = type(error).__name__
    report(spec.report_fd, **{"name": spec.name, "event": "error", "text": text, "hint": hint, "class": kind})
    sys.stderr.write(f"{logbook.visible(text)}\n")
    return int(code)
