"""The seed document "Writing Custom Connectors" to the letter, and the names that users of its origin know."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.base.connector import Connector
from connectors.base.manager import CONNECTOR_REGISTRY, ConnectorManager
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.cli.connector import CLIConnector
from connectors.testing import ConnectorContract
from tests.helpers import wait_for

#: The document's example with its own poller thread. Only its platform is filled in: events and sends are files.
EXAMPLE = '''
from connectors.base.connector import Connector
from connectors.base.message import (
    ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Sender,
)

class Client:
    def __init__(self, folder):
        import threading
        self._folder = folder
        self._never = threading.Event()

    def wait_for_event(self):
        while True:
            for path in sorted(self._folder.glob("*.event")):
                text = path.read_text()
                path.unlink()
                return type("Event", (), {"text": text})
            self._never.wait(0.02)

    def send(self, text):
        with open(self._folder / "sent", "a") as file:
            file.write(text + "\\n")

class MyPlatformConnector(Connector):
    connector_type = "myplatform"  # Must be set

    def connect(self) -> None:
        """Authenticate with the platform."""
        self._token = self.get_config("token", env_key="MYPLATFORM_TOKEN")
        self._client = Client(self.seed_home)

    def disconnect(self) -> None:
        """Clean up on shutdown."""
        pass

    def send_message(self, msg: OutgoingMessage) -> bool:
        """Send a message to the platform. Return True on success."""
        self._client.send(f"{msg.conversation_id} {msg.text} {msg.thread_id}")
        return True

    def run_loop(self) -> None:
        """Main event loop. Must block. Check self._running for shutdown."""
        import threading, time

        # Start outbox poller in background
        def poll():
            while self._running:
                self.process_outbox()
                time.sleep(2)
        threading.Thread(target=poll, daemon=True).start()

        # Your platform-specific event loop
        while self._running:
            event = self._client.wait_for_event()  # Your platform SDK

            msg = Message(
                connector=ConnectorInfo(type="myplatform", instance=self.name),
                sender=Sender(id="...", username="...", display_name="..."),
                content=Content(text=event.text),
                conversation=Conversation(id="...", type="channel", name="..."),
            )
            self.write_to_inbox(msg)  # Base class handles the rest

if __name__ == "__main__":
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="myplatform-main")
    args = parser.parse_args()

    connector = MyPlatformConnector(name=args.name, seed_home=args.seed_home)
    connector.run()
'''


def write_example(home: Path) -> Path:
    """As step 1 of the document: connectors/myplatform/{__init__,connector}.py."""
    folder = home / "connectors" / "myplatform"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "connector.py").write_text(EXAMPLE)
    return folder / "connector.py"


class TestExample:
    """The document's example, run as it shows."""

    def start(self, home: Path) -> subprocess.Popen[bytes]:
        program = [sys.executable, str(home / "connectors/myplatform/connector.py")]
        return subprocess.Popen([*program, "--seed-home", str(home), "--name", "myplatform-main"])

    def test_it_receives_and_sends_each_thing_once(self, home: Path) -> None:
        write_example(home)
        process = self.start(home)
        try:
            (home / "1.event").write_text("hello")
            [path] = wait_for(lambda: list(home.glob("messages/inbox/*.json")))
            assert json.loads(path.read_bytes())["content"]["text"] == "hello"
            outbox = home / "messages" / "outbox" / "myplatform-main"
            for n in range(20):
                message = OutgoingMessage(
                    connector_instance="myplatform-main", conversation_id=f"C{n % 3}", text=str(n)
                )
                message.write_to(outbox)
            sent = home / "messages" / "sent" / "myplatform-main"
            wait_for(lambda: len(list(sent.glob("*.json"))) == 20)
        finally:
            process.kill()
            process.wait()
        lines = (home / "sent").read_text().splitlines()
        assert sorted(lines) == sorted(f"C{n % 3} {n} None" for n in range(20))

    def test_sigterm_ends_it_within_10_s_though_its_loop_waits_for_ever(self, home: Path) -> None:
        write_example(home)
        process = self.start(home)
        try:
            wait_for((home / "state" / "myplatform-main" / "status.json").exists)
            wait_for(lambda: "connected" in (home / "state" / "myplatform-main" / "status.json").read_text())
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()

    def test_it_is_found_by_its_folder_and_can_be_registered(self, home: Path) -> None:
        write_example(home)
        manager = ConnectorManager(home)
        assert manager._load_connector_class("myplatform").__name__ == "MyPlatformConnector"
        assert manager._load_connector_class("connectors.myplatform.connector").connector_type == "myplatform"
        CONNECTOR_REGISTRY["mine"] = "connectors.myplatform.connector"
        try:
            assert manager._load_connector_class("mine").connector_type == "myplatform"
        finally:
            del CONNECTOR_REGISTRY["mine"]

    def test_a_message_prints_as_the_document_tests_it(self) -> None:
        msg = Message(
            connector=ConnectorInfo(type="myplatform", instance="test"),
            sender=Sender(id="u1", username="test"),
            content=Content(text="hello"),
            conversation=Conversation(id="c1", type="dm"),
        )
        data = json.loads(msg.to_json())
        assert data == msg.to_dict()
        assert set(data) == {
            *("version", "id", "timestamp", "connector", "sender", "content", "conversation", "metadata"),
        }
        assert data["sender"] == {"id": "u1", "username": "test", "display_name": ""}
        assert data["content"] == {"text": "hello", "media_type": "text", "attachments": []}
        assert data["conversation"] == {"id": "c1", "type": "dm", "name": "", "thread_id": None}
        assert Message.from_json(msg.to_json()) == Message.from_dict(data) == msg


