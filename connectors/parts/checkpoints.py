"""The checkpoints of a source, looked at and changed by hand: under the run's lock, so that no run writes them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from connectors.base.errors import ConfigError, InstanceLocked
from connectors.base.home import Home, check_name
from connectors.base.problems import did_you_mean, nearest
from connectors.base.store import Store
from connectors.parts.once import MAIN, note_name, run_lock
from connectors.parts.runs import Note

#: A run that is about to end may end.
_WAIT_S = 1.0


@dataclass(frozen=True)
class Checkpoint:
    """One bookmark. `updated_at`: seconds since 1970, None when it was never set. `version`: the connector's then."""

    name: str
    value: Any = None
    updated_at: float | None = None
    version: str = ""


def show(home: Home, instance: str, name: str = MAIN) -> Checkpoint:
    """Raises ConfigError where there is no such source or checkpoint."""
    with _reading(home, instance) as store:
        found = _named(store)
        _must_be(name, found)
        version = Note.read(store.checkpoint(note_name(name))).version
    value, updated_at = found.get(name, (None, None))
    return Checkpoint(name, value, updated_at, version)


def change(home: Home, instance: str, name: str, value: Any) -> None:
    """The next run begins there; None: afresh. Raises InstanceLocked while a run is in flight, and ConfigError."""
    with _reading(home, instance) as store:
        found = _named(store)
    _must_be(name, found)
    lock = run_lock(home.state_dir(instance), instance, name)
    try:
        lock.acquire(_WAIT_S)
    except InstanceLocked as error:
        raise InstanceLocked(
            f"a run of {instance} is in flight, which would write its own checkpoint over it: {error}",
            hint=f"try again when it has ended, or first: connectors stop {instance}",
        ) from error
    try:
        with closing(Store.open(home, instance)) as store:
            store.set_checkpoint(name, value)
            # It was meant for the version that runs next, whichever that is.
            note = replace(Note.read(store.checkpoint(note_name(name))), version="")
            store.set_checkpoint(note_name(name), note.to_dict())
    finally:
        lock.release()


@contextmanager
def _reading(home: Home, instance: str) -> Iterator[Store]:
    store = Store.open_readonly(home, check_name(instance))
    if store is None:
        raise ConfigError(
            f"{instance} has never run: it has no checkpoint", hint="connectors status lists the instances"
        )
    with closing(store):
        yield store


def _named(store: Store) -> dict[str, tuple[Any, float]]:
    """Without the project's own, whose names begin with a point."""
    return {name: found for name, found in store.checkpoints().items() if not name.startswith(".")}


def _must_be(name: str, known: dict[str, tuple[Any, float]]) -> None:
    """A source that has not run has no checkpoint yet, and could have this one."""
    if name in known or (name == MAIN and not known):
        return
    near = did_you_mean(nearest(name, known))
    hint = f"write NAME/CHECKPOINT; there are: {', '.join(known) or MAIN}"
    raise ConfigError(f'there is no checkpoint "{name}"{near}', hint=hint)
