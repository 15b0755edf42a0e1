"""What happens to an event file in the end.

It goes, it waits for other readers, or it is kept as given up; and back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.base.errors import BadMessage
from connectors.base.files import fit_name, move, publish, sync_folder
from connectors.base.home import Home
from connectors.base.readers import (
    Ambiguous,
    Event,
    NotFound,
    acked_folder,
    consumer_folders,
    digest,
    find_in,
    parse_event,
)

if TYPE_CHECKING:
    from connectors.base.cursors import Cursors

#: Where readers' programs stage what they write; no instance can have this name.
_STAGING = ".readers"


def staging(home: Home) -> Path:
    """The folder, made if need be, in which programs on the agent's side write before they publish."""
    folder = home.staging(_STAGING)
    home.make(folder)
    return folder


def retire(home: Home, cursors: Cursors, path: Path) -> bool:
    """A worker has acknowledged the event at `path`. False when the file was gone.

    It goes at once, unless a cursor has not acknowledged it: then it waits in `.acked/`, out of the
    workers' sight.
    """
    try:
        if not cursors.pending(path.name):
            path.unlink()
            cursors.forget(path.name)
            return True
        home.make(acked_folder(home))
        kept = move(path, acked_folder(home), path.name, secrets.token_hex(4))
    except FileNotFoundError:
        return False
    # A cursor may have acknowledged it between the question and the move, and found nothing to delete.
    cursors.settle(kept.name)
    return True


def give_up(
    home: Home, cursors: Cursors, event: Event, reason: str, *, hint: str = "", attempts: int = 0
) -> Path | None:
    """Move an event to `failed/`, the reason first. Returns its path there; None when the file was gone."""
    from connectors.base.message import Reason, utc_now

    source = event.path
    if not os.path.lexists(source):
        return None
    home.make(home.failed)
    name = fit_name(source.name, digest(event.id))
    if os.path.lexists(home.failed / name):
        name = f"{Path(name).stem}~{secrets.token_hex(4)}.json"
    text = Reason(
        id=event.id,
        connector_instance=event.instance,
        file=name,
        class_="agent",
        reason=reason,
        hint=hint or f"mend the cause, then: connectors replay {event.id}",
        attempts=attempts,
        conversation_id=event.conversation_id,
        failed_at=utc_now(),
    ).to_bytes()
    beside = home.failed / f"{name}.reason.json"
    beside.unlink(missing_ok=True)  # of an earlier try that died before the move
    publish(
        text, staging(home), home.failed, beside.name, secrets.token_hex(4), mode=home.modes.file, gid=home.modes.gid
    )
    if cursors.pending(source.name):
        home.make(acked_folder(home))
        with contextlib.suppress(OSError):  # a file system without links: those readers find it in failed/ only
            os.link(source, acked_folder(home) / source.name, follow_symlinks=False)
    try:
        path = move(source, home.failed, name, secrets.token_hex(4))
    except FileNotFoundError:
        beside.unlink(missing_ok=True)
        return None
    sync_folder(home.failed)
    return path


def kept_events(home: Home, event_id: str, instance: str | None = None) -> Iterator[Event]:
    """Every kept event with this id, one an instance.

    From the folders first, then from the instances' stores.
    """
    seen: set[str] = set()
    for folder in (home.inbox, *consumer_folders(home), home.failed, acked_folder(home)):
        for event in find_in(folder, event_id):
            if event.instance not in seen and instance in (None, event.instance):
                seen.add(event.instance)
                yield event
    for event in _stored(home, event_id, instance):
        if event.instance not in seen:
            seen.add(event.instance)
            yield event


def one_event(home: Home, event_id: str, instance: str | None = None) -> Event:
    """The kept event with this id. Raises NotFound, or Ambiguous with the instances' names."""
    found = list(kept_events(home, event_id, instance))
    if not found:
        where = f" from {instance}" if instance else ""
        raise NotFound(f"no kept event{where} has the id {event_id!r}", hint="connectors explain " + event_id)
    if len(found) > 1:
        names = ", ".join(sorted(event.instance for event in found))
        raise Ambiguous(f"{len(found)} instances have an event {event_id!r}: {names}", hint="name the instance")
    return found[0]


def replay(home: Home, event_id: str, instance: str | None = None) -> Path:
    """Put a kept event into the inbox again, under a new name, so that every reader gets it. Returns its
    path.

    One that was given up leaves `failed/` with its reason; one that is still waiting stays as it is. Raises
    NotFound or Ambiguous.
    """
    event = one_event(home, event_id, instance)
    if (event.path.parent == home.inbox and event.path.exists()) or event.path.parent.parent == home.claimed:
        return event.path  # it is still to be read, or being worked on
    home.make(home.inbox)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    name = f"{stamp}Z-{Path(event.instance).name[:64] or 'event'}-{digest(event.id)}.json"
    path = publish(
        event.raw, staging(home), home.inbox, name, secrets.token_hex(4), mode=home.modes.file, gid=home.modes.gid
    )
    if event.path.parent == home.failed:
        event.path.unlink(missing_ok=True)
        (home.failed / f"{event.path.name}.reason.json").unlink(missing_ok=True)
    return path


def _publish(home: Home, data: bytes, folder: Path, name: str) -> Path:
    key = secrets.token_hex(4)
    return publish(data, staging(home), folder, name, key, mode=home.modes.file, gid=home.modes.gid)


def _stored(home: Home, event_id: str, instance: str | None) -> Iterator[Event]:
    """The bodies that the instances' stores keep of events whose files are gone."""
    from connectors.base.store import Store

    try:
        names = [instance] if instance else sorted(os.listdir(home.state))
    except (FileNotFoundError, PermissionError):  # state/ is the operator's alone; others of the group see the folders
        return
    for name in names:
        if name.startswith("."):
            continue
        store = Store.open_readonly(home, name)
        if store is None:
            continue
        try:
            row = store.event(event_id)
        finally:
            store.close()
        if row is not None and row.body is not None:
            with contextlib.suppress(BadMessage):
                yield parse_event(row.body, home.inbox / row.file)
