"""Any program as an agent: claim an event, run a command on it, turn what it prints into the reply.

A reply is durable in the outbox before its event is acknowledged, and its id is derived from the event's, so a runner
that dies between the two sends nothing twice. A command that fails is run again after a growing wait, which holds up
its own conversation only; in the end the event goes to `messages/failed/` with the reason.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from connectors.base.attempts import Attempts
from connectors.base.claimed import Claimed
from connectors.base.claims import Claims
from connectors.base.environment import variables
from connectors.base.errors import BadMessage, ConfigError, ConnectorError, Exit
from connectors.base.home import Home
from connectors.base.job import Job, Outcome
from connectors.base.outgoings import put, remove_leftovers
from connectors.base.readers import Event, LostClaim, event_names, private_folder
from connectors.base.replies import replies, reply_id
from connectors.base.retry import Backoff
from connectors.base.steps import step
from connectors.base.watch import Watch

#: What is handed out unless `kinds` says otherwise: what a person did. An agent that answers everything must not
#: answer the news that its own answer could not be delivered.
DEFAULT_KINDS = frozenset({"message", "command", "button"})
#: Notifications are a hint: the inbox is looked at anyway after this time.
LOOK_EVERY_S = 15.0
#: A fault that is not the event's (no room, the command cannot be started) is waited out for so long.
_FAULT_WAIT_S = 15.0

#: The named points (connectors.base.steps) that a run passes.
STEPS = ("agent.claimed", "agent.ran", "agent.replied", "agent.acked")


@dataclass(frozen=True)
class Terms:
    """How a command is run. Waits are drawn from `backoff` after each failure, up to `max_attempts` in all."""

    jobs: int = 1
    timeout_s: float = 300.0
    kinds: frozenset[str] | None = DEFAULT_KINDS
    max_attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    stop_grace_s: float = 10.0
    once: bool = False


class AgentRunner:
    """Runs `command` for every event, `jobs` at a time and in order within a conversation."""

    def __init__(
        self,
        home: Home,
        command: Sequence[str],
        *,
        name: str = "agent",
        terms: Terms = Terms(),
        logger: logging.Logger | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> None:
        self._home = home
        self._command = list(command)
        self._terms = terms
        self._logger = logger or logging.getLogger("connectors.agent")
        self._on_stderr = on_stderr or _to_stderr
        self._claims = Claims(home, name, logger=self._logger)
        self._attempts_file = private_folder(home) / "agents" / f"{name}.json"
        self._attempts = Attempts(self._attempts_file)
        self._mutex = threading.Lock()
        self._running: dict[str, Job | None] = {}
        self._due: list[float] = []
        self._stopping = False
        self._hurry = False
        self._news = True
        self._failed = 0
        self._unreturned: list[Claimed] = []
        self._ending = False
        # A pipe, because a signal handler may write to one but must not take a lock.
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)

    def run(self) -> int:
        """Until `stop()`, or with `once` until nothing is left to do. Returns an exit code.

        0; with `once` 1 if an event was given up. Raises ConfigError when the command is not there, ConsumerInUse
        when another process runs under this name. In the main thread SIGTERM and SIGINT call `stop()`.
        """
        if not self._command or shutil.which(self._command[0]) is None:
            raise ConfigError(
                f"the command {' '.join(self._command[:1])!r} cannot be run",
                hint="give a program on the PATH, or the path of an executable file",
            )
        self._claims.hold()
        self._home.make(self._attempts_file.parent, private=True)
        self._attempts.load()
        self._attempts.keep({*event_names(self._home.inbox), *event_names(self._claims.folder)})
        remove_leftovers(self._home, time.time())
        watch = Watch([self._home.inbox], self._arrived, logger=self._logger)
        watch.start()
        try:
            with self._signals(), ThreadPoolExecutor(self._terms.jobs, thread_name_prefix="agent") as pool:
                self._loop(pool)
                self._drain()
        finally:
            watch.stop()
            self._claims.close()
            for fd in (self._wake_r, self._wake_w):
                os.close(fd)
            self._wake_r = self._wake_w = -1
        return Exit.CRASH if self._terms.once and self._failed else Exit.OK

    def stop(self) -> None:
        """Claim no more, wait for what runs, give the rest back. The second call waits no longer. Signal-safe."""
        self._hurry = self._stopping
        self._stopping = True
        self._wake()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
        # The system may deliver a signal to any thread; only this makes the main thread's select() return for it.
        wakeup_fd = signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_fd)
            for number, handler in before.items():
                signal.signal(number, handler)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        while not self._stopping:
            try:
                self._fill(pool)
            except (OSError, ConnectorError) as error:
                self._logger.warning("the inbox cannot be read: %s", error)
                self._sleep(1.0)
                self._news = True
                continue
            with self._mutex:
                idle = not self._running and not self._due
            if self._terms.once and idle and not self._news:
                return
            self._sleep(LOOK_EVERY_S)

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        """Start jobs for what can be claimed, as many as may run."""
        with self._mutex:
            unreturned, self._unreturned = self._unreturned, []
        for stuck in unreturned:
            self._postpone(stuck, _FAULT_WAIT_S)
        while not self._stopping and len(self._running) < self._terms.jobs:
            relist, self._news = self._news, False
            claimed = self._claims.claim(self._terms.kinds, relist=relist)
            if claimed is None:
                break
            self._news = relist
            with self._mutex:
                self._running[claimed.name] = None
            pool.submit(self._work, claimed)
        self._claims.sweep()

    def _sleep(self, most_s: float) -> None:
        """Until something arrives, a job ends, a retry is due, or `most_s` are over."""
        with self._mutex:
            wait_s = min(most_s, max(0.0, self._due[0] - time.monotonic())) if self._due else most_s
        ready, _, _ = select.select([self._wake_r], [], [], wait_s)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_r, 4096)
        else:
            self._news = True
        with self._mutex:
            while self._due and self._due[0] <= time.monotonic():
                heapq.heappop(self._due)
                self._news = True

    def _drain(self) -> None:
        """Wait for the jobs that run, then end them."""
        end = time.monotonic() + self._terms.stop_grace_s
        while self._running and not self._hurry and (left := end - time.monotonic()) > 0:
            self._sleep(left)
        with self._mutex:
            self._ending = True
            jobs = [job for job in self._running.values() if job is not None]
        for job in jobs:
            job.kill()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            os.write(self._wake_w, b"!")

    def _arrived(self) -> None:
        self._news = True
        self._wake()

    # ── one job ─────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self, claimed: Claimed) -> None:
        try:
            self._run(claimed)
        except LostClaim:
            self._logger.info("%s: somebody else has deleted or moved it", claimed.name)
        except (OSError, ConnectorError) as error:
            self._logger.warning("%s: %s; the event is handed out again", claimed.name, error)
            self._postpone(claimed, _FAULT_WAIT_S)
        except Exception:
            self._logger.exception("%s: a fault of the runner; the event is handed out again", claimed.name)
            self._postpone(claimed, _FAULT_WAIT_S)
        finally:
            with self._mutex:
                self._running.pop(claimed.name, None)
            self._wake()

    def _run(self, claimed: Claimed) -> None:
        step("agent.claimed")
        attempts = self._attempts
        number = attempts.begin(claimed.name)
        try:
            outcome = self._execute(claimed, number)
        except OSError as error:
            attempts.undo(claimed.name)
            raise ConnectorError(f"cannot run {self._command[0]!r}: {error}") from error
        step("agent.ran")
        if outcome.killed:
            attempts.undo(claimed.name)
            claimed.nack()
            return
        problem = outcome.problem or self._answer(claimed.event, outcome.output)
        if not problem:
            step("agent.replied")
            claimed.ack()
            step("agent.acked")
            attempts.clear(claimed.name)
            return
        self._retry(claimed, number, problem, outcome.tail)

    def _execute(self, claimed: Claimed, number: int) -> Outcome:
        # The claimed file itself is the input: nothing to feed, and no pipe that a command which reads nothing closes.
        stdin = os.open(claimed.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            job = Job(
                self._command,
                {**os.environb, **variables(self._home.root, claimed.event, number)},
                stdin,
                timeout_s=self._terms.timeout_s,
                on_line=self._on_stderr,
            )
        finally:
            os.close(stdin)
        with self._mutex:
            self._running[claimed.name] = job
            too_late = self._ending
        if too_late:
            job.kill()
        self._logger.debug("%s: attempt %d", claimed.name, number)
        return job.run()

    def _answer(self, event: Event, output: bytes) -> str:
        """Write the replies; returns the problem, if any."""
        try:
            for number, outgoing in enumerate(replies(event, output)):
                put(self._home, outgoing, event=event, name=f"{reply_id(event, number)}.json")
        except (BadMessage, ConfigError) as error:
            return f"what it printed cannot be sent: {error}"
        return ""

    def _retry(self, claimed: Claimed, number: int, problem: str, tail: str) -> None:
        what = f"{self._command[0]}: {problem} (attempt {number} of {self._terms.max_attempts})"
        if number < self._terms.max_attempts:
            wait_s = self._terms.backoff.wait_s(number)
            self._logger.warning("%s: %s; again in %.1f s", claimed.name, what, wait_s)
            self._postpone(claimed, wait_s)
            return
        words = f"; its last words:\n{tail}" if tail else ""
        path = self._claims.fail(claimed, what + words, attempts=number)
        self._failed += 1
        self._attempts.clear(claimed.name)
        self._logger.error("%s: %s: given up, see %s", claimed.name, what, path)

    def _postpone(self, claimed: Claimed, wait_s: float) -> None:
        try:
            claimed.nack(wait_s)
        except LostClaim as error:
            self._logger.info("%s: %s", claimed.name, error)
            return
        except (OSError, ConnectorError) as error:
            self._logger.warning("%s: cannot be given back now: %s", claimed.name, error)
            with self._mutex:
                self._unreturned.append(claimed)
        with self._mutex:
            heapq.heappush(self._due, time.monotonic() + wait_s)


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
