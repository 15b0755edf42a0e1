"""The manager at work: one thread, one loop, every instance of a home.

It reacts to the ends of processes, to what they print and report, to signals, to requests on the control socket, and
to the next moment at which something is due. The two configuration files are looked at four times a second.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.base import orphans, process, states
from connectors.base.alerts import Alert, Alerter
from connectors.base.control import Answer, ControlServer, Pending
from connectors.base.errors import ConfigError, Exit
from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.instance import Host, Instance, Spawn
from connectors.base.linelog import LineLog
from connectors.base.loop import Loop
from connectors.base.managerfile import ManagerFile
from connectors.base.message import utc_now
from connectors.base.notify import Notifier
from connectors.base.pruning import Pruning
from connectors.base.reload import LOOK_EVERY_S, FileWatch, Reloader
from connectors.base.secrets import Redactor
from connectors.base.settings import Config
from connectors.base.states import STOP_GRACE_S, Cause, Clock, State
from connectors.base.status import StatusFile
from connectors.base.terminal import Stdin, hung_up

log = logging.getLogger("connectors.manager")

#: Kinds of report that become alerts. Those of a FATAL end and of a crash loop are found by the states.
ALERTS = frozenset({"auth", "crash_loop", "dead_letter", "stall"})
_FATAL_EXIT = {
    Cause.CONFIG: Exit.CONFIG,
    Cause.AUTH: Exit.AUTH,
    Cause.DEPENDENCY: Exit.DEPENDENCY,
    Cause.RESTARTS: Exit.CRASH,
}


@dataclass(frozen=True)
class Workings:
    """Time and processes, which a test may want to have otherwise."""

    clock: Clock = field(default_factory=Clock)
    spawn: Spawn = process.spawn
    entry: str = process.SERVE  #: what runs in a connector's process
    method: process.Method | None = None  #: None: fork where it is safe
    #: For the home's lock: the children of a manager that was killed need up to 1 s to end.
    lock_wait_s: float = 5.0


@dataclass(frozen=True)
class Setup:
    """What one run of the supervisor is about."""

    home: Home
    #: Reads the configuration: at the start and after every change.
    load: Callable[[], Config]
    watch: FileWatch | None = None
    workings: Workings = field(default_factory=Workings)
    #: Shows the operator one line, redacted: verdicts and problems.
    say: Callable[[str], None] = log.info
    #: Shows a line that a connector printed: (instance, line).
    echo: Callable[[str, str], None] | None = None
    #: No such lines while a connector has the manager's stdin.
    quiet_under_chat: bool = False
    stdin: Stdin = "none"
    #: End when nothing runs any more, also for want of a correct configuration.
    once: bool = False
    version: str = ""


class Supervisor:
    """Runs until it is told to stop. The caller holds the home's lock."""

    def __init__(self, setup: Setup) -> None:
        self.instances: dict[str, Instance] = {}
        self.broken: dict[str, str] = {}  #: entries that cannot run as they are written: name -> problem
        self._setup = setup
        self._clock = setup.workings.clock
        self._stopping = False
        self._stop_by_s = float("inf")
        self._watchdog_at_s = float("-inf")
        self._started_at = utc_now()
        self._state_file = ManagerFile(setup.home.state / "manager.json")
        self._loop = Loop(self._signalled)
        self._buries_orphans = orphans.is_first()
        self._redactor = Redactor()
        self._log = LineLog(setup.home.log_file("manager"), self._redactor.redact, echo=setup.say)
        self._errors_fd = self._loop.pipe(self._log.feed)
        self._notifier = Notifier.from_environ()

    def stop(self) -> None:
        """Ask `run` to stop every instance and return; from any thread."""
        self._stopping = True
        self._loop.wake()

    def run(self) -> int:
        """Start what the configuration says and keep it running. Returns the manager's exit code.

        ConfigError when the configuration as a whole is unusable at the start.
        """
        with self._loop:
            try:
                config = self._setup.load()
                if not config.usable:
                    raise ConfigError("\n".join(map(str, config.errors)), hint="connectors validate")
                self._lifeline = process.Lifeline()
                self._open(config)
                self._first_start(config)
                while not self._is_done():
                    self._loop.once(self._timeout_s())
                    self._look()
                while self._alerter.reap() and not self._stopping:
                    self._loop.once(LOOK_EVERY_S)  # they have their own limits; a stop waits for none of them
                return self._exit_code()
            finally:
                self._close()

    # -- open and close

    def _open(self, config: Config) -> None:
        setup = self._setup
        self._redactor.add(config.values)
        self._host = Host(
            home=setup.home,
            selector=self._loop.selector,
            clock=self._clock,
            redactor=self._redactor,
            lifeline_fd=self._lifeline.fd,
            config=config,
            spawn=setup.workings.spawn,
            entry=setup.workings.entry,
            method=setup.workings.method,
            say=self._log.write,
            report=self._reported,
            echo=setup.echo,
            quiet_under_chat=setup.quiet_under_chat,
            stdin=setup.stdin,
        )
        self._reloader = Reloader(
            self._host,
            self.instances,
            load=setup.load,
            watch=setup.watch,
            error_fd=self._errors_fd,
            applied=self._applied,
        )
        self._alerter = Alerter(
            config.alerts,
            redact=self._redactor.redact,
            monotonic=self._clock.monotonic,
            output_fd=self._errors_fd,
            lifeline_fd=self._lifeline.fd,
        )
        self._pruning = Pruning(self._host, error_fd=self._errors_fd)
        self._control = ControlServer(setup.home, self._loop.selector, self._asked)
        self._control.open()

    def _first_start(self, config: Config) -> None:
        if self._setup.workings.method != "exec" and process.may_fork():
            process.preload(self._setup.workings.entry)
        for problem in config.problems:
            self._log.write(str(problem))
        self._applied(config)
        for entry in config.entries:
            if entry.enabled:
                self.instances[entry.name] = instance = Instance(self._host, entry)
                instance.apply(states.Resume())
        self._write_state()
        self._notifier.ready(self._summary())

    def _close(self) -> None:
        """Whatever has brought us here: nothing stays open, and nobody stays behind."""
        if hasattr(self, "_control"):
            self._reloader.close()
            for instance in self.instances.values():
                if instance.child is not None:
                    instance.child.end()
                    instance.look()
                instance.close()
            self._alerter.close()
            self._pruning.close()
            self._control.close()
        if hasattr(self, "_lifeline"):
            self._lifeline.close()
            self._write_state(ended=True)
        self._log.close()

    # -- every pass of the loop

    def _timeout_s(self) -> float:
        now, policy = self._clock.monotonic(), self._host.config.restart
        due = [states.due_at(instance.record, policy) for instance in self.instances.values()]
        waits = [at - now for at in due if at is not None]
        if self._notifier.watchdog_s is not None:
            waits.append(self._watchdog_at_s - now)
        return max(0.0, min(LOOK_EVERY_S, *waits, LOOK_EVERY_S))

    def _look(self) -> None:
        now = self._clock.monotonic()
        for name, instance in list(self.instances.items()):
            instance.look()
            if instance.removed and instance.state not in states.ALIVE:
                instance.close()
                del self.instances[name]
        self._state_file.look()
        self._alerter.reap()
        if self._buries_orphans:
            orphans.bury()
        if self._stopping:
            self._stop_all(now)
        else:
            self._reloader.look(now)
            self._pruning.look(now)
        self._control.answer()
        if self._notifier.watchdog_s is not None and now >= self._watchdog_at_s:
            self._notifier.watchdog()
            self._watchdog_at_s = now + self._notifier.watchdog_s

    def _stop_all(self, now_s: float) -> None:
        if self._stop_by_s == float("inf"):
            # What SIGKILL does not end within this time, it does not end at all.
            self._stop_by_s = now_s + STOP_GRACE_S + 1
            self._reloader.close()
            self._notifier.stopping()
            for instance in self.instances.values():
                if instance.state in states.ALIVE:
                    instance.apply(states.Stop())

    def _is_done(self) -> bool:
        found = {instance.state for instance in self.instances.values()}
        if self._stopping:
            overdue = self._clock.monotonic() >= self._stop_by_s
            return overdue or (self._stop_by_s < float("inf") and not found & states.ALIVE)
        if found & (states.ALIVE | {State.BACKOFF}):
            return False
        if found == {State.EXITED} and not self.broken:
            return True
        # With a batch of input there is nobody who waits for a person to edit something.
        batch = self._setup.once or (self._setup.stdin == "pipe" and bool(found or self.broken))
        return batch and State.STOPPED not in found

    def _exit_code(self) -> int:
        if self._stopping:
            return Exit.OK
        causes = [instance.record.cause for instance in self.instances.values() if instance.record.cause]
        return _FATAL_EXIT[causes[0]] if causes else Exit.CONFIG if self.broken else Exit.OK

    # -- what happens

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and not hung_up():
            self._reloader.reload()
        elif number == signal.SIGINT and self._stopping:
            for instance in self.instances.values():
                instance.apply(states.Kill())
        else:
            self._stopping = True

    def _reported(self, name: str, event: str, text: str, hint: str) -> None:
        if event == "fatal" and self.instances[name].record.cause is Cause.CONFIG:
            self._reloader.explain(name)
        if event in ALERTS:
            home = str(self._setup.home.root)
            self._alerter.fire(Alert(name, event, text, hint, utc_now(), home))

    def _applied(self, config: Config) -> None:
        """This is the configuration from now on."""
        if self.instances:
            self._notifier.reloading()
        self._redactor.add(config.values)
        self._host.config = config
        self._alerter.settings = config.alerts
        self._host.stdin_owner = _stdin_owner(config, self._setup)
        names = {entry.name for entry in config.entries}
        self.broken = {
            problem.instance: str(problem)
            for problem in reversed(config.errors)
            if problem.instance is not None and problem.instance not in names
        }
        for name, text in self.broken.items():
            if INSTANCE_NAME.match(name):
                error = {"text": text, "hint": "edit connectors.yml", "class": "ConfigError", "at": utc_now()}
                status = StatusFile(self._setup.home, name, redact=self._redactor.redact_data)
                status.update(state=State.FATAL.value, pid=None, cause=Cause.CONFIG.value, last_error=error)
        if self.instances:
            self._notifier.ready(self._summary())

    def _asked(self, request: Answer) -> Answer | Pending:
        command, name = request.get("cmd"), request.get("name")
        if name is not None and (not isinstance(name, str) or name not in self.instances):
            return {"ok": False, "error": f"there is no instance {name}", "hint": "connectors status"}
        chosen = [self.instances[name]] if name is not None else list(self.instances.values())
        if command == "status":
            return {"ok": True, "pid": os.getpid(), "instances": self.status()}
        if command == "reload":
            self._reloader.reload()
            return {"ok": True}
        if command == "stop":
            self._stopping = self._stopping or name is None
            for instance in chosen:
                instance.apply(states.Stop())
            return lambda: None if any(one.state in states.ALIVE for one in chosen) else {"ok": True}
        if command == "restart":
            before = {one.name: one.child for one in chosen}
            for instance in chosen:
                instance.apply(states.Restart())
            return lambda: None if any(one.child is before[one.name] is not None for one in chosen) else {"ok": True}
        return {"ok": False, "error": f"unknown command {command!r}: status, stop, restart or reload"}

    # -- what others see

    def status(self) -> dict[str, dict[str, Any]]:
        """By instance: type, pid, alive, state, cause, restarts, crashes, exit, next_start."""
        return {name: instance.summary() for name, instance in self.instances.items()}

    def _summary(self) -> str:
        alive = sum(instance.state in states.ALIVE for instance in self.instances.values())
        return f"{alive} of {len(self.instances) + len(self.broken)} connectors run"

    def _write_state(self, *, ended: bool = False) -> None:
        self._state_file.write(
            {
                "pid": None if ended else os.getpid(),
                "started_at": self._started_at,
                "version": self._setup.version,
                "verdicts": [] if ended else self._reloader.verdicts,
            }
        )


def _stdin_owner(config: Config, setup: Setup) -> str | None:
    """The first `cli` gets what the manager has on its stdin and stdout."""
    if setup.stdin == "none":
        return None
    return next((entry.name for entry in config.entries if entry.enabled and entry.type == "cli"), None)
