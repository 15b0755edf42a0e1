"""A program that is run once: by schedule, for all that is new, or for one outgoing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.command.ends import Ended, end_of, outcome_of
from connectors.command.lines import TooLong
from connectors.command.program import Program
from connectors.command.protocol import AnswerLine, BadLine, CheckpointLine, EventLine, StateLine, send_line
from connectors.command.writing import write
from connectors.parts.checking import BadBatch
from connectors.parts.emitting import CHUNK_BYTES, CHUNK_EVENTS, KEEP

if TYPE_CHECKING:
    from connectors.command.connector import CommandConnector

_TURN_S = 1.0
#: After a stop the program is asked to end, and after this time it has to: a run that is cut off comes again.
_STOP_S = 0.5


class Batch:
    """What a run has printed and is not durable yet."""

    def __init__(self, connector: CommandConnector) -> None:
        self._connector = connector
        self._events: list[EventLine] = []
        self._problems: list[str] = []
        self._size = 0
        self._number = 0
        self._checkpoint: Any = KEEP

    def add(self, raw: bytes | TooLong) -> None:
        """Raises BadBatch when there is enough for a write, and something is wrong with it."""
        self._number += 1
        try:
            line = self._connector.reader.read(raw)
            if isinstance(line, AnswerLine):
                raise BadLine("is an answer, and nothing was asked")
        except BadLine as error:
            self._connector.keep_refused(raw, str(error))
            self._problems.append(f"line {self._number} {error}")
            return
        if isinstance(line, EventLine):
            self._events.append(line)
            self._size += len(raw) if isinstance(raw, bytes) else 0
            if len(self._events) >= CHUNK_EVENTS or self._size > CHUNK_BYTES:
                self.write()
        elif isinstance(line, CheckpointLine):
            self._checkpoint = line.value
        elif isinstance(line, StateLine):
            self._connector.logger.info("%s: %s", line.state, line.note or "")

    def write(self, *, whole: bool = False) -> None:
        """Make it durable, and with a `whole` run how far it is. Raises BadBatch: then nothing was written."""
        if self._problems:
            raise BadBatch(self._problems)
        write(self._connector, self._events, self._connector.attachable, self._checkpoint if whole else KEEP)
        self._events, self._size = [], 0


def poll(connector: CommandConnector, program: Program, limit_s: float) -> None:
    """Everything that a run prints. Its last checkpoint counts once the run has ended well.

    Raises BadBatch, which names every bad line: of what was read since the last write nothing is written then, and
    nothing that follows. Raises how the program ended, when that was not well; what it had printed is durable.
    """
    batch = Batch(connector)
    for raw in _lines(connector, program, limit_s):
        batch.add(raw)
    error = end_of(connector.program, program.code, program.tail) if program.code else None
    batch.write(whole=error is None)
    if error is not None:
        raise error


def _lines(connector: CommandConnector, program: Program, limit_s: float) -> Iterator[bytes | TooLong]:
    program.close_input()
    end = time.monotonic() + limit_s
    stopped_at: float | None = None
    while not program.over:
        yield from program.turn(_TURN_S if stopped_at is None else 0.05)
        now = time.monotonic()
        if stopped_at is None and connector.wait(0):
            stopped_at = now
            program.terminate()
        if stopped_at is not None and now - stopped_at > _STOP_S:
            program.kill()
        if now >= end:
            program.kill()
            raise Ended(f"{connector.program} did not end within {limit_s:g} s", hint="raise run_limit_s")
    if stopped_at is not None:
        raise RetryLater("stopped")


def send(connector: CommandConnector, program: Program, msg: OutgoingMessage, limit_s: float) -> Receipt:
    """What the program says became of the outgoing: by its last answer, else by its exit code. Raises that."""
    program.write(send_line(msg))
    program.close_input()
    end = time.monotonic() + limit_s
    told: Receipt | ConnectorError | None = None
    while not program.over:
        for raw in program.turn(min(_TURN_S, max(0.0, end - time.monotonic()))):
            told = _answer(connector, raw) or told
        if time.monotonic() >= end:
            program.kill()
            raise RetryLater(f"{connector.send_program} did not end within {limit_s:g} s", ambiguous=True)
    outcome = told or outcome_of(connector.send_program, program.code, program.tail) or Receipt()
    if isinstance(outcome, Receipt):
        return outcome
    raise outcome


def _answer(connector: CommandConnector, raw: bytes | TooLong) -> Receipt | ConnectorError | None:
    """None: something else, which may stand in the log."""
    try:
        line = connector.reader.read(raw)
    except BadLine as error:
        connector.logger.info("%s: a line that is no answer: %s", connector.send_program, error)
        return None
    if isinstance(line, AnswerLine):
        return line.outcome
    connector.logger.warning("%s: a line that is no answer, but an event or the like", connector.send_program)
    return None
