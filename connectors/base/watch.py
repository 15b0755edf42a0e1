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
from typing import TYPE_CHECKING

from watchdog.utils import BaseThread

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

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


class _Arrivals:
    """What watchdog's reader of inotify calls, for one folder."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_event(self, event: InotifyEvent) -> None:
        self._wake()

    def on_queue_overflow(self) -> None:
        self._wake()  # whoever is woken scans the folder, which finds what the lost events were about

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder is gone, or the reader ends: who looks at the folder makes it anew, and renews the watch."""
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
        self._observer: BaseThread | None = None
        self._poller: threading.Thread | None = None
        self._stop = threading.Event()
        self._places: list[tuple[int, int] | None] = []
        self.polling_because: str | None = None

    def start(self) -> None:
        """Begin. Never raises for want of a back end: it polls then."""
        self._stop.clear()
        self._places = [_place(folder) for folder in self._folders]
        reason = next((found for found in map(remote_file_system, self._folders) if found), None)
        if reason is None:
            try:
                self._observe()
                return
            except (OSError, RuntimeError) as error:
                # EMFILE: no inotify instances left; ENOSPC: no watches left (inotify(7), "Errors").
                reason = f"{error} (see fs.inotify in sysctl)"
                self._drop_observer()
        self.polling_because = reason
        self._logger.warning("no file notifications here: %s; polling every %g s", reason, self._poll_s)
        self._poller = threading.Thread(target=self._poll, name="watch-poll", daemon=True)
        self._poller.start()

    def renew(self) -> None:
        """Watch the folders that are there now, if one of them was removed or moved away and made anew."""
        if [_place(folder) for folder in self._folders] != self._places:
            self._logger.warning("a watched folder was replaced; watching the new one")
            self.stop()
            self.start()

    def stop(self) -> None:
        """End; safe twice."""
        self._stop.set()
        self._drop_observer()
        if self._poller is not None and self._poller is not threading.current_thread():
            self._poller.join(timeout=2)
        self._poller = None

    def _observe(self) -> None:
        """Start watchdog's thread. Raises OSError or RuntimeError where there can be none."""
        if sys.platform.startswith("linux"):
            self._observe_with_inotify()
            return
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        class Wake(FileSystemEventHandler):
            def dispatch(_, event: FileSystemEvent) -> None:  # noqa: N805 - `self` is the Watch
                self._wake()

        self._observer = observer = Observer()
        for folder in self._folders:
            observer.schedule(Wake(), str(folder), recursive=False)
        observer.start()

    def _observe_with_inotify(self) -> None:
        """watchdog's reader of inotify alone, without the observer and the emitter above it.

        Those hold an IN_MOVED_FROM, and all behind it, for 0.5 s to pair it with an IN_MOVED_TO: every claim (a
        rename out of the folder) would delay the next hint by that time. And each is one more thread and a queue.
        """
        from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyFD, Mask

        mask = Mask(InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_MOVE_SELF)
        self._observer = reader = InotifyFD()
        reader.start()  # first: one that never ran keeps its descriptors when it is stopped
        for folder in self._folders:
            reader.add_callback(os.fsencode(folder), mask, _Arrivals(self._wake), CallbackId(0))

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


def _place(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
