"""Who owns the files, and who may read and write them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from connectors.base.checks.finding import Finding, Level, Look, entries, is_folder, names, one_by_one, shell, user_name

_TREES = ("inbox", "outbox", "sent", "failed", "claimed", "attachments", ".staging", ".sending", ".acked")


def secrets(look: Look) -> Iterator[Finding]:
    """.env is the operator's alone; who can write connectors.yml can run programs as the connectors' user."""
    for path in (look.home.env_file, look.home.config_file):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            continue
        if path == look.home.env_file and mode & 0o077:
            what = ".env can be read by others"
            yield Finding(Level.ERROR, "permissions", what, str(path), shell("chmod", "600", path))
        elif mode & 0o022:
            what = f"others can write {path.name}"
            yield Finding(Level.ERROR, "permissions", what, str(path), shell("chmod", "go-w", path))


def folders(look: Look) -> Iterator[Finding]:
    """Folders that others can write or read."""
    home, group = look.home, look.config.group
    for path in _folders(look):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(status.st_mode) & _way_in(path, home.root)
        private = path.is_relative_to(home.state) or path.is_relative_to(home.logs)
        shared = group is not None and path.is_relative_to(home.messages)
        if mode & 0o002:
            what = "everybody on this machine can write this folder"
            yield Finding(Level.ERROR, "permissions", what, str(path), shell("chmod", "o-w", path))
        elif mode & 0o020 and not shared:
            what = "a group can write this folder, and connectors.yml names no group"
            yield Finding(Level.WARNING, "permissions", what, str(path), shell("chmod", "g-w", path))
        elif mode & 0o004 and path != home.root:
            what = "everybody on this machine can read this folder"
            yield Finding(Level.WARNING, "permissions", what, str(path), shell("chmod", "o-rwx", path))
        elif private and mode & 0o040:
            what = "a group can read what is private to the connectors"
            yield Finding(Level.WARNING, "permissions", what, str(path), shell("chmod", "700", path))
        if shared and not mode & stat.S_ISGID and path != home.messages:
            what = f"new files here do not get the group {group}"
            fix = shell("chgrp", group, path) + " && " + shell("chmod", "2770", path)
            yield Finding(Level.WARNING, "permissions", what, str(path), fix)


def owners(look: Look) -> Iterator[Finding]:
    """Files of another user: after a `sudo`, the most common cause of a queue that is stuck."""
    home = look.home
    try:
        owner = look.owner()
    except FileNotFoundError:
        return
    if os.geteuid() not in (owner, 0):
        what = f"this home belongs to {user_name(owner)}, and you are {user_name(os.geteuid())}"
        fix = f"sudo -u {user_name(owner)} " + shell("connectors", "doctor", "--seed-home", home.root)
        yield Finding(Level.WARNING, "permissions", what, str(home.root), fix)
    shared = look.config.group is not None
    for top in (*(home.messages / name for name in _TREES), home.state, home.logs):
        foreign: dict[int, list[Path]] = {}
        for path, status in _walk(top):
            # With a group, agents of other users put their files into the outbox, and that is right.
            if status.st_uid != owner and not (shared and status.st_uid != 0 and top.parent == home.messages):
                foreign.setdefault(status.st_uid, []).append(path)
        for uid, paths in foreign.items():
            some = "1 file belongs" if len(paths) == 1 else f"{len(paths)} files belong"
            what = f"{some} to {user_name(uid)}, not to {user_name(owner)}: {names(paths, home)}"
            fix = "sudo " + shell("chown", "-R", user_name(owner), top)
            yield Finding(Level.ERROR, "permissions", what, str(top), fix)


def _way_in(path: Path, root: Path) -> int:
    """The mode bits of group and others that mean something: all the folders above must let them in."""
    bits = 0o7777
    while path not in (root, path.parent):
        path = path.parent
        mode = path.stat().st_mode
        bits &= ~(0o070 if not mode & 0o010 else 0) & ~(0o007 if not mode & 0o001 else 0)
    return bits


def _folders(look: Look) -> Iterator[Path]:
    home = look.home
    yield from (home.root, home.messages, home.state, home.logs)
    for path in entries(home.state):
        if is_folder(path):
            yield Path(path.path)
    for name in _TREES:
        yield home.messages / name
        for path in entries(home.messages / name):
            if is_folder(path):
                yield Path(path.path)


def _walk(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, folder_names, file_names in os.walk(top):
        for name in (*folder_names, *file_names):
            path = Path(parent, name)
            try:
                yield path, path.lstat()
            except OSError:
                continue


def all_folders(look: Look) -> Iterator[Finding]:
    """`folders`, not more than a few one by one."""
    return one_by_one(folders(look))


CHECKS = (secrets, all_folders, owners)
