"""What state an instance's process is in, and what comes next: a pure function of (record, event, now, policy).

            Start                    Connected
    STOPPED ------> STARTING ----------------------> RUNNING
       ^             |  ^  \\                           |
       | Exited      |  |   `--- Exited (a crash) -----'
       |        Stop |  |                |
    STOPPING <-------'  |                v            Exited(0)  -> EXITED   final
                        `-- Tick --- BACKOFF          Exited(2, 77, 78), too many restarts -> FATAL

Supervisor's states with its names (its documentation, "Process States"); what the exit codes mean is errors.Exit.
The first restart is at once, later ones after a growing wait with full jitter (retry.Backoff), and a time of stable
running makes it a first restart again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from connectors.base.errors import Exit
from connectors.base.retry import Backoff

if TYPE_CHECKING:
    from connectors.base.settings import RestartPolicy

#: From SIGTERM to SIGKILL. Half a second less than the promised 10 s, so that the whole stop keeps the promise.
STOP_GRACE_S = 9.5
#: This many crashes in a row are a crash loop.
CRASH_LOOP = 3


class State(Enum):
    """Where an instance's process is. The values are the words that `status.json` and `status` show."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"
    FATAL = "fatal"


#: The states in which there is a process.
ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


class Cause(Enum):
    """Why an instance is FATAL, and so what ends it: an edit, a new credential, an install, a restart by hand."""

    CONFIG = "config"
    AUTH = "auth"
    DEPENDENCY = "dependency"
    RESTARTS = "too many restarts"


class Action(Enum):
    """What the caller has to do after a transition, in this order."""

    SPAWN = "spawn"
    TERMINATE = "terminate"  #: SIGTERM to the process
    KILL = "kill"  #: SIGKILL to its process group
    SAVE = "save"  #: persist the record
    ALERT_AUTH = "auth"
    ALERT_CRASH_LOOP = "crash_loop"


@dataclass(frozen=True)
class Now:
    """One moment on both clocks, in seconds. Waits inside a process use `monotonic`, which nobody can set."""

    wall: float
    monotonic: float


@dataclass(frozen=True)
class Clock:
    """Where the manager reads the time."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def now(self) -> Now:
        return Now(self.wall(), self.monotonic())


@dataclass(frozen=True)
class Record:
    """All that is known of one instance's process. `to_dict` and `from_dict` keep what outlives the manager."""

    state: State = State.STOPPED
    cause: Cause | None = None
    crashes: int = 0  #: in a row, without a stable time between them
    refusals: int = 0  #: in a row: exit 75, another process holds the instance or the credential
    restarts: int = 0  #: starts after an end that nobody asked for, ever
    last_start: float | None = None  #: wall clock
    next_start: float | None = None  #: wall clock; while in BACKOFF
    wait_s: float = 0.0  #: the wait that was drawn for `next_start`
    exit_status: int | None = None  #: of the last process; negative is a signal
    due: float | None = None  #: monotonic: the next start, or SIGKILL while STOPPING
    running_since: float | None = None  #: monotonic
    again: bool = False  #: start again after STOPPING

    def to_dict(self) -> dict[str, Any]:
        """What `state/<instance>/restarts.json` holds."""
        return {
            "state": self.state.value,
            "cause": self.cause.value if self.cause else None,
            "crashes": self.crashes,
            "refusals": self.refusals,
            "restarts": self.restarts,
            "last_start": self.last_start,
            "next_start": self.next_start,
            "wait_s": self.wait_s,
            "exit_status": self.exit_status,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], now: Now, policy: RestartPolicy) -> Record:
        """The record of an instance that has no process, after a restart of the manager.

        A backoff goes on: a crash loop must not get its first, immediate restart again with every start of the
        manager. It never waits longer than was drawn, whatever has happened to the clock. Counters that are no
        numbers count as 0: the file is ours, but disks fail.
        """
        record = cls(
            crashes=_count(data.get("crashes")),
            refusals=_count(data.get("refusals")),
            restarts=_count(data.get("restarts")),
            last_start=_moment(data.get("last_start")),
            exit_status=data.get("exit_status") if isinstance(data.get("exit_status"), int) else None,
        )
        next_start = _moment(data.get("next_start"))
        if data.get("state") != State.BACKOFF.value or next_start is None:
            return record
        drawn = _moment(data.get("wait_s"))
        wait = max(0.0, min(next_start - now.wall, policy.max_delay_s, policy.max_delay_s if drawn is None else drawn))
        return replace(record, state=State.BACKOFF, **_waiting(wait, now))


@dataclass(frozen=True)
class Start:
    """It should run: a new entry, or a person who says so. Ends a backoff."""


@dataclass(frozen=True)
class Resume:
    """It should run: the manager has started. Keeps a backoff."""


@dataclass(frozen=True)
class Stop:
    """It should not run any more."""


@dataclass(frozen=True)
class Restart:
    """It should run anew: its entry changed, or a person says so."""


@dataclass(frozen=True)
class Kill:
    """Nobody wants to wait for its end any longer."""


@dataclass(frozen=True)
class Connected:
    """Its process reports that connect() returned."""


@dataclass(frozen=True)
class Exited:
    """Its process ended: an exit code, or minus the signal's number. A process that cannot be made is Exited(1)."""

    status: int


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Start | Resume | Stop | Restart | Kill | Connected | Exited | Tick
Result = tuple[Record, tuple[Action, ...]]

_FATAL = {Exit.DEPENDENCY: Cause.DEPENDENCY, Exit.AUTH: Cause.AUTH, Exit.CONFIG: Cause.CONFIG}


