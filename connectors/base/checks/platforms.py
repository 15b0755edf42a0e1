"""What the platforms say: every enabled connector asks its own, all at once."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base.checks.finding import Finding, Look
from connectors.base.secrets import Redactor


def platforms(look: Look) -> Iterator[Finding]:
    """Identity, scopes, conflicts: whatever the types' `diagnose` finds."""
    from connectors.base import diagnose
    from connectors.base.process import Spec

    broken = {problem.instance for problem in look.config.errors}
    redactor = Redactor(look.config.values)
    asked = []
    for entry in look.config.entries:
        if entry.enabled and entry.name not in broken:
            spec = Spec.of(entry, look.config, look.home)
            asked.append((diagnose.start(spec), spec))
    for process, spec in asked:
        for found in diagnose.answer(process, spec, str(look.home.config_file)):
            yield Finding(found.level, found.area, redactor.redact(found.what), found.where, redactor.redact(found.fix))


CHECKS = (platforms,)
