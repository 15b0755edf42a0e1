"""Whether the connectors can write where they have to: each folder is really tried, and a refusal has its cause.

access(2) does not know an append-only folder, a quota, or what a security module forbids, and says yes to root for
other users' folders. The trial is a private file that is made and deleted again. Its name begins with a dot, which
every reader ignores, and it is opened for reading, so that inotify(7) tells of no IN_CLOSE_WRITE, which wakes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import secrets
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.base.checks.finding import Finding, Level, Look, names, shell, user_name
from connectors.base.checks.mountinfo import mount_of

#: FS_IOC_GETFLAGS and its flags, ioctl_iflags(2); the number is that of the common architectures.
_GETFLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_FLAGS = {0x10: ("i", "immutable"), 0x20: ("a", "append-only")}
_ALL = 0o7


@dataclass(frozen=True)
class Refusal:
    """Why a folder cannot be written. Folders with the same fix have one cause."""

    what: str
    fix: str
    area: str = "permissions"


def writable(look: Look) -> Iterator[Finding]:
    """Every folder that a configured instance, or the manager, writes into."""
    refused: dict[Refusal, list[Path]] = {}
    for path in dict.fromkeys(_needed(look)):
        if os.path.lexists(path) and not path.is_dir():
            what = f"{path.name} is needed as a folder and is a file"
            yield Finding(Level.ERROR, "permissions", what, str(path), shell("mv", path, f"{path}.old"))
        elif (refusal := refusal_of(path, look.owner())) is not None:
            refused.setdefault(refusal, []).append(path)
    for refusal, paths in refused.items():
        which = names(paths, look.home)
        yield Finding(Level.ERROR, refusal.area, f"{which}: {refusal.what}", str(paths[0]), refusal.fix)


def _needed(look: Look) -> Iterator[Path]:
    """What is not there yet is made below the first folder above it that is."""
    home = look.home
    if not home.config_file.exists():
        return  # nobody has said that this is a home
    wanted = [home.messages, home.inbox, home.failed, home.claimed, home.attachments]
    wanted += [home.state, home.state / "approvals", home.logs]
    for name in look.instances():
        wanted += [home.outbox(name), home.sent(name), home.staging(name), home.sending(name), home.state_dir(name)]
    for path in wanted:
        while path != home.root and not os.path.lexists(path):
            path = path.parent
        yield path


def refusal_of(folder: Path, owner: int) -> Refusal | None:
    """Why `owner`, the user who runs the connectors, cannot write into a folder; None where nothing is in the way."""
    me = os.geteuid()
    flag = _flag_of(folder)
    if flag is not None:
        return Refusal(f"it is {flag[1]} (lsattr -d)", "sudo " + shell("chattr", f"-{flag[0]}", folder))
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return _mounted_read_only(folder)
    # Root may write everywhere, and its trial would say nothing about somebody else.
    by_mode = _by_mode(folder, owner) if owner != 0 else None
    if by_mode is not None or me not in (owner, 0):
        return by_mode
    return _tried(folder, owner)


def _by_mode(folder: Path, owner: int) -> Refusal | None:
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == owner:
        if mode >> 6 & _ALL == _ALL:
            return None
        sudo = "" if os.geteuid() == owner else "sudo "
        return Refusal(f"{user_name(owner)} cannot write here", sudo + shell("chmod", "u+rwx", folder))
    bits = mode >> 3 if status.st_gid in _groups(owner) else mode
    if bits & _ALL == _ALL:
        return None
    what = f"it belongs to {user_name(status.st_uid)}, and {user_name(owner)} cannot write here"
    return Refusal(what, "sudo " + shell("chown", user_name(owner), folder))


def _groups(uid: int) -> set[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(user.pw_name, user.pw_gid))


def _tried(folder: Path, owner: int) -> Refusal | None:
    probe = folder / f".doctor-{secrets.token_hex(8)}.tmp"
    try:
        os.close(os.open(probe, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return _said(error, folder, owner)
    try:
        probe.unlink(missing_ok=True)
    except OSError as error:
        what = f"files can be made here and not be deleted: {error.strerror}"
        return Refusal(what, f"{shell('lsattr', '-d', folder)}; then {shell('rm', probe)}")
    return None


def _said(error: OSError, folder: Path, owner: int) -> Refusal:
    what = f"{user_name(os.geteuid())} cannot write here: {error.strerror}"
    if error.errno == errno.EROFS:
        return _mounted_read_only(folder)
    if error.errno == errno.EACCES and folder.stat().st_uid != owner:
        return Refusal(what, "sudo " + shell("chown", user_name(owner), folder))
    if error.errno == errno.EACCES and stat.S_IMODE(folder.stat().st_mode) >> 6 & _ALL != _ALL:
        return Refusal(what, shell("chmod", "u+rwx", folder))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal(what, f"make room: {shell('df', '-h', folder)}; df -i; quota", "disk")
    look_at = f"see what forbids it: {shell('namei', '-l', folder)}; {shell('getfacl', folder)}"
    return Refusal(what, f"{look_at}; SELinux, AppArmor")


def _flag_of(folder: Path) -> tuple[str, str] | None:
    """Its letter for chattr(1), and the word; None also where flags are not known."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # the mode or the trial says why
    try:
        (flags,) = struct.unpack_from("I", fcntl.ioctl(fd, _GETFLAGS, bytes(8)))
    except OSError:
        return None
    finally:
        os.close(fd)
    return next((said for bit, said in _FLAGS.items() if flags & bit), None)


def _mounted_read_only(folder: Path) -> Refusal:
    mount = mount_of(folder)
    if mount is None:
        return Refusal("the file system is mounted read-only", f"mount {shell(folder)} for writing", "mounts")
    again = "remount,rw" if mount.read_only else "remount,bind,rw"
    fix = "sudo " + shell("mount", "-o", again, mount.point)
    return Refusal(f"{mount.point} is mounted read-only", fix, "mounts")


CHECKS = (writable,)
