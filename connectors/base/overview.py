"""How everything on a home is doing, read from what lies there: also when nothing runs.

status.json says what a process last said of itself; whether it still lives, its lock says, which dies with it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from connectors.base import config as configuration
from connectors.base import dropped
from connectors.base.files import read_json
from connectors.base.home import RESERVED_NAMES, Home
from connectors.base.obstacle import LEAST_BYTES, Obstacle, refusal
from connectors.base.readers import consumer_folders, event_files
from connectors.base.settings import Config
from connectors.base.suspended import is_suspended

#: The manager's words for a process that is not there. Every other word is a live one's, or of one that was killed.
_OVER = frozenset({"backoff", "fatal", "exited", "stopped"})
_GONE = _OVER | {"failed", "not running", "never started", "disabled"}
#: States that end by themselves or were wanted.
_WELL = frozenset({"starting", "connecting", "connected", "running", "stopping", "stopped", "exited", "disabled"})


@dataclass(frozen=True)
class InstanceView:
    """One instance. Times are ISO 8601. `problem` is {text, hint} when a person should look."""

    name: str
    type: str
    state: str
    since: str | None = None
    pid: int | None = None
    last_received: str | None = None
    last_sent: str | None = None
    last_error: dict[str, Any] | None = None
    backlog: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    next_start: str | None = None
    note: str | None = None
    configured: bool = True
    source: dict[str, Any] = field(default_factory=dict)  #: its runs, or those of its `feeds`; empty: it is none
    drops: dict[str, Any] = field(default_factory=dict)  #: {total, last, reasons}; empty when nothing was dropped
    problem: dict[str, str] | None = None


@dataclass(frozen=True)
class Overview:
    """A home. `manager` is {running, pid, started_at, version}, `mail` counts files, `problems` are lines."""

    home: str
    manager: dict[str, Any]
    instances: tuple[InstanceView, ...]
    mail: dict[str, int]
    problems: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether nothing needs a person."""
        return not self.problems and all(instance.problem is None for instance in self.instances)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "well": self.well}


def overview(home: Home) -> Overview:
    """Look at everything; changes nothing."""
    config = configuration.load(home) if home.config_file.exists() else Config()
    running = is_locked(home.state / "manager.lock")
    noted = read_json(home.state / "manager.json")
    manager = {
        "running": running,
        "pid": noted.get("pid") if running else None,
        "started_at": noted.get("started_at") if running else None,
        "version": noted.get("version") if running else None,
    }
    instances = tuple(_instances(home, config, running=running))
    problems = [str(problem) for problem in config.errors]
    if not home.config_file.exists():
        problems.append("there is no connectors.yml: connectors init makes one")
    elif not running and any(entry.enabled for entry in config.entries) and not _all_final(instances):
        problems.append("no manager runs: connectors run")
    if running and is_suspended(manager["pid"]):
        problems.append(f"the manager is suspended (SIGSTOP): kill -CONT {manager['pid']}")
    if (full := _full_disk(home, config)) is not None:
        problems.append(full)
    mail = {
        "inbox": len(event_files(home.inbox)),
        "claimed": sum(len(event_files(folder)) for folder in consumer_folders(home)),
        "failed": sum(1 for name in event_files(home.failed) if not name.endswith(".reason.json")),
    }
    return Overview(str(home.root), manager, instances, mail, tuple(problems))


def _full_disk(home: Home, config: Config) -> str | None:
    """Looked at here as well: on a disk without any room no process can write into its status that there is none."""
    try:
        status = os.statvfs(home.messages)
    except OSError:
        return None
    free, least = status.f_bavail * status.f_frsize, max(config.limits.min_free_bytes, LEAST_BYTES)
    if free >= least:
        return None
    old = ", and what is shown here may be old" if free < LEAST_BYTES else ""
    return f"the disk is full: {free} bytes are free, {least} are needed; nothing is received until there is room{old}"


