"""A process that we started: how it ended, and that nothing of it stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress

#: The processes that we started and that have not been reaped: their ends are their `Child`'s to see.
unburied: set[int] = set()


class Child:
    """A process that we started, in a session and a process group of its own. The group dies with it."""

    def __init__(self, name: str, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.name = name
        self.pid = pid
        self.status: int | None = None
        self._popen = popen
        unburied.add(pid)
        self.pidfd: int | None = None  #: readable when it has ended; None where there is no such thing
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.pidfd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """How it ended: an exit code, minus a signal's number, 1 when somebody else reaped it; None while it runs.

        What it started and left behind in its process group is killed before the process id can be used anew.
        """
        if self.status is None and self._has_ended():
            self.kill_group()
            self.status = self._reap()
            unburied.discard(self.pid)
        return self.status

    def close(self) -> None:
        """Give the descriptor back; safe twice."""
        fd, self.pidfd = self.pidfd, None
        if fd is not None:
            os.close(fd)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); a suspended one goes on for that."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
                os.kill(self.pid, signal.SIGCONT)

    def kill_group(self) -> None:
        """SIGKILL to it and to all that it started."""
        if self.status is not None:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Not yet the leader of its group (or, on macOS, a group of zombies only).
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it and all that it started, and bury it; safe twice. Waits 1 s at most, for what SIGKILL cannot end."""
        self.kill_group()
        if self.status is None and self.pidfd is not None:
            select.select([self.pidfd], [], [], 1.0)
        elif self.status is None:
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.poll()
        self.close()

    def _has_ended(self) -> bool:
        try:
            # WNOWAIT leaves the zombie, which keeps its id, and so its group's id, from being given to another.
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _reap(self) -> int:
        if self._popen is not None:
            return int(self._popen.wait())
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return 1
