"""What the manager's standard input is, and whether its terminal is still there."""

from __future__ import annotations

import os
import select
import stat
from typing import Literal

Stdin = Literal["terminal", "pipe", "none"]


def occupy_standard_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 is closed: the next pipe would get that number, and a print would go into it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def kind_of_stdin() -> Stdin:
    """A terminal in which we are in the foreground, a pipe or a file with input, or nothing.

    A terminal in the background is nothing: a connector has a session of its own, so no SIGTTIN would stop it from
    taking away what is typed for the shell.
    """
    try:
        mode = os.fstat(0).st_mode
        if stat.S_ISCHR(mode):
            return "terminal" if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp() else "none"
    except OSError:
        return "none"
    return "pipe" if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else "none"


def hung_up() -> bool:
    """Whether a SIGHUP came from a terminal that was closed, and not from somebody who wants a reload."""
    poll = select.poll()
    for fd in (0, 1, 2):
        poll.register(fd, 0)
    gone = {fd for fd, event in poll.poll(0) if event & select.POLLHUP}
    return any(_was_terminal(fd) for fd in gone)


def _was_terminal(fd: int) -> bool:
    """A terminal that hung up answers no terminal call any more (EIO), but it is a character device still."""
    try:
        return stat.S_ISCHR(os.fstat(fd).st_mode)
    except OSError:
        return False
