"""A connected socket, plain or TLS, that one thread reads while another one writes.

OpenSSL allows one thread at a time in a connection (https://docs.openssl.org/master/man7/openssl-threads/), so nobody
waits inside of it: the socket does not block, waits are on its descriptor, and a lock is held for single operations.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time

_READ, _WRITE = select.POLLIN, select.POLLOUT


class Stream:
    """`cut` ends it from any thread; `close` gives it back, when nobody reads any more."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._lock = threading.Lock()

    def recv(self, count: int) -> bytes:
        """Some bytes, waited for; none at the end. Raises OSError."""
        while True:
            with self._lock:
                try:
                    return self._sock.recv(count)
                except ssl.SSLWantWriteError:
                    wanted = _WRITE
                except (BlockingIOError, ssl.SSLWantReadError):
                    wanted = _READ
            self._wait(wanted, None)

    def send(self, data: bytes, timeout_s: float) -> None:
        """All of it. Raises OSError, TimeoutError when the other side takes nothing."""
        until = time.monotonic() + timeout_s
        view = memoryview(data)
        while view:
            with self._lock:
                try:
                    view = view[self._sock.send(view) :]
                    continue
                except ssl.SSLWantReadError:
                    wanted = _READ
                except (BlockingIOError, ssl.SSLWantWriteError):
                    wanted = _WRITE
            self._wait(wanted, until - time.monotonic())

    def cut(self) -> None:
        """End it now: who waits in `recv` gets its end."""
        # Of the plain socket: an SSL socket's own shutdown would take the layer away under a thread that uses it.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Safe twice."""
        self._sock.close()

    def _wait(self, wanted: int, timeout_s: float | None) -> None:
        poll = select.poll()
        poll.register(self._fd, wanted)
        if not poll.poll(None if timeout_s is None else max(0, int(timeout_s * 1000))):
            raise TimeoutError("the other side takes nothing")
