"""Outgoings that a program was given, and what it says became of each."""

from __future__ import annotations

import threading

from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.message import Receipt

Outcome = Receipt | ConnectorError


class Answers:
    """By key. Thread-safe: who sends waits, who listens tells."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: dict[str, Outcome | None] = {}

    def expect(self, key: str) -> None:
        """Before the program is asked."""
        with self._changed:
            self._told[key] = None

    def tell(self, key: str, outcome: Outcome) -> bool:
        """False: nobody waits for that."""
        with self._changed:
            if key not in self._told:
                return False
            self._told[key] = outcome
            self._changed.notify_all()
            return True

    def tell_all(self, outcome: ConnectorError) -> None:
        """There will be no answers."""
        with self._changed:
            self._told = {key: told or outcome for key, told in self._told.items()}
            self._changed.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether the program owes an answer."""
        with self._changed:
            return None in self._told.values()

    def wait(self, key: str, timeout_s: float) -> Receipt:
        """Raises what the program said in place of a receipt, RetryLater when it says nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._told[key] is not None, timeout_s)
            outcome = self._told.pop(key)
        if outcome is None:
            raise RetryLater(f"the program did not answer within {timeout_s:g} s", ambiguous=True)
        if isinstance(outcome, Receipt):
            return outcome
        raise outcome
