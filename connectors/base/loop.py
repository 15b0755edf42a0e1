"""Waiting for descriptors, signals and other threads at once."""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

#: Signals that the manager handles itself. SIGCHLD is not needed: a process's end shows on its pidfd.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop:
    """A selector whose keys hold a callback, with signals and wake-ups. Use it as a context manager.

    Signals are taken over only in the main thread, where Python allows it, and are given back in the end.
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        self.selector = selectors.DefaultSelector()
        self._on_signal = on_signal
        self._came: deque[int] = deque()
        self._before: dict[int, Any] = {}
        self._pipes: list[int] = []
        self._lock = threading.Lock()
        self._wake_fd: int | None = self.pipe(lambda _: None)
        os.set_blocking(self._wake_fd, False)
        self._old_wakeup_fd: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and self._wake_fd is not None:
            self._old_wakeup_fd = signal.set_wakeup_fd(self._wake_fd, warn_on_full_buffer=False)
            for number in SIGNALS:
                # nohup(1) has SIGHUP ignored, and so it stays.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._old_wakeup_fd is not None:
            signal.set_wakeup_fd(self._old_wakeup_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        with self._lock:
            self._wake_fd = None
        for fd in self._pipes:
            with suppress(KeyError):
                self.selector.unregister(fd)
            os.close(fd)
        self.selector.close()

    def pipe(self, take: Callable[[bytes], None]) -> int:
        """The write end of a pipe; what is written to it is given to `take`, in the loop."""
        fd, write_fd = os.pipe()
        os.set_blocking(fd, False)
        self._pipes += (fd, write_fd)

        def read() -> None:
            with suppress(BlockingIOError):
                take(os.read(fd, 65_536))

        self.selector.register(fd, selectors.EVENT_READ, read)
        return write_fd

    def wake(self) -> None:
        """Make `once` return; from any thread, also when the loop has ended."""
        with self._lock, suppress(BlockingIOError):
            if self._wake_fd is not None:
                os.write(self._wake_fd, b"w")

    def once(self, timeout_s: float) -> None:
        """Wait for something to happen, at most this long, and call whom it concerns."""
        for key, _ in self.selector.select(timeout_s):
            # The callback of another may just have closed this one.
            if self.selector.get_map().get(key.fd) is key:
                key.data()
        while self._came:
            self._on_signal(self._came.popleft())

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.append(number)
