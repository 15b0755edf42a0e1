"""A fake Slack that hurries, and slack-sdk's own clients, unchanged, against it."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    """Redelivers soon, but waits long enough for an acknowledgement that none is late by accident."""
    with FakeSlack(retry_waits_s=(0.0, 0.05, 0.05)) as fake:
        yield fake


@pytest.fixture
def web(fake: FakeSlack) -> WebClient:
    """The client, with none of its own retries."""
    return WebClient(fake.bot_token, base_url=fake.api_url, retry_handlers=[], timeout=10)


class App:
    """A Socket Mode app that keeps what it got; it acknowledges while `acknowledges` says so."""

    def __init__(self, fake: FakeSlack, *, ping_interval_s: float = 60) -> None:
        self._fake = fake
        self.requests: list[SocketModeRequest] = []
        self.answered: list[str] = []
        self.acknowledges: Callable[[SocketModeRequest], Any] = lambda request: True
        self._lock = threading.Lock()
        self.client = SocketModeClient(
            app_token=fake.app_token,
            web_client=WebClient(base_url=fake.api_url),
            ping_interval=ping_interval_s,
        )
        self.client.socket_mode_request_listeners.append(self._got)
        self.client.connect()

    def _got(self, client: Any, request: SocketModeRequest) -> None:
        with self._lock:
            self.requests.append(request)
        answer = self.acknowledges(request)
        if answer:
            payload = answer if isinstance(answer, dict) else None
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
            self.answered.append(request.envelope_id)

    def close(self) -> None:
        """The client alone waits seconds for its read and its queue, and for ever when it was just reconnecting."""
        self.client.auto_reconnect_enabled = self.client.default_auto_reconnect_enabled = False
        self.client.closed = True
        self.client.enqueue_message("")
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        wait_for(lambda: self._ended(closing), deadline_s=20)
        with warnings.catch_warnings():
            # The client forgets to close the socket of a connection that it could not finish.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def _ended(self, closing: threading.Thread) -> bool:
        self.client.current_session_state.terminated = True
        self._fake.abort()
        return not closing.is_alive()

    def _close(self) -> None:
        try:
            self.client.close()
        except AttributeError:  # another of its threads had closed the same socket in the meantime
            self.client.close()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of this type that came."""
        with self._lock:
            found = [r.payload.get("event", {}) for r in self.requests if r.type == "events_api"]
        return [event for event in found if event.get("type") == kind]

    def texts(self) -> list[str]:
        """The texts of the message events."""
        return [str(event.get("text", "")) for event in self.of("message")]


@pytest.fixture
def connect(fake: FakeSlack) -> Iterator[Callable[..., App]]:
    """Start an app and wait for its hello; all are closed at the end."""
    apps: list[App] = []

    def start(**how: Any) -> App:
        there = len(fake.sockets)
        apps.append(App(fake, **how))
        fake.wait_connected(there + 1)
        return apps[-1]

    yield start
    for app in apps:
        app.close()


@pytest.fixture
def app(connect: Callable[..., App]) -> App:
    """One connected app."""
    return connect()


def refused(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The answer of a call that Slack refuses."""
    with pytest.raises(SlackApiError) as error:
        call(**arguments)
    answer: dict[str, Any] = error.value.response.data
    return answer
