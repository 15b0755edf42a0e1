"""What ends a run that was asked to end: it hears of every stop, and waits only so long."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

#: After a stop: so long for run_loop, the send in hand and disconnect together; the manager kills after 10 s.
STOP_GRACE_S = 8.0
#: What rings the bell: `ring`, and the signals that ask for the end.
_STOPS = frozenset({ord("!"), signal.SIGTERM, signal.SIGINT})


class Guard:
    """Keeps watch from its construction to `end`.

    In its own thread it calls `on_stop` once, at the first stop, then `on_stuck` if the run has not `ended` within
    STOP_GRACE_S; until the stop, `on_quiet` every `quiet_s`.
    """

    def __init__(
        self,
        ended: threading.Event,
        *,
        on_stop: Callable[[], None],
        on_stuck: Callable[[], None],
        on_quiet: Callable[[], None],
        quiet_s: float,
    ) -> None:
        self._ended = ended
        self._on_stop, self._on_stuck, self._on_quiet, self._quiet_s = on_stop, on_stuck, on_quiet, quiet_s
        self._heard, self._bell = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="guard", daemon=True)
        self._thread.start()
        self._restore = self._catch_signals()

    def ring(self) -> None:
        """Something asks for the end. Safe in a signal handler, and in every thread."""
        if self._bell >= 0:
            try:
                os.write(self._bell, b"!")
            except OSError:
                return  # the guard has heard it before

    def end(self) -> None:
        """After a stop, when the run has ended: no signal is caught any more."""
        self._restore()
        self._thread.join()
        bell, self._bell = self._bell, -1
        os.close(bell)

    def _watch(self) -> None:
        while True:
            if not select.select([self._heard], [], [], self._quiet_s)[0]:
                self._on_quiet()
            elif _STOPS.intersection(os.read(self._heard, 64)):
                break
        os.close(self._heard)
        self._on_stop()
        if not self._ended.wait(STOP_GRACE_S):
            self._on_stuck()

    def _catch_signals(self) -> Callable[[], None]:
        """SIGTERM and SIGINT ask for the end, through a pipe: a handler may interrupt the very `wait` whose lock
        a stop takes. Handlers can only be set in the main thread (Python's signal module, "Signals and threads")."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, lambda number, frame: self.ring())
        # Python's own handler runs when the main thread does, and that may be about to wait for ever, or another thread
        # may have got the signal. The C handler writes its number at once (Python's signal module, set_wakeup_fd).
        os.set_blocking(self._bell, False)
        wakeup = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
            for number, old in before.items():
                if old is not None:
                    signal.signal(number, old)

        return restore
