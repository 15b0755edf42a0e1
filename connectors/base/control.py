"""Speak with a running manager: JSON lines over the Unix socket `state/manager.sock`.

Requests: `{"cmd": "status"}`, `{"cmd": "stop" | "restart", "name": "slack-main"}` (no name: all; stop without a name
ends the manager), `{"cmd": "reload"}`. Each has one answer: `{"ok": true, ...}` or `{"ok": false, "error": "..."}`,
given when the thing is done.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.base.errors import ConnectorError
from connectors.base.home import Home
from connectors.base.suspended import is_suspended

Answer = dict[str, Any]
#: Asked at every pass of the loop until it has an answer.
Pending = Callable[[], Answer | None]

_MAX_REQUEST_BYTES = 65_536
_MAX_CONNECTIONS = 16
#: While an answer is waited for: so often it is looked whether the manager was suspended.
_LOOK_EVERY_S = 0.5


class NotRunning(ConnectorError):
    """No manager runs on this home."""


def socket_path(home: Home) -> Path:
    return home.state / "manager.sock"


def request(home: Home, command: str, name: str | None = None, *, timeout_s: float = 15.0) -> Answer:
    """Ask the manager of this home and wait for its answer.

    NotRunning when there is none; ConnectorError when it gives no answer in `timeout_s`, or refuses.
    """
    line = json.dumps({"cmd": command, "name": name}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as sock, _short(socket_path(home)) as address:
            sock.settimeout(timeout_s)
            sock.connect(address)
            data = _ask(sock, line, command, timeout_s)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunning(f"no manager runs on {home.root}", hint="start it: connectors run") from error
    except OSError as error:
        raise ConnectorError(f"the manager cannot be reached: {error}") from error
    if not data:
        raise ConnectorError("the manager closed the connection; it may just have ended")
    answer: Answer = json.loads(data)
    if not answer.get("ok"):
        raise ConnectorError(str(answer.get("error")), hint=str(answer.get("hint", "")))
    return answer


def _ask(sock: socket.socket, line: bytes, command: str, timeout_s: float) -> bytes:
    """The line of the answer; nothing when the connection was closed. One who is suspended is asked nothing: he would
    do it when he goes on, long after."""
    pid = _peer(sock)
    who = f"the manager (pid {pid})" if pid else "the manager"
    until = time.monotonic() + timeout_s
    data = b""
    if not is_suspended(pid):
        sock.sendall(line)
    while not data.endswith(b"\n"):
        if is_suspended(pid):
            hint = f"let it go on: kill -CONT {pid}; or end it: kill -KILL {pid}"
            raise ConnectorError(f"{who} is suspended and does not answer", hint=hint)
        if (left := until - time.monotonic()) <= 0:
            hint = f"see logs/manager.log; end it: kill {pid or 'PID'}"
            raise ConnectorError(f"{who} gave no answer to {command} within {timeout_s:g} s", hint=hint)
        sock.settimeout(min(left, _LOOK_EVERY_S))
        try:
            piece = sock.recv(_MAX_REQUEST_BYTES)
        except TimeoutError:
            continue
        if not piece:
            break
        data += piece
    return data


def _peer(sock: socket.socket) -> int:
    """Who listens there; 0 where the kernel does not say (macOS)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    return pid


class ControlServer:
    """The manager's half, driven by its selector. `handle(request)` returns the answer or what will have it."""

    def __init__(
        self, home: Home, selector: selectors.BaseSelector, handle: Callable[[Answer], Answer | Pending]
    ) -> None:
        self._path = socket_path(home)
        self._selector = selector
        self._handle = handle
        self._listener: socket.socket | None = None
        self._buffers: dict[socket.socket, bytes] = {}
        self._pending: list[tuple[socket.socket, Pending]] = []

    def open(self) -> None:
        """Listen. The caller has the home's lock, so a socket that is still there is a dead manager's."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with _short(self._path) as address:
                listener.bind(address)
            # Until here the folder's mode (0700) protects it.
            self._path.chmod(0o600)
            listener.listen(_MAX_CONNECTIONS)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Answer what can be answered, and go; safe twice."""
        self.answer()
        for sock in list(self._buffers):
            self._drop(sock)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)

    def answer(self) -> None:
        """Give the answers that have become possible."""
        waiting, self._pending = self._pending, []
        for sock, pending in waiting:
            if sock not in self._buffers:
                continue
            answer = pending()
            if answer is None:
                self._pending.append((sock, pending))
            else:
                self._send(sock, answer)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - it is what the selector has called us for
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # it went away, or there are no descriptors left; the selector calls again
        if len(self._buffers) >= _MAX_CONNECTIONS or not _is_ours(sock):
            sock.close()
            return
        sock.setblocking(False)
        self._buffers[sock] = b""
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(sock))

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, rest = (self._buffers[sock] + data).split(b"\n")
        if not data or len(rest) > _MAX_REQUEST_BYTES:
            self._drop(sock)
            return
        self._buffers[sock] = rest
        for line in lines:
            self._respond(sock, line)

    def _respond(self, sock: socket.socket, line: bytes) -> None:
        try:
            asked = json.loads(line)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            self._send(sock, {"ok": False, "error": "a request is one JSON object per line"})
            return
        answer = self._handle(asked)
        if callable(answer):
            self._pending.append((sock, answer))
        else:
            self._send(sock, answer)

    def _send(self, sock: socket.socket, answer: Answer) -> None:
        try:
            sock.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self._drop(sock)  # it went away, or does not read

    def _drop(self, sock: socket.socket) -> None:
        if self._buffers.pop(sock, None) is not None:
            self._selector.unregister(sock)
            sock.close()


def _is_ours(sock: socket.socket) -> bool:
    """Same user, or root. Where the kernel does not say (macOS), the modes of socket and folder have decided."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in {os.getuid(), 0}


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A spelling of the path that fits into a socket address: 108 bytes on Linux, 104 on macOS (unix(7))."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    if sys.platform.startswith("linux"):
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{folder}/{path.name}"
        finally:
            os.close(folder)
        return
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        link = Path(short) / "s"
        link.symlink_to(path.parent)
        yield str(link / path.name)
