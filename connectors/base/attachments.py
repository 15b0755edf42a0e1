"""Files that messages carry: incoming ones stored by their content, outgoing ones read only below allowed roots."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from connectors.base.errors import Rejected, RetryLater
from connectors.base.files import safe_name, sync_folder, write_whole
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from connectors.base.settings import Limits

_CHUNK = 1 << 20


class TooLarge(Rejected):
    """More bytes than allowed."""


def save_incoming(
    home: Home, chunks: Iterable[bytes], name: str, max_bytes: int, staging: Path | None = None
) -> dict[str, Any]:
    """Store a file that came in under its sha256. Returns {path, name, size, sha256}; `path` is below the home.

    `name` is data and never a path part. Raises TooLarge, and leaves nothing behind then. Until it is whole it is in
    `staging`: in an instance's, what a kill leaves behind goes at the next start; otherwise retention finds it.
    """
    home.make(home.attachments)
    staged = (staging or home.attachments) / f".{secrets.token_hex(8)}.tmp"
    try:
        size, sha256 = _write(staged, chunks, max_bytes, home.modes.file, name)
        folder = home.attachments / sha256[:2]
        home.make(folder)
        # The same content under the same name: replacing it changes nothing for who reads it.
        os.replace(staged, folder / sha256)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    path = (folder / sha256).relative_to(home.root).as_posix()
    return {"path": path, "name": safe_name(name), "size": size, "sha256": sha256}


def _write(path: Path, chunks: Iterable[bytes], max_bytes: int, mode: int, shown: str) -> tuple[int, str]:
    """Write a new file, fsynced; returns (size, sha256). Raises TooLarge as soon as there are more bytes."""
    digest, size = hashlib.sha256(), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)  # a group's file stays the group's, whatever the umask is
        for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(shown, f"more than {max_bytes}")
            digest.update(chunk)
            write_whole(fd, chunk)
        os.fsync(fd)
    finally:
        os.close(fd)
    return size, digest.hexdigest()


def _too_large(shown: str, size: str) -> TooLarge:
    return TooLarge(
        f"attachment {shown!r} has {size} bytes", hint="send a smaller file, or raise limits.attachment_max_bytes"
    )


def copy_outgoing(home: Home, limits: Limits, message: OutgoingMessage, folder: Path, key: str) -> OutgoingMessage:
    """The message with each attachment's `path` pointing to a private copy that nobody changes while it is sent.

    Raises Rejected for a path outside `messages/attachments/` and the configured roots, for links on the way,
    for what is no regular file, and for what is too large; RetryLater for what cannot be read now.
    """
    if not message.attachments:
        return message
    roots = _roots(home, limits)
    copies = []
    for n, attachment in enumerate(message.attachments):
        target = folder / f"{key}.file{n}"
        if not target.exists():
            _copy(_open_below(home.root / attachment.path, roots), target, attachment.path, limits.attachment_max_bytes)
        name = attachment.name or os.path.basename(attachment.path)
        copies.append(attachment.model_copy(update={"path": str(target), "name": safe_name(name)}))
    return message.model_copy(update={"attachments": copies})


def check_outgoing(home: Home, limits: Limits, message: OutgoingMessage) -> OutgoingMessage:
    """The message with absolute paths, for code that reads the files itself. Raises as `copy_outgoing`."""
    checked = []
    for attachment in message.attachments:
        path = home.root / attachment.path
        source = _open_below(path, _roots(home, limits))
        try:
            _check(source, attachment.path, limits.attachment_max_bytes)
        finally:
            os.close(source)
        checked.append(attachment.model_copy(update={"path": os.path.normpath(path)}))
    return message.model_copy(update={"attachments": checked})


def _roots(home: Home, limits: Limits) -> list[Path]:
    return [home.attachments, *(Path(os.path.expanduser(root)) for root in limits.attachment_roots)]


def _check(source: int, shown: str, max_bytes: int) -> None:
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        raise Rejected(f"attachment {shown!r} is not a regular file", hint="name a regular file")
    if status.st_size > max_bytes:
        raise _too_large(shown, str(status.st_size))


def _open_below(path: Path, roots: list[Path]) -> int:
    """Open the regular file `path`, following no link below the root that contains it."""
    for root in roots:
        root = Path(os.path.abspath(root))
        wanted = Path(os.path.normpath(path))
        if not wanted.is_relative_to(root) or wanted == root:
            continue
        return _walk(root, wanted.relative_to(root).parts, path)
    raise Rejected(
        f"attachment {str(path)!r} is outside the allowed folders",
        hint="put the file below messages/attachments/, or add its folder to limits.attachment_roots in connectors.yml",
    )


def _walk(root: Path, parts: tuple[str, ...], path: Path) -> int:
    """openat(2) part by part with O_NOFOLLOW: a link that is put in meanwhile is refused as well."""
    at = -1
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Rejected(
                f"attachment {str(path)!r}: a symbolic link is on the way", hint="name the file itself"
            ) from error
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENXIO):
            raise Rejected(
                f"attachment {str(path)!r}: {os.strerror(error.errno)}",
                hint="write the file, readable to the connector, before the outgoing that names it",
            ) from error
        raise _unreadable(str(path), error) from error
    except ValueError as error:  # a NUL, or what the file system's encoding has no bytes for
        raise Rejected(f"attachment {str(path)!r}: no such name is possible", hint="name an existing file") from error
    finally:
        if at >= 0:
            os.close(at)


def _copy(source: int, target: Path, shown: str, max_bytes: int) -> None:
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.unlink(missing_ok=True)  # of a process that died here
    try:
        _check(source, shown, max_bytes)
        _write(temporary, _chunks(source, shown), max_bytes, 0o600, shown)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(source)


def _chunks(source: int, shown: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(source, _CHUNK)
        except OSError as error:
            raise _unreadable(shown, error) from error
        if not chunk:
            return
        yield chunk


def _unreadable(shown: str, error: OSError) -> RetryLater:
    """Not our disk's fault, nor for sure the file's: a network folder may come back."""
    return RetryLater(f"attachment {shown!r} cannot be read: {error.strerror}")
