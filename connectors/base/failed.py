"""What lies in messages/failed/: list it, send it again, or let it go.

A dead letter of a connector goes back to the outbox under its old claim, so that the sending goes on at the first part
that was not sent. What an agent gave up goes back to the inbox. A file that somebody put there without a reason is
listed too.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.base.errors import ConfigError, ConnectorError
from connectors.base.files import fit_name, move, read_json, sync_folder
from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.kept import replay
from connectors.base.readers import NotFound
from connectors.base.store import OutState, Store

_REASON = ".reason.json"


class Several(ConnectorError):
    """The beginning of an id fits more than one."""


@dataclass(frozen=True)
class DeadLetter:
    """One file in failed/ and what its reason says; `reason` is empty where there is none."""

    path: Path
    reason: dict[str, Any] = field(default_factory=dict)
    failed_at: str = ""

    @property
    def file(self) -> str:
        return self.path.name

    @property
    def key(self) -> str:
        return str(self.reason.get("key") or "")

    @property
    def id(self) -> str:
        return str(self.reason.get("id") or self.key or self.file)

    @property
    def instance(self) -> str:
        return str(self.reason.get("connector_instance") or "")

    @property
    def kind(self) -> str:
        """The reason's class; `unknown` for a file without a reason."""
        return str(self.reason.get("class") or "unknown")

    def to_dict(self) -> dict[str, Any]:
        return {**self.reason, "id": self.id, "file": self.file, "class": self.kind, "failed_at": self.failed_at}


def dead_letters(home: Home) -> list[DeadLetter]:
    """All, the newest last. A reason whose file has not been moved yet is none: its burial is under way."""
    try:
        with os.scandir(home.failed) as entries:
            names = {e.name for e in entries if e.is_file(follow_symlinks=False) and not e.name.startswith(".")}
    except OSError:
        return []
    found = []
    for name in names:
        if name.endswith(_REASON) and name.removesuffix(_REASON) in names:
            continue
        if name.endswith(_REASON) and read_json(home.failed / name).get("file"):
            continue
        reason = read_json(home.failed / f"{name}{_REASON}")
        found.append(DeadLetter(home.failed / name, reason, str(reason.get("failed_at") or _changed(home, name))))
    return sorted(found, key=lambda letter: (letter.failed_at, letter.file))


def find(home: Home, wanted: str) -> DeadLetter:
    """By key, id, or file name, whole or its beginning. Raises NotFound, or Several with what fits."""
    letters = dead_letters(home)
    for fits in (str.__eq__, str.startswith):
        found = [one for one in letters if any(fits(name, wanted) for name in (one.key, one.id, one.file) if name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(one.file for one in found[:5])
            raise Several(f"{wanted!r} fits {len(found)} dead letters: {names}", hint="give more of it, or the file")
    raise NotFound(f"no dead letter has the id {wanted!r}", hint="connectors failed list")


def retry(home: Home, letter: DeadLetter, instance: str | None = None) -> Path:
    """Put it back to where it came from; returns its path there.

    `instance` says where to for a file whose reason does not. ConfigError when nobody knows. Every step can be
    repeated: until the last one the reason is there, and the letter is listed.
    """
    if letter.kind == "agent":
        path = replay(home, letter.id, letter.instance or None)
        letter.path.unlink(missing_ok=True)
    else:
        name = instance or letter.instance
        if not INSTANCE_NAME.match(name) or not home.outbox(name).is_dir():
            raise ConfigError(
                f"{letter.file}: no outbox is known for it", hint="name the instance: --instance NAME, or drop it"
            )
        path = _to_outbox(home, letter, name)
    sync_folder(home.failed)
    _reason_of(letter).unlink(missing_ok=True)
    return path


def drop(home: Home, letter: DeadLetter) -> None:
    """Delete it and its reason for good."""
    letter.path.unlink(missing_ok=True)
    _reason_of(letter).unlink(missing_ok=True)
    if letter.key and INSTANCE_NAME.match(letter.instance) and _store_file(home, letter.instance).exists():
        with closing(Store(_store_file(home, letter.instance))) as store:
            if store.outgoing(letter.key) is not None:
                store.update_outgoing(letter.key, note="dropped by hand")


def choose(letters: Iterable[DeadLetter], *, instance: str | None = None, kind: str | None = None) -> list[DeadLetter]:
    """Those of an instance, and of a class of reason."""
    return [one for one in letters if instance in (None, one.instance) and kind in (None, one.kind)]


def _to_outbox(home: Home, letter: DeadLetter, instance: str) -> Path:
    folder, key = home.outbox(instance), letter.key
    # A file that was none gets a new claim: whoever mended it wrote another outgoing.
    if not key or letter.kind == "bad_message" or not _store_file(home, instance).exists():
        return move(letter.path, folder, _plain_name(letter), secrets.token_hex(4))
    name = fit_name(f"{letter.path.stem}~{key}.json", key)
    with closing(Store(_store_file(home, instance))) as store:
        row = store.outgoing(key)
        if row is None:
            return move(letter.path, folder, _plain_name(letter), secrets.token_hex(4))
        if row.state != OutState.DEAD and store.revived_keys().get(key) != name:
            raise ConnectorError(f"{letter.file} is {row.state} already", hint=f"connectors explain {key}")
        # First the store: the connector may take the file in the moment of the rename.
        store.revive(name, key)
        path = move(letter.path, folder, name, secrets.token_hex(4))
        if path.name != name:
            store.revive(path.name, key)
            store.forget_revived(name)
        return path


def _plain_name(letter: DeadLetter) -> str:
    return letter.file if letter.file.endswith(".json") else f"{letter.file}.json"


def _reason_of(letter: DeadLetter) -> Path:
    return letter.path.with_name(f"{letter.file}{_REASON}")


def _store_file(home: Home, instance: str) -> Path:
    return home.state_dir(instance) / "store.db"


def _changed(home: Home, name: str) -> str:
    try:
        changed_at = (home.failed / name).stat(follow_symlinks=False).st_ctime
    except OSError:
        return ""
    return datetime.fromtimestamp(changed_at, UTC).isoformat(timespec="seconds")
