"""What connectors need, as several verbs show it: a line for each thing, and below it where it comes from.

✗ GITHUB_TOKEN — Personal access token with repo scope
  → https://github.com/settings/tokens/new?scopes=repo,read:org
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.base.needs import Need
from connectors.base.onboarding import Step
from connectors.commands.output import prose

_STYLES = {"✓": "green", "✗": "red"}


def show_need(need: Need, more: str = "") -> None:
    """One variable. `more` stands behind it, for example who needs it."""
    show(need.mark, str(need) + more, "" if need.source else need.help)


def show_step(step: Step, instance: str = "") -> None:
    """One step on the other side, one program, one sign-in."""
    who = f"{instance}: " if instance else ""
    show(step.mark, f"{who}{step.kind} {step}", "" if step.done else step.how)


def missing(needs: Iterable[Need]) -> list[Need]:
    """Those that are not met and of which something is known, each variable once."""
    found = {need.variable: need for need in needs if not need.met and (need.description or need.help)}
    return list(found.values())


def show(mark: str, text: str, how: str) -> None:
    """A line, and where it comes from or how it is done."""
    prose(f"{mark} ", text, _STYLES.get(mark, ""))
    if how:
        prose("  → ", how)