def is_locked(path: Path) -> bool:
    """Whether a process holds this lock file; it is not changed. False where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _instances(home: Home, config: Config, *, running: bool) -> Iterator[InstanceView]:
    broken = {problem.instance for problem in config.errors if problem.instance}
    named = {entry.name: (entry.type, entry.enabled) for entry in config.entries}
    for name, (kind, enabled) in named.items():
        yield _view(home, name, kind, enabled=enabled, broken=name in broken, running=running)
    for name in sorted(broken - named.keys()):
        yield _view(home, name, "", enabled=True, broken=True, running=running)
    for name in _state_folders(home):
        if name not in named and name not in broken:
            view = _view(home, name, "", enabled=True, broken=False, running=running)
            if view.state not in _GONE or any(view.backlog.values()):
                yield _unconfigured(view)


def _view(home: Home, name: str, kind: str, *, enabled: bool, broken: bool, running: bool) -> InstanceView:
    data = read_json(home.state_dir(name) / "status.json")
    alive = is_locked(home.state_dir(name) / "lock")
    state = _state(str(data.get("state", "")), alive=alive, enabled=enabled, running=running)
    if alive and is_suspended(data.get("pid")):
        state = "suspended"
    error = data.get("last_error") if isinstance(data.get("last_error"), dict) else None
    problem = _problem(state, broken=broken, error=error, note=data.get("note"))
    if (alive or running) and (refused := _refused(home.state_dir(name))) is not None:
        problem = {"text": f"{refused.text}, so what is shown here may be old", "hint": refused.hint}
    if state == "suspended":
        hint = f"let it go on: kill -CONT {data.get('pid')}; or: connectors restart {name}"
        problem = {"text": f"the process (pid {data.get('pid')}) is suspended (SIGSTOP)", "hint": hint}
    backlog = {}
    for what, folder in (("outbox", home.outbox(name)), ("sending", home.sending(name))):
        try:
            backlog[what] = len(event_files(folder))
        except OSError as failure:
            hint = "give it back to the connectors' user: connectors doctor names the command"
            problem = {"text": f"{folder}: {failure.strerror}", "hint": hint}
    return InstanceView(
        name=name,
        type=kind or str(data.get("type", "")),
        state="fatal" if broken and not alive else state,
        since=data.get("since") if data else None,
        pid=data.get("pid") if alive else None,
        last_received=data.get("last_received"),
        last_sent=data.get("last_sent"),
        last_error=error,
        backlog=backlog,
        counters=data.get("counters") or {},
        restarts=data.get("restarts") or 0,
        next_start=data.get("next_start"),
        note=data.get("note"),
        source=data["source"] if isinstance(data.get("source"), dict) else {},
        drops=dropped.summary(dropped.read(home, name)),
        problem=problem,
    )


def _refused(folder: Path) -> Obstacle | None:
    """Looked at here as well: who cannot write into its status says there nothing of that."""
    try:
        ours = os.geteuid() in (0, folder.stat().st_uid)
    except OSError:
        return None
    return refusal(folder) if ours else None


def _state(said: str, *, alive: bool, enabled: bool, running: bool) -> str:
    if alive:
        return said if said and said not in _OVER else "starting"
    if not enabled:
        return "disabled"
    if not said:
        return "starting" if running else "never started"
    if said not in _OVER:
        # The manager is about to say what has become of it.
        return "starting" if running else "not running"
    return said


def _problem(state: str, *, broken: bool, error: dict[str, Any] | None, note: object) -> dict[str, str] | None:
    if broken:
        return None  # it is among the problems of the file
    if state == "backpressure":
        return {"text": str(note or "paused"), "hint": "make room, or mend what refuses; it goes on by itself"}
    if state in _WELL or state in ("never started", "not running"):
        return None  # that no manager runs is said once, for all
    if state not in _GONE:  # the connector's own word: reconnecting, conflict …
        return {"text": f"{state}: {note}" if note else state, "hint": "it goes on by itself when the cause is gone"}
    said = error or {}
    return {"text": str(said.get("text") or state), "hint": str(said.get("hint") or "")}


def _unconfigured(view: InstanceView) -> InstanceView:
    values = {**view.__dict__, "configured": False}
    if any(view.backlog.values()) and view.state in _GONE:
        values["problem"] = {
            "text": f"connectors.yml has no {view.name}, and outgoings wait for it: {sum(view.backlog.values())}",
            "hint": "add the entry again, or delete the files",
        }
    return InstanceView(**values)


def _all_final(instances: tuple[InstanceView, ...]) -> bool:
    return all(instance.state in ("exited", "disabled") for instance in instances)


def _state_folders(home: Home) -> list[str]:
    try:
        with os.scandir(home.state) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
    except OSError:
        return []
    return sorted(name for name in names if name.lower() not in RESERVED_NAMES)
