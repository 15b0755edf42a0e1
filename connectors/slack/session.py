"""One socket of Socket Mode: a thread that reads it, and what is sent on it.

https://docs.slack.dev/apis/events-api/using-socket-mode : `hello` first, then envelopes, which are acknowledged by
their envelope_id on the socket that brought them; `disconnect` says that Slack will end it. Liveness is the pong to our
ping (RFC 6455, section 5.5.2): a quiet workspace sends nothing else for days.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from connectors.base.errors import RetryLater
from connectors.slack.websocket import Closed, WebSocket

#: What happened: (session, "hello" | "disconnect" | "ended" | "envelope", the message).
Listener = Callable[["Session", str, Mapping[str, Any]], None]
#: Why a session ended, when Slack said so.
CLOSED = "closed by Slack"
_CLOSE_S = 1.0


class Session:
    """Reads until the stream ends. The listener is called in the reading thread and must not block."""

    def __init__(self, number: int, socket: WebSocket, listener: Listener) -> None:
        self.number = number
        self.greeted = False
        self.leaving_since: float | None = None  # Slack will end it, and another one has taken its place
        self.opened_at = self.pinged_at = time.monotonic()
        self._asked_at: float | None = None  # the first ping that was not answered
        self._socket = socket
        self._listener = listener
        self._closing = False
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"socket-{number}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.pinged_at = time.monotonic()
        if self._asked_at is None:
            self._asked_at = self.pinged_at
        try:
            self._socket.ping(b"%d" % self.number)
        except OSError:
            return  # the reading thread finds out why

    def quiet_s(self) -> float:
        """For how long a ping has been waiting for its pong; 0: none is."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None or self._closing else time.monotonic() - asked_at

    def acknowledge(self, envelope_id: str) -> None:
        """Tell Slack that an envelope was received. Raises RetryLater when it cannot be told: it will come again."""
        try:
            self._socket.send_text(json.dumps({"envelope_id": envelope_id}).encode())
        except OSError as error:
            raise RetryLater(f"the socket is gone: {error}") from error

    def close(self) -> None:
        """End it, so that Slack counts it no longer; safe twice. Does not wait for the other side."""
        if not self._closing:
            self._closing = True
            with contextlib.suppress(OSError):  # it may be gone already
                self._socket.close(_CLOSE_S)
        self._socket.cut()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_S)
        self._socket.free()

    def cut(self) -> None:
        """End it without a word: it is dead."""
        self._closing = True
        self._socket.cut()

    def _read(self) -> None:
        why = ""
        try:
            for data in self._socket.messages():
                if data is None:
                    self._asked_at = None
                else:
                    self._take(_parse(data))
        except Closed:
            why = CLOSED
        except (OSError, ValueError) as error:
            why = str(error)
        self._socket.cut()
        self.ended.set()
        self._listener(self, "ended", {"reason": why})

    def _take(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        if kind == "hello":
            self.greeted = True
        name = str(kind) if kind in ("hello", "disconnect") and "envelope_id" not in message else "envelope"
        self._listener(self, name, message)


def _parse(data: bytes) -> Mapping[str, Any]:
    """A JSON object; of anything else an empty one, which the listener says."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}
