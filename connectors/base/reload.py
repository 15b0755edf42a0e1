"""connectors.yml and `.env` have changed: what that means for each connector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from connectors.base import states
from connectors.base.check import Check, Checked
from connectors.base.instance import Host, Instance
from connectors.base.settings import Config, Entry
from connectors.base.states import Cause

#: How often the two files are looked at, and for how long they must not have changed before they are read:
#: an editor may write in several steps.
LOOK_EVERY_S = 0.25
QUIET_S = 0.3

Fingerprint = tuple[tuple[int, int, int] | None, ...]


class FileWatch:
    """Notices that the files are others than those that were read last. One stat each; no watch can be missing."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._read = self._seen = self._look()
        self._seen_at = float("-inf")

    def changed(self, now_s: float) -> bool:
        """Whether they are different, and have been so, unchanged, for QUIET_S. Then they count as read."""
        found = self._look()
        if found != self._seen:
            self._seen, self._seen_at = found, now_s
        if self._seen == self._read or now_s - self._seen_at < QUIET_S:
            return False
        self._read = self._seen
        return True

    def _look(self) -> Fingerprint:
        found: list[tuple[int, int, int] | None] = []
        for path in self._paths:
            try:
                status = path.stat()
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
            except OSError:
                found.append(None)
        return tuple(found)


class Kind(Enum):
    START = "started"
    STOP = "stopped"
    RESTART = "restarted"
    KEEP = "unchanged"


@dataclass(frozen=True)
class Change:
    """What becomes of one instance. `str()` is its verdict line."""

    name: str
    kind: Kind
    why: str = ""
    entry: Entry | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.kind.value}{f' ({self.why})' if self.why else ''}"


def diff(old: Config, new: Config, by_env: frozenset[str] = frozenset()) -> Iterator[Change]:
    """One change for every instance of either config. `by_env`: those whose variables have, or may have, changed."""
    before = {entry.name: entry for entry in old.entries if entry.enabled}
    for entry in new.entries:
        had = before.pop(entry.name, None)
        if not entry.enabled:
            if had is not None:
                yield Change(entry.name, Kind.STOP, "disabled")
        elif had is None:
            yield Change(entry.name, Kind.START, entry=entry)
        elif why := _difference(had, entry, old, new, by_env):
            yield Change(entry.name, Kind.RESTART, why, entry)
        else:
            yield Change(entry.name, Kind.KEEP, entry=entry)
    for name in before:
        yield Change(name, Kind.STOP, "removed")


def _difference(had: Entry, entry: Entry, old: Config, new: Config, by_env: frozenset[str]) -> str:
    changed = [
        word
        for word, differs in (
            ("type", had.type != entry.type),
            ("options", had.options != entry.options),
            ("delivery", had.delivery != entry.delivery),
            ("limits", had.limits != entry.limits),
            ("group", old.group != new.group),
            ("variables", entry.name in by_env and had.options == entry.options),
        )
        if differs
    ]
    return f"{', '.join(changed)} changed" if changed else ""


class Reloader:
    """Takes the configuration over while everything runs: all of it, or, when it has an error, nothing of it."""

    def __init__(
        self,
        host: Host,
        instances: dict[str, Instance],
        *,
        load: Callable[[], Config],
        watch: FileWatch | None,
        error_fd: int,
        applied: Callable[[Config], None],
    ) -> None:
        self._host = host
        self._instances = instances
        self._load = load
        self._watch = watch
        self._error_fd = error_fd
        self._applied = applied
        self._check: Check | None = None
        self._look_at = float("-inf")
        self._unexplained: set[str] = set()
        self.verdicts: list[str] = []  #: of the last reload

    def look(self, now_s: float) -> None:
        """Call at every pass of the loop."""
        if self._check is not None:
            self._check.look(now_s)
        elif self._unexplained:
            self._begin_check(None, self._host.config, self._explained)
        if now_s >= self._look_at:
            self._look_at = now_s + LOOK_EVERY_S
            if self._watch is not None and self._watch.changed(now_s):
                self.reload()

    def close(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            check.cancel()

    def reload(self) -> None:
        """Read the files now, and do what they say."""
        self.close()
        self.verdicts = []
        new = self._load()
        if new.errors or not new.usable:
            self._refuse([(problem.instance, str(problem)) for problem in new.errors])
            return
        for problem in new.problems:
            if problem not in self._host.config.problems:
                self._say(str(problem))
        self._begin_check(self._host.config, new, lambda checked: self._checked(new, checked))

    def explain(self, name: str) -> None:
        """A process says that its configuration is wrong: find out in which line."""
        self._unexplained.add(name)

    def _begin_check(self, old: Config | None, new: Config, done: Callable[[Checked], None]) -> None:
        def finished(checked: Checked) -> None:
            self._check = None
            done(checked)

        host = self._host
        try:
            self._check = Check(
                old,
                new,
                selector=host.selector,
                started_s=host.clock.monotonic(),
                done=finished,
                error_fd=self._error_fd,
                lifeline_fd=host.lifeline_fd,
                method=host.method,
            )
        except OSError as error:
            done(Checked(((None, f"no process can be started to check the options: {error}"),)))

    def _explained(self, checked: Checked) -> None:
        names, self._unexplained = self._unexplained, set()
        for name, text in checked.problems:
            if name in names and name in self._instances:
                self._host.say(text)
                self._instances[name].note_problem(text)

    def _checked(self, new: Config, checked: Checked) -> None:
        if checked.problems:
            self._refuse(checked.problems)
        else:
            self._apply(new, checked.by_env)

    def _refuse(self, problems: Iterable[tuple[str | None, str]]) -> None:
        for name, text in problems:
            who = name if name in self._instances else None
            self._say(f"{who}: kept as it was: {text}" if who else f"{text}: nothing is changed")

    def _apply(self, new: Config, by_env: frozenset[str]) -> None:
        old = self._host.config
        touched = dict(old.env) != dict(new.env)
        changes = list(diff(old, new, by_env))
        self._applied(new)
        for change in changes:
            self._say(str(self._carry_out(change, env_changed=touched)))

    def _carry_out(self, change: Change, *, env_changed: bool) -> Change:
        instance = self._instances.get(change.name)
        if change.kind is Kind.STOP:
            if instance is not None:
                instance.removed = True
                instance.apply(states.Stop())
            return change
        assert change.entry is not None  # noqa: S101 - only a stop has none
        if instance is None:
            self._instances[change.name] = instance = Instance(self._host, change.entry)
        instance.entry, instance.removed = change.entry, False
        if change.kind is Kind.KEEP:
            if not _may_help(instance, env_changed=env_changed):
                return change
            change = replace(change, kind=Kind.RESTART, why="connectors.yml or .env changed")
        instance.apply(states.Restart() if change.kind is Kind.RESTART else states.Start())
        return change

    def _say(self, text: str) -> None:
        self.verdicts.append(text)
        self._host.say(text)


def _may_help(instance: Instance, *, env_changed: bool) -> bool:
    """Whether an edit that is not to its own entry may be what a FATAL instance waits for."""
    cause = instance.record.cause
    return cause in (Cause.CONFIG, Cause.DEPENDENCY) or (cause is Cause.AUTH and env_changed)
