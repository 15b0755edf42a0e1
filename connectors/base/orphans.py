"""Burying what nobody else buries, where the manager is the first process of a container.

Linux gives a process whose parent has ended to process 1 (of its pid namespace), which has to wait for it, or it
stays a zombie for ever.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from connectors.base import launch


def is_first() -> bool:
    """Whether this is the program of process 1. In a thread of a larger program it is not ours to bury for it."""
    return os.getpid() == 1 and threading.current_thread() is threading.main_thread()


def bury() -> int:
    """Reap the processes that were given to us and have ended; returns how many.

    One that we started ourselves is left to its `Child`, which wants to know how it ended; the rest is buried at the
    next call, when that one is out of the way.
    """
    count = 0
    with suppress(ChildProcessError):
        while True:
            # WNOWAIT: look who it is before anything is taken away.
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in launch.unburied:
                break
            os.waitpid(found.si_pid, os.WNOHANG)
            count += 1
    return count
