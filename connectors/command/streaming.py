"""A program that runs all the time: its lines are events, it may read outgoings, and when it ends it is started again.

Nothing is acknowledged to it that is not durable. While the inbox is full nothing is read from it, so that it waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base.errors import RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.retry import Backoff
from connectors.command.answers import Answers
from connectors.command.ends import Ended, end_of
from connectors.command.lines import TooLong
from connectors.command.program import Program
from connectors.command.protocol import AnswerLine, BadLine, CheckpointLine, EventLine, StateLine, ack_line, send_line
from connectors.command.writing import write
from connectors.parts.emitting import KEEP
from connectors.parts.once import FOR_A_PERSON

if TYPE_CHECKING:
    from connectors.command.connector import CommandConnector

#: After the first end, and the longest wait. Who has run for `_WELL_S` ends for the first time again.
_BACKOFF = Backoff(1.0, 300.0)
_LEAST_WAIT_S = 0.2
_WELL_S = 60.0
#: So many ends in a row are an alert.
_ALERT_ENDS = 5
#: A stop waits so long for answers that the program owes.
_ANSWER_S = 2.0
#: A program that leaves so much of its input unread for so long reads none.
_MOST_UNREAD = 4_000_000
_UNREAD_S = 60.0
_TURN_S = 10.0
_STOPPING_TURN_S = 0.05
#: Who ends closes its output a little earlier; who closes it and runs on for so long is heard of no more.
_MUTE_S = 2.0


class Stream:
    """The program of one connector. `start` starts it, and gives it its first line."""

    def __init__(self, connector: CommandConnector, start: Callable[[Any], Program], *, grace_s: float) -> None:
        self._connector = connector
        self._start = start
        self._grace_s = grace_s
        self._answers = Answers()
        self._lock = threading.Lock()
        self._program: Program | None = None
        self._next_start = 0.0

    # ── from other threads ────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Look whether to stop."""
        with self._lock:
            if self._program is not None:
                self._program.wake()

    def send(self, msg: OutgoingMessage, timeout_s: float) -> Receipt:
        """Give an outgoing to the program and wait for its answer. Raises what the program says, and RetryLater."""
        key = msg.idempotency_key or msg.id
        with self._lock:
            if self._program is None or self._connector.wait(0):
                left_s = max(0.2, self._next_start - time.monotonic())
                raise RetryLater("the program is not running", after_s=left_s)
            self._answers.expect(key)
            if not self._program.write(send_line(msg)):
                self._answers.tell(key, RetryLater("the program reads no more", after_s=1.0))
        return self._answers.wait(key, timeout_s)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def loop(self) -> None:
        """Until stopped. Raises AuthError and ConfigError, when the program ends with their exit codes."""
        ends = 0
        while not self._connector.wait(0):
            began = time.monotonic()
            try:
                self._connector.run_once()
                continue
            except FOR_A_PERSON:
                raise
            except (Ended, RetryLater, OSError) as error:
                if self._connector.wait(0):
                    return
                ends = 1 if time.monotonic() - began >= _WELL_S else ends + 1
                self._wait(error, ends)

    def _wait(self, error: Exception, ends: int) -> None:
        asked = error.after_s if isinstance(error, RetryLater) else None
        wait_s = max(_LEAST_WAIT_S, _BACKOFF.wait_s(ends) if asked is None else asked)
        self._next_start = time.monotonic() + wait_s
        self._connector.report_state("reconnecting", f"{error}; it is started again in {wait_s:.1f} s")
        if ends == _ALERT_ENDS:
            self._connector.report_stall(f"{error}, {ends} times in a row")
        self._connector.wait(wait_s)

    def live(self, checkpoint: Any) -> None:
        """One life of the program. Returns when a stop has ended it; else raises how it ended."""
        with self._start(checkpoint) as program:
            with self._lock:
                self._program = program
            try:
                self._connector.show_program(program.pid)
                self._connector.report_state("connected")
                self._listen(program)
            finally:
                with self._lock:
                    self._program = None
                self._answers.tell_all(RetryLater("the program ended before it answered", ambiguous=True))
        if not self._connector.wait(0):
            raise end_of(self._connector.program, program.code, program.tail)

    def _listen(self, program: Program) -> None:
        stopped_at: float | None = None
        mute_since: float | None = None
        told = False
        while not program.over:
            stopping = self._connector.wait(0)
            turn_s = _TURN_S if mute_since is None or told else _MUTE_S
            self._take(program, program.turn(_STOPPING_TURN_S if stopping else turn_s))
            if program.is_mute and not told and not stopping:
                mute_since = mute_since or time.monotonic()
                if told := time.monotonic() - mute_since >= _MUTE_S:
                    self._tell_that_it_is_mute()
            if stopping:
                stopped_at = stopped_at or time.monotonic()
                self._end(program, time.monotonic() - stopped_at)
            else:
                self._check_that_it_reads(program)

    def _end(self, program: Program, since_s: float) -> None:
        """First its input ends, then it is asked to end, then it has to."""
        if self._answers.waiting and since_s < _ANSWER_S:
            return
        program.close_input()
        program.terminate()
        if since_s > _ANSWER_S * self._answers.waiting + self._grace_s:
            program.kill()

    def _tell_that_it_is_mute(self) -> None:
        text = f"{self._connector.program} runs on, but has closed its stdout: nothing can come from it until it ends"
        self._connector.report_state("failing", text)

    def _check_that_it_reads(self, program: Program) -> None:
        waiting, for_s = program.unread()
        if waiting > _MOST_UNREAD and for_s > _UNREAD_S:
            program.kill()
            raise Ended(f"{self._connector.program} has read nothing for {for_s:.0f} s, and {waiting:,} bytes wait")

    # ── its lines ─────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, program: Program, lines: Sequence[bytes | TooLong]) -> None:
        """Make a turn's events durable, then say so."""
        events: list[EventLine] = []
        for raw in lines:
            try:
                line = self._connector.reader.read(raw)
            except BadLine as error:
                self._connector.refuse(raw, str(error))
                if error.ack is not None:
                    program.write(ack_line(error.ack, str(error)))
                continue
            if isinstance(line, EventLine):
                events.append(line)
            elif isinstance(line, CheckpointLine):
                self._write(program, events, line)
                events = []
            elif isinstance(line, AnswerLine):
                if not self._answers.tell(line.key, line.outcome):
                    self._connector.logger.warning("an answer for nobody: %s", line.key)
            else:
                self._show(line)
        if events:
            self._write(program, events)

    def _write(self, program: Program, events: Sequence[EventLine], then: CheckpointLine | None = None) -> None:
        write(self._connector, events, self._connector.attachable, KEEP if then is None else then.value)
        tokens = [*(line.ack for line in events), None if then is None else then.ack]
        for token in tokens:
            if token is not None:
                program.write(ack_line(token))

    def _show(self, line: StateLine) -> None:
        self._connector.report_state(line.state, line.note)
