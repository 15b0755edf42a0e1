"""The outbox folder: what lies there, whether it can be taken yet, and taking it.

Writers may be careless, so nothing is judged on sight: a file that is empty, or a proper prefix of valid JSON, may
still be being written and is left alone until it has been quiet for a while.
"""

from __future__ import annotations

import codecs
import heapq
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic_core import from_json

from connectors.base.errors import BadMessage
from connectors.base.files import check_writable, read_regular, sync_folder
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from connectors.base.steps import step
from connectors.base.store import Claim, Store

#: So many files are claimed at a time: enough to share two folder fsyncs, few enough to start sending at once.
BATCH = 128
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class _Parked:
    """A file that is left alone for now: until it is quiet, or until its not_before.

    `identity` shows whether somebody wrote to it since; a changed mode or a new link is no writing.
    """

    identity: tuple[int, int, int]
    quiet_at: float | None  # monotonic
    not_before: float | None  # wall clock, as the file says


@dataclass(frozen=True)
class Claimed:
    """A file that is ours now. `message` is None when it is no outgoing; `error` says why."""

    key: str
    file: str
    message: OutgoingMessage | None
    error: BadMessage | None
    revived: bool = False
    identity: tuple[int, int, int] | None = None


def parse_outgoing(data: bytes) -> OutgoingMessage:
    """Raises BadMessage. A UTF-8 byte order mark (PowerShell writes one) is skipped."""
    return OutgoingMessage.from_json(data.removeprefix(_BOM))


def may_be_unfinished(data: bytes) -> bool:
    """Whether more bytes could still make valid JSON of `data`: it is blank, or a proper prefix."""
    if _BOM.startswith(data):
        return True
    data = data.removeprefix(_BOM)
    if not data.strip():
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # wrong bytes are wrong at once, a cut character is not
        from_json(data)
    except UnicodeDecodeError:
        return False
    except ValueError as error:
        return str(error).startswith("EOF while parsing")
    return False


