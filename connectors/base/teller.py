"""What one connector says of itself: in its log, in its status file, and to the manager."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from connectors.base import logbook
from connectors.base.errors import AuthError, ConnectorError, Exit, MissingDependency
from connectors.base.message import Message, utc_now
from connectors.base.status import StatusFile

CONNECTED: tuple[str, str | None] = ("connected", None)
#: The state while the platform is waited for at the start.
WAITING = "waiting"


class Teller:
    """`status` is the status file while this process has the instance: other threads may find it gone at any moment.
    `report` tells the manager.
    """

    def __init__(self, logger: logging.Logger, report: Callable[..., None]) -> None:
        self.status: StatusFile | None = None
        self.reported = CONNECTED  #: the state and the note that the connector itself reported last
        self._logger = logger
        self._report = report
        self._stalled: tuple[float, str] | None = None
        self._paused: dict[str, str] = {}  # {"receiving", "sending" …: what is in its way}

    def begin(self, name: str, connector_type: str) -> None:
        """The process has the instance, and is about to connect."""
        self._update(state="connecting", pid=os.getpid(), type=connector_type, note=None, exit_code=None)
        self._logger.info("starting %s (%s)", name, connector_type)

    def connected(self, **backlog: Any) -> None:
        """connect() has returned."""
        self._logger.info("connected")
        if self.reported[0] == WAITING:
            self.reported = CONNECTED
        self._show(connected_at=utc_now(), **backlog)
        self._report("connected")

    def end(self, code: int, *, asked: bool, **backlog: Any) -> None:
        """How the process ended."""
        state = "failed" if code != Exit.OK else "stopped" if asked else "exited"
        self._update(state=state, note=None, pid=None, exit_code=int(code), **backlog)

    def state(self, state: str, note: str | None) -> None:
        """The connector reports one; a line in the log when it is another one."""
        before, self.reported = self.reported, (state, note)
        self._show()
        if self.reported != before:
            level = logging.INFO if state == "connected" else logging.WARNING
            self._logger.log(level, "%s", f"{state}: {note}" if note else state)

    def put_off(self, error: ConnectorError) -> None:
        """The platform is waited for: connect() raised this."""
        text = str(error) or type(error).__name__
        self.state(WAITING, _with_hint(text, error.hint))
        status = self.status
        if status is not None:
            status.error(text, hint=error.hint, kind=type(error).__name__)

    def received(self, messages: list[Message], duplicates: int) -> None:
        status = self.status
        if status is not None and messages:
            status.count("received", len(messages), last_received=utc_now())
        if status is not None and duplicates:
            status.count("duplicates", duplicates, last_received=utc_now())
        for message in messages:
            self._logger.info("received %s %s from %s", message.kind, message.id, message.sender.id)

    def event(self, what: str, **fields: Any) -> None:
        """What the engine did."""
        status = self.status
        if status is None:
            return
        if what == "pressure":
            paused = {**self._paused, fields["of"]: fields["error"]}
            self._paused = {of: reason for of, reason in paused.items() if reason}
            self._show()
        elif what == "sent":
            status.count("sent", last_sent=utc_now())
            where = logbook.visible(fields["conversation"])
            self._logger.info("sent %s to %s", logbook.visible(fields["file"]), where)
        elif what == "failed":
            status.count("failed")
            status.error(fields["error"], hint=fields["hint"], kind=fields["kind"])
            self._report("dead_letter", text=f"{fields['file']}: {fields['error']}")
        elif what == "retried":
            status.count("retried")
            status.error(fields["error"], kind="retry")

    def stall(self, text: str) -> None:
        self._logger.warning("stalled: %s", text)
        status = self.status
        if status is not None:
            status.error(text, kind="stall")
        self._report("stall", text=text)

    def long_send(self, longest: tuple[float, str] | None, limit_s: float) -> None:
        """Say once of each call of send_message that it takes longer than that."""
        if longest is not None and longest != self._stalled and time.monotonic() - longest[0] > limit_s:
            self._stalled = longest
            self.stall(f"send_message has been busy with {longest[1]} for more than {limit_s:g} s")

    def explain(self, error: BaseException, name: str) -> int:
        """Log and record an error that ends the process; returns its exit code."""
        if isinstance(error, ImportError) and not isinstance(error, ConnectorError):
            error = MissingDependency(str(error))
        hint = error.hint if isinstance(error, ConnectorError) else ""
        if isinstance(error, PermissionError):
            hint = "the connectors' user needs this file or folder: see connectors doctor"
        code = error.exit_code if isinstance(error, ConnectorError) else Exit.CRASH
        text = str(error) or type(error).__name__
        if isinstance(error, ConnectorError):
            self._logger.error("%s", _with_hint(text, hint))
        else:
            self._logger.error("%s ended by %s", name, text, exc_info=error)
        status = self.status
        if status is not None:
            status.error(text, hint=hint, kind=type(error).__name__)
        event, kind = "auth" if isinstance(error, AuthError) else "error", type(error).__name__
        self._report(event, **{"text": text, "hint": hint, "class": kind})
        return int(code)

    def _show(self, **fields: Any) -> None:
        """The state that was reported; while something is paused, that."""
        state, note = self.reported
        if self._paused:
            state, note = "backpressure", _in_words(self._paused)
        self._update(state=state, note=note, **fields)

    def _update(self, **fields: Any) -> None:
        status = self.status
        if status is not None:
            status.update(**fields)


def _with_hint(text: str, hint: str) -> str:
    return f"{text}: {hint}" if hint and hint not in text else text


def _in_words(paused: dict[str, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for of, reason in paused.items():
        reasons.setdefault(reason, []).append(of)
    return "; ".join(f"{', '.join(of)} paused: {reason}" for reason, of in reasons.items())
