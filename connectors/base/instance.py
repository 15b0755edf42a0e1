"""One instance as the manager sees it: its entry, its state, its process and that process's pipes."""

from __future__ import annotations

import json
import os
import selectors
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from connectors.base import files, process, states
from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.base.linelog import LineLog
from connectors.base.process import Child, Spec
from connectors.base.secrets import Redactor
from connectors.base.settings import Config, Entry
from connectors.base.states import Action, Cause, Clock, Event, Record, State
from connectors.base.status import StatusFile

#: Of what a process says in its last moment at most this much is kept.
_LAST_WORDS_BYTES = 1 << 20
#: What a process may report that is not known by its end.
REPORTED = frozenset({"dead_letter", "stall"})
#: What it reports of an error that it ends for.
_ENDS = frozenset({"error", "auth"})
#: How others end it: what it printed before is not the cause.
_KILLED = frozenset({-signal.SIGKILL, -signal.SIGTERM})
_HINTS = {
    Cause.CONFIG: "edit connectors.yml or .env: both are read at once",
    Cause.AUTH: "renew the credential in .env or connectors.yml: both are read at once",
    Cause.DEPENDENCY: "install what is missing, then: connectors restart {name}",
    Cause.RESTARTS: "see logs/{name}.log, then: connectors restart {name}",
}


class Spawn(Protocol):
    """Starts a connector's process: process.spawn, or another with its signature."""

    def __call__(
        self,
        spec: Spec,
        *,
        output_fd: int,
        entry: str = ...,
        method: process.Method | None = ...,
        own_stdout: bool = ...,
    ) -> Child: ...


@dataclass
class Host:
    """What all instances share with the manager's loop."""

    home: Home
    selector: selectors.BaseSelector
    clock: Clock
    redactor: Redactor
    lifeline_fd: int
    config: Config
    spawn: Spawn
    entry: str
    method: process.Method | None
    #: Shows the operator one line.
    say: Callable[[str], None]
    #: Told of what a connector reports, and of "fatal", "auth" and "crash_loop": (instance, event, text, hint).
    report: Callable[[str, str, str, str], None]
    #: Told of every line a connector prints: (instance, line).
    echo: Callable[[str, str], None] | None = None
    #: Not while one of them has the terminal: lines would tear what is being typed.
    quiet_under_chat: bool = False
    #: Who gets the manager's own stdin and stdout.
    stdin_owner: str | None = None
    stdin: Literal["terminal", "pipe", "none"] = "none"


