"""What comes after an attempt: a receipt, another attempt later, or a dead letter.

What was sent is recorded before anything else is sent. A dead letter that cannot be written waits; it delays only its
own conversation.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial

from connectors.base.ends import HELD, ReasonClass
from connectors.base.errors import RetryLater
from connectors.base.lanes import Item
from connectors.base.logbook import visible
from connectors.base.message import Receipt
from connectors.base.outbound import Outbound
from connectors.base.pause import DEAD_LETTERS, LOOK_AGAIN_S, SENDING, Pause
from connectors.base.queue import Queue
from connectors.base.retry import Backoff
from connectors.base.sending import Progress, Sender
from connectors.base.store import OutRow, OutState

RETRY_HINT = "mend the cause; then `connectors failed retry`"


class Aftermath:
    """Brings items to their ends, or back into the queue. Thread-safe."""

    def __init__(self, outbound: Outbound, queue: Queue, pause: Pause, sender: Sender) -> None:
        self._out = outbound
        self._queue = queue
        self._pause = pause
        self._sender = sender
        self._backoff = Backoff(outbound.policy.initial_delay_s, outbound.policy.max_delay_s)

    def sent(self, item: Item, receipt: Receipt, state: OutState = OutState.SENT) -> bool:
        """Write the receipt, waiting while something is in the way. False when stopped first: recovery goes on."""
        while True:
            try:
                self._out.ends.receipt(receipt, state)
            except (OSError, sqlite3.OperationalError) as error:
                self._pause.begin(error, SENDING)
                if self._out.stop.wait(LOOK_AGAIN_S):
                    self._queue.done(item)
                    return False
            else:
                self._pause.over(SENDING)
                self._queue.done(item)
                return True

    def failed(
        self, item: Item, progress: Progress, error: Exception, *, ambiguous: bool, after_s: float | None = None
    ) -> None:
        """It was not sent, or nobody knows: try again later, unless that was its last attempt, or it is to be held.

        `after_s`: the wait that the platform gave; it uses up no attempt.
        """
        policy, row, text = self._out.policy, progress.row, str(error) or type(error).__name__
        progress.cut_off = progress.cut_off or ambiguous
        attempts = progress.attempts - (1 if after_s is not None else 0)
        if ambiguous and not self._out.sending.once(progress.message) and policy.on_ambiguous == "hold":
            self.give_up(item, progress, "ambiguous", *HELD)
            return
        if attempts >= policy.max_attempts:
            self.give_up(item, progress, "exhausted", f"{attempts} attempts failed; last: {text}", RETRY_HINT)
            return
        # However long the platform says: at the bound of its age it is looked at, and given up.
        wait = self._backoff.wait_s(max(attempts, 1)) if after_s is None else min(after_s, policy.max_age_s)
        self._out.store.update_outgoing(
            row.key,
            durable=True,
            state=OutState.QUEUED,
            attempts=attempts,
            ambiguous=progress.cut_off,
            next_at=self._out.clock() + wait,
            wait_s=wait,
            error=text,
            note=f"attempt {progress.attempts} failed: {text}; next in {wait:.1f} s",
        )
        # A wait that the platform gave is its ordinary business.
        level = logging.INFO if after_s is not None else logging.WARNING
        said = "%s was not sent: %s; next attempt in %.1f s"
        self._out.logger.log(level, said, visible(row.file), visible(text), wait)
        self._out.on_event("retried", error=text)
        self._queue.wait(item, wait)

    # ── dead letters ──────────────────────────────────────────────────────────────────────────────────────────

    def bury(self, item: Item, row: OutRow, why: ReasonClass, text: str, hint: str) -> None:
        """A dead letter without an attempt in this process."""
        ambiguous = why == "ambiguous" or (row.ambiguous and not self._out.sending.idempotent)
        self.end(item, partial(self._bury, row, why, text, hint, ambiguous=ambiguous))

    def give_up(self, item: Item, progress: Progress, why: ReasonClass, text: str, hint: str) -> None:
        """A dead letter of the attempt in hand."""
        ambiguous = self._sender.is_ambiguous(progress) or why == "ambiguous"
        self.end(item, partial(self._bury, progress.row, why, text, hint, ambiguous=ambiguous, progress=progress))

    def _bury(
        self,
        row: OutRow,
        why: ReasonClass,
        text: str,
        hint: str,
        *,
        ambiguous: bool,
        progress: Progress | None = None,
    ) -> None:
        ends, on_event = self._out.ends, self._out.on_event
        if progress is None:
            ends.bury_row(row, why, text, hint, ambiguous=ambiguous)
        else:
            ends.bury_row(
                row,
                why,
                text,
                hint,
                ambiguous=ambiguous,
                message=progress.message,
                attempts=progress.attempts,
                parts_sent=progress.parts_sent,
            )
        on_event("failed", error=text, hint=hint, kind=why, file=row.file)

    def end(self, item: Item, end: Callable[[], None]) -> None:
        """Do what ends `item`; where something is in the way, let it wait with that."""
        item.end = end
        # While one cannot be written, the others need not be tried as well.
        wait_s = self._pause.left_s(DEAD_LETTERS)
        if wait_s > 0:
            self._queue.wait(item, wait_s)
            return
        try:
            end()
        except (OSError, sqlite3.OperationalError) as error:
            self._pause.begin(error, DEAD_LETTERS)
            self._queue.wait(item, LOOK_AGAIN_S)
        except RetryLater:  # stopped meanwhile: recovery goes on with it
            self._queue.done(item)
        else:
            self._pause.over(DEAD_LETTERS)
            self._queue.done(item)
