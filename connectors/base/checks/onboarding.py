"""What is left to do until a connector works: steps on the other side, programs that it could use, a sign-in."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import config as configuration
from connectors.base.checks.finding import Finding, Level, Look
from connectors.base.declaration import declaration_of
from connectors.base.errors import ConfigError
from connectors.base.onboarding import Step, steps_of
from connectors.base.options import options_of, read_options
from connectors.base.registry import load_class
from connectors.base.settings import Entry


def steps(look: Look) -> Iterator[Finding]:
    """Those that are not done, and those of which nobody can tell."""
    # Also of those that have an error, which the look's own config does not have any more.
    entries = configuration.load(look.home).entries if look.home.config_file.exists() else ()
    for entry in entries:
        if not entry.enabled:
            continue
        where = f"{look.home.config_file}:{entry.line}"
        for step in _steps_of(look, entry):
            if not step.done:
                what = f"{entry.name}: {step.kind} {step.mark} {step}"
                yield Finding(_level(step), "onboarding", what, where, step.how or "nothing to do", vars(step))


def _steps_of(look: Look, entry: Entry) -> list[Step]:
    try:
        cls = load_class(entry.type, look.home.root)
        declared = declaration_of(cls)
    except ConfigError:
        return []  # among the problems of the configuration
    model = options_of(cls)
    options = None if model is None else read_options(model, entry.options, look.config.env)[0]
    found = steps_of(declared, options, look.config.env)
    return [step for step in found if step.kind != "nix" or entry.nix is None or entry.nix]


def _level(step: Step) -> Level:
    """What is missing for certain is a person's work; a connector that cannot start is an error of its own."""
    return Level.WARNING if step.done is False and step.required else Level.INFO


CHECKS = (steps,)
