"""Run a function in a process of its own, which has nothing of ours but what it is given.

On Linux a single-threaded program forks: its children share the memory of what it has imported. Otherwise (macOS,
or other threads are alive, whose locks a fork would copy in any state) a fresh interpreter is started. Both ways the
child is handed JSON through a file descriptor, so that no secret is in an argument or an environment.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NoReturn

Method = Literal["fork", "exec"]
#: What a child gets as descriptors 0, 1 and 2; None is /dev/null.
Stdio = tuple[int | None, int, int]

_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
        """Ask it to end (SIGTERM)."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

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


def may_fork() -> bool:
    """Whether a fork copies no other thread's half-done work."""
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1  # threads of libraries that Python does not know
    except OSError:
        return False


def resolve(entry: str) -> Callable[[Any], int]:
    """The function that `module:name` says."""
    module, _, name = entry.partition(":")
    found: Callable[[Any], int] = getattr(importlib.import_module(module), name)
    return found


def launch(
    entry: str,
    argument: dict[str, Any],
    *,
    name: str,
    stdio: Stdio,
    keep: Sequence[int] = (),
    method: Method | None = None,
) -> Child:
    """Run `entry(argument)` in a process of its own; what it returns is the exit code.

    `stdio` are the descriptors it gets as 0, 1 and 2 (None: /dev/null); of all others it has only `keep`.
    Values that JSON does not know arrive as texts.
    """
    payload = json.dumps({"entry": entry, "argument": argument, "name": name, "path": sys.path}, default=str).encode()
    if (method or ("fork" if may_fork() else "exec")) == "fork":
        return Child(name, _fork(payload, stdio, keep))
    return _exec(payload, name, stdio, keep)


def _exec(payload: bytes, name: str, stdio: Stdio, keep: Sequence[int]) -> Child:
    fd = _readable(payload)
    try:
        code = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from connectors.base.launch import main; main({fd})"
        popen = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL if stdio[0] is None else stdio[0],
            stdout=stdio[1],
            stderr=stdio[2],
            pass_fds=(fd, *keep),
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(fd)
    return Child(name, popen.pid, popen)


def _readable(payload: bytes) -> int:
    """A descriptor that reads as `payload`, however long, and is no file that somebody else could open."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("spec")
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(payload)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
    fd, write_fd = os.pipe()

    def feed() -> None:
        with suppress(OSError), os.fdopen(write_fd, "wb") as out:
            out.write(payload)

    threading.Thread(target=feed, name="feed", daemon=True).start()
    return fd


def main(fd: int) -> NoReturn:
    """The fresh interpreter's main: run what the descriptor says."""
    with os.fdopen(fd, "rb") as file:
        payload = json.load(file)
    sys.path[:] = payload["path"]
    _run(payload)


def _fork(payload: bytes, stdio: Stdio, keep: Sequence[int]) -> int:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # otherwise the child has the unwritten rest, too
    # No handler of ours may run in the child before it has dropped them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become_child(payload, stdio, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _become_child(payload: bytes, stdio: Stdio, keep: Sequence[int]) -> NoReturn:
    """Never returns, so that nothing of the manager's (locks, sockets, temporary folders) is unwound in the child."""
    try:
        os.setsid()
        os.umask(0o077)
        _reset_signals()
        _take_descriptors(stdio, keep)
        _drop_logging()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    except BaseException:  # noqa: BLE001 - whatever it was is printed, and ends the process
        traceback.print_exc()
        os._exit(1)
    _run(json.loads(payload))


def _run(payload: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        _set_process_name(payload["name"])
        code = int(resolve(payload["entry"])(payload["argument"]))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - this is the end of the process; whatever it was is printed
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        # No joining of threads, which may hang, and no exit handlers, which in a fork are the manager's.
        os._exit(code & 0xFF)


def _reset_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _take_descriptors(stdio: Stdio, keep: Sequence[int]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    # Above 2 first: the target of one dup2 may be the source of another.
    sources = [fcntl.fcntl(null if fd is None else fd, fcntl.F_DUPFD, 3) for fd in stdio]
    for target, source in enumerate(sources):
        os.dup2(source, target)
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, max(os.sysconf("SC_OPEN_MAX"), 1 << 20))
    # The old objects stay alive (in sys.__stdout__ or here): a collected one would close the new descriptor.
    _kept.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _drop_logging() -> None:
    """The manager's handlers write to descriptors that are closed here, and may soon be something else."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            _kept.append(logger.handlers[:])
            logger.handlers.clear()
    logging.lastResort = logging.StreamHandler(sys.stderr)
    logging.lastResort.setLevel(logging.WARNING)


_kept: list[Any] = []


def _set_process_name(name: str) -> None:
    """What `top` and `ps -o comm` show: 15 bytes (prctl(2), PR_SET_NAME)."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(15, os.fsencode(name)[:15], 0, 0, 0)
