"""Named points between the steps of both protocols, where a fault test may end the process.

Production code calls `step("intake.recorded")` and nothing happens. A test sets `listener` in the process under
test and kills it there. The names are the protocol's own words and are listed here: a test can walk all of them.
"""

from __future__ import annotations

from collections.abc import Callable

INTAKE = ("intake.staged", "intake.recorded", "intake.published", "intake.synced")
OUTBOX = (
    "outbox.keyed",
    "outbox.claimed",
    "outbox.committed",
    "outbox.sent",
    "outbox.part",
    "outbox.receipt",
    "outbox.recorded",
    "outbox.deleted",
)
SOURCE = ("source.polled", "source.committed", "source.noted")
ACTION = ("action.asked", "action.decided", "action.begun", "action.ran", "action.recorded", "action.told")
ROUTE = ("route.first", "route.put", "route.retired", "route.acked")
DEAD = ("dead.marked", "dead.reason", "dead.event", "dead.moved", "dead.recorded")

listener: Callable[[str], None] | None = None


def step(name: str) -> None:
    """Tell the listener, if a test has set one, that the step `name` is done."""
    if listener is not None:
        listener(name)
