"""Connectors with one fault each. `test_kit.py` runs the tests that must notice; pytest does not collect this file."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.declaration import Capabilities
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import Message, OutgoingMessage, Receipt
from connectors.base.options import option
from connectors.testing import ConnectorContract, FakeConnector, FakePlatform
from connectors.testing.fake import FakeOptions, normalise
from tests.testing.faulty_sdk import SdkConnector


class Contract(ConnectorContract):
    """Against the fake platform."""

    def platform(self) -> AbstractContextManager[FakePlatform]:
        return FakePlatform()

    def options(self, platform: Any) -> dict[str, Any]:
        return {"url": platform.url if platform else "http://127.0.0.1:9"}


class EagerConnector(FakeConnector):
    """Begins to work when it is constructed."""

    def __init__(self, name: str, seed_home: str | os.PathLike[str], config: dict[str, Any] | None = None) -> None:
        super().__init__(name, seed_home, config)
        threading.Thread(target=self._ended.wait, daemon=True).start()


class FragileConnector(FakeConnector):
    """Cannot be disconnected before it was connected."""

    def disconnect(self) -> None:
        self._client.close()


class FaintConnector(FakeConnector):
    """Takes a platform that is not there for a bug."""

    def connect(self) -> None:
        try:
            super().connect()
        except RetryLater as error:
            raise ConnectionError(str(error)) from error


class FinishedConnector(FakeConnector):
    """Once disconnected, it cannot be connected again."""

    finished = False

    def connect(self) -> None:
        if self.finished:
            raise RuntimeError("this client is closed")
        super().connect()

    def disconnect(self) -> None:
        self.finished = True
        super().disconnect()


class LooseConnector(FakeConnector):
    """Declares its token as a text like any other."""

    class Options(options.Options):
        url: str = option(description="Where the platform is.")
        token: str = option("", description="The token.")


class _Loop(FakeConnector):
    """A receiving loop to spoil."""

    def run_loop(self) -> None:
        while self._running:
            try:
                for event in self._client.updates(0.2):
                    self.handle(event)
            except RetryLater:
                self.wait(0.05)

    def handle(self, event: dict[str, Any]) -> None:
        self.write_to_inbox(normalise(event, self.name))
        self.acknowledge(event)

    def acknowledge(self, event: dict[str, Any]) -> None:
        self._client.call("POST", "/ack", {"ids": [event["id"]]})


class RandomIdConnector(_Loop):
    """Every delivery of an event is a new one."""

    def handle(self, event: dict[str, Any]) -> None:
        self.write_to_inbox(normalise({**event, "id": os.urandom(8).hex()}, self.name))
        self.acknowledge(event)


class HastyConnector(_Loop):
    """Acknowledges what is not durable."""

    def handle(self, event: dict[str, Any]) -> None:
        self.acknowledge(event)
        self.write_to_inbox(normalise(event, self.name))


class DeafConnector(_Loop):
    """Looks at the stop from time to time."""

    def run_loop(self) -> None:
        while self._running:
            time.sleep(60)


class SilentConnector(FakeConnector):
    """Says that all went well."""

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        try:
            return super().send_message(msg)
        except Rejected:
            return Receipt(ids=["none"])


class ImpatientConnector(FakeConnector):
    """Forgets how long the platform wants it to wait, and that an answer was cut off."""

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        try:
            return super().send_message(msg)
        except RetryLater as error:
            raise RetryLater(str(error)) from error


class BoastingConnector(FakeConnector):
    """Declares idempotent sends, and sends no key."""

    capabilities = Capabilities(idempotent_send=True)

    def connect(self) -> None:
        super().connect()
        assert not cast(FakeOptions, self.options).idempotent

    def _sending(self) -> Any:
        return Connector._sending(self)


class DirectConnector(FakeConnector):
    """Writes into the inbox by itself."""

    def write_to_inbox(self, msg: Message) -> Path:
        path = self.inbox / f"{time.time_ns()}.json"
        with path.open("wb") as file:
            data = msg.to_bytes()
            for start in range(0, len(data), 50_000):
                file.write(data[start : start + 50_000])
                file.flush()
                self.wait(0.005)  # as on a slow disk: a reader comes by in the middle
        return path

    def write_all_to_inbox(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None = None) -> list[Path]:
        return [self.write_to_inbox(message) for message in messages]


class RaisingConnector(FakeConnector):
    """Its process_outbox kills a poller thread."""

    def process_outbox(self) -> int:
        return self._open_runtime().delivery.deliver_ready() + int(self._stop.is_set()) // 0


class ThickConnector(FakeConnector):
    """Splits into parts that are too long."""

    def split(self, msg: OutgoingMessage) -> list[str]:
        return [msg.text[: len(msg.text) // 2 + 2000], msg.text[len(msg.text) // 2 + 2000 :]]


class TestEager(Contract):
    connector = EagerConnector


class TestFragile(Contract):
    connector = FragileConnector


class TestFaint(Contract):
    connector = FaintConnector


class TestFinished(Contract):
    connector = FinishedConnector


class TestLoose(Contract):
    connector = LooseConnector


class TestSdk(Contract):
    connector = SdkConnector


class TestRandomId(Contract):
    connector = RandomIdConnector


class TestHasty(Contract):
    connector = HastyConnector


class TestDeaf(Contract):
    connector = DeafConnector


class TestSilent(Contract):
    connector = SilentConnector


class TestImpatient(Contract):
    connector = ImpatientConnector


class TestBoasting(Contract):
    connector = BoastingConnector


class TestDirect(Contract):
    connector = DirectConnector


class TestRaising(Contract):
    connector = RaisingConnector


class TestThick(Contract):
    connector = ThickConnector
