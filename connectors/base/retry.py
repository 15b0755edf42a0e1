"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential with full jitter: the wait after failure n is uniform in [0, min(max_s, initial_s * 2**(n-1))].

    Full jitter because many outgoings that failed together must not come back together
    (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """

    initial_s: float = 1.0
    max_s: float = 300.0
    uniform: Callable[[float, float], float] = random.uniform

    def ceiling_s(self, failures: int) -> float:
        """The longest wait after `failures` failures in a row (1 or more)."""
        # 2**60 seconds is beyond any cap; the bound keeps the power from growing without limit.
        return min(self.max_s, self.initial_s * 2.0 ** min(max(failures, 1) - 1, 60))

    def wait_s(self, failures: int) -> float:
        """A wait drawn for this failure."""
        return self.uniform(0.0, self.ceiling_s(failures))
