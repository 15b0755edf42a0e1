"""The whole life of one event or outgoing, put together from the files and the instances' stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.base import dropped, queries
from connectors.base.errors import BadMessage
from connectors.base.files import read_json, read_regular
from connectors.base.home import Home
from connectors.base.logbook import visible
from connectors.base.outcome import outcome_of
from connectors.base.readers import (
    Event,
    acked_folder,
    consumer_folders,
    event_names,
    find_in,
    parse_event,
    private_folder,
)
from connectors.base.store import UNDER_WAY, EventRow, OutRow, OutState, Store

_MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Moment:
    """Something that happened. `at` is ISO 8601, UTC; empty when nobody noted it."""

    at: str
    what: str


@dataclass(frozen=True)
class Life:
    """Of one thing. `what` is `event` or `outgoing`; `now` says where it stands; `answers` are outgoings' ids."""

    what: str
    id: str
    instance: str
    now: str
    path: str | None = None
    moments: tuple[Moment, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    answers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def explain(home: Home, wanted: str) -> tuple[list[Life], list[str]]:
    """Every event and outgoing that `wanted` names (an id, a claim's key, a file name), and where was looked.

    When it names none: what was dropped of a sender or a conversation with this id, or by an instance of this name,
    the newest first.
    """
    name = os.path.basename(wanted) if wanted.endswith(".json") else ""
    lives = [*_events(home, wanted, name), *_outgoings(home, wanted, name)] or list(_drops(home, wanted))
    places = ["messages/inbox", "messages/claimed", "messages/outbox", "messages/failed"]
    stores = (f"state/{instance}/store.db" for instance in queries.stores(home))
    return lives, [*places, *stores, *(f"state/{name}/{dropped.FILE}" for name in dropped.instances(home))]


def _drops(home: Home, wanted: str) -> Iterator[Life]:
    for instance in dropped.instances(home):
        for drop in reversed(dropped.read(home, instance)):
            if wanted not in (instance, drop.conversation_id, drop.sender_id) or not wanted:
                continue
            facts = {
                "sender": visible(dropped.named(drop.sender_id, drop.sender_name)),
                "conversation": visible(dropped.named(drop.conversation_id, drop.conversation_name)),
                "to let it in": visible(drop.key),
            }
            times = {"the first one": drop.first, "the last one": drop.last} if drop.count > 1 else {"it": drop.last}
            moments = tuple(Moment(_iso(at), f"{which} was dropped") for which, at in times.items())
            yield Life(
                "drop",
                drop.conversation_id if wanted == instance else wanted,
                instance,
                f"not let in, {drop.count} times: {drop.reason}" if drop.count > 1 else f"not let in: {drop.reason}",
                moments=moments,
                facts={label: text for label, text in facts.items() if text},
            )


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────


def _events(home: Home, wanted: str, name: str) -> Iterator[Life]:
    found: dict[str, list[Event]] = {}
    for event in _event_files(home, wanted, name):
        found.setdefault(event.instance, []).append(event)
    rows: dict[str, EventRow] = {}
    for instance in queries.stores(home):
        event_id = (queries.event_of_file(home, instance, name) if name else None) or wanted
        store = Store.open_readonly(home, instance)
        if store is not None:
            with closing(store):
                row = store.event(event_id)
            if row is not None:
                rows[instance] = row
    for instance in sorted(found.keys() | rows.keys()):
        yield _event_life(home, instance, found.get(instance, []), rows.get(instance))


def _event_files(home: Home, wanted: str, name: str) -> Iterator[Event]:
    for folder in (home.inbox, *consumer_folders(home), acked_folder(home), home.failed):
        if name:
            try:
                yield parse_event(read_regular(folder / name, _MAX_BYTES)[0], folder / name)
            except (BadMessage, OSError):
                continue
        else:
            yield from find_in(folder, wanted)


def _event_life(home: Home, instance: str, files: list[Event], row: EventRow | None) -> Life:
    event = files[0] if files else None
    event_id = row.id if row else event.id if event else ""
    body = event or _kept_body(row)
    moments: list[Moment] = []
    if row is not None:
        moments.append(Moment(_iso(row.received_at), f"received by {instance}, published as {row.file}"))
    elif body is not None:
        received = body.data.get("received_at") or body.data.get("timestamp") or ""
        moments.append(Moment(str(received), f"received by {instance}"))
    file = row.file if row else event.path.name if event else ""
    tries = _agent_tries(home, file)
    moments += [Moment("", text) for text in tries]
    answers: list[str] = []
    for other in queries.stores(home):
        answers += [out.id or out.key for out in _rows_by_key(home, other, queries.answers_to(home, other, event_id))]
    answers += [out_id for out_id, _ in _waiting_answers(home, event_id) if out_id not in answers]
    facts = {} if body is None else _event_facts(body)
    now = _where(home, event.path) if event else _event_gone(row)
    path = str(event.path) if event else None
    return Life("event", event_id, instance, now, path, tuple(moments), facts, tuple(answers))


def _kept_body(row: EventRow | None) -> Event | None:
    if row is None or row.body is None:
        return None
    try:
        return parse_event(row.body, Path(row.file))
    except BadMessage:
        return None


def _event_facts(event: Event) -> dict[str, Any]:
    facts = {
        "kind": event.kind,
        "sender": event.sender_name,
        "conversation": event.conversation_id,
        "thread": event.thread_id,
        "sent": event.data.get("timestamp"),
        "late by s": event.data.get("late_by_s"),
        "text": event.text,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _where(home: Home, path: Path) -> str:
    if path.parent == home.inbox:
        return "it waits in the inbox"
    if path.parent == home.failed:
        reason = read_json(path.with_name(f"{path.name}.reason.json"))
        return f"given up: {reason.get('reason', 'no reason beside it')}"
    if path.parent == acked_folder(home):
        return "the workers are done with it; it waits for a cursor (tail --as)"
    return f"claimed by {path.parent.name}"


def _event_gone(row: EventRow | None) -> str:
    if row is not None and row.held_s:
        return "it waits for its files to be fetched"
    kept = " (its content is kept: connectors replay)" if row is not None and row.body is not None else ""
    return f"its file is gone: acknowledged, or deleted by an agent{kept}"


def _agent_tries(home: Home, file: str) -> Iterator[str]:
    """Failed runs of `connectors agent` that are counted still: the event is to be tried again."""
    folder = private_folder(home) / "agents"
    for name in event_names(folder):
        tries = read_json(folder / name).get(file)
        if isinstance(tries, int) and tries:
            yield f"{name.removesuffix('.json')} (connectors agent) has begun {tries} runs on it"


def _waiting_answers(home: Home, event_id: str) -> Iterator[tuple[str, Path]]:
    """Outgoings that are still in an outbox and say `reply_to` of this event."""
    for path in _outbox_files(home):
        data = read_json(path)
        if data.get("reply_to") == event_id:
            yield str(data.get("id") or path.name), path


# ── outgoings ─────────────────────────────────────────────────────────────────────────────────────────────────


def _outgoings(home: Home, wanted: str, name: str) -> Iterator[Life]:
    seen: set[str] = set()
    for instance in queries.stores(home):
        store = Store.open_readonly(home, instance)
        if store is None:
            continue
        with closing(store):
            keyed = [store.outgoing(key) for key in queries.keys_of_end(home, instance, name)] if name else []
            rows = store.find_file(name) if name else store.by_id(wanted)
            one = store.outgoing(wanted)
            for row in dict.fromkeys(row for row in (*rows, one, *keyed) if row is not None):
                seen.update((row.key, row.file))
                yield _outgoing_life(home, instance, store, row)
    for path in _outbox_files(home):
        data = read_json(path)
        if path.name not in seen and (path.name == name or data.get("id") == wanted):
            yield _waiting_life(path, data)
    reason = read_json(home.failed / f"{name}.reason.json") if name and not seen else {}
    if reason.get("class") not in (None, "agent"):
        moment = Moment(str(reason.get("failed_at", "")), f"dead letter: {reason.get('reason', '')}")
        owner = str(reason.get("connector_instance", ""))
        yield Life("outgoing", str(reason.get("id", "")), owner, "in failed/", str(home.failed / name), (moment,))


def _outgoing_life(home: Home, instance: str, store: Store, row: OutRow) -> Life:
    moments = [Moment(_iso(row.claimed_at), f"claimed by {instance} from outbox/{instance}/{row.file}")]
    moments += [Moment(_iso(at), what) for at, what in store.history(row.key)]
    outcome = outcome_of(home, instance, row) if row.state not in UNDER_WAY else None
    record = outcome.record if outcome else {}
    if row.state in (OutState.SENT, OutState.DUPLICATE, OutState.HANDED_OVER):
        ids = ", ".join(map(str, record.get("ids", [])))
        what = f"{row.state} with attempt {row.attempts}" if row.state == OutState.SENT else f"{row.state}"
        moments.append(Moment(str(record.get("sent_at") or _iso(row.updated_at)), f"{what}{f': {ids}' if ids else ''}"))
    parts = store.parts(row.key)
    facts: dict[str, Any] = {
        "key": row.key,
        "conversation": row.conversation_id,
        "reply to": row.reply_to,
        "attempts": row.attempts,
        "deaths": row.deaths or None,
        "ambiguous": row.ambiguous or None,
        "parts": f"{sum(part.state == 'sent' for part in parts)} of {len(parts)} sent" if parts else None,
        "last error": row.error if row.state == OutState.QUEUED else None,
        "hint": record.get("hint") if row.state == OutState.DEAD else None,
    }
    facts = {label: value for label, value in facts.items() if value not in (None, "")}
    path = outcome.path if outcome else home.sending(instance) / f"{row.key}.json"
    now = _outgoing_now(home, instance, store, row, record)
    return Life("outgoing", row.id or row.key, instance, now, str(path) if path else None, tuple(moments), facts)


def _outgoing_now(home: Home, instance: str, store: Store, row: OutRow, record: dict[str, Any]) -> str:
    match row.state:
        case OutState.SENT:
            return "sent" + ("; it may have been sent twice" if row.ambiguous else "")
        case OutState.DUPLICATE:
            return "not sent: an outgoing with this id was sent before"
        case OutState.HANDED_OVER:
            return "handed over to the connector's own code; how that ended is not known"
        case OutState.CANCELLED:
            return "cancelled: its file was deleted"
        case OutState.DEAD:
            gone = "" if record else " (its file is no longer in failed/)"
            return f"dead letter ({record.get('class', 'unknown')}){gone}: {record.get('reason', '')}".rstrip(": ")
        case OutState.DYING:
            return "on its way to failed/"
        case OutState.SENDING:
            return "being sent right now, or cut off: then the next start of the connector decides"
        case _:
            waits = store.revived_keys().get(row.key)
            if waits is not None and (home.outbox(instance) / waits).exists():
                return f"put back into the outbox as {waits}; waits to be sent again"
            if waits is not None and row.result is not None and (home.failed / row.result).exists():
                return f"dead letter; a retry of it was begun and not finished: connectors failed retry {row.key}"
            left = row.next_at - datetime.now(UTC).timestamp()
            return f"queued; next attempt in {left:.0f} s" if left > 0 else "queued; it is its turn"


def _waiting_life(path: Path, data: dict[str, Any]) -> Life:
    try:
        at = _iso(path.stat().st_ctime)
    except OSError:
        at = ""
    when = f"; not before {data['not_before']}" if data.get("not_before") else ""
    facts = {"conversation": data.get("conversation_id"), "reply to": data.get("reply_to")}
    return Life(
        "outgoing",
        str(data.get("id") or path.name),
        path.parent.name,
        f"waits in the outbox; its connector has not taken it{when}",
        str(path),
        (Moment(at, f"written to outbox/{path.parent.name}/{path.name}"),),
        {label: value for label, value in facts.items() if value},
    )


def _outbox_files(home: Home) -> Iterator[Path]:
    try:
        with os.scandir(home.messages / "outbox") as entries:
            folders = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for folder in folders:
        for name in sorted(event_names(Path(folder))):
            yield Path(folder, name)


def _rows_by_key(home: Home, instance: str, keys: list[str]) -> list[OutRow]:
    store = Store.open_readonly(home, instance) if keys else None
    if store is None:
        return []
    with closing(store):
        return [row for row in map(store.outgoing, keys) if row is not None]


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
