"""Processes that live and do nothing: suspended by SIGSTOP, by Ctrl-Z or by a debugger."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def is_suspended(pid: object) -> bool:
    """False also where nobody can tell: without /proc. proc(5), /proc/pid/stat, field 3."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] in (["T"], ["t"])


def go_on_without(parent: int) -> bool:
    """From now on, the end of our parent makes this process go on if it is suspended (SIGCONT: no other is disturbed).

    It sees then, as all others do, that the parent is gone, and ends. False: the parent, process `parent`, is gone
    already. Linux only; elsewhere a suspended process ends when it goes on. PR_SET_PDEATHSIG: the signal comes with
    the end of the thread that started us, again with that of its process, and is lost with a change of the user
    (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html).
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
    return os.getppid() == parent
