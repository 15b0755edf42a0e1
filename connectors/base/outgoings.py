"""The agent's side of the outbox.

Writing outgoings whole or not at all, answering an event, taking one back.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.base.errors import BadMessage, ConfigError, ConnectorError
from connectors.base.files import fit_name, publish, read_regular
from connectors.base.home import Home, check_name
from connectors.base.kept import staging
from connectors.base.message import OutgoingMessage
from connectors.base.readers import Event, event_names

#: Staged files of programs that died are removed after this time.
_LEFTOVER_S = 86_400.0
_MAX_BYTES = 50_000_000


class TooLate(ConnectorError):
    """The outgoing is being sent, or was sent: it cannot be taken back."""


def answer(event: Event, fields: Mapping[str, Any], **defaults: Any) -> OutgoingMessage:
    """The outgoing that `fields` (those of an outbox file) make as an answer to `event`.

    Where it goes is filled in from the event: `connector_instance`, and, unless the fields name another
    conversation or instance, `conversation_id`, `thread_id` and `reply_to`. `defaults` fill in what the
    fields do not say. Raises BadMessage when that is no outgoing.
    """
    data = {**defaults, **{name: value for name, value in fields.items() if value is not None}}
    data.setdefault("connector_instance", event.instance)
    same = str(data.get("conversation_id") or event.conversation_id) == event.conversation_id
    if same and data["connector_instance"] == event.instance:
        data["conversation_id"] = event.conversation_id
        if event.thread_id is not None:
            data.setdefault("thread_id", event.thread_id)
        if event.has_id:
            data.setdefault("reply_to", event.id)
    return OutgoingMessage.from_dict(data)


def put(home: Home, outgoing: OutgoingMessage, *, event: Event | None = None, name: str | None = None) -> Path:
    """Write it durably into its instance's outbox; returns the path.

    `event` is what it answers: its instance exists, and gets its outbox made if need be. `name` makes the call
    repeatable: a file of this name that is still in the outbox is left as it is. Raises
    ConfigError when there is no such outbox, OSError when there is no room.
    """
    folder = home.outbox(check_name(outgoing.connector_instance))
    if event is not None and event.instance == outgoing.connector_instance:
        home.make(folder)
    elif not folder.is_dir():
        known = ", ".join(_instances(home)) or "none"
        raise ConfigError(
            f"there is no outbox for {outgoing.connector_instance!r}; there are: {known}",
            hint="check the name; a connector makes its outbox when it first starts",
        )
    if name is not None and os.path.lexists(folder / name):
        return folder / name
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    key = secrets.token_hex(4)
    return publish(
        outgoing.to_bytes(),
        staging(home),
        folder,
        fit_name(name or f"{stamp}Z-{key}.json", key),
        key,
        mode=home.modes.file,
        gid=home.modes.gid,
    )


def cancel(home: Home, outgoing_id: str, instance: str | None = None) -> Path:
    """Take back an outgoing that has not been sent, by its id or its claim's key; returns the path that is
    gone.

    Raises TooLate when it is being sent, was sent, or is not known.
    """
    names = [check_name(instance)] if instance else _instances(home)
    for name in names:
        folder = home.outbox(name)
        for file in sorted(event_names(folder)):
            if _id_of(folder / file) == outgoing_id:
                with contextlib.suppress(FileNotFoundError):
                    (folder / file).unlink()
                    return folder / file
        # It may have been claimed since the listing, so this look comes second.
        path = _cancel_claimed(home, name, outgoing_id)
        if path is not None:
            return path
    raise TooLate(f"no outgoing {outgoing_id!r} waits to be sent", hint=f"connectors explain {outgoing_id}")


def remove_leftovers(home: Home, now: float) -> int:
    """Delete what programs that died left in the staging folder, a day later; returns how many files."""
    count = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(staging(home)):
            if now - entry.stat(follow_symlinks=False).st_mtime > _LEFTOVER_S:
                Path(entry.path).unlink(missing_ok=True)
                count += 1
    return count


def _cancel_claimed(home: Home, name: str, outgoing_id: str) -> Path | None:
    from connectors.base.store import OutState, Store

    store = Store.open_readonly(home, name)
    if store is None:
        return None
    try:
        row = store.outgoing(outgoing_id)
    finally:
        store.close()
    if row is None:
        return None
    if row.state not in (OutState.CLAIMED, OutState.QUEUED):
        raise TooLate(f"{outgoing_id!r} is {row.state}", hint=f"connectors explain {outgoing_id}")
    path = home.sending(name) / f"{row.key}.json"
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    return path


def _id_of(path: Path) -> str | None:
    try:
        data = json.loads(read_regular(path, _MAX_BYTES)[0])
    except (BadMessage, OSError, ValueError, RecursionError):
        return None
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def _instances(home: Home) -> list[str]:
    try:
        with os.scandir(home.messages / "outbox") as entries:
            return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except OSError:
        return []