class SeedConnector(Connector):
    """A connector of the seed's time: no Options, no capabilities, a plain bool."""

    connector_type = "seed"

    def connect(self) -> None:
        self.texts: list[str] = []
        self.answer = True

    def disconnect(self) -> None:
        pass

    def send_message(self, msg: OutgoingMessage) -> bool:
        self.texts.append(msg.text)
        return self.answer

    def run_loop(self) -> None:
        pass


@pytest.fixture
def seed(home: Path) -> Any:
    connector = SeedConnector(name="s", seed_home=str(home))
    connector.connect()
    yield connector
    connector.close()


def drop(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(json.dumps({"connector_instance": "s", "conversation_id": "C", "text": text}))


class TestHelpers:
    """The table "Helper Methods", each used as its users use it: without run()."""

    def test_the_folders_and_the_config_have_their_names(self, home: Path) -> None:
        connector = SeedConnector(name="s", seed_home=home, config={"token": "x", "anything": 1})
        assert connector.inbox == home / "messages" / "inbox"
        assert connector.outbox == home / "messages" / "outbox" / "s"
        assert connector.failed == home / "messages" / "failed"
        assert connector.log_dir == home / "logs"
        assert all(folder.is_dir() for folder in (connector.inbox, connector.outbox, connector.failed))
        assert connector.config == {"token": "x", "anything": 1}
        assert connector.logger.name.endswith("s")
        assert connector._running is True

    def test_poll_outbox_returns_and_deletes(self, seed: SeedConnector) -> None:
        drop(seed.outbox, "a.json", "one")
        drop(seed.outbox, "b.json", "two")
        assert [message.text for message in seed.poll_outbox()] == ["one", "two"]
        assert list(seed.outbox.iterdir()) == []
        assert seed.poll_outbox() == []
        receipts = [Receipt.from_file(path) for path in (seed.seed_home / "messages/sent/s").iterdir()]
        assert [receipt.handed_over for receipt in receipts] == [True, True]

    def test_poll_outbox_moves_a_bad_file_to_failed_at_once(self, seed: SeedConnector) -> None:
        (seed.outbox / "bad.json").write_text("not json at all")
        drop(seed.outbox, "good.json", "good")
        assert [message.text for message in seed.poll_outbox()] == ["good"]
        assert (seed.failed / "bad.json").read_text() == "not json at all"
        assert (seed.failed / "bad.json.reason.json").exists()

    def test_process_outbox_sends_what_is_there(self, seed: SeedConnector) -> None:
        drop(seed.outbox, "a.json", "one")
        seed.process_outbox()
        assert seed.texts == ["one"]
        assert list(seed.outbox.iterdir()) == []

    def test_process_outbox_keeps_what_returned_false(self, seed: SeedConnector) -> None:
        seed.answer = False
        drop(seed.outbox, "a.json", "one")
        seed.process_outbox()
        seed.answer = True
        wait_for(lambda: seed.process_outbox() or len(seed.texts) > 1)
        assert seed.texts == ["one", "one"]

    def test_write_to_inbox_returns_the_path(self, seed: SeedConnector) -> None:
        msg = Message(
            connector=ConnectorInfo(type="seed", instance="s"),
            sender=Sender(id="u"),
            content=Content(text="x"),
            conversation=Conversation(id="c"),
        )
        path = seed.write_to_inbox(msg)
        assert path.parent == seed.inbox
        assert Message.from_file(path).content.text == "x"

    def test_get_config_expands_at_the_time_of_the_call(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        connector = SeedConnector(name="s", seed_home=home, config={"token": "${SEED_TOKEN}", "plain": 5})
        assert connector.get_config("token") is None
        assert connector.get_config("token", "a default") == "a default"
        monkeypatch.setenv("SEED_TOKEN", "t-1")
        assert connector.get_config("token") == "t-1"
        monkeypatch.setenv("SEED_TOKEN", "t-2")
        assert connector.get_config("token") == "t-2"
        assert connector.get_config("plain") == 5
        assert connector.get_config("missing", "d") == "d"
        assert connector.get_config("missing", env_key="SEED_TOKEN") == "t-2"
        assert connector.get_config("missing", "d", "NO_SUCH_VARIABLE") == "d"

    def test_run_returns_normally_after_a_clean_run_loop(self, home: Path) -> None:
        connector = SeedConnector(name="s", seed_home=home)
        connector.run()
        connector.run()
        assert threading.active_count() < 20

    def test_poll_outbox_stops_the_base_from_delivering(self, home: Path) -> None:
        class Polling(SeedConnector):
            def run_loop(self) -> None:
                self.handed = self.poll_outbox()
                drop(self.outbox, "a.json", "mine")
                for _ in range(1000):
                    self.handed += self.poll_outbox()
                    if self.handed:
                        break

        connector = Polling(name="s", seed_home=home)
        connector.run()
        assert [message.text for message in connector.handed] == ["mine"]
        assert connector.texts == []

    def test_an_overridden_process_outbox_is_the_only_one_that_delivers(self, home: Path) -> None:
        class Own(SeedConnector):
            def process_outbox(self) -> int:
                return 0

            def run_loop(self) -> None:
                drop(self.outbox, "a.json", "stays")

        connector = Own(name="s", seed_home=home)
        connector.run()
        assert connector.texts == []
        assert [path.name for path in connector.outbox.iterdir()] == ["a.json"]


class TestManager:
    """What users of the origin's manager call."""

    def test_the_connectors_are_a_list_of_dicts(self, home: Path) -> None:
        (home / "connectors.yml").write_text("connectors:\n  - {name: c, type: cli, username: me}\n")
        manager = ConnectorManager.from_config(home / "connectors.yml", seed_home=home)
        assert manager.connectors == [{"name": "c", "type": "cli", "config": {"username": "me"}}]
        manager.add_connector("d", "cli", {})
        assert [connector["name"] for connector in manager.connectors] == ["c", "d"]

    def test_the_status_of_nothing_is_empty(self, home: Path) -> None:
        assert ConnectorManager(home).status() == {}

    def test_a_class_is_loaded_by_its_type(self, home: Path) -> None:
        assert ConnectorManager(home)._load_connector_class("cli") is CLIConnector
        assert CONNECTOR_REGISTRY["cli"] == "connectors.cli.connector"


class TestCLI:
    """The origin's cli connector."""

    @pytest.mark.parametrize(("config", "name"), [({"username": "ada"}, "ada"), ({}, "user"), (None, "user")])
    def test_its_username_is_in__username_after_connect(
        self, home: Path, config: dict[str, Any] | None, name: str
    ) -> None:
        connector = CLIConnector(name="cli", seed_home=home, config=config)
        connector.connect()
        assert connector._username == name
        connector.disconnect()

    def test_it_runs_as_a_module(self, home: Path) -> None:
        program = [sys.executable, "-m", "connectors.cli.connector", "--seed-home", str(home), "--name", "typed"]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            process.stdin.write("hello\n")
            process.stdin.close()
            [path] = wait_for(lambda: list(home.glob("messages/inbox/*.json")))
            event = json.loads(path.read_bytes())
            reply = {"reply_to": event["id"], "text": "hi there"}
            (home / "messages" / "outbox" / "typed" / "r.json").write_text(json.dumps(reply))
            assert process.stdout is not None
            assert process.stdout.read() == "hi there\n"
        assert process.returncode == 0
        assert event["connector"] == {"type": "cli", "instance": "typed"}


class TestContract(ConnectorContract):
    """A connector of the seed's time gets the promises of today."""

    connector = SeedConnector