def transition(
    record: Record,
    event: Event,
    now: Now,
    policy: RestartPolicy,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Result:
    """The next record and what to do. An event that means nothing in this state changes nothing."""
    match event:
        case Start() | Resume() | Restart():
            return _wanted(record, event, now)
        case Stop():
            return _unwanted(record, now)
        case Kill():
            return (record, (Action.KILL,)) if record.state in ALIVE else (record, ())
        case Connected():
            if record.state is not State.STARTING:
                return record, ()
            return replace(record, state=State.RUNNING, running_since=now.monotonic), (Action.SAVE,)
        case Exited(status):
            return _ended(record, status, now, policy, uniform)
        case Tick():
            return _tick(record, now, policy)


def due_at(record: Record, policy: RestartPolicy) -> float | None:
    """When, on the monotonic clock, the next Tick will do something; None when only an event can."""
    if record.state in (State.BACKOFF, State.STOPPING):
        return record.due
    if record.state is State.RUNNING and (record.crashes or record.refusals) and record.running_since is not None:
        return record.running_since + policy.reset_after_s
    return None


def describe_exit(status: int | None) -> str:
    """`exit 78 (config)`, `killed by SIGKILL`: an exit status in words."""
    if status is None:
        return "not started yet"
    if status < 0:
        import signal

        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    try:
        return f"exit {status} ({Exit(status).name.lower()})"
    except ValueError:
        return f"exit {status}"


def _wanted(record: Record, event: Start | Resume | Restart, now: Now) -> Result:
    if record.state in (State.STARTING, State.RUNNING):
        return _stopping(record, now, again=True) if isinstance(event, Restart) else (record, ())
    if record.state is State.STOPPING:
        return replace(record, again=True), ()
    if record.state is State.BACKOFF and isinstance(event, Resume):
        return record, ()
    # After "too many restarts" somebody has looked at it: the limit counts anew. Otherwise the crashes still count,
    # so that an edit which does not help costs one start and not a whole new series.
    crashes = 0 if record.cause is Cause.RESTARTS else record.crashes
    return _starting(replace(record, crashes=crashes), now)


def _unwanted(record: Record, now: Now) -> Result:
    if record.state in (State.STARTING, State.RUNNING):
        return _stopping(record, now, again=False)
    if record.state is State.STOPPING:
        return replace(record, again=False), ()
    if record.state is State.STOPPED:
        return record, ()
    return replace(record, state=State.STOPPED, cause=None, due=None, next_start=None), (Action.SAVE,)


def _ended(
    record: Record, status: int, now: Now, policy: RestartPolicy, uniform: Callable[[float, float], float]
) -> Result:
    if record.state not in ALIVE:
        return record, ()
    ended = replace(record, exit_status=status, running_since=None, due=None, next_start=None)
    if record.state is State.STOPPING:
        if record.again:
            return _starting(ended, now)
        return replace(ended, state=State.STOPPED, cause=None), (Action.SAVE,)
    if status == Exit.OK:
        return replace(ended, state=State.EXITED, crashes=0, refusals=0), (Action.SAVE,)
    if cause := _FATAL.get(status):  # type: ignore[call-overload]  # an IntEnum's key is found by its number
        alert = (Action.ALERT_AUTH,) if cause is Cause.AUTH else ()
        return replace(ended, state=State.FATAL, cause=cause), (Action.SAVE, *alert)
    if record.running_since is not None and now.monotonic - record.running_since >= policy.reset_after_s:
        ended = replace(ended, crashes=0, refusals=0)
    backoff = Backoff(policy.initial_delay_s, policy.max_delay_s, uniform)
    if status == Exit.LOCKED:
        ended = replace(ended, refusals=ended.refusals + 1)
        return _backing_off(ended, backoff.wait_s(ended.refusals), now), (Action.SAVE,)
    ended = replace(ended, crashes=ended.crashes + 1)
    alert = (Action.ALERT_CRASH_LOOP,) if ended.crashes == CRASH_LOOP else ()
    if policy.max_restarts is not None and ended.crashes > policy.max_restarts:
        return replace(ended, state=State.FATAL, cause=Cause.RESTARTS), (Action.SAVE, *alert)
    wait_s = 0.0 if ended.crashes == 1 else backoff.wait_s(ended.crashes - 1)
    return _backing_off(ended, wait_s, now), (Action.SAVE, *alert)


def _tick(record: Record, now: Now, policy: RestartPolicy) -> Result:
    due = due_at(record, policy)
    if due is None or now.monotonic < due:
        return record, ()
    if record.state is State.STOPPING:
        # Once; a process that SIGKILL does not end is in the kernel's hands.
        return replace(record, due=None), (Action.KILL,)
    if record.state is State.RUNNING:
        return replace(record, crashes=0, refusals=0), (Action.SAVE,)
    return _starting(replace(record, restarts=record.restarts + 1), now)


def _starting(record: Record, now: Now) -> Result:
    started = replace(
        record,
        state=State.STARTING,
        cause=None,
        last_start=now.wall,
        next_start=None,
        due=None,
        running_since=None,
        again=False,
    )
    # Saved before the spawn: a start that brings the machine down has been counted.
    return started, (Action.SAVE, Action.SPAWN)


def _stopping(record: Record, now: Now, *, again: bool) -> Result:
    stopping = replace(record, state=State.STOPPING, due=now.monotonic + STOP_GRACE_S, again=again)
    return stopping, (Action.TERMINATE,)


def _backing_off(record: Record, wait_s: float, now: Now) -> Record:
    return replace(record, state=State.BACKOFF, **_waiting(wait_s, now))


def _waiting(wait_s: float, now: Now) -> dict[str, Any]:
    return {"wait_s": wait_s, "due": now.monotonic + wait_s, "next_start": now.wall + wait_s}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _moment(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e12 else None
