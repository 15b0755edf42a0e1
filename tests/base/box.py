"""One instance's two directions put together by hand: the test moves the clocks and scripts the platform."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.base.delivery import Delivery
from connectors.base.ends import Ends
from connectors.base.home import Home, Modes
from connectors.base.intake import Intake
from connectors.base.message import Attachment, ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Sender
from connectors.base.outbox import Outbox
from connectors.base.sending import Sending
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.store import Store

NAME = "fake-main"
#: Room is no matter for most tests, and the machine's disk may be nearly full.
NO_LIMITS = Limits(min_free_bytes=0)


class Clocks:
    """A wall clock and a monotonic clock. `tick` moves both; `wall` alone may step back."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.mono = 5_000.0

    def tick(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


#: Those that the test in hand opened; a fixture closes them.
opened: list[Box] = []


class Box:
    """`sent` is what the platform got. `answer` is called in `send_message`: it returns its value, or raises."""

    def __init__(
        self,
        root: Path,
        *,
        answer: Callable[[OutgoingMessage], object] = lambda message: True,
        policy: DeliveryPolicy | None = None,
        limits: Limits = NO_LIMITS,
        idempotent: bool = False,
        actions: frozenset[str] = frozenset({"send"}),
        split: Callable[[OutgoingMessage], list[str]] = lambda message: [message.text],
        parallel: int = 1,
        files: Callable[[OutgoingMessage], list[list[Attachment]]] = lambda message: [list(message.attachments)],
        pace: Callable[[OutgoingMessage], float] | None = None,
        clocks: Clocks | None = None,
        modes: Modes | None = None,
        name: str = NAME,
        redact: Callable[[Any], Any] = lambda data: data,
    ) -> None:
        self.home = Home(root, modes)
        self.name = name
        self.answer = answer
        self.policy = policy or DeliveryPolicy()
        self.limits = limits
        self.clocks = clocks or Clocks()
        self.sent: list[OutgoingMessage] = []
        self.fatal: list[Exception] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.pressure: list[str | None] = []
        self._redact = redact
        self._sending = Sending(self._send, split, idempotent, actions, parallel, files, pace)
        home = self.home
        home.make_common()
        home.make(home.outbox(name), home.sent(name), home.staging(name), home.sending(name))
        self.outbox_folder = home.outbox(name)
        self.sending_folder = home.sending(name)
        self.open()
        opened.append(self)

    def _send(self, message: OutgoingMessage) -> object:
        self.sent.append(message)
        return self.answer(message)

    def open(self) -> None:
        """Start as a new process would: recover both directions."""
        logger = logging.getLogger(f"connector.{self.name}")
        self.stop = threading.Event()
        self.store = Store.open(self.home, self.name, clock=lambda: self.clocks.wall)
        self.intake = Intake(
            self.home,
            self.name,
            self.store,
            limits=self.limits,
            stop=self.stop,
            on_pressure=self.pressure.append,
            clock=lambda: self.clocks.wall,
            logger=logger,
        )
        self.intake.recover()
        self.held = [held.message for held in self.intake.held()]
        self.outbox = Outbox(
            self.home,
            self.name,
            self.store,
            quiet_s=self.policy.quiet_s,
            max_bytes=self.limits.message_max_bytes,
            clock=lambda: self.clocks.wall,
            monotonic=lambda: self.clocks.mono,
            logger=logger,
        )
        self.ends = Ends(self.home, self.name, "fake", self.store, self.intake, redact=self._redact, logger=logger)
        self.delivery = Delivery(
            self.home,
            self.name,
            self.store,
            self.outbox,
            self.ends,
            self._sending,
            policy=self.policy,
            limits=self.limits,
            stop=self.stop,
            on_fatal=self.fatal.append,
            on_event=lambda what, **fields: self.said.append((what, fields)),
            clock=lambda: self.clocks.wall,
            monotonic=lambda: self.clocks.mono,
            logger=logger,
        )
        self.delivery.recover()

    def close(self) -> None:
        self.stop.set()
        self.store.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def drop(self, name: str | bytes, content: object) -> Path:
        """Write a file into the outbox as a careless writer does: in place."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path = self.outbox_folder / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
        path.write_bytes(data)
        return path

    def drop_later(self, name: str, content: object) -> Path:
        """As `drop`, with a ctime that is later than that of all the others (the kernel's clock ticks every few ms)."""
        latest = max((p.stat().st_ctime_ns for p in self.outbox_folder.iterdir()), default=0)
        path = self.drop(name, content)
        while path.stat().st_ctime_ns <= latest:
            path.unlink()
            path = self.drop(name, content)
        return path

    def deliver(self) -> int:
        return self.delivery.deliver_ready()

    def texts(self) -> list[str]:
        return [message.text for message in self.sent]

    def receipts(self) -> dict[str, dict[str, Any]]:
        return _records(self.home.sent(self.name))

    def dead(self) -> dict[str, dict[str, Any]]:
        """{name of the dead letter: its reason}. Every file in failed/ must have one, and every reason its file."""
        names = {path.name for path in self.home.failed.iterdir()}
        reasons = {name.removesuffix(".reason.json") for name in names if f"{name}.reason.json" not in names}
        letters = {name for name in names if f"{name}.reason.json" in names}
        assert reasons <= letters, f"reasons without a file: {reasons - letters}"
        assert names == letters | {f"{name}.reason.json" for name in letters}, names
        return {name: json.loads((self.home.failed / f"{name}.reason.json").read_bytes()) for name in letters}

    def waiting(self) -> list[str]:
        """What is not ended yet: in the outbox, or claimed."""
        return sorted(p.name for folder in (self.outbox_folder, self.sending_folder) for p in folder.iterdir())

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The inbox, in the order of its names."""
        found = [record for _, record in sorted(_records(self.home.inbox).items())]
        return [e for e in found if kind is None or e.get("kind", "message") == kind]


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_bytes()) for path in folder.iterdir()}


def event(event_id: str, text: str = "hi", *, conversation: str = "C1", instance: str = NAME, **fields: Any) -> Message:
    return Message(
        id=event_id,
        connector=ConnectorInfo(type="fake", instance=instance),
        sender=Sender(id="U1"),
        content=Content(text=text),
        conversation=Conversation(id=conversation, thread_id=fields.pop("thread_id", None)),
        **fields,
    )
