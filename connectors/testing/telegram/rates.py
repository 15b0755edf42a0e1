"""Flood control, really enforced when a test asks for it.

https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this: one message a second in a chat, and 20
a minute in a group.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from connectors.testing.telegram.errors import too_many

#: how many messages in how many seconds
IN_A_CHAT = (1, 1.0)
IN_A_GROUP = (20, 60.0)


class Rates:
    """What was sent when, by chat. The world's lock guards it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.enforced = False
        self._clock = clock
        self._sent: dict[int, deque[float]] = {}

    def take(self, chat_id: int, *, group: bool, n: int = 1) -> None:
        """Count `n` messages in a chat; 429 when that is too many, and nothing is counted."""
        if not self.enforced:
            return
        now = self._clock()
        sent = self._sent.setdefault(chat_id, deque(maxlen=IN_A_GROUP[0]))
        wait_s = 0.0
        for count, per_s in (IN_A_CHAT, IN_A_GROUP) if group else (IN_A_CHAT,):
            if len(sent) >= count:
                wait_s = max(wait_s, sent[-count] + per_s - now)
        if wait_s > 0:
            raise too_many(max(1, math.ceil(wait_s)))
        sent.extend([now] * n)
