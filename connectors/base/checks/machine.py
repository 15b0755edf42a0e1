"""The machine below: disk, notifications, mounts, clock, paths."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors.base.checks import mountinfo
from connectors.base.checks.finding import Finding, Level, Look, entries, is_folder, shell
from connectors.base.obstacle import LEAST_BYTES
from connectors.base.readers import event_names
from connectors.base.watch import Watch, remote_file_system

_INOTIFY = Path("/proc/sys/fs/inotify")
_STAMP = re.compile(r"(\d{8}T\d{6})\.\d{6}Z-")
#: The first release of this project: a clock that is earlier is wrong.
_FIRST_YEAR = 2025


def disk(look: Look) -> Iterator[Finding]:
    """Room for files, and for their number."""
    folder = look.home.messages if look.home.messages.exists() else look.home.root
    status = os.statvfs(folder)
    free, least = status.f_bavail * status.f_frsize, look.config.limits.min_free_bytes
    where = str(folder)
    if free < LEAST_BYTES:
        what = f"the disk is full: {free} bytes are free"
        yield Finding(Level.ERROR, "disk", what, where, "make room on this disk")
    elif free < least:
        what = f"{free // 1_000_000} MB are free; below {least // 1_000_000} MB (min_free_bytes) receiving pauses"
        yield Finding(Level.ERROR, "disk", what, where, shell("connectors", "prune", "--seed-home", look.home.root))
    elif free < 5 * least:
        what = f"only {free // 1_000_000} MB are free; below {least // 1_000_000} MB receiving pauses"
        yield Finding(Level.WARNING, "disk", what, where, "make room on this disk")
    if status.f_files and status.f_favail < 10_000:
        level = Level.ERROR if status.f_favail < 100 else Level.WARNING
        what = f"only {status.f_favail} more files fit on this file system (inodes)"
        yield Finding(level, "disk", what, where, f"delete files there: df -i {shell(folder)}")


def notifications(look: Look) -> Iterator[Finding]:
    """Whether a watch can be had, and whether there will be enough of them."""
    if not look.home.inbox.is_dir() or remote_file_system(look.home.inbox):
        return
    watch = Watch([look.home.inbox], lambda: None, logger=_silent())
    watch.start()
    reason = watch.polling_because
    watch.stop()
    instances = sum(entry.enabled for entry in look.config.entries)
    if reason is not None:
        few = "instances" if "instance" in reason or "open files" in reason else "watches"
        fix = f"sudo sysctl fs.inotify.max_user_{few}={'1024' if few == 'instances' else '524288'}"
        what = f"no file notifications ({reason}): everything polls, and is slower"
        yield Finding(Level.WARNING, "notifications", what, str(look.home.inbox), fix)
    elif (most := _number(_INOTIFY / "max_user_instances")) is not None and most < instances + 16:
        what = f"{most} inotify instances per user are few for {instances} connectors and their agents"
        fix = "sudo sysctl fs.inotify.max_user_instances=1024"
        yield Finding(Level.WARNING, "notifications", what, str(_INOTIFY / "max_user_instances"), fix)


def mounts(look: Look) -> Iterator[Finding]:
    """File systems on which notifications, locks or renames do not work."""
    home = look.home
    for folder in (home.state, home.messages):
        kind = remote_file_system(folder if folder.exists() else home.root)
        if kind is None:
            continue
        if folder == home.state:
            what = f"state/ is on {kind}: SQLite and locks do not work reliably on network mounts"
            yield Finding(Level.ERROR, "mounts", what, str(folder), "move the home to a local disk")
        else:
            what = f"messages/ is on {kind}: no notifications from the other side, so everything polls"
            yield Finding(Level.WARNING, "mounts", what, str(folder), "move the home to a local disk, if you can")
    if not home.messages.is_dir():
        return
    device, points = home.messages.stat().st_dev, {mount.point for mount in mountinfo.mounts()}
    for name in ("inbox", "outbox", "sent", "failed", "claimed", ".staging", ".sending", ".acked"):
        top = home.messages / name
        for path in (top, *(Path(e.path) for e in entries(top) if is_folder(e) or e.is_symlink())):
            # rename(2) "does not work across different mount points, even if the same filesystem is mounted on both".
            if path.is_dir() and (path.stat().st_dev != device or os.path.realpath(path) in points):
                what = f"{path.relative_to(home.root)} is on another mount than messages/: no file can be moved"
                fix = "mount messages/ as a whole, or make it an ordinary folder"
                yield Finding(Level.ERROR, "mounts", what, str(path), fix)


def clock(look: Look) -> Iterator[Finding]:
    """A clock that is wrong now, or was when events arrived."""
    now = datetime.fromtimestamp(look.now, UTC)
    where = now.isoformat(timespec="seconds")
    if now.year < _FIRST_YEAR:
        yield Finding(Level.ERROR, "clock", f"the clock says {now.year}", where, "sudo timedatectl set-ntp true")
        return
    latest = look.now + 300
    ahead = []
    for name in event_names(look.home.inbox):
        stamp = _STAMP.match(name)
        if stamp and datetime.strptime(stamp[1] + "Z", "%Y%m%dT%H%M%S%z").timestamp() > latest:
            ahead.append(name)
    if ahead:
        what = f"the clock is, or was, wrong: events from the future ({len(ahead)}), for example {ahead[0]}"
        yield Finding(Level.WARNING, "clock", what, str(look.home.inbox), "timedatectl status; set the clock")
    if abs(time.time() - look.now) < 1 and look.home.inbox.is_dir() and look.home.inbox.stat().st_mtime > latest:
        what = "the inbox was changed in the future: the clock has been set back"
        yield Finding(Level.WARNING, "clock", what, str(look.home.inbox), "timedatectl status; set the clock")


def paths(look: Look) -> Iterator[Finding]:
    """What the place of the home brings with it."""
    home = look.home
    longest = max((len(os.fsencode(home.state_dir(name))) for name in look.instances()), default=0)
    if longest + len("/chat.sock") > 100:
        what = "the path is too long for sockets (unix(7)): the chat's socket lies in the temporary folder"
        yield Finding(Level.INFO, "paths", what, str(home.root), "a shorter path for the home")
    upper = home.config_file.with_name(home.config_file.name.upper())
    if home.config_file.exists() and upper.exists() and upper.samefile(home.config_file):
        what = "the file system ignores case: outbox/Slack and outbox/slack are one folder"
        yield Finding(Level.INFO, "paths", what, str(home.root), "name instances in lower case")
    mask = _umask()
    if look.config.group is not None and mask is not None and mask & 0o070:
        what = f"umask {mask:04o} takes the group's rights from files that agents write with echo"
        yield Finding(Level.WARNING, "permissions", what, str(home.messages), "umask 0007 in the agents' shells")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _umask() -> int | None:
    """As /proc says: reading it with umask(2) would change it for a moment."""
    try:
        found = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1], 8) if found else None


def _silent() -> logging.Logger:
    logger = logging.getLogger("connectors.doctor.watch")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


CHECKS = (disk, notifications, mounts, clock, paths)
