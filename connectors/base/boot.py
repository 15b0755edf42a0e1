"""Which boot of the machine an instance has last run in: a power cut may have taken what was not synced."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from connectors.base.errors import BadMessage
from connectors.base.files import read_regular, replace_private
from connectors.base.home import Home
from connectors.base.obstacle import obstacle
from connectors.base.readers import consumer_folders
from connectors.base.store import Store

_MAX_BYTES = 4096


def compare(home: Home, name: str, store: Store, logger: logging.Logger) -> bool:
    """After a reboot: forget the newest event if its file is nowhere. It may not have reached the disk.

    False: the next start will not know whether there was a reboot.
    """
    try:
        now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()  # proc_sys_kernel(5)
    except OSError:
        return False
    noted = home.state_dir(name) / "boot"
    try:
        before = read_regular(noted, _MAX_BYTES)[0].decode(errors="replace").strip()
    except FileNotFoundError:
        before = now  # this program's earlier versions have synced every folder
    except BadMessage:
        before = ""  # whatever lies there is not ours, and names no boot
    if before != now:
        newest = store.newest_event()
        folders = (home.inbox, home.staging(name), home.failed, *consumer_folders(home))
        if newest is not None and not any(os.path.lexists(folder / newest.file) for folder in folders):
            logger.info("after a reboot: %s may come once more", newest.id)
            store.forget_event(newest.id)
    try:
        replace_private(noted, f"{now}\n".encode(), durable=True)
    except OSError as error:
        if obstacle(error, noted.parent) is None and not isinstance(error, IsADirectoryError):
            raise
        logger.warning("%s was not written: %s", noted, error)
        return False
    return True
