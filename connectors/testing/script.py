"""A connector class whose sends end as a test wants, whatever its platform is.

outcome             what send_message does
own                 what the class does
own+kill            the same, and then the process dies by SIGKILL before it can say so
true  false         returns it
receipt:ID          returns a Receipt with that id
none  text  number  returns something that is none of these
retry[:TEXT]        raises RetryLater
retry_after:SECONDS raises RetryLater with the platform's wait
cut[:TEXT]          raises RetryLater, ambiguous
rejected[:TEXT]  auth[:TEXT]  config[:TEXT]  bug[:TEXT]
kill                the process dies by SIGKILL
hang                does not return before the stop

receive             what connect and run_loop do
own                 what the class does
block               nothing is connected; blocks until the stop
deaf                blocks, and does not notice the stop
return              ends at once, cleanly
auth[:TEXT]  config[:TEXT]  bug[:TEXT]     run_loop raises
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import AuthError, ConfigError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt

_RETURNED: dict[str, Any] = {"true": True, "false": False, "none": None, "text": "sent", "number": 1}
_RAISED: dict[str, Callable[[str], Exception]] = {
    "retry": RetryLater,
    "retry_after": lambda text: RetryLater("wait", after_s=float(text)),
    "cut": lambda text: RetryLater(text, ambiguous=True),
    "rejected": Rejected,
    "auth": AuthError,
    "config": ConfigError,
    "bug": RuntimeError,
}


class Script:
    """What happens at each call of send_message: one outcome a call, the last one for all that follow."""

    def __init__(self, outcomes: Sequence[str], journal: Path | None) -> None:
        self.calls: list[OutgoingMessage] = []  #: what send_message was called with, in order
        self.most_at_once = 0  #: how many threads were in send_message at the same time
        self._outcomes = list(outcomes)
        self._journal = journal
        self._lock = threading.Lock()
        self._inside = 0

    def send(self, connector: Connector, own: Callable[[OutgoingMessage], Any], msg: OutgoingMessage) -> Any:
        """One call of send_message."""
        with self._lock:
            outcome = self._outcomes[min(len(self.calls), len(self._outcomes) - 1)]
            self.calls.append(msg)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        try:
            self._note(outcome, msg)
            return self._end(outcome, connector, own, msg)
        finally:
            with self._lock:
                self._inside -= 1

    def _end(
        self, outcome: str, connector: Connector, own: Callable[[OutgoingMessage], Any], msg: OutgoingMessage
    ) -> Any:
        word, _, text = outcome.partition(":")
        if word in _RETURNED:
            return _RETURNED[word]
        if word in _RAISED:
            raise _RAISED[word](text or f"{word}, says the script")
        if word == "slow":
            connector.wait(float(text))
            return True
        if word == "receipt":
            return Receipt(ids=[text])
        if word in ("own", "own+kill"):
            answer = own(msg)
            if word == "own+kill":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        if word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":
            connector.wait()
            return False
        raise ValueError(f"no such outcome: {outcome}")

    def _note(self, outcome: str, msg: OutgoingMessage) -> None:
        if self._journal is None:
            return
        entry = {"outcome": outcome, "pid": os.getpid(), "id": msg.id, "text": msg.text, "to": msg.conversation_id}
        fd = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(fd)


def scripted(
    cls: type[Connector], *outcomes: str, receive: str = "block", journal: Path | None = None
) -> type[Connector]:
    """A subclass of `cls` that does what the module's text lists. Its `script` knows what was called.

    `journal`: a file that gets one JSON line a call, for processes that do not live to tell.
    """
    parts = (_Sending,) if receive == "own" else (_Receiving, _Sending)
    attributes = {"script": Script(outcomes or ("own",), journal), "receive": receive, "__doc__": cls.__doc__}
    return type(f"Scripted{cls.__name__}", (*parts, cls), attributes)


class _Sending:
    script: Script

    def send_message(self, msg: OutgoingMessage) -> Any:
        return self.script.send(self, super().send_message, msg)  # type: ignore[arg-type, misc]


class _Receiving:
    receive: str

    def connect(self) -> None:
        """Nothing is reached."""

    def disconnect(self) -> None:
        """Nothing was reached."""

    def run_loop(self) -> None:
        word, _, text = self.receive.partition(":")
        if word == "deaf":
            threading.Event().wait()
        if word in _RAISED:
            raise _RAISED[word](text or f"{word}, says the script")
        if word == "block":
            self.wait()  # type: ignore[attr-defined]
