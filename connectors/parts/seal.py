"""A secret of the operator's, and the HMAC that proves who wrote a file.

The permissions of a folder prove nothing: they are wrong one day.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from connectors.base.errors import BadMessage, ConfigError
from connectors.base.files import move_exact, read_regular, sync_folder, write_new
from connectors.parts.contract import canonical

KEY = "key"
_BYTES = 32
_HINT = "find out who wrote there, then delete it: a new one is made, and what waits is to be decided again"


class Seal:
    """`folder/key`, made when it is first needed. Every use raises ConfigError when others could have it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEY

    def close(self, what: str, data: dict[str, Any]) -> bytes:
        """A file's content that says `data`; `what` keeps one sort of files from being taken for another."""
        return json.dumps({what: data, "hmac": self._hmac(what, data)}, indent=1).encode() + b"\n"

    def open(self, what: str, content: bytes) -> Any:
        """Raises ValueError when nobody with the key wrote this."""
        try:
            found = json.loads(content)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        given = found.get("hmac") if isinstance(found, dict) else None
        if not isinstance(given, str):
            raise ValueError("it carries no hmac")  # noqa: TRY004 - of foreign data, not of the caller's
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._hmac(what, found.get(what)).encode()):
            raise ValueError("its hmac is wrong")
        return found[what]

    def _hmac(self, what: str, data: Any) -> str:
        return hmac.new(self._key(), f"{what}\0{canonical(data)}".encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        try:
            content, status = read_regular(self._path, 1000)
        except FileNotFoundError:
            self._make()
            return self._key()
        except PermissionError as error:
            owner = self._path.parent.stat().st_uid
            raise ConfigError(
                f"{self._path} cannot be read: only the operator decides",
                hint=f"be the user with the id {owner} (sudo -u)",
            ) from error
        except BadMessage as error:
            raise ConfigError(f"{self._path}: {error}", hint=_HINT) from error
        # Who can make files here may have put one of his own, or a link to one of ours whose content he knows.
        owners = {0, os.geteuid(), self._path.parents[1].stat().st_uid}
        if status.st_uid not in owners or status.st_nlink != 1 or stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(f"{self._path} is not the operator's alone (owner, mode 0600, no links)", hint=_HINT)
        try:
            key = bytes.fromhex(content.decode("ascii"))
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise ConfigError(f"{self._path} is no key", hint=_HINT)
        return key

    def _make(self) -> None:
        staged = self._path.with_name(f".{KEY}.{secrets.token_hex(4)}")
        write_new(staged, secrets.token_bytes(_BYTES).hex().encode())
        give_to_owner(staged)
        try:
            move_exact(staged, self._path)
        except FileExistsError:
            return  # another connector was faster
        finally:
            staged.unlink(missing_ok=True)
        sync_folder(self._path.parent)


def give_to_owner(path: Path) -> None:
    """Root, who decides with sudo or in a container, leaves nothing that the connector's user cannot open."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
