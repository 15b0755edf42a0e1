"""A hint that something appeared in a folder. Never the truth: whoever is woken scans the folder.

watchdog watches; where it cannot (no inotify watches or instances left, NFS, SMB, bind mounts of another kernel)
the folder's modification time is polled, with a warning.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver

#: File systems whose changes by another machine or kernel do not reach inotify(7): "Inotify reports only events
#: that a user-space program triggers through the filesystem API. As a result, it does not catch remote events".
REMOTE_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "virtiofs",
        "fuse.sshfs",
        "fuse.osxfs",
        "fuse.grpcfuse",
        "vboxsf",
        "afs",
    }
)


class _Wake(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def dispatch(self, event: FileSystemEvent) -> None:
        self._wake()


class Watch:
    """Calls `wake()`, from another thread, after a file appeared in (or a writer closed one in) one of `folders`."""

    def __init__(
        self,
        folders: Sequence[Path],
        wake: Callable[[], None],
        *,
        logger: logging.Logger | None = None,
        poll_s: float = 1.0,
    ) -> None:
        self._folders = list(folders)
        self._wake = wake
        self._logger = logger or logging.getLogger("connectors.watch")
        self._poll_s = poll_s
        self._observer: BaseObserver | None = None
        self._poller: threading.Thread | None = None
        self._stop = threading.Event()
        self.polling_because: str | None = None

    def start(self) -> None:
        """Begin. Never raises for want of a back end: it polls then."""
        self._stop.clear()
        reason = next((found for found in map(remote_file_system, self._folders) if found), None)
        if reason is None:
            try:
                self._observer = _observer()
                for folder in self._folders:
                    self._observer.schedule(_Wake(self._wake), str(folder), recursive=False)
                self._observer.start()
                return
            except (OSError, RuntimeError) as error:
                # EMFILE: no inotify instances left; ENOSPC: no watches left (inotify(7), "Errors").
                reason = f"{error} (see fs.inotify in sysctl)"
                self._drop_observer()
        self.polling_because = reason
        self._logger.warning("no file notifications here: %s; polling every %g s", reason, self._poll_s)
        self._poller = threading.Thread(target=self._poll, name="watch-poll", daemon=True)
        self._poller.start()

    def stop(self) -> None:
        """End; safe twice."""
        self._stop.set()
        self._drop_observer()
        if self._poller is not None and self._poller is not threading.current_thread():
            self._poller.join(timeout=2)
        self._poller = None

    def _drop_observer(self) -> None:
        observer, self._observer = self._observer, None
        if observer is None:
            return
        try:
            observer.stop()
            if observer.is_alive() and observer is not threading.current_thread():
                observer.join(timeout=2)
        except (OSError, RuntimeError):
            self._logger.debug("the watch ended badly", exc_info=True)

    def _poll(self) -> None:
        seen: list[int] = []
        while not self._stop.wait(self._poll_s):
            now = [_changed_at(folder) for folder in self._folders]
            if now != seen:
                seen = now
                self._wake()


def remote_file_system(folder: Path) -> str | None:
    """The type of the network or foreign file system that `folder` is on; None on a local one or where unknown."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        wanted = os.path.realpath(folder)
        best, kind = "", ""
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                _, point, name, *_ = line.split(" ")
                point = point.replace("\\040", " ")
                inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, name
    except (OSError, ValueError):
        return None
    return kind if kind in REMOTE_FILE_SYSTEMS else None


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _observer() -> BaseObserver:
    """watchdog's observer for this system; on Linux one that asks only for what can be news.

    Its ordinary event mask includes IN_MOVED_FROM, and watchdog holds such an event, and all behind it, for 0.5 s to
    pair it with an IN_MOVED_TO: every claim (a rename out of the folder) would delay the next hint by that time.
    """
    if not sys.platform.startswith("linux"):
        from watchdog.observers import Observer

        return Observer()
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import InotifyConstants

    class Arrivals(InotifyEmitter):
        def get_event_mask_from_filter(self) -> Any:
            return InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_CLOSE_WRITE

    return BaseObserver(Arrivals)
