"""Pairing: a stranger gets a code and tells it to the operator on another way, who approves it in a shell.

`state/<instance>/pairing.json` is written by the connector and by `connectors pair` at once: under a lock beside it,
replaced as a whole, and read again when it has changed. Content that is wrong counts as nothing: nobody is paired.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from connectors.base import dropped
from connectors.base.errors import BadMessage
from connectors.base.files import read_regular, replace_private
from connectors.parts.drops import forget_stranger

FILE = "pairing.json"
#: No 0 and O, no 1, I and L: a code is read out and typed.
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
EXPIRES_AFTER_S = 3600.0
MAX_PENDING = 50
_SKEW_S = 60.0  # a clock that was set back by more makes a code expire rather than live on
_MAX_BYTES = 10_000_000
_MAX_TEXT = 200


@dataclass(frozen=True)
class Pending:
    """A stranger who asked. `denied`: the operator said no; there is no further code before this one has expired."""

    code: str
    user_id: str
    user_name: str
    conversation_id: str
    asked_at: float
    denied: bool = False

    @property
    def expires_at(self) -> float:
        return self.asked_at + EXPIRES_AFTER_S

    def expired(self, now: float) -> bool:
        return not -_SKEW_S <= now - self.asked_at < EXPIRES_AFTER_S


@dataclass(frozen=True)
class Paired:
    """A user whom the operator approved."""

    user_id: str
    user_name: str
    conversation_id: str
    approved_at: float


@dataclass(frozen=True)
class Pairings:
    """The file's content. `pending` in the order of asking, expired ones too; `sound`: nothing in it was wrong."""

    pending: tuple[Pending, ...] = ()
    paired: tuple[Paired, ...] = ()
    sound: bool = True


def normal(code: str) -> str:
    """A code as a person types it: any case, with blanks and dashes."""
    return "".join(c for c in code.upper() if not c.isspace() and c not in "-\u2010\u2011\u2012\u2013\u2014\u2212")


