"""What runs in a connector's process under the manager."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from connectors.base import logbook
from connectors.base.errors import ConnectorError, Exit
from connectors.base.home import Home
from connectors.base.process import Spec
from connectors.base.registry import load_class
from connectors.base.runtime import Settings, report
from connectors.base.secrets import Redactor
from connectors.base.status import StatusFile


def serve(spec: Spec) -> int:
    """Run one connector to its end; returns its exit code."""
    os.environ.update(spec.environ)
    try:
        cls = load_class(spec.type, Path(spec.home))
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


def _failed(spec: Spec, error: Exception, code: Exit) -> int:
    redactor = Redactor(spec.values)
    text, hint = redactor.redact(str(error)), redactor.redact(getattr(error, "hint", ""))
    StatusFile(Home(spec.home), spec.name).error(text, hint=hint, kind=type(error).__name__)
    report(spec.report_fd, name=spec.name, event="error", text=text, hint=hint, code=int(code))
    sys.stderr.write(f"{logbook.visible(text)}\n")
    return int(code)