class Instance:
    """Call `apply` with what happens; it does what the transition says."""

    def __init__(self, host: Host, entry: Entry) -> None:
        self.host = host
        self.entry = entry
        self.name = entry.name
        self.child: Child | None = None
        self.removed = False
        self._path = host.home.state_dir(entry.name) / "restarts.json"
        self._output: int | None = None
        self._reports: int | None = None
        self._report_rest = b""
        self._said: dict[str, Any] | None = None  #: of the error that it ends for
        self.log = LineLog(
            host.home.log_file(entry.name),
            host.redactor.redact,
            echo=None if host.echo is None else self._echo,
        )
        self.record = Record.from_dict(files.read_json(self._path), host.clock.now(), host.config.restart)

    @property
    def state(self) -> State:
        return self.record.state

    def apply(self, event: Event) -> None:
        """Go to the next state and do what that takes."""
        before = self.record
        policy = self.host.config.restart
        self.record, actions = states.transition(before, event, self.host.clock.now(), policy)
        for action in actions:
            self._perform(action)
        if self.record.state is not before.state and self.record.state not in states.ALIVE:
            self._write_status()

    def look(self) -> None:
        """See whether the process has ended, and whether it is time for something."""
        if self.child is not None and self.child.poll() is not None:
            self._bury(self.child)
        due = states.due_at(self.record, self.host.config.restart)
        if due is not None and due <= self.host.clock.monotonic():
            self.apply(states.Tick())

    def close(self) -> None:
        """The manager ends: close what is open."""
        for fd in (self._output, self._reports):
            self._unwatch(fd)
        self._output = self._reports = None
        self.log.close()

    def summary(self) -> dict[str, Any]:
        """For `ConnectorManager.status()`."""
        record = self.record
        return {
            "type": self.entry.type,
            "pid": self.child.pid if self.child is not None else None,
            "alive": record.state in states.ALIVE,
            "state": record.state.value,
            "cause": record.cause.value if record.cause else None,
            "restarts": record.restarts,
            "crashes": record.crashes,
            "exit": states.describe_exit(record.exit_status),
            "next_start": _iso(record.next_start),
        }

    # -- what a transition asks for

    def _perform(self, action: Action) -> None:
        match action:
            case Action.SAVE:
                self._save()
            case Action.SPAWN:
                self._start()
            case Action.TERMINATE:
                if self.child is not None:
                    self.child.terminate()
            case Action.KILL:
                if self.child is not None:
                    self.host.say(f"{self.name}: killed")
                    self.child.kill_group()
            case Action.ALERT_AUTH | Action.ALERT_CRASH_LOOP:
                error = self._last_error()
                self.host.report(self.name, action.value, error["text"], error["hint"])

    def _save(self) -> None:
        try:
            self.host.home.make(self._path.parent, private=True)
            files.replace_private(self._path, json.dumps(self.record.to_dict()).encode() + b"\n")
        except OSError as error:
            self.host.say(f"{self.name}: restarts.json not written: {error}")

    def _start(self) -> None:
        self._status(state="starting", pid=None, next_start=None, cause=None)
        self.log.last, self._said = "", None
        self.log.keep(max_bytes=self.entry.limits.log_max_bytes, files=self.entry.limits.log_files)
        ends: list[int] = []
        try:
            ends += os.pipe()
            ends += os.pipe()
            self.child = self._spawn(ends[1], ends[3])
        except OSError as error:
            self.log.feed(f"no process can be started: {error}\n".encode())
            for fd in ends:
                os.close(fd)
            self.apply(states.Exited(Exit.CRASH))
            return
        os.close(ends[1])
        os.close(ends[3])
        self._output, self._reports = ends[0], ends[2]
        self._watch(self._output, self._read_output)
        self._watch(self._reports, self._read_reports)
        if self.child.pidfd is not None:
            self.host.selector.register(self.child.pidfd, selectors.EVENT_READ, self.look)

    def _spawn(self, output_fd: int, report_fd: int) -> Child:
        host, spec = self.host, self._spec(report_fd)
        own_stdout = spec.stdin != "none"
        return host.spawn(spec, output_fd=output_fd, entry=host.entry, method=host.method, own_stdout=own_stdout)

    def _spec(self, report_fd: int) -> Spec:
        host = self.host
        stdin: Any = host.stdin if host.stdin_owner == self.name else "none"
        return Spec.of(
            self.entry, host.config, host.home, lifeline_fd=host.lifeline_fd, report_fd=report_fd, stdin=stdin
        )

    # -- the process's end

    def _bury(self, child: Child) -> None:
        assert child.status is not None  # noqa: S101 - the caller has seen it
        self.child = None
        if child.pidfd is not None:
            self.host.selector.unregister(child.pidfd)
        child.close()
        self._drain()
        self.log.end()
        self.apply(states.Exited(child.status))

    def _drain(self) -> None:
        # It is dead, and its group too: what is in the pipes is all that there will be.
        for fd, read in ((self._reports, self._read_reports), (self._output, self._read_output)):
            left = _LAST_WORDS_BYTES
            while fd is not None and left > 0 and (got := read()):
                left -= got
            self._unwatch(fd)
        self._output = self._reports = None
        self._report_rest = b""

    # -- its pipes

    def _watch(self, fd: int, read: Callable[[], int]) -> None:
        os.set_blocking(fd, False)
        self.host.selector.register(fd, selectors.EVENT_READ, read)

    def _unwatch(self, fd: int | None) -> None:
        if fd is not None:
            with suppress(KeyError, ValueError):
                self.host.selector.unregister(fd)
            os.close(fd)

    def _read_output(self) -> int:
        data = self._read(self._output)
        self.log.feed(data)
        return len(data)

    def _read_reports(self) -> int:
        data = self._read(self._reports)
        *lines, self._report_rest = (self._report_rest + data).split(b"\n")
        self._report_rest = self._report_rest[-8192:]
        for line in lines:
            self._take_report(line)
        return len(data)

    def _read(self, fd: int | None) -> bytes:
        if fd is None:
            return b""
        try:
            data = os.read(fd, 65_536)
        except BlockingIOError:
            return b""
        if not data:
            # Closed by the process while it lives on. The descriptor stays ours until the process is buried.
            with suppress(KeyError, ValueError):
                self.host.selector.unregister(fd)
        return data

    def _take_report(self, line: bytes) -> None:
        try:
            told = json.loads(line)
            event, text, hint = str(told["event"]), str(told.get("text", "")), str(told.get("hint", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.host.say(f"{self.name}: sent a report that is none")
            return
        if event == "connected":
            self.apply(states.Connected())
        elif event in _ENDS:
            self._said = self._error(text, hint, str(told.get("class", "")))
        elif event in REPORTED:
            self.host.report(self.name, event, text, hint)

    def _echo(self, line: str) -> None:
        host = self.host
        if host.echo is not None and not (host.quiet_under_chat and host.stdin_owner is not None):
            host.echo(self.name, line)

    # -- status.json, which is ours while there is no process

    def _write_status(self) -> None:
        record = self.record
        fields: dict[str, Any] = {
            "state": record.state.value,
            "pid": None,
            "cause": record.cause.value if record.cause else None,
            "restarts": record.restarts,
            "exit": states.describe_exit(record.exit_status),
            "next_start": _iso(record.next_start),
        }
        if record.state in (State.BACKOFF, State.FATAL):
            fields["last_error"] = error = self._last_error()
            self.host.say(f"{self.name}: {self._in_words(error)}")
        self._status(**fields)
        if record.state is State.FATAL:
            self.host.report(self.name, "fatal", error["text"], error["hint"])

    def _in_words(self, error: dict[str, Any]) -> str:
        record = self.record
        if record.state is State.FATAL:
            return f"{error['text']}; not started again ({error['hint']})"
        again = "at once" if record.wait_s < 0.1 else f"in {record.wait_s:.1f} s"
        return f"{error['text']}; starts again {again}"

    def _status(self, **fields: Any) -> None:
        try:
            StatusFile(self.host.home, self.name, redact=self.host.redactor.redact_data).update(**fields)
        except OSError as error:
            self.host.say(f"{self.name}: status.json not written: {error}")

    def _last_error(self) -> dict[str, Any]:
        """What the process itself said of its end, or what its end tells."""
        record = self.record
        if self._said is not None:
            return self._said
        text = states.describe_exit(record.exit_status)
        if self.log.last and record.exit_status not in (Exit.OK, *_KILLED):
            text = f"{text}: {self.log.last[:500]}"
        hint = _HINTS[record.cause] if record.cause else "see logs/{name}.log"
        return self._error(text, hint.format(name=self.name), "exit")

    def _error(self, text: str, hint: str, kind: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(self.host.clock.wall(), UTC).isoformat(timespec="microseconds")
        return {"text": text, "hint": hint, "class": kind, "at": at}

    def note_problem(self, text: str) -> None:
        """The operator has to edit something: say exactly what."""
        if self.record.state is State.FATAL:
            self._status(last_error=self._error(text, _HINTS[Cause.CONFIG], "ConfigError"))


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
