"""Files that are there whole or not at all, also after a power cut, and are never overwritten.

Publish = write in a folder that nobody watches, fsync, rename into place, fsync the folder: the order that Maildir
and Postfix use. fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing
the file has also reached disk. For that an explicit fsync() on a file descriptor for the directory is also needed."
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from connectors.base.errors import BadMessage

#: Errors that mean "no room", which is waited out and never blamed on a message.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_OWN_MAX_BYTES = 50_000_000
_OPEN_AT_ONCE = 128  # descriptors; a process may have 256 (macOS) or 1024
_MAX_NAME_BYTES = 200  # leaves room for `.reason.json` and `~<key>` below the 255 bytes of common file systems


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the folder's entries durable. A file system that cannot (EINVAL, some network mounts) is left alone."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def check_writable(*folders: Path) -> None:
    """Raises PermissionError for a folder that lets nothing be written: before a step that could not be ended then."""
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "cannot be written", str(folder))


def write_new(path: str | Path, data: bytes, mode: int = 0o600, gid: int = -1) -> None:
    """Create `path` with `data`, durable itself (its folder entry is not). Removes what it began on any failure."""
    write_all_new([(path, data)], mode, gid)


def write_all_new(files: Sequence[tuple[str | Path, bytes]], mode: int = 0o600, gid: int = -1) -> None:
    """`write_new` of several. All are on their way to the disk before the first is waited for: that is what makes a
    batch cheap. On any failure none of them stays."""
    for start in range(0, len(files), _OPEN_AT_ONCE):
        try:
            _write_some(files[start : start + _OPEN_AT_ONCE], mode, gid)
        except BaseException:
            _unlink(path for path, _ in files[:start])
            raise


def _write_some(files: Sequence[tuple[str | Path, bytes]], mode: int, gid: int) -> None:
    opened: list[tuple[int, str | Path]] = []
    try:
        try:
            for path, data in files:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
                opened.append((fd, path))
                write_whole(fd, data)
                if gid >= 0:
                    os.fchown(fd, -1, gid)
                    os.fchmod(fd, mode)
            if len(opened) > 1:
                for fd, _ in opened:
                    _start_writing(fd)
            for fd, _ in opened:
                os.fsync(fd)
        finally:
            for fd, _ in opened:
                os.close(fd)
    except BaseException:
        _unlink(path for _, path in opened)
        raise


def _unlink(paths: Iterable[str | Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


def write_whole(fd: int, data: bytes) -> None:
    """All of it: a disk that fills up may take a part of a write, and says so only to the next one (write(2))."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def replace_private(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace one of our own files (status, cursors) as a whole; mode 0600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_whole(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def move(source: Path, folder: Path, name: str, key: str) -> Path:
    """Rename into `folder` as `name`, or as `<stem>~<key><suffix>` when that is taken. Returns the new path.

    Nothing is ever overwritten. Raises FileNotFoundError when somebody else took `source`.
    """
    return Path(_move(source, folder, name, key))


def move_all(source: Path, folder: Path, names: Sequence[str], key: str) -> None:
    """`move` of each of `names`, those that are gone left out."""
    for name in names:
        try:
            _move(f"{source}/{name}", folder, name, key)
        except FileNotFoundError:
            continue


def _move(source: str | Path, folder: Path, name: str, key: str) -> str:
    target = f"{folder}/{name}"  # no Path: one is as dear as a rename
    try:
        _rename_exclusive(source, target)
    except FileExistsError:
        stem, suffix = os.path.splitext(name)
        target = f"{folder}/{stem}~{key}{suffix}"
        _rename_exclusive(source, target)
    return target