class Pairing:
    """The pairings of one instance; `folder` is its state folder.

    Asking and looking never raise for what is in the file. What writes raises OSError (a full disk, filelock's
    Timeout when another process keeps the lock for longer than `lock_timeout_s`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        lock_timeout_s: float = 10.0,
        logger: logging.Logger | None = None,
    ) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._lock_timeout_s = lock_timeout_s
        self._logger = logger or logging.getLogger("connectors.pairing")
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._found = Pairings()
        self._users: frozenset[str] = frozenset()

    def read(self) -> Pairings:
        """What the file says now; it is read only when it has changed."""
        with self._lock:
            return self._fresh()

    def is_paired(self, user_id: str) -> bool:
        with self._lock:
            self._fresh()
            return user_id != "" and user_id in self._users

    def ask(self, user_id: str, user_name: str, conversation_id: str) -> str | None:
        """A new code to tell this stranger, which is on the disk already; None when he has one that is not expired."""
        if not user_id or len(user_id) > _MAX_TEXT or self._has_asked(self.read(), user_id):
            return None
        with self._changing() as (found, write):
            if self._has_asked(found, user_id):
                return None
            taken = {item.code for item in found.pending}
            code = next(code for code in iter(_new_code, "") if code not in taken)
            asked = Pending(code, user_id, user_name[:_MAX_TEXT], conversation_id[:_MAX_TEXT], self._clock())
            others = [item for item in found.pending if item.user_id != user_id]
            write(replace(found, pending=(*others[-(MAX_PENDING - 1) :], asked)))
            return code

    def find(self, code: str) -> Pending | None:
        """Who got this code, also when it has expired or was denied."""
        wanted = normal(code)
        return next((item for item in self.read().pending if item.code == wanted), None)

    def approve(self, code: str) -> Paired | None:
        """Pair who got this code. None when there is none, it has expired, or it was denied."""
        with self._changing() as (found, write):
            asked = self._open(found, code)
            if asked is None:
                return None
            paired = Paired(asked.user_id, asked.user_name, asked.conversation_id, self._clock())
            pending = tuple(item for item in found.pending if item.user_id != asked.user_id)
            others = tuple(item for item in found.paired if item.user_id != asked.user_id)
            write(replace(found, pending=pending, paired=(*others, paired)))
        with contextlib.suppress(OSError):  # only a count: the connector leaves it out when it writes it next
            forget_stranger(self.path.parent, paired.user_id)
            _give_to_owner(self.path.with_name(dropped.FILE))
        return paired

    def deny(self, code: str) -> Pending | None:
        """Nobody can approve it any more, and who got it gets no other one until it would have expired."""
        with self._changing() as (found, write):
            asked = self._open(found, code)
            if asked is None:
                return None
            pending = tuple(replace(item, denied=True) if item == asked else item for item in found.pending)
            write(replace(found, pending=pending))
            return asked

    def revoke(self, user_id: str) -> Paired | None:
        """Undo an approval. None when this user is not paired."""
        with self._changing() as (found, write):
            gone = next((item for item in found.paired if item.user_id == user_id), None)
            if gone is not None:
                write(replace(found, paired=tuple(item for item in found.paired if item.user_id != user_id)))
            return gone

    def _open(self, found: Pairings, code: str) -> Pending | None:
        wanted, now = normal(code), self._clock()
        usable = (item for item in found.pending if not item.denied and not item.expired(now))
        return next((item for item in usable if item.code == wanted), None)

    def _has_asked(self, found: Pairings, user_id: str) -> bool:
        now = self._clock()
        return user_id in self._users or any(
            item.user_id == user_id and not item.expired(now) for item in found.pending
        )

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Pairings, Callable[[Pairings], None]]]:
        """The content under the lock, and what replaces it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f"{FILE}.lock"), timeout=self._lock_timeout_s, mode=0o600)
        with lock, self._lock:
            _give_to_owner(self.path.with_name(f"{FILE}.lock"))
            yield self._fresh(strict=True), self._write

    def _fresh(self, *, strict: bool = False) -> Pairings:
        """`strict`: raise OSError when the file is there and cannot be read: it must not be overwritten then."""
        try:
            seen = _identity(self.path)
            if seen != self._seen:
                self._found = _parse(read_regular(self.path, _MAX_BYTES)[0]) if seen else Pairings()
        except BadMessage:  # a link, a FIFO, far too much
            self._found = Pairings(sound=False)
        except OSError as error:
            if strict:
                raise
            self._logger.warning("%s cannot be read, so nobody is paired: %s", self.path, error.strerror)
            self._found, seen = Pairings(), None
        if seen != self._seen:
            self._seen = seen
            self._users = frozenset(item.user_id for item in self._found.paired)
            if not self._found.sound:
                self._logger.warning("%s: not all of it can be understood; that part counts as nothing", self.path)
        return self._found

    def _write(self, found: Pairings) -> None:
        for left in self.path.parent.glob(f".{FILE}.*"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        if not self._found.sound:
            self._keep_broken()
        data = {"pending": [asdict(item) for item in found.pending], "paired": [asdict(item) for item in found.paired]}
        replace_private(self.path, json.dumps(data, indent=1).encode() + b"\n", durable=True)
        _give_to_owner(self.path)
        self._fresh()

    def _keep_broken(self) -> None:
        """The last one that could not be understood stays beside it, for whom wants to mend it."""
        broken = self.path.with_name(f"{FILE}.broken")
        with contextlib.suppress(OSError):
            broken.unlink(missing_ok=True)
            os.link(self.path, broken, follow_symlinks=False)


def _new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def _give_to_owner(path: Path) -> None:
    """Root, who approves with sudo or in a container, leaves nothing that the connector's user cannot open."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _identity(path: Path) -> tuple[int, ...] | None:
    """Changes whenever the file is replaced or written; None where there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _parse(content: bytes) -> Pairings:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return Pairings(sound=False)
    if not isinstance(data, dict):
        return Pairings(sound=False)
    pending, paired = _list(data, "pending"), _list(data, "paired")
    asked = [item for item in map(_pending, pending or ()) if item is not None]
    users = [item for item in map(_paired, paired or ()) if item is not None]
    sound = pending is not None and paired is not None and len(asked) == len(pending) and len(users) == len(paired)
    return Pairings(tuple(sorted(asked, key=lambda item: item.asked_at)), tuple(users), sound)


def _list(data: dict[str, Any], name: str) -> list[Any] | None:
    items = data.get(name, [])
    return items if isinstance(items, list) else None


def _pending(item: Any) -> Pending | None:
    texts, at = _texts(item, "code", "user_id", "user_name", "conversation_id"), _moment(item, "asked_at")
    if not texts or at is None or not normal(texts["code"]) or not texts["user_id"]:
        return None
    return Pending(
        **{**texts, "code": normal(texts["code"])}, asked_at=at, denied=item.get("denied", False) is not False
    )


def _paired(item: Any) -> Paired | None:
    texts, at = _texts(item, "user_id", "user_name", "conversation_id"), _moment(item, "approved_at")
    if not texts or at is None or not texts["user_id"]:
        return None
    return Paired(**texts, approved_at=at)


def _texts(item: Any, *names: str) -> dict[str, str]:
    """These fields; empty when one is no text, or is too long."""
    values = {name: item.get(name) for name in names} if isinstance(item, dict) else {}
    good = {name: value for name, value in values.items() if isinstance(value, str) and len(value) <= _MAX_TEXT}
    return good if len(good) == len(values) else {}


def _moment(item: Any, name: str) -> float | None:
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < 1e12 else None
