"""What waits for a person: `state/approvals/`, written by connectors (requests) and by the operator (decisions).

    key                   a random secret, 0600; who cannot read it can neither ask in a connector's name nor decide
    <ID>.request.json     what a connector wants to do, exactly
    <ID>.decision.json    what a person said

Each file carries an HMAC over its content. A decision names the request by the digest of all of it, so that it stands
for no other one, and for no changed one. Nothing here is trusted because of the folder's permissions alone: a connector
compares every decision with its own copy of what it asked, and a file that is torn, forged or another's counts as none.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from connectors.base.errors import BadMessage, ConnectorError
from connectors.base.files import move_exact, read_regular, replace_private, sync_folder, write_new
from connectors.base.home import Home
from connectors.parts.contract import digest
from connectors.parts.seal import Seal, give_to_owner

FOLDER = "approvals"
#: No 0 and O, no 1, I and L: an id is read and typed.
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_ID_LENGTH = 8
_REQUEST, _DECISION = ".request.json", ".decision.json"
#: What lay in the place of a decision and is none, for who wants to know who wrote it.
_REFUSED = f"{_DECISION}.refused"
_MAX_BYTES = 20_000_000
#: Not `lock`: an instance may be called as this folder is.
_LOCK, _LOCK_S = "decisions.lock", 10.0
#: A decision without its request is the rest of a crash when it is older than this.
_STALE_S = 3600.0


class NoSuchRequest(ConnectorError):
    """Nothing with this id waits."""


class NotDecided(ConnectorError):
    """The decision came too late: somebody else decided, or it has expired."""


@dataclass(frozen=True)
class Request:
    """What is put to a person. `contract` stands for the action as it was then; times are seconds since 1970."""

    id: str
    instance: str
    type: str
    version: str
    action: str
    description: str
    input: dict[str, Any]
    input_schema: dict[str, Any]
    hints: dict[str, Any]
    contract: str
    outgoing: str
    claim: str
    key: str
    conversation_id: str
    reply_to: str | None
    asked_by: str
    asked_at: float
    expires_at: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Request:
        """Raises ValueError for anything else than what `to_dict` gives."""
        return cls(**_checked(cls, data))

    @property
    def digest(self) -> str:
        return digest(self.to_dict())


@dataclass(frozen=True)
class Decision:
    """What a person said. `request` is the digest of what was said yes or no to; `input` is what to use instead."""

    id: str
    request: str
    verdict: Literal["approve", "deny"]
    by: str
    why: str
    at: float
    input: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, data: Any) -> Decision:
        found = cls(**_checked(cls, data))
        if found.verdict not in ("approve", "deny"):
            raise ValueError("it says neither approve nor deny")
        return found


def new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def normal(text: str) -> str:
    """An id as a person types it: any case, with blanks and dashes."""
    return "".join(c for c in text.upper() if not c.isspace() and c != "-")


class Approvals:
    """The folder of one home. What writes raises OSError; ConfigError when the key cannot be trusted."""

    def __init__(
        self, home: Home, *, clock: Callable[[], float] = time.time, logger: logging.Logger | None = None
    ) -> None:
        self.folder = home.state / FOLDER
        self._seal = Seal(self.folder)
        self._home = home
        self._clock = clock
        self._logger = logger or logging.getLogger("connectors.approvals")
        self._complained: set[tuple[str, str]] = set()

    # ── what a connector does ─────────────────────────────────────────────────────────────────────────────────

    def publish(self, request: Request) -> None:
        """Show the request to people, as it is; also again, when somebody removed or changed the file."""
        self._make()
        data = self._seal.close("request", request.to_dict())
        path = self.folder / f"{request.id}{_REQUEST}"
        try:
            if read_regular(path, _MAX_BYTES)[0] == data:
                return
            self._logger.warning("approvals: %s was changed by somebody; it is restored", path.name)
        except FileNotFoundError:
            pass
        except (BadMessage, OSError) as error:
            self._logger.warning("approvals: %s: %s; it is restored", path.name, error)
        replace_private(path, data, durable=True)
        sync_folder(self.folder)
        give_to_owner(path)

    def decision(self, request: Request) -> Decision | None:
        """What the operator said to exactly this, in time. Whatever else lies there counts as nothing; it is logged."""
        try:
            found = self._decision(request.id)
            if found is None:
                return None
            if found.id != request.id or not hmac.compare_digest(found.request, request.digest):
                raise ValueError("it is for another request, or another content of it")
            if found.at >= request.expires_at:
                raise ValueError("it was made after the request had expired")
        except (ValueError, OSError, BadMessage) as error:
            self._complain(request.id, str(error))
            return None
        return found

    def decided(self) -> dict[str, float]:
        """{id: time of its file} where there is one that may be a decision. Cheap: nothing is read."""
        found = {}
        for path in self._files(_DECISION):
            with suppress(OSError):
                found[path.name.removesuffix(_DECISION)] = path.lstat().st_ctime
        return found

    def drop(self, request_id: str) -> None:
        """It is answered: nobody is asked any more."""
        for suffix in (_REQUEST, _DECISION, _REFUSED):
            (self.folder / f"{request_id}{suffix}").unlink(missing_ok=True)

    def sweep(self, instance: str, waiting: set[str]) -> None:
        """Remove what an earlier process of `instance` left of requests that wait no longer."""
        for path in self._files(_REQUEST):
            request_id = path.name.removesuffix(_REQUEST)
            if request_id in waiting:
                continue
            try:
                request = Request.from_dict(self._seal.open("request", read_regular(path, _MAX_BYTES)[0]))
            except (ValueError, OSError, BadMessage):
                continue  # not ours to judge: `connectors approvals` names it
            if request.instance == instance:
                self.drop(request_id)
        for path in self._files(_DECISION):
            asked = self.folder / path.name.replace(_DECISION, _REQUEST)
            try:
                if not asked.exists() and self._clock() - path.lstat().st_mtime > _STALE_S:
                    path.unlink(missing_ok=True)
            except OSError:
                continue

    # ── what a person does ────────────────────────────────────────────────────────────────────────────────────

    def requests(self) -> tuple[list[Request], dict[str, str]]:
        """All that connectors ask, the oldest first, and {file name: what is wrong with it}. Decided ones too."""
        found, broken = [], {}
        for path in self._files(_REQUEST):
            try:
                request = Request.from_dict(self._seal.open("request", read_regular(path, _MAX_BYTES)[0]))
                if f"{request.id}{_REQUEST}" != path.name:
                    raise ValueError(f"it is a copy of {request.id}")
            except FileNotFoundError:
                continue
            except (ValueError, OSError, BadMessage) as error:
                broken[path.name] = str(error)
            else:
                found.append(request)
        return sorted(found, key=lambda request: (request.asked_at, request.id)), broken

    def find(self, wanted: str) -> Request:
        """By id, or the beginning of one. Raises NoSuchRequest, also for one that somebody changed."""
        found, broken = self.requests()
        matching = [request for request in found if request.id.startswith(normal(wanted))] if normal(wanted) else []
        if len(matching) == 1:
            return matching[0]
        for name, problem in broken.items():
            if normal(wanted) and name.startswith(normal(wanted)):
                raise NoSuchRequest(
                    f"{self.folder / name} was not written by a connector of this home, or was changed: {problem}",
                    hint="find out who writes there; a running connector restores its requests",
                )
        what = f"{len(matching)} requests begin with {wanted!r}" if matching else f"no request {wanted!r} waits"
        raise NoSuchRequest(what, hint="connectors approvals lists what waits")

    def standing(self, request: Request) -> Literal["waiting", "expired", "approve", "deny", "cancelled"]:
        """Where a request stands, before its connector has seen to it."""
        try:
            found = self._decision(request.id)
        except (ValueError, OSError, BadMessage):
            found = None
        if found is not None and found.request == request.digest:
            return found.verdict
        if not (self._home.sending(request.instance) / f"{request.claim}.json").exists():
            return "cancelled"
        return "expired" if self._clock() >= request.expires_at else "waiting"

    def decide(
        self,
        request: Request,
        verdict: Literal["approve", "deny"],
        *,
        by: str,
        why: str = "",
        given: dict[str, Any] | None = None,
    ) -> Decision:
        """Say yes, with other input where `given`, or no. The first decision stands.

        Raises NotDecided when there is one, when the request has expired, or when its outgoing is gone.
        """
        self._make()
        target = self.folder / f"{request.id}{_DECISION}"
        with FileLock(self.folder / _LOCK, timeout=_LOCK_S, mode=0o600):
            give_to_owner(self.folder / _LOCK)
            standing = self.standing(request)
            if standing != "waiting":
                raise NotDecided(f"{request.id} is {_STANDING[standing]}", hint="connectors approvals lists what waits")
            decision = Decision(request.id, request.digest, verdict, by, why, self._clock(), given)
            if os.path.lexists(target):  # it is none, or it would stand
                os.replace(target, self.folder / f"{request.id}{_REFUSED}")
            staged = self.folder / f".{target.name}.{secrets.token_hex(4)}"
            write_new(staged, self._seal.close("decision", asdict(decision)))
            give_to_owner(staged)
            try:
                move_exact(staged, target)
            except FileExistsError:
                raise NotDecided(
                    f"somebody wrote a decision about {request.id} at this very moment", hint="connectors approvals"
                ) from None
            finally:
                staged.unlink(missing_ok=True)
            sync_folder(self.folder)
        return decision

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _decision(self, request_id: str) -> Decision | None:
        try:
            data = read_regular(self.folder / f"{request_id}{_DECISION}", _MAX_BYTES)[0]
        except FileNotFoundError:
            return None
        return Decision.from_dict(self._seal.open("decision", data))

    def _files(self, suffix: str) -> list[Path]:
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        return [self.folder / name for name in names if name.endswith(suffix) and not name.startswith(".")]

    def _make(self) -> None:
        if not self.folder.is_dir():
            self._home.make(self.folder, private=True)
            give_to_owner(self.folder)

    def _complain(self, request_id: str, problem: str) -> None:
        if (request_id, problem) not in self._complained:
            self._complained.add((request_id, problem))
            self._logger.warning("approvals: the decision about %s counts as nothing: %s", request_id, problem)


_STANDING = {
    "expired": "expired: nobody decided in time",
    "approve": "approved already",
    "deny": "denied already",
    "cancelled": "cancelled: its outgoing is gone",
}


def _checked(cls: type[Any], data: Any) -> dict[str, Any]:
    names = {field.name for field in fields(cls)}
    if not isinstance(data, dict) or set(data) != names:
        raise ValueError("it has not the fields of this version")
    for name in ("asked_at", "expires_at", "at"):
        if name in names and (not isinstance(data[name], int | float) or isinstance(data[name], bool)):
            raise ValueError(f"{name} is no time")
    for name in ("id", "request", "verdict", "instance", "claim", "action"):
        if name in names and not isinstance(data[name], str):
            raise ValueError(f"{name} is no text")
    return data
