"""What happens around a connector's own code: the instance is opened, connected, delivered for, and closed again."""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import abstractmethod
from itertools import count
from typing import Any, ClassVar

from connectors.base import logbook
from connectors.base.errors import Exit, RetryLater
from connectors.base.guard import STOP_GRACE_S, Guard
from connectors.base.held import give_up
from connectors.base.home import Home
from connectors.base.locks import Lock, credential_lock
from connectors.base.lookup import exclusive_values
from connectors.base.opening import Opening
from connectors.base.pumps import SLOW_SCAN_S, Pumps
from connectors.base.retry import Backoff
from connectors.base.runtime import Runtime
from connectors.base.teller import WAITING
from connectors.base.terminal import occupy_standard_descriptors

#: Between two tries of connect(), while the platform is down.
CONNECT_AGAIN = Backoff(1.0, 30.0)
#: Also where the platform says 0, again and again.
_LEAST_WAIT_S = 0.1
#: After these nobody starts it again by itself.
_FINAL = frozenset({Exit.OK, Exit.DEPENDENCY, Exit.AUTH, Exit.CONFIG})


class Running(Opening):
    """The run of a `connector.Connector`, which says what the methods that are abstract here promise."""

    parallel_sends: ClassVar[int] = 1
    send_stall_s: ClassVar[float] = 300.0

    def __init__(self, name: str, home: Home, config: dict[str, Any]) -> None:
        super().__init__(name, home, config)
        self._wake = threading.Event()
        self._guard: Guard | None = None
        self._pumps: Pumps | None = None
        self._pumping = True
        self._keeps_held = False
        self._fatal: BaseException | None = None
        self._credentials: list[Lock] = []

    @abstractmethod
    def connect(self) -> None: ...

    @abstractmethod
    def disconnect(self) -> None: ...

    @abstractmethod
    def run_loop(self) -> None: ...

    @property
    @abstractmethod
    def options(self) -> Any: ...

    @abstractmethod
    def _delivers_by_itself(self) -> bool: ...

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

    def stop(self) -> None:
        """Ask for the end: `_running` becomes false and every `wait` returns. Not for signal handlers."""
        self._stop.set()
        self._wake.set()
        if self._guard is not None:
            self._guard.ring()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait, instead of sleeping. True: stop now."""
        return self._stop.wait(timeout_s)

    def end_with(self, error: BaseException) -> None:
        """End the process with the error's code, also while run_loop blocks. For a connector's own threads."""
        if not self._stop.is_set() or self._fatal is None:
            self._fatal = self._fatal or error
        self.stop()

    @property
    def _in_run(self) -> bool:
        """Whether `run()` is under way; without it the seed's users call single methods."""
        return self._guard is not None

    # ── one run ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> int:
        """From the lock to the exit code."""
        if self._ended.is_set():  # a second run of the same object
            self._ended.clear()
            self._stop.clear()
            self._fatal = None
        occupy_standard_descriptors()  # before the guard's pipe, which would be read as what is typed
        guard = self._guard = Guard(
            self._ended,
            on_stop=self.stop,
            on_stuck=self._end_stuck,
            on_quiet=self._look_for_a_stall,
            quiet_s=self.send_stall_s / 5,
        )
        handlers: list[logging.Handler] = []
        code: int = Exit.OK
        try:
            limits = self._load_settings().limits
            file = self._home.log_file(self.name) if self._log_file else None
            handlers = logbook.set_up(self.redactor, file=file, max_bytes=limits.log_max_bytes, files=limits.log_files)
            self._begin()
            self.run_loop()
            if self._pumps is not None and self._pumping and not self._stop.is_set():
                self._open_runtime().delivery.deliver_ready()
        except KeyboardInterrupt:
            self.logger.info("interrupted")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except Exception as error:  # noqa: BLE001 - explain logs it; the exit code says what the manager does
            if isinstance(error, RetryLater) and self._stop.is_set():
                self.logger.info("stopped: %s", error)  # a wait for room, or for the platform, that the stop ended
            else:
                code = self._teller.explain(error, self.name)
        finally:
            asked = self._stop.is_set()
            self._stop_pumps()
            if self._fatal is not None and code == Exit.OK:
                code = self._teller.explain(self._fatal, self.name)
            self._close(code, asked)
            self._ended.set()
            logbook.tear_down(handlers)
            self._guard = None
            guard.end()
        return code

    def _begin(self) -> None:
        """Take the instance's lock, recover, connect, and start to deliver."""
        runtime = self._open_runtime()
        self._teller.begin(self.name, self.connector_type)
        for name, value in exclusive_values(type(self), lambda: self.options):
            lock = credential_lock(f"{self.connector_type} {name}", value)
            if lock is not None:
                lock.acquire(self._load_settings().lock_wait_s, lambda text: self._teller.state(WAITING, text))
                self._credentials.append(lock)
        runtime.status.update(state="connecting", note=None)  # it is not waiting for a lock any more
        self._connect(runtime)
        self._teller.connected(**runtime.backlog())
        if not self._keeps_held:
            give_up(runtime.intake, all_of_it=True)
        if self._delivers_by_itself():
            self._pumps = Pumps(
                runtime,
                self.outbox,
                threads=self.parallel_sends,
                wake=self._wake,
                wanted=lambda: self._pumping and not self._stop.is_set(),
                on_error=self.end_with,
                logger=self.logger,
            )

    def _connect(self, runtime: Runtime) -> None:
        """`connect`, again and again while the platform puts it off; the operator is told when that takes long."""
        begun, told = time.monotonic(), False
        for failures in count(1):
            self._keeps_held = False
            try:
                self.connect()
                break
            except RetryLater as error:
                if self._stop.is_set():
                    raise
                self._teller.put_off(error)
                self._disconnect()
                if not told and time.monotonic() - begun > self.send_stall_s:
                    told = True
                    self._teller.stall(f"not connected for more than {self.send_stall_s:g} s: {error}")
                wait_s = CONNECT_AGAIN.wait_s(failures) if error.after_s is None else max(_LEAST_WAIT_S, error.after_s)
                if self._wait_for_platform(runtime, wait_s):
                    raise

    def _wait_for_platform(self, runtime: Runtime, wait_s: float) -> bool:
        """Whether a stop ended it. Held events have their time limits, whether the platform is there or not."""
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            runtime.check()
            late_s = give_up(runtime.intake, all_of_it=False)
            if self._stop.wait(min(left_s, SLOW_SCAN_S if late_s is None else late_s)):
                return True
        return False

    def _stop_pumps(self) -> None:
        """No new send begins; the one in hand may end."""
        self.stop()
        pumps, self._pumps = self._pumps, None
        if pumps is not None:
            pumps.stop(STOP_GRACE_S)

    def _close(self, code: int, asked: bool) -> None:
        self._disconnect()
        with self._runtime_lock:
            runtime, self._runtime = self._runtime, None
            if runtime is not None:
                self._leave_held(runtime, code, asked)
                self._teller.end(code, asked=asked, **runtime.backlog())
                self._teller.status = None
                runtime.close()
        for lock in self._credentials:
            lock.release()
        self._credentials.clear()
        self.logger.info("ended with %s", code)

    def _leave_held(self, runtime: Runtime, code: int, asked: bool) -> None:
        """The next start goes on with them. Where none comes by itself, nobody is to wait for it."""
        if asked and code == Exit.OK:
            return
        try:
            give_up(runtime.intake, all_of_it=code in _FINAL)
        except Exception:  # must not hide how the run ended
            self.logger.exception("held events stay held")

    def _disconnect(self) -> None:
        try:
            self.disconnect()
        except Exception:  # a failing clean-up must not hide how the run ended
            self.logger.exception("disconnect failed")

    def _end_stuck(self) -> None:
        self.logger.warning("run_loop did not end within %g s of the stop; ending the process", STOP_GRACE_S)
        code = Exit.OK if self._fatal is None else self._teller.explain(self._fatal, self.name)
        closer = threading.Thread(target=self._close, args=(code, True), daemon=True)
        closer.start()
        closer.join(timeout=1.0)
        os._exit(int(code))

    def _look_for_a_stall(self) -> None:
        if self._runtime is not None:
            self._teller.long_send(self._runtime.delivery.longest_send(), self.send_stall_s)
