"""A source and a target without a platform, for tests of what is between them: real connectors, whole and durable.

source, target = MockSource(seed_home=home), MockTarget(seed_home=home)
source.add_events(create_test_event(text="hello"))
source.sync()                                        # into the inbox, as a poll does it
target.process_outbox()                              # what is in its outbox; then look at target.delivered
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import Message, OutgoingMessage, Receipt
from connectors.parts.polling import Event, PollResult, SourceConnector

_SAID_ELSEWHERE = ("platform", "platform_event", "author", "author_type")


class _Mock:
    """Without a home it has one of its own, which goes when it does. Used without `run()`: `close()` it."""

    def __init__(self, name: str, seed_home: str | os.PathLike[str] | None = None, config: Any = None) -> None:
        self.initialized = False
        self.shutdown_called = False
        if seed_home is None:
            seed_home = tempfile.mkdtemp(prefix="mock-home-")
            weakref.finalize(self, shutil.rmtree, seed_home, ignore_errors=True)
        super().__init__(name=name, seed_home=seed_home, config=config)  # type: ignore[call-arg]  # the next class is a connector

    def connect(self) -> None:
        self.initialized = True

    def disconnect(self) -> None:
        self.shutdown_called = True


class MockSource(_Mock, SourceConnector):
    """Brings the events that were added, all with the next poll."""

    connector_type = "mock-source"
    schedule = "1h"

    def __init__(
        self, name: str = "mock-source", seed_home: str | os.PathLike[str] | None = None, config: Any = None
    ) -> None:
        super().__init__(name, seed_home, config)
        self.total_polls = 0
        self._queue: list[Event] = []

    def add_events(self, *events: Event | Message) -> None:
        """For the next poll. A Message, as `create_test_event` makes it, is told as the record of its id."""
        self._queue += [event if isinstance(event, Event) else _told(event) for event in events]

    def poll(self, checkpoint: Any) -> PollResult:
        """What is queued. The checkpoint counts the polls: `mock-checkpoint-<n>`."""
        self.total_polls += 1
        events, self._queue = self._queue, []
        return PollResult(events, f"mock-checkpoint-{self.total_polls}")


class MockTarget(_Mock, Connector):
    """Remembers what it is asked to send: `received` is every call, `delivered` those that it took."""

    connector_type = "mock-target"

    def __init__(
        self, name: str = "mock-target", seed_home: str | os.PathLike[str] | None = None, config: Any = None
    ) -> None:
        super().__init__(name, seed_home, config)
        self.received: list[OutgoingMessage] = []
        self.delivered: list[OutgoingMessage] = []
        self._reject = self._error = False

    def set_reject(self, value: bool) -> None:
        """Refuse for good, as a platform that says no: a dead letter."""
        self._reject = value

    def set_error(self, value: bool) -> None:
        """Fail for now, as a platform that is down; wins over `set_reject`."""
        self._error = value

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        self.received.append(msg)
        if self._error:
            raise RetryLater("the target is out of order, says the test")
        if self._reject:
            raise Rejected("the target refuses, says the test")
        self.delivered.append(msg)
        return Receipt(ids=[f"mock-{len(self.delivered)}"])

    def run_loop(self) -> None:
        self.wait()


def _told(message: Message) -> Event:
    event = message.event
    if event is None:
        return Event(message.id, message.content.text, author=message.sender.id)
    about = event.provenance
    return Event(
        event.origin_id or message.id,
        message.content.text,
        type=event.type,
        platform_event=event.platform_event,
        title=event.title,
        occurred_at=event.occurred_at,
        author=about.get("author"),
        author_type=about.get("author_type", "unknown"),
        provenance={name: value for name, value in about.items() if name not in _SAID_ELSEWHERE},
        payload=event.payload,
        trace_id=event.trace_id,
        conversation=message.conversation.id,
    )