class Outbox:
    """One instance's outbox. Used by one thread at a time."""

    def __init__(
        self,
        home: Home,
        name: str,
        store: Store,
        *,
        quiet_s: float = 2.0,
        max_bytes: int = 1_000_000,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        logger: logging.Logger | None = None,
    ) -> None:
        self.folder = home.outbox(name)
        self._home = home
        self._sending = home.sending(name)
        self._store = store
        self._quiet_s = quiet_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._monotonic = monotonic
        self._logger = logger or logging.getLogger(f"connector.{name}")
        self._listed: list[tuple[int, str]] = []  # a heap: the first few of 100,000 need no sorting of all
        self._parked: dict[str, _Parked] = {}
        self._unreadable: set[str] = set()

    def waiting(self) -> int:
        """How many files were seen in the folder and not taken yet."""
        return len(self._listed) + len(self._parked)

    def listed(self) -> int:
        """How many of them can be looked at now, without a new scan."""
        return len(self._listed)

    def next_look_s(self) -> float | None:
        """In how many seconds a parked file is due; None when none is parked."""
        if not self._parked:
            return None
        now, clock = self._monotonic(), self._clock()
        waits = []
        for parked in self._parked.values():
            if parked.quiet_at is not None:
                waits.append(parked.quiet_at - now)
            if parked.not_before is not None:
                waits.append(parked.not_before - clock)
        return max(0.0, min(waits, default=0.0))

    def scan(self) -> None:
        """Look at the folder. Order of arrival within one scan: (ctime, name)."""
        looked_at = self._parked.keys() | self._unreadable
        still_there = set()
        found: list[tuple[int, str]] = []
        # Through a descriptor: the kernel then need not walk the folder's path for each of 100,000 files.
        folder_fd = self._open_folder()
        try:
            with os.scandir(folder_fd) as entries:
                for entry in entries:
                    name = entry.name
                    # Links, folders, dotfiles and other programs' temporary names are not ours; doctor names them.
                    if not name.endswith(".json") or name.startswith("."):
                        continue
                    try:
                        if not entry.is_file(follow_symlinks=False):
                            continue
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if name in looked_at:
                        still_there.add(name)
                        if self._stays_parked(name, status):
                            continue
                    found.append((status.st_ctime_ns, name))
        finally:
            os.close(folder_fd)
        heapq.heapify(found)
        self._parked = {name: parked for name, parked in self._parked.items() if name in still_there}
        self._unreadable &= still_there
        self._listed = found

    def _open_folder(self) -> int:
        try:
            return os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            self._home.make(self.folder)
            return os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)

    def claim(self, most: int = BATCH) -> list[Claimed]:
        """Take up to `most` of the files that the last scan listed, in order of arrival."""
        check_writable(self.folder, self._sending)
        taken: list[Claimed] = []
        while self._listed and len(taken) < most:
            judged = self._judge(heapq.heappop(self._listed)[1])
            if judged is not None:
                taken.append(judged)
        if not taken:
            return []
        self._store.insert_claims([_row(claim) for claim in taken if not claim.revived])
        step("outbox.keyed")
        claimed = []
        for claim in taken:
            try:
                os.rename(f"{self.folder}/{claim.file}", f"{self._sending}/{claim.key}.json")
            except FileNotFoundError:
                # Its writer took it back: a deleted file is a cancelled one.
                self._store.forget_outgoing(claim.key)
                self._store.forget_revived(claim.file)
                continue
            if claim.revived:
                self._store.forget_revived(claim.file)
            claimed.append(claim)
        # Both folders: after a power cut the file must not be back in the outbox, where it would get a second key.
        sync_folder(self._sending)
        sync_folder(self.folder)
        step("outbox.claimed")
        return [self._read_again(claim) for claim in claimed]

    def _stays_parked(self, name: str, status: os.stat_result) -> bool:
        parked = self._parked.get(name)
        if parked is None:
            return False
        if parked.identity != identity(status):
            del self._parked[name]  # written to since: judge it anew
            return False
        if parked.quiet_at is not None:
            return self._monotonic() < parked.quiet_at
        return parked.not_before is not None and self._clock() < parked.not_before

    def _judge(self, name: str) -> Claimed | None:
        """What the file is; None when it is left alone for now, or gone."""
        path = f"{self.folder}/{name}"
        try:
            data, status = read_regular(path, self._max_bytes)
        except FileNotFoundError:
            return None
        except BadMessage as error:
            return None if os.path.islink(path) else self._claimed(name, None, error)
        except OSError as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                self._logger.warning("outbox file %r cannot be read and stays where it is: %s", name, error)
            return None
        try:
            message = parse_outgoing(data)
        except BadMessage as error:
            parked = self._parked.get(name)
            if may_be_unfinished(data):
                if parked is None or parked.quiet_at is None or parked.identity != identity(status):
                    self._parked[name] = _Parked(identity(status), self._monotonic() + self._quiet_s, None)
                    return None
                error = BadMessage(
                    f"the file is incomplete, and nobody wrote to it for {self._quiet_s:g} s ({error})", hint=error.hint
                )
            self._parked.pop(name, None)
            return self._claimed(name, None, error)
        self._parked.pop(name, None)
        if message.not_before is not None:
            # Expired before its time has come, it is claimed all the same: the attempt says so.
            times = [at.timestamp() for at in (message.not_before, message.expires_at) if at is not None]
            if min(times) > self._clock():
                self._parked[name] = _Parked(identity(status), None, min(times))
                return None
        return replace(self._claimed(name, message, None), identity=identity(status))

    def _claimed(self, name: str, message: OutgoingMessage | None, error: BadMessage | None) -> Claimed:
        """With a new key, or that of the dead letter which a person put back."""
        revived = self._store.revived(name)
        return Claimed(revived or secrets.token_hex(8), name, message, error, revived is not None)

    def _read_again(self, claim: Claimed) -> Claimed:
        """Between judging and renaming another writer may have replaced the file: what was renamed is what counts."""
        path = f"{self._sending}/{claim.key}.json"
        try:
            if claim.message is None or identity(os.stat(path, follow_symlinks=False)) == claim.identity:
                return claim
            data, status = read_regular(path, self._max_bytes)
            return replace(claim, message=parse_outgoing(data), identity=identity(status))
        except (FileNotFoundError, BadMessage):
            return replace(claim, identity=None)  # cancelled, or being rewritten: the attempt reads it and decides


def identity(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file's content does."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def _row(claim: Claimed) -> Claim:
    message = claim.message
    if message is None:
        return Claim(claim.key, claim.file)
    given = "id" in message.model_fields_set
    return Claim(
        claim.key, claim.file, message.id if given else claim.key, given, message.conversation_id, message.reply_to
    )


def read_outgoing(path: str | Path, max_bytes: int) -> OutgoingMessage:
    """Raises FileNotFoundError when it was cancelled, BadMessage when it is no outgoing."""
    data, _ = read_regular(path, max_bytes)
    return parse_outgoing(data)
