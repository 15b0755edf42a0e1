"""The contract that every connector fulfils, and what it gets for it.

A connector says how to reach its platform: `connect`, `run_loop`, `send_message`, `disconnect`. The base owns the
rest: folders, the delivery of the outbox while `run_loop` blocks, signals, locks, state, exit codes.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from connectors.base import logbook
from connectors.base.declaration import Capabilities, Limits, declaration_of, options_of
from connectors.base.errors import AuthError, ConfigError, ConnectorError, Exit, MissingDependency, RetryLater
from connectors.base.home import Home
from connectors.base.locks import Lock, credential_lock
from connectors.base.message import Attachment, Message, OutgoingMessage, Receipt, utc_now
from connectors.base.runtime import Runtime, Settings, modes_for, report
from connectors.base.secrets import Redactor, Secret
from connectors.base.sending import Sending
from connectors.base.split import split_text
from connectors.base.watch import Watch

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding

#: The outbox is looked at this often without any hint.
SLOW_SCAN_S = 15.0
#: After a stop: so long for run_loop, the send in hand and disconnect together; the manager kills after 10 s.
STOP_GRACE_S = 8.0
#: What rings the guard's bell: `stop`, and the signals that ask for the end.
_STOPS = frozenset({ord("!"), signal.SIGTERM, signal.SIGINT})
_NOT_FETCHED = "not fetched: the connector was stopped"


class Connector(ABC):
    """Base of all connectors. Construction is cheap: it makes the folders and nothing else.

    Required of a subclass: `connector_type` and the four abstract methods. Optional class attributes, read by
    validation, `env`, `doctor`, `types` and the documentation: `Options`, `capabilities`, `limits`, `actions`,
    `version`, `summary`, `setup_help`, `extra`.
    """

    connector_type: str = ""
    version: str = "1"
    capabilities: ClassVar[Capabilities] = Capabilities()
    limits: ClassVar[Limits] = Limits()
    actions: ClassVar[Sequence[Any]] = ()
    #: How many threads may be in `send_message` at once (each in another conversation).
    parallel_sends: ClassVar[int] = 1
    #: A call of `send_message` that takes longer is reported: nothing else of its conversation is sent meanwhile.
    send_stall_s: ClassVar[float] = 300.0

    def __init__(self, name: str, seed_home: str | os.PathLike[str], config: dict[str, Any] | None = None) -> None:
        self.name = name
        self.seed_home = Path(seed_home)
        self.config = config or {}
        self._home = Home(seed_home)
        self.inbox = self._home.inbox
        self.outbox = self._home.outbox(name)
        self.failed = self._home.failed
        self.log_dir = self._home.logs
        self._home.make(self.inbox, self.outbox, self.failed)
        self._home.make(self.log_dir, private=True)
        self.logger = logging.getLogger(f"connector.{name}")
        self.redactor = Redactor()
        self._settings: Settings | None = None
        self._environ: dict[str, str] | None = None  # .env and over it the environment, once connectors.yml is read
        self._expanded = False  # whether `config` came through the loader, which expands variables itself
        self._report_fd: int | None = None
        self._log_file = True
        self._stdin = "alone"
        self._bell = -1
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._runtime_lock = threading.RLock()
        self._runtime: Runtime | None = None
        self._fatal: BaseException | None = None
        self._stalled: tuple[float, str] | None = None
        self._reported: tuple[str, str | None] = ("connected", None)
        self._early: list[tuple[str, dict[str, Any]]] = []
        self._credentials: list[Lock] = []
        self._pumping = True
        self._pumps: list[threading.Thread] = []
        self._watch: Watch | None = None

    # ── what a connector implements ───────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def connect(self) -> None:
        """Acquire: check the credential, open the connection. Raises AuthError, ConfigError, MissingDependency."""

    @abstractmethod
    def disconnect(self) -> None:
        """Release what `connect` acquired. Called also after a failed `connect`; safe twice."""

    @abstractmethod
    def send_message(self, msg: OutgoingMessage) -> bool | Receipt:
        """Send one outgoing, or one part of a long one.

        Returns a Receipt with the platform's ids, or True. False means "try again later"; better, raise
        RetryLater, Rejected, AuthError or ConfigError. Anything else that is returned is a bug: dead letter.
        """

    @abstractmethod
    def run_loop(self) -> None:
        """Receive until `self._running` is false; call `write_to_inbox` for each event. Must block.

        Returning while running is a clean end of the process (exit 0, final).
        """

    def split(self, msg: OutgoingMessage) -> list[str]:
        """The parts of `msg.text` that are sent one by one; by default as `limits.text_max` wants."""
        if self.limits.text_max is None:
            return [msg.text]
        return split_text(msg.text, self.limits.text_max, self.limits.text_unit)

    def files(self, msg: OutgoingMessage) -> list[list[Attachment]]:
        """`msg.attachments` in groups: each goes out in one call of `send_message`, the first with the last text.

        Where the files must be a call of their own, so that a failed one never sends the text again, `split` ends with
        an empty part.
        """
        return [list(msg.attachments)]

    def pace(self, msg: OutgoingMessage) -> float:
        """In how many seconds `msg`, or this part of it, may be sent; asked before every call of `send_message`.

        The wait uses up no attempt, is no error, and delays no other conversation.
        """
        return 0.0

    def diagnose(self) -> Iterable[Finding]:
        """What the platform says about this configuration, for `connectors doctor`: identity, scopes, conflicts.

        Runs in a process of its own, without the instance's lock and without `connect`; may raise ConnectorErrors.
        """
        return ()

    def sends_once(self) -> bool:
        """Whether a repeated send, with the same `idempotency_key`, is exactly once. To override where it depends."""
        return self.capabilities.idempotent_send

    # ── what it gets ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _running(self) -> bool:
        """False once the process is asked to stop. Setting it to False asks for that."""
        return not self._stop.is_set()

    @_running.setter
    def _running(self, value: bool) -> None:
        if value:
            self._stop.clear()
        else:
            self.stop()

    @property
    def _in_run(self) -> bool:
        """Whether `run()` is under way; without it the seed's users call single methods."""
        return self._bell >= 0

    def stop(self) -> None:
        """Ask for the end: `_running` becomes false and every `wait` returns. Not for signal handlers."""
        self._stop.set()
        self._wake.set()
        self._ring()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait, instead of sleeping. True: stop now."""
        return self._stop.wait(timeout_s)

    @cached_property
    def options(self) -> BaseModel:
        """The options as the class's `Options` declares them. Raises ConfigError that names every problem."""
        declared = options_of(type(self))
        if declared is None:
            raise ConfigError(f"{type(self).__name__} declares no Options", hint="use get_config")
        from connectors.base.options import read_options

        found, data, problems = read_options(declared, self._expanded_config(), self._variables())
        for info in declaration_of(type(self)).options or ():
            value = data.get(info.name)
            from_variable = info.env is not None and info.name not in self.config
            if (info.secret or from_variable) and isinstance(value, str | Secret):
                self.redactor.add([value.reveal() if isinstance(value, Secret) else value])
        if found is None:
            raise ConfigError("; ".join(problem.text for problem in problems), hint=f"see connectors.yml, {self.name}")
        return found

    def get_config(self, key: str, default: Any = None, env_key: str | None = None) -> Any:
        """An option: from `config` (`${VAR}` is expanded now), else from the variable `env_key`, else `default`."""
        value = self.config.get(key)
        variables = self._variables()
        if value is None:
            if env_key is None or env_key not in variables:
                return default
            self.redactor.add([variables[env_key]])
            return variables[env_key]
        if self._expanded or "${" not in str(value):
            return value
        from connectors.base.variables import substitute

        if isinstance(value, str) and substitute(value, variables).unset:
            return default
        return self._expand(value)

    def write_to_inbox(self, msg: Message) -> Path:
        """Make an event durable; when this returns it may be acknowledged.

        Returns its path, also for one that came before (it is then not written again, and its file may be gone).
        Waits while the disk or the inbox is full; raises RetryLater when stopped meanwhile: do not acknowledge.
        """
        return self.write_all_to_inbox([msg])[0]

    def write_all_to_inbox(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None = None) -> list[Path]:
        """`write_to_inbox` of several at once, and of a source's bookmark (name, value) in the same transaction."""
        runtime = self._open_runtime()
        paths = runtime.intake.accept(messages, checkpoint)
        known = runtime.intake.known
        fresh = [message for message in messages if message.id not in known]
        if messages:
            runtime.status.count("received", len(fresh), last_received=utc_now())
        if known:
            runtime.status.count("duplicates", len(messages) - len(fresh))
        for message in fresh:
            self._log_received(message)
        return paths

    def _log_received(self, message: Message) -> None:
        self.logger.info("received %s %s from %s", message.kind, message.id, message.sender.id)

    def checkpoint(self, name: str = "main") -> Any:
        """The bookmark that `write_all_to_inbox` committed last; None at first."""
        return self._open_runtime().store.checkpoint(name)

    def hold(self, msg: Message) -> bool:
        """Make an event durable whose files are yet to be fetched; it may be acknowledged now, and is not in the inbox.

        False: it came before. Otherwise call `release` when the files are there, or when they took too long. After
        a crash it is published at the next start, each file that was not fetched as a placeholder with its reason.
        """
        runtime = self._open_runtime()
        fresh = runtime.intake.hold(msg)
        runtime.status.count("received" if fresh else "duplicates", last_received=utc_now())
        if fresh:
            self._log_received(msg)
        return fresh

    def release(self, msg: Message) -> Path:
        """Publish a held event with the content that it has now; returns its path in the inbox."""
        return self._open_runtime().intake.release(msg)

    def newest_of(self, origins: Sequence[str]) -> dict[str, tuple[str, str]]:
        """{origin id: (event id, digest)} of the newest event of each of these records of a source that had one."""
        return self._open_runtime().store.newest_of(origins)

    def kept(self, event_id: str) -> Message | None:
        """The event as it was published last, or is held; None when it is not known, or no longer kept."""
        row = self._open_runtime().store.event(event_id)
        return None if row is None or row.body is None else Message.from_json(row.body)

    def renew(self, msg: Message) -> Path:
        """Put an event into the inbox again, with the content that it has now: its files came later.

        Every reader gets it again, under the same id. Raises ValueError for one that was never received.
        """
        return self._open_runtime().intake.renew(msg)

    @property
    def state_dir(self) -> Path:
        """The instance's private folder, made when missing."""
        folder = self._home.state_dir(self.name)
        self._home.make(folder, private=True)
        return folder

    def report_state(self, state: str, note: str | None = None) -> None:
        """What `connectors status` shows: `connected`, `reconnecting`, `conflict` …; `note` says what a person can do.

        Not for ends: those are raised.
        """
        before, self._reported = self._reported, (state, note)
        self._open_runtime().status.update(state=state, note=note)
        if self._reported != before:
            level = logging.INFO if state == "connected" else logging.WARNING
            self.logger.log(level, "%s", f"{state}: {note}" if note else state)

    def save_incoming(self, chunks: Iterable[bytes], name: str) -> dict[str, Any]:
        """Store a file that came in; returns its entry for `content.attachments`: path, name, size, sha256.

        `name` is what the platform calls it: data, never a path. Raises Rejected above limits.attachment_max_bytes.
        """
        from connectors.base.attachments import save_incoming

        limits = self._open_runtime().settings.limits
        return save_incoming(self._home, chunks, name, limits.attachment_max_bytes)

    def process_outbox(self) -> int:
        """Deliver what is due in the outbox; returns how many were sent. Never raises."""
        try:
            return self._open_runtime().delivery.deliver_ready()
        except RetryLater as error:
            self.logger.info("the outbox is left alone: %s", error)
            return 0
        except Exception as error:  # promised to the seed's poller threads, which would die silently
            self.logger.exception("the outbox could not be processed")
            self.end_with(error)
            return 0

    def poll_outbox(self) -> list[OutgoingMessage]:
        """Hand all that is due to the caller and delete the files (each gets a receipt that says `handed_over`).

        From the first call on the base delivers nothing by itself. What the caller then fails to send is lost.
        """
        self._pumping = False
        return self._open_runtime().delivery.hand_over()

    def close(self) -> None:
        """Give back the lock and the store that a use without `run()` opened; safe twice. `run()` does so by itself."""
        with self._runtime_lock:
            runtime, self._runtime = self._runtime, None
            if runtime is not None:
                runtime.close()

    # ── running ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Connect, receive and deliver until asked to stop or `run_loop` returns, disconnect.

        Returns normally after a clean end. Otherwise raises SystemExit with the code of `errors.Exit`.
        """
        code = self._run()
        if code != Exit.OK:
            raise SystemExit(int(code))

    def _run(self) -> int:
        if self._ended.is_set():  # a second run of the same object
            self._ended.clear()
            self._stop.clear()
            self._fatal = None
        bell, self._bell = os.pipe()
        guard = threading.Thread(target=self._guard, args=(bell,), name="guard", daemon=True)
        guard.start()
        restore = self._catch_signals()
        handlers: list[logging.Handler] = []
        code: int = Exit.OK
        try:
            self._load_settings()
            handlers = self._set_up_logging()
            self._begin()
            self.run_loop()
            if self._running and self._pumps and self._pumping:
                self._open_runtime().delivery.deliver_ready()
        except KeyboardInterrupt:
            self.logger.info("interrupted")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except Exception as error:  # noqa: BLE001 - _explain logs it; the exit code says what the manager does
            if isinstance(error, RetryLater) and self._stop.is_set():
                self.logger.info("stopped: %s", error)  # a wait for room, or for the platform, that the stop ended
            else:
                code = self._explain(error)
        finally:
            asked = self._stop.is_set()
            self._stop_pumps()
            if self._fatal is not None and code == Exit.OK:
                code = self._explain(self._fatal)
            self._close(code, asked)
            self._ended.set()
            logbook.tear_down(handlers)
            restore()
            guard.join()
            bell, self._bell = self._bell, -1
            os.close(bell)
        return code

    def _begin(self) -> None:
        """Take the instance's lock, recover, connect, and start to deliver."""
        runtime = self._open_runtime()
        runtime.status.update(state="connecting", pid=os.getpid(), type=self.connector_type, note=None, exit_code=None)
        self.logger.info("starting %s (%s)", self.name, self.connector_type)
        self._lock_credentials()
        self.connect()
        self.logger.info("connected")
        state, note = self._reported
        runtime.status.update(state=state, note=note, connected_at=utc_now(), **runtime.backlog())
        self._report("connected")
        self._release_held(runtime)
        if self._delivers_by_itself():
            self._watch = Watch([self.outbox], self._wake.set, logger=self.logger)
            self._watch.start()
            self._pumps = [
                threading.Thread(target=self._pump, name=f"pump-{n}", daemon=True) for n in range(self.parallel_sends)
            ]
            for pump in self._pumps:
                pump.start()

    def _stop_pumps(self) -> None:
        """No new send begins; the one in hand may end."""
        self.stop()
        if self._watch is not None:
            self._watch.stop()
        for pump in self._pumps:
            pump.join(timeout=STOP_GRACE_S)
        self._pumps, self._watch = [], None

    def _set_up_logging(self) -> list[logging.Handler]:
        limits = (self._settings or Settings()).limits
        return logbook.set_up(
            self.redactor,
            file=self._home.log_file(self.name) if self._log_file else None,
            max_bytes=limits.log_max_bytes,
            files=limits.log_files,
        )

    def _close(self, code: int, asked: bool) -> None:
        try:
            self.disconnect()
        except Exception:  # a failing clean-up must not hide how the run ended
            self.logger.exception("disconnect failed")
        with self._runtime_lock:
            runtime, self._runtime = self._runtime, None
            if runtime is not None:
                state = "stopped" if asked and code == Exit.OK else "exited" if code == Exit.OK else "failed"
                runtime.status.update(state=state, pid=None, exit_code=int(code), **runtime.backlog())
                runtime.close()
        for lock in self._credentials:
            lock.release()
        self._credentials.clear()
        self.logger.info("ended with %s", code)

    def _pump(self) -> None:
        """Deliver what is in the outbox, woken by hints and by time, until stopped."""
        try:
            runtime = self._open_runtime()
            while self._running and self._pumping:
                runtime.check()
                # It may be waiting behind a poll_outbox, after which nothing is the base's to send.
                runtime.delivery.deliver_ready(lambda: self._pumping)
                runtime.status.update(**runtime.backlog())
                if self._watch is not None:
                    self._watch.renew()
                due = runtime.delivery.next_due_s()
                self._wake.wait(SLOW_SCAN_S if due is None else min(due, SLOW_SCAN_S))
                self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - a pump that dies silently leaves a connector deaf that looks well
            self.end_with(error)
        finally:
            self._wake.set()  # it may have cleared what was to wake another pump as well

    def _delivers_by_itself(self) -> bool:
        """Not when the class took the outbox into its own hands."""
        cls = type(self)
        own = cls.process_outbox is not Connector.process_outbox or cls.poll_outbox is not Connector.poll_outbox
        return self._pumping and not own

    def end_with(self, error: BaseException) -> None:
        """End the process with the error's code, also while run_loop blocks. For a connector's own threads."""
        if not self._stop.is_set() or self._fatal is None:
            self._fatal = self._fatal or error
        self.stop()

    def _guard(self, bell: int) -> None:
        """After a stop: end the process when run_loop, the send in hand or disconnect do not end by themselves."""
        while True:
            if not select.select([bell], [], [], self.send_stall_s / 5)[0]:
                self._look_for_a_stall()
            elif _STOPS.intersection(os.read(bell, 64)):
                break
        os.close(bell)
        self.stop()
        if self._ended.wait(STOP_GRACE_S):
            return
        self.logger.warning("run_loop did not end within %g s of the stop; ending the process", STOP_GRACE_S)
        code = Exit.OK if self._fatal is None else self._explain(self._fatal)
        closer = threading.Thread(target=self._close, args=(code, True), daemon=True)
        closer.start()
        closer.join(timeout=1.0)
        os._exit(int(code))

    def _look_for_a_stall(self) -> None:
        since = self._runtime.delivery.longest_send() if self._runtime is not None else None
        if since is not None and since != self._stalled and time.monotonic() - since[0] > self.send_stall_s:
            self._stalled = since
            self.report_stall(f"send_message has been busy with {since[1]} for more than {self.send_stall_s:g} s")

    def report_stall(self, text: str) -> None:
        """Say that the platform's connection is up and nothing comes through; the operator may want an alert."""
        self.logger.warning("stalled: %s", text)
        if self._runtime is not None:
            self._runtime.status.error(text, kind="stall")
        self._report("stall", text=text)

    def _explain(self, error: BaseException) -> int:
        """Log and record an error that ends the process; returns its exit code."""
        if isinstance(error, ImportError) and not isinstance(error, ConnectorError):
            error = MissingDependency(str(error))
        hint = error.hint if isinstance(error, ConnectorError) else ""
        if isinstance(error, PermissionError):
            hint = "the connectors' user needs this file or folder: see connectors doctor"
        code = error.exit_code if isinstance(error, ConnectorError) else Exit.CRASH
        text = str(error) or type(error).__name__
        if isinstance(error, ConnectorError):
            self.logger.error("%s%s", text, f": {hint}" if hint and hint not in text else "")
        else:
            self.logger.error("%s ended by %s", self.name, text, exc_info=error)
        if self._runtime is not None:
            self._runtime.status.error(text, hint=hint, kind=type(error).__name__)
        self._report("auth" if isinstance(error, AuthError) else "error", text=text, hint=hint, code=int(code))
        return int(code)

    def _ring(self) -> None:
        """Wake the guard, which stops everything. Safe in a signal handler."""
        if self._bell >= 0:
            try:
                os.write(self._bell, b"!")
            except OSError:
                return  # the guard has heard it before

    def _catch_signals(self) -> Any:
        """SIGTERM and SIGINT ask for the end, through a pipe: a handler may interrupt the very `wait` whose lock
        `stop` takes. Handlers can only be set in the main thread (Python's signal module, "Signals and threads")."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, lambda number, frame: self._ring())
        # Python's own handler runs when the main thread does, and that may be about to wait for ever, or another thread
        # may have got the signal. The C handler writes its number at once (Python's signal module, set_wakeup_fd).
        os.set_blocking(self._bell, False)
        wakeup = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
            for number, old in before.items():
                if old is not None:
                    signal.signal(number, old)

        return restore

    # ── settings and runtime ──────────────────────────────────────────────────────────────────────────────────

    def _load_settings(self) -> None:
        """When nobody gave them: this instance's entry in connectors.yml, if there is one."""
        if self._settings is not None:
            return
        from connectors.base import config

        if not self._home.config_file.exists():
            self._settings = Settings()
            return
        loaded = config.load(self._home)
        self._environ = config.environ_for(loaded)
        self.redactor.add(loaded.values)
        problems = [problem for problem in loaded.errors if problem.instance == self.name]
        entry = loaded.entry(self.name)
        if problems and not self.config:
            raise ConfigError("\n".join(map(str, problems)))
        if entry is not None and not self.config:
            self.config, self._expanded = dict(entry.options), True
        found = entry or loaded
        self._settings = Settings(found.delivery, found.limits, loaded.group)

    def _open_runtime(self) -> Runtime:
        with self._runtime_lock:
            if self._runtime is None:
                if self._ended.is_set():  # a poller thread of the connector's own that outlived the run
                    raise RetryLater(f"{self.name} has ended")
                self._load_settings()
                settings = self._settings or Settings()
                self._home.modes = modes_for(settings.group)
                self._runtime = Runtime(
                    self._home,
                    self.name,
                    self.connector_type,
                    settings,
                    self._sending(),
                    redactor=self.redactor,
                    stop=self._stop,
                    on_fatal=self.end_with,
                    on_event=self._on_event,
                    logger=self.logger,
                )
                early, self._early = self._early, []
                for what, fields in early:
                    self._on_event(what, **fields)
            return self._runtime

    def _sending(self) -> Sending:
        able = self.capabilities
        actions = {"send"} | {name for name in ("edit", "delete", "react", "typing", "fetch") if getattr(able, name)}
        actions |= {str(action["name"]) for action in declaration_of(type(self)).actions}
        return Sending(
            send=self.send_message,
            split=self.split,
            files=self.files,
            pace=self.pace if type(self).pace is not Connector.pace else None,
            idempotent=self.sends_once(),
            actions=frozenset(actions),
            parallel=self.parallel_sends,
        )

    def _on_event(self, what: str, **fields: Any) -> None:
        """What the engine did goes into the status, and to the manager where a person may want to know."""
        runtime = self._runtime
        if runtime is None:  # while recovering: told when there is a status to tell it to
            self._early.append((what, fields))
            return
        if what == "pressure":
            state, note = ("backpressure", fields["error"]) if fields["error"] else self._reported
            runtime.status.update(state=state, note=note)
        elif what == "sent":
            runtime.status.count("sent", last_sent=utc_now())
            self.logger.info("sent %s to %s", logbook.visible(fields["file"]), logbook.visible(fields["conversation"]))
        elif what == "failed":
            runtime.status.count("failed")
            runtime.status.error(fields["error"], hint=fields["hint"], kind=fields["kind"])
            self._report("dead_letter", text=f"{fields['file']}: {fields['error']}")
        elif what == "retried":
            runtime.status.count("retried")
            runtime.status.error(fields["error"], kind="retry")

    def _report(self, event: str, **fields: Any) -> None:
        report(self._report_fd, **self.redactor.redact_data({"name": self.name, "event": event, **fields}))

    def _release_held(self, runtime: Runtime) -> None:
        """Events that were acknowledged and waited for their files when the last process ended."""
        held, runtime.held = runtime.held, []
        for message in held:
            files = [
                item if item.get("path") or item.get("error") else {**item, "error": _NOT_FETCHED}
                for item in message.content.attachments
            ]
            content = message.content.model_copy(update={"attachments": files})
            runtime.intake.release(message.model_copy(update={"content": content}))

    def _lock_credentials(self) -> None:
        """An option that the type declares exclusive is used by one process of this machine at a time."""
        declared = declaration_of(type(self)).options
        for info in declared or ():
            if not info.exclusive:
                continue
            value = getattr(self.options, info.name, None)
            text = value.reveal() if isinstance(value, Secret) else str(value or "")
            lock = credential_lock(f"{self.connector_type} {info.name}", text) if text else None
            if lock is not None:
                lock.acquire(self._settings.lock_wait_s if self._settings else 0.0)
                self._credentials.append(lock)

    def _variables(self) -> dict[str, str]:
        return {**(self._environ or {}), **os.environ}

    def _expanded_config(self) -> dict[str, Any]:
        if self._expanded:
            return self.config
        expanded: dict[str, Any] = self._expand(self.config)
        return expanded

    def _expand(self, value: Any) -> Any:
        """Expand `${VAR}`, and redact from now on what came from a variable. Raises ConfigError for one not set."""
        from connectors.base.variables import expand, substitute

        def texts(data: Any) -> Iterator[str]:
            if isinstance(data, str):
                yield data
            elif isinstance(data, dict | list | tuple):
                for item in data.values() if isinstance(data, dict) else data:
                    yield from texts(item)

        variables = self._variables()
        for text in texts(value):
            self.redactor.add(use.value for use in substitute(text, variables).used if use.value)
        return expand(value, variables)
