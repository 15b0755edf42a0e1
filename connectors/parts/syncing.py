"""Asking running sources for a run now, from another process: through their outboxes, as everybody may."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.base import config as configuration
from connectors.base.errors import ConfigError, ConnectorError
from connectors.base.files import read_json
from connectors.base.home import Home, check_name
from connectors.base.message import OutgoingMessage
from connectors.base.outcome import Outcome, wait_for_outcome
from connectors.base.outgoings import cancel, put
from connectors.base.overview import is_locked
from connectors.base.problems import did_you_mean, nearest

#: How often a wait looks whether the connector still runs.
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Synced:
    """How one source's run went, or that of one of its feeds. `result` is what the receipt says: new, revised,
    unchanged, seconds, problems."""

    instance: str
    ok: bool
    error: str = ""
    hint: str = ""
    id: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    feed: str = ""

    @property
    def label(self) -> str:
        """As one writes it: news, news/lwn."""
        return f"{self.instance}/{self.feed}" if self.feed else self.instance


def sources(home: Home, name: str | None = None) -> list[str]:
    """The instances of this home that are sources: all enabled ones, or `name`. Raises ConfigError when it is none."""
    config = configuration.load(home) if home.config_file.exists() else None
    types = {entry.name: entry.type for entry in config.entries if entry.enabled} if config is not None else {}
    if name is None:
        return [instance for instance, kind in types.items() if _is_source(home, instance, kind)]
    check_name(name)
    if name not in types and not read_json(home.state_dir(name) / "status.json"):
        near = did_you_mean(nearest(name, types))
        raise ConfigError(f'there is no instance "{name}"{near}', hint="connectors status lists them")
    # Of one that connectors.yml does not name only the process itself knows: it would refuse.
    if name in types and not _is_source(home, name, types[name]):
        raise ConfigError(f"{name} is no source: it cannot be asked to poll", hint="connectors types lists the types")
    return [name]


def _is_source(home: Home, name: str, kind: str) -> bool:
    """By what it last said of itself, or else by its class, which says so without its SDK."""
    said = read_json(home.state_dir(name) / "status.json")
    if "source" in said:
        return True
    from connectors.base.registry import load_class
    from connectors.parts.polling import SourceConnector

    try:
        return issubclass(load_class(kind, home.root), SourceConnector)
    except ConnectorError:
        return False  # validate and doctor say what is wrong with it


def sync(home: Home, names: Iterable[str], wait_s: float, *, feed: str = "") -> Iterator[Synced]:
    """Ask all at once, then tell how each went, in their order; `wait_s` is for all of them together."""
    asked = [_ask(home, name, feed) for name in names]
    deadline = time.monotonic() + wait_s
    for one in asked:
        yield replace(one if one.error else _wait(home, one, deadline, wait_s), feed=feed)


def _ask(home: Home, name: str, feed: str) -> Synced:
    if not is_locked(home.state_dir(name) / "lock"):
        return _not_running(home, name, f"{name} does not run")
    given = {"feed": feed} if feed else None
    outgoing = OutgoingMessage(connector_instance=name, action="sync", input=given)
    try:
        put(home, outgoing)
    except ConnectorError as error:
        return Synced(name, False, str(error), error.hint)
    return Synced(name, False, id=outgoing.id)


def _not_running(home: Home, name: str, text: str) -> Synced:
    error = read_json(home.state_dir(name) / "status.json").get("last_error")
    said = error if isinstance(error, dict) else {}
    text += f"; its last error: {said['text']}" if said.get("text") else ""
    hint = str(said.get("hint") or "") or "start it: connectors run, or connectors restart NAME"
    return Synced(name, False, text, hint)


def _wait(home: Home, one: Synced, deadline: float, wait_s: float) -> Synced:
    name, gone = one.instance, 0
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        outcome = wait_for_outcome(home, name, one.id, min(left_s, _LOOK_EVERY_S))
        if outcome is not None:
            return _told(one, outcome)
        if left_s <= 0:
            hint = f"it goes on; connectors explain {one.id} tells how it ended"
            return Synced(name, False, f"no answer within {wait_s:g} s", hint, one.id)
        # Twice: between the end of the process and our look it may have been answered.
        gone = 0 if is_locked(home.state_dir(name) / "lock") else gone + 1
        if gone > 1:
            with suppress(ConnectorError):
                cancel(home, one.id, name)
            return _not_running(home, name, f"{name} ended before the run did")


def _told(one: Synced, outcome: Outcome) -> Synced:
    record = outcome.record
    if outcome.sent:
        return Synced(one.instance, True, id=one.id, result=dict(record.get("metadata") or {}))
    error = str(record.get("reason") or outcome.state)
    return Synced(one.instance, False, error, str(record.get("hint") or ""), one.id)
