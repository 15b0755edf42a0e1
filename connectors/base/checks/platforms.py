"""What the platforms say: every enabled connector asks its own, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from connectors.base.checks.finding import Finding, Look
from connectors.base.home import Home
from connectors.base.secrets import Redactor
from connectors.base.settings import Config


def platforms(look: Look) -> Iterator[Finding]:
    """Identity, scopes, conflicts: what the types' validators and their `diagnose` find."""
    yield from ask(look.config, look.home)


def ask(config: Config, home: Home, *, credentials_only: bool = False) -> Iterator[Finding]:
    """`platforms`, or only whether the credentials work."""
    from connectors.base import diagnose
    from connectors.base.process import Spec

    broken = {problem.instance for problem in config.errors}
    redactor = Redactor(config.values)
    asked = []
    for entry in config.entries:
        if entry.enabled and entry.name not in broken:
            spec = Spec.of(entry, config, home)
            asked.append((diagnose.start(spec, credentials_only=credentials_only), spec))
    for process, spec in asked:
        for found in diagnose.answer(process, spec, str(home.config_file)):
            said = redactor.redact_data({"what": found.what, "fix": found.fix, "facts": dict(found.facts)})
            yield replace(found, **said)


CHECKS = (platforms,)
