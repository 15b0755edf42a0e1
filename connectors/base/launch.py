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
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NoReturn

from connectors.base.child import Child, unburied
from connectors.base.suspended import go_on_without

__all__ = ["Child", "Method", "Stdio", "become", "launch", "main", "may_fork", "resolve", "unburied"]

Method = Literal["fork", "exec"]
#: What a child gets as descriptors 0, 1 and 2; None is /dev/null.
Stdio = tuple[int | None, int, int]

_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
    data = {"entry": entry, "argument": argument, "name": name, "path": sys.path, "parent": os.getpid()}
    payload = json.dumps(data, default=str).encode()
    if (method or ("fork" if may_fork() else "exec")) == "fork":
        return Child(name, _fork(payload, stdio, keep))
    return _exec(payload, name, stdio, keep)


def become(
    entry: str,
    argument: dict[str, Any],
    *,
    name: str,
    keep: Sequence[int] = (),
    wrap: Callable[[list[str]], list[str]],
) -> NoReturn:
    """Go on as a fresh interpreter that runs `entry(argument)`, started by what `wrap` makes of its command line.

    It is the same process then: id, group, stdin, stdout, stderr and `keep` stay. Raises OSError when there is no such
    program.
    """
    data = {"entry": entry, "argument": argument, "name": name, "path": sys.path, "parent": None}
    fd = _readable(json.dumps(data, default=str).encode(), feed=False)
    for kept in (fd, *keep):
        os.set_inheritable(kept, True)
    command = wrap(_command(fd))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so
    os.execvp(command[0], command)  # noqa: S606 - that no shell stands in between is the point


def _command(fd: int) -> list[str]:
    code = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from connectors.base.launch import main; main({fd})"
    return [sys.executable, "-P", "-c", code]


def _exec(payload: bytes, name: str, stdio: Stdio, keep: Sequence[int]) -> Child:
    fd = _readable(payload)
    try:
        popen = subprocess.Popen(
            _command(fd),
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


def _readable(payload: bytes, *, feed: bool = True) -> int:
    """A descriptor that reads as `payload`, however long, and is no file that somebody else could open.

    `feed`: this process goes on, and has a thread for it where one is needed.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("spec")
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(payload)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
    if not feed:
        with tempfile.TemporaryFile() as file:
            file.write(payload)
            file.seek(0)
            return os.dup(file.fileno())
    fd, write_fd = os.pipe()

    def write() -> None:
        with suppress(OSError), os.fdopen(write_fd, "wb") as out:
            out.write(payload)

    threading.Thread(target=write, name="feed", daemon=True).start()
    return fd


def main(fd: int) -> NoReturn:
    """The fresh interpreter's main: run what the descriptor says."""
    with os.fdopen(fd, "rb") as file:
        payload = json.load(file)
    parent = payload["parent"]
    if not go_on_without(os.getppid() if parent is None else parent):
        os._exit(1)
    sys.path[:] = payload["path"]
    _run(payload)


def _fork(payload: bytes, stdio: Stdio, keep: Sequence[int]) -> int:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # otherwise the child has the unwritten rest, too
    # No handler of ours may run in the child before it has dropped them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    parent = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _become_child(parent, payload, stdio, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _become_child(parent: int, payload: bytes, stdio: Stdio, keep: Sequence[int]) -> NoReturn:
    """Never returns, so that nothing of the manager's (locks, sockets, temporary folders) is unwound in the child."""
    try:
        # First: until the descriptors are dropped, this process has the lifelines of all others in its hands.
        if not go_on_without(parent):
            os._exit(1)
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
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - for the life of the process


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
