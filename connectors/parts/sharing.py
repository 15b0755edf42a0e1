"""Several instances, each a process of its own, behind one port, told apart by path.

Whoever binds the port is the front. It looks at the first line of each request; a connection whose path belongs to
another instance is handed over to that process, descriptor and all, through a Unix socket (unix(7), SCM_RIGHTS). From
then on the front has no part in it: its death cuts off none of the others' requests. A connection that is kept alive
comes back the same way when its next request is for somebody else.

    state/.ports/<host>-<port>/front.sock         the front's; who is not the front holds a connection to it
    state/.ports/<host>-<port>/<path>.sock .lock  one for each path: where its connections go to, who has it

When the front ends, even by SIGKILL, the others see their connection to it end, and one of them binds the port: that is
the election. A path is locked for as long as its process lives; a second instance with the same path does not start.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from connectors.base.errors import ConfigError, InstanceLocked
from connectors.base.locks import Lock

#: unix(7): sun_path holds 108 bytes on Linux, 104 on BSD and macOS.
_PATH_MAX = 100
#: What was read of a connection before it was handed over: at most one read of the event loop.
_DATA_MAX = 1_000_000
_SIZE = struct.Struct("!I")
_WATCH = _SIZE.pack(0xFFFFFFFF)
#: A process that is handed a connection reads it at once.
_SEND_S = 5.0
_TRY_AGAIN_S = 0.05
#: The process that had the path before may be ending.
_CLAIM_S = 2.0

Adopt = Callable[[socket.socket, bytes], None]


class Sharing:
    """One instance's part in a shared port. `adopt` gets a connection and what was read of it, in the event loop."""

    def __init__(self, folder: Path, host: str, port: int, path: str, logger: logging.Logger) -> None:
        self._folder = folder / f"{host.replace(':', '_').replace('/', '_')}-{port}"
        self._path = path
        self._logger = logger
        self._own = self._folder / f"{_name(path)}.sock"
        self._lock = Lock(self._folder / f"{_name(path)}.lock", f"the path {path} on port {port}")
        self._front = self._folder / "front.sock"
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: set[asyncio.Task[Any]] = set()
        self._accepting: set[asyncio.Task[None]] = set()
        self.is_front = False

    def open(self) -> None:
        """Claim the path. Raises ConfigError when another instance has it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire(_CLAIM_S)
        except InstanceLocked as error:
            raise ConfigError(str(error), hint="give each instance on one port a path of its own") from error
        self._listeners.append(self._bind(self._own))

    def become_front(self) -> None:
        """The caller has bound the port: there is no other front."""
        self._listeners.append(self._bind(self._front))
        self.is_front = True

    def step_down(self) -> None:
        """Take nothing over any more, and let another one be the front; in the event loop.

        The path's own socket stays as a file: it says that the path is somebody's, who may come back.
        """
        if self.is_front:
            self._front.unlink(missing_ok=True)
        self.is_front = False
        for listener in self._listeners:
            listener.close()
        for task in [*self._watched, *self._accepting]:
            task.cancel()

    def close(self) -> None:
        """Give up the path; safe twice."""
        if self.is_front:
            self._front.unlink(missing_ok=True)
        self.is_front = False
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._lock.release()

    def front_lives(self) -> bool:
        """Whether a process of this home has the port."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_SEND_S)
            try:
                with _short(self._front) as address:
                    sock.connect(address)
            except OSError:
                return False
            return True

    # ── in the event loop ─────────────────────────────────────────────────────────────────────────────────────

    def serve(self, adopt: Adopt) -> None:
        """Take what is handed over, from now on."""
        for listener in self._listeners:
            self._accepting.add(self._keep(self._accept(listener, adopt)))

    def serve_front(self, adopt: Adopt) -> None:
        """As `serve`, for what `become_front` has added since."""
        self._accepting.add(self._keep(self._accept(self._listeners[-1], adopt)))

    async def front_ends(self) -> None:
        """Returns when there is no front that this process is connected to."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            with suppress(OSError):
                with _short(self._front) as address:
                    await loop.sock_connect(sock, address)
                await loop.sock_sendall(sock, _WATCH)
                while await loop.sock_recv(sock, 64):
                    continue
        await asyncio.sleep(_TRY_AGAIN_S)

    def hand_over(self, path: str, fd: int, data: bytes) -> bool:
        """Give a connection to the process that has `path`, or, when this is not the front, to the front.

        False: it is this process that answers, were it only to say that nobody has the path.
        """
        if _below(path, self._path):
            return False
        for target in self._targets(path):
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.setblocking(False)  # one that does not read must not hold up the rest
                with _short(target) as address:
                    sock.connect(address)
                socket.send_fds(sock, [_SIZE.pack(len(data))], [fd])
            except OSError:
                sock.close()
                continue
            self._keep(self._send(sock, data))
            return True
        return False

    def missing(self, path: str) -> bool:
        """Whether the path is somebody's who is not there just now."""
        return any(target.exists() for target in self._targets(path) if target != self._front)

    def _targets(self, path: str) -> Iterator[Path]:
        yield self._folder / f"{_name(path)}.sock"
        owner, mark, _ = path.partition("/replies/")
        if mark:
            yield self._folder / f"{_name(owner)}.sock"
        if not self.is_front:
            yield self._front

    async def _send(self, sock: socket.socket, data: bytes) -> None:
        with sock, suppress(OSError):  # it died: so did the connection, without an answer
            async with asyncio.timeout(_SEND_S):
                await asyncio.get_running_loop().sock_sendall(sock, data)

    async def _accept(self, listener: socket.socket, adopt: Adopt) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                if listener.fileno() < 0:
                    return
                self._logger.warning("a connection could not be taken over: %s", error)
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            self._keep(self._receive(sock, adopt))

    async def _receive(self, sock: socket.socket, adopt: Adopt) -> None:
        """Either somebody who watches whether this process lives, or a connection with what was read of it."""
        loop = asyncio.get_running_loop()
        with sock:
            sock.setblocking(False)
            readable = loop.create_future()
            loop.add_reader(sock, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(sock)
            head, fds, _, _ = socket.recv_fds(sock, _SIZE.size, 1)
            if head == _WATCH:
                task = asyncio.current_task()
                if task is not None:
                    self._watched.add(task)
                    task.add_done_callback(self._watched.discard)
                await loop.sock_recv(sock, 1)
                return
            if len(head) < _SIZE.size or len(fds) != 1:
                for fd in fds:
                    os.close(fd)
                return
            connection = socket.socket(fileno=fds[0])
            data, size = b"", min(_SIZE.unpack(head)[0], _DATA_MAX)
            try:
                while len(data) < size:
                    piece = await loop.sock_recv(sock, size - len(data))
                    if not piece:
                        raise ConnectionResetError("its front ended")
                    data += piece
            except OSError:
                connection.close()
                return
        connection.setblocking(False)
        adopt(connection, data)

    def _keep(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _bind(self, path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        try:
            path.unlink(missing_ok=True)  # of a process that was killed: its lock, or the port, is ours now
            with _short(path) as address:
                listener.bind(address)
            path.chmod(0o600)
            listener.listen(128)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _below(path: str, owner: str) -> bool:
    return path == owner or path.startswith(f"{owner}/replies/")


def _name(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A spelling of the path that fits into a socket's address."""
    if len(os.fsencode(path)) <= _PATH_MAX:
        yield str(path)
        return
    if not Path("/proc/self/fd").is_dir():
        raise OSError(errno.ENAMETOOLONG, "the home's path is too long for a shared port")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
