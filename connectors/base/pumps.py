"""The threads that deliver the outbox while `run_loop` blocks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from connectors.base.runtime import Runtime
from connectors.base.watch import Watch

#: The outbox is looked at this often without any hint.
SLOW_SCAN_S = 15.0


class Pumps:
    """Deliver from construction to `stop`, woken by hints and by time.

    `wanted` says whether anything is the base's to send; `on_error` gets what ends a thread.
    """

    def __init__(
        self,
        runtime: Runtime,
        outbox: Path,
        *,
        threads: int,
        wake: threading.Event,
        wanted: Callable[[], bool],
        on_error: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        self._runtime = runtime
        self._wake = wake
        self._wanted = wanted
        self._on_error = on_error
        self._stopped = threading.Event()
        self._watch = Watch([outbox], wake.set, logger=logger)
        self._watch.start()
        self._threads = [threading.Thread(target=self._pump, name=f"pump-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """No new send begins; the one in hand may end."""
        self._stopped.set()
        self._wake.set()
        self._watch.stop()
        for thread in self._threads:
            thread.join(timeout_s)

    def _pump(self) -> None:
        runtime, delivery = self._runtime, self._runtime.delivery
        try:
            while not self._stopped.is_set() and self._wanted():
                runtime.check()
                # It may be waiting behind a poll_outbox, after which nothing is the base's to send.
                delivery.deliver_ready(self._wanted)
                runtime.status.update(**runtime.backlog())
                self._watch.renew()
                due = delivery.next_due_s()
                self._wake.wait(SLOW_SCAN_S if due is None else min(due, SLOW_SCAN_S))
                self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - a pump that dies silently leaves a connector deaf that looks well
            self._on_error(error)
        finally:
            self._wake.set()  # it may have cleared what was to wake another pump as well