def publish(
    data: bytes,
    staging: Path,
    folder: Path,
    name: str,
    key: str,
    *,
    mode: int = 0o600,
    gid: int = -1,
    exact: bool = False,
) -> Path:
    """Write durably into `folder` through `staging` (same file system). Returns the path it got.

    `exact=True` raises FileExistsError where the name is taken.
    """
    staged = f"{staging}/{key}.{secrets.token_hex(4)}.tmp"
    write_new(staged, data, mode, gid)
    try:
        if exact:
            path = f"{folder}/{name}"
            _rename_exclusive(staged, path)
        else:
            path = _move(staged, folder, name, key)
    except BaseException:
        _unlink([staged])
        raise
    sync_folder(folder)
    return Path(path)


def move_exact(source: Path, target: Path) -> None:
    """Rename, never over something. Raises FileExistsError or FileNotFoundError."""
    _rename_exclusive(source, target)


def publish_here(folder: Path, name: str, data: bytes) -> Path:
    """As `publish`, for folders with no staging folder: the temporary name begins with a dot, which readers ignore."""
    staged = folder / f".{name}.{secrets.token_hex(4)}.tmp"
    write_new(staged, data)
    try:
        path = move(staged, folder, name, secrets.token_hex(4))
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    """The content and the status of a regular file.

    Raises BadMessage for what is no regular file, is a link, or has more than `max_bytes`; OSError as open(2) does.
    """
    try:
        # O_NONBLOCK: a FIFO that somebody left in the folder must not hang us.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadMessage(f"{path} is a symbolic link", hint="write a regular file") from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise BadMessage(f"{path} is not a regular file", hint="write a regular file")
        if status.st_size > max_bytes:
            raise BadMessage(
                f"{status.st_size} bytes; at most {max_bytes} are read",
                hint="send large content as an attachment, or raise limits.message_max_bytes",
            )
        chunks = []
        while chunk := os.read(fd, 1 << 20):
            chunks.append(chunk)
        return b"".join(chunks), status
    finally:
        os.close(fd)


def safe_name(text: str, fallback: str = "file") -> str:
    """A file name made of foreign text: no separators, no control characters, no leading dot, at most 200 bytes."""
    kept = "".join("_" if ord(c) < 32 or ord(c) == 127 or c in '/\\:*?"<>|' else c for c in text)
    kept = kept.encode("utf-8", "replace")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").lstrip(".").strip()
    return kept or fallback


def fit_name(name: str, key: str) -> str:
    """`name` unless it is too long to get `~<key>` and `.reason.json`; then its start and the key."""
    if len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        return name
    return os.fsencode(name)[: _MAX_NAME_BYTES - 40].decode("utf-8", "ignore") + f"~{key}.json"


def read_json(path: Path) -> dict[str, Any]:
    """One of our own JSON files; an empty dict when it is missing, torn or not ours (it is a view, never the truth)."""
    try:
        data = json.loads(read_regular(path, _OWN_MAX_BYTES)[0])
    except (OSError, ValueError, RecursionError, BadMessage):
        return {}
    return data if isinstance(data, dict) else {}


def _writeback() -> Callable[[int], object]:
    """sync_file_range(2) with SYNC_FILE_RANGE_WRITE: begin to write a file out, and do not wait. A mere hint."""
    try:
        call = ctypes.CDLL(None).sync_file_range
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        return lambda fd: call(fd, 0, 0, 2)
    except (AttributeError, OSError):
        return lambda fd: None


def _libc_rename() -> Callable[[bytes, bytes], int] | None:
    """renameat2(2) with RENAME_NOREPLACE, or macOS's renamex_np(2) with RENAME_EXCL."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            rename = libc.renamex_np
            rename.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda source, target: int(rename(source, target, 4))
        rename2 = libc.renameat2
        rename2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        return lambda source, target: int(rename2(-100, source, -100, target, 1))
    except (AttributeError, OSError):
        return None


_rename = _libc_rename()
_start_writing = _writeback()


def _rename_exclusive(source: str | Path, target: str | Path) -> None:
    if _rename is not None:
        if _rename(os.fsencode(source), os.fsencode(target)) == 0:
            return
        code = ctypes.get_errno()
        # Some file systems (NFS, older FUSE) know no flags; there a check and a rename have to do.
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(source), None, str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)
