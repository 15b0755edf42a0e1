"""Every code block of docs/writing-a-connector.md runs, and does what the text around it says."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from connectors.base import config
from connectors.base.connector import Connector
from connectors.base.errors import AuthError, ConfigError, MissingDependency
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.base.registry import load_class
from connectors.parts import checkpoints
from connectors.parts.signatures import sign
from connectors.testing import FakePlatform, wait_for
from tests.loopback import Loopback, reply

DOC = Path(__file__).parents[2] / "docs" / "writing-a-connector.md"
BLOCK = re.compile(r"<!-- (.+?) -->\n```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = {name: text for name, _, text in BLOCK.findall(DOC.read_text())}
ENVIRON = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def test_every_block_is_named_and_so_run_below() -> None:
    assert len(BLOCKS) == DOC.read_text().count("\n```") // 2
    source = Path(__file__).read_text()
    assert [name for name in BLOCKS if f'"{name}"' not in source] == []


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BLOCKS[name])


def shell(folder: Path, name: str) -> str:
    done = subprocess.run(
        ["sh", "-ec", BLOCKS[name]], cwd=folder, env=ENVIRON, capture_output=True, text=True, check=True
    )
    return done.stdout


def pytest_in(folder: Path, file: str, which: str) -> dict[str, int]:
    """How tests of a file in a folder of its own ended: {"passed": 40, "skipped": 3}."""
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-k", which]
    program = [sys.executable, "-m", "pytest", *options, file]
    done = subprocess.run(program, cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped|failed)", done.stdout)}


def test_hello_receives_answers_and_knows_its_event_again(home: Path) -> None:
    write(home, "hello.py")
    for start in (1, 2):
        program = ["sh", "-c", "exec " + BLOCKS["hello: run"]]
        with subprocess.Popen(program, cwd=home, env=ENVIRON, stdout=subprocess.PIPE, text=True) as process:
            try:
                wait_for(lambda: list(home.glob("messages/inbox/*.json")))
                if start == 1:
                    assert json.loads(shell(home, "hello: answer"))["content"]["text"] == "hello"
                    assert process.stdout is not None
                    assert process.stdout.readline() == "to C1: hi there\n"
                    wait_for((home / "messages/sent/hello-main/reply.json").exists)
                    assert json.loads(shell(home, "hello: receipt"))["attempts"] == 1
                else:
                    wait_for(lambda: counters(home / "state/hello-main/status.json").get("duplicates"))
            finally:
                process.send_signal(signal.SIGINT)
        assert process.returncode == 0
    assert len(list(home.glob("messages/inbox/*.json"))) == 1


def counters(status: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(status.read_bytes()).get("counters", {})
    return found


def test_the_contract_runs_against_hello(home: Path) -> None:
    write(home, "hello.py", "test_hello.py")
    ended = pytest_in(home, "test_hello.py", "constructor or declaration or same_id or receipt or platform or death")
    assert ended["passed"] > 15
    assert ended["skipped"] > 0


def test_what_is_between_connectors_is_tested_without_a_platform(home: Path) -> None:
    write(home, "test_between.py")
    assert pytest_in(home, "test_between.py", "passed_on") == {"passed": 1}


def test_the_contract_runs_against_chat_with_its_platform(home: Path) -> None:
    write(home, "connectors/chat/client.py", "connectors/chat/connector.py", "test_chat.py")
    # The rest is the same for every connector, and runs elsewhere.
    ended = pytest_in(
        home, "test_chat.py", "not no_outgoing and not odd_but_legal and not content and not once_per_home"
    )
    assert ended["passed"] > 80
    assert ended["skipped"] <= 3


def test_the_configuration_of_chat_is_valid(home: Path) -> None:
    write(home, "connectors/chat/client.py", "connectors/chat/connector.py", "connectors.yml")
    (home / ".env").write_text("CHAT_TOKEN=t-12345\n")
    assert config.load(Home(home)).problems == ()


def run_in_thread(connector: Connector) -> threading.Thread:
    thread = threading.Thread(target=connector.run, daemon=True)
    thread.start()
    return thread


def events(home: Path) -> list[Message]:
    return [Message.from_file(path) for path in sorted(home.glob("messages/inbox/*.json"))]


def test_chat_stores_the_files_that_come_with_an_event(home: Path) -> None:
    write(home, "connectors/chat/client.py", "connectors/chat/connector.py")
    cls = load_class("chat", home)
    with FakePlatform() as platform:
        connector = cls(name="chat-main", seed_home=home, config={"url": platform.url})
        thread = run_in_thread(connector)
        platform.post("look", files={"a.txt": b"content"})
        [event] = wait_for(lambda: events(home))
        wait_for(lambda: not platform.waiting)
        connector.stop()
        thread.join()
    [file] = event.content.attachments
    assert (home / file["path"]).read_bytes() == b"content"
    assert file["name"] == "a.txt"


def _has(home: Path, count: int) -> bool:
    return len(events(home)) == count


def test_a_checkpoint_is_where_reading_goes_on(home: Path) -> None:
    space: dict[str, Any] = {"__name__": "feed"}
    exec(BLOCKS["checkpoint"], space)  # noqa: S102 - running the page's code is what this test is for
    source = home / "feed"
    source.write_text("one\ntwo\n")
    for expected, more in ((2, "three\n"), (3, "")):
        connector = space["FeedConnector"](name="feed-main", seed_home=home, config={"file": str(source)})
        thread = run_in_thread(connector)
        wait_for(partial(_has, home, expected))
        connector.stop()
        thread.join()
        with source.open("a") as file:
            file.write(more)
    assert [event.content.text for event in events(home)] == ["one\n", "two\n", "three\n"]


def test_a_webhook_makes_an_event_of_what_proved_itself(home: Path) -> None:
    assert BLOCKS["deploys.py"].count("\n") < 40
    space: dict[str, Any] = {"__name__": "deploys"}
    exec(BLOCKS["deploys.py"], space)  # noqa: S102 - as above
    connector = space["DeploysConnector"](name="d", seed_home=home, config={"port": 0, "secret": "shared secret"})
    thread = run_in_thread(connector)
    webhook = wait_for(lambda: connector._webhook and connector._webhook._listener and connector._webhook)
    for body, status in ((b'{"stage": "live", "result": "failed", "number": 7}', 200), (b"{}", 400)):
        headers = sign("hmac", "shared secret", body, now=0, delivery_id="")
        assert httpx.post(webhook.url, content=body, headers=headers).status_code == status
        assert httpx.post(webhook.url, content=body).status_code == 401
    [event] = events(home)
    assert (event.id, event.content.text) == ("deploys:d:7", "live: failed")
    connector.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_an_action_runs_when_a_person_agrees(home: Path) -> None:
    assert BLOCKS["desk.py"].count("\n") < 40
    space: dict[str, Any] = {"__name__": "desk"}
    exec(BLOCKS["desk.py"], space)  # noqa: S102 - as above
    connector = space["DeskConnector"](name="desk-main", seed_home=home)
    thread = run_in_thread(connector)
    shell(home, "desk: ask")
    wait_for(lambda: list(home.glob("state/approvals/*.request.json")))
    assert "approved refund of desk-main" in shell(home, "desk: approve")
    [event] = wait_for(lambda: events(home))
    told = event.metadata["action_result"]
    assert (event.kind, told["status"], told["idempotency_key"]) == ("action_result", "ok", "ticket-9")
    assert told["output"] == {"order": 4711, "left": 60.0}
    connector.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_an_async_sdk_keeps_its_loop(home: Path) -> None:
    space: dict[str, Any] = {"__name__": "loopback"}
    exec(BLOCKS["loopback.py"], space)  # noqa: S102 - as above
    connector = space["LoopbackConnector"](name="l", seed_home=home)
    thread = run_in_thread(connector)
    (connector.outbox / "a.json").write_text('{"conversation_id": "loop", "text": "back to me"}')
    [event] = wait_for(lambda: events(home))
    assert event.content.text == "back to me"
    connector.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_every_way_to_name_a_type_leads_to_the_class(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "connectors/chat/client.py", "connectors/chat/connector.py", "hello.py")
    installed = tmp_path / "site"
    package = installed / "mailbox_chat"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("client", "connector"):
        (package / f"{name}.py").write_text(BLOCKS[f"connectors/chat/{name}.py"])
    info = installed / "mailbox_chat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mailbox-chat\nVersion: 1.0\n")
    point = re.search(r"^chat = \"(.+)\"$", BLOCKS["pyproject.toml"], re.MULTILINE)
    assert point is not None
    (info / "entry_points.txt").write_text(f"[connectors]\nchat = {point[1]}\n")
    monkeypatch.syspath_prepend(str(installed))
    elsewhere = tmp_path / "another-home"
    elsewhere.mkdir()
    assert load_class("chat", home).connector_type == "chat"
    assert load_class("chat", elsewhere).__module__ == "mailbox_chat.connector"
    assert load_class("mailbox_chat.connector", elsewhere).connector_type == "chat"
    assert load_class("mailbox_chat.connector:ChatConnector", elsewhere).connector_type == "chat"
    assert load_class("./hello.py", home).connector_type == "hello"


def test_the_exit_codes_in_the_table_of_errors_are_those_of_the_code() -> None:
    text = DOC.read_text()
    for error in (AuthError, ConfigError, MissingDependency):
        row = next(line for line in text.splitlines() if f"`{error.__name__}(" in line)
        assert f"exit {int(error.exit_code)};" in row


class _Tickets(Loopback):
    """GET /?since=N: the tickets that changed after N."""

    def __init__(self, *tickets: dict[str, Any]) -> None:
        super().__init__()
        self.tickets = list(tickets)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        since = int(parse_qs(urlsplit(request.path).query)["since"][0])
        reply(request, json.dumps([ticket for ticket in self.tickets if ticket["changed"] > since]).encode())


def test_a_source_in_under_40_lines_brings_what_is_new_and_what_changed(home: Path) -> None:
    assert BLOCKS["tickets.py"].count("\n") < 40
    space: dict[str, Any] = {"__name__": "tickets"}
    exec(BLOCKS["tickets.py"], space)  # noqa: S102 - as above
    one = {"id": 1, "changed": 1, "kind": "ticket", "from": "ada", "text": "It is broken"}
    two = {"id": 2, "changed": 2, "kind": "complaint", "from": "bob", "text": "Too slow"}
    with _Tickets(one, two) as server:
        config = {"url": f"{server.origin}/"}
        connector = space["TicketsConnector"](name="tickets-main", seed_home=home, config=config)
        thread = run_in_thread(connector)
        wait_for(partial(_has, home, 2))

        server.tickets = [{**one, "changed": 3, "text": "It works again"}, two]
        (home / "messages/outbox/tickets-main/now.json").write_text('{"action": "sync"}')
        [path] = wait_for(lambda: list(home.glob("messages/sent/tickets-main/*.json")))

        assert json.loads(path.read_bytes())["metadata"]["revised"] == 1
        assert connector.checkpoint() == 3
        first, _, changed = events(home)
        assert changed.event is not None
        assert (changed.content.text, changed.event.supersedes) == ("It works again", first.id)

        with pytest.raises(ValueError, match=r"Valid kinds: ticket, complaint. Did you mean 'complaint'\?"):
            connector.emit([space["Event"]("3", platform_event="complant")])
        connector.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_a_declaration_shows_what_a_connector_needs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STOCK_TOKEN", "STOCK_ACCOUNT"):
        monkeypatch.delitem(ENVIRON, name, raising=False)
    write(home, "stock.py")
    assert shell(home, "stock: types").endswith(BLOCKS["stock: shown"])


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"name": "ada", "scopes": ["stock"]}, "✓ stock: token (STOCK_TOKEN) works: ada; scopes stock"),
        (200, {"name": "ada", "scopes": []}, "✗ stock: token (STOCK_TOKEN) lacks stock (ada)"),
        (401, {}, "✗ stock: token (STOCK_TOKEN) is refused: the shop does not know it"),
        (0, {}, "· stock: token (STOCK_TOKEN) could not be checked: not reachable: "),
    ],
)
def test_its_validator_says_whose_a_credential_is(home: Path, status: int, body: dict[str, Any], said: str) -> None:
    write(home, "stock.py")

    class Shop(Loopback):
        def answer(self, request: BaseHTTPRequestHandler) -> None:
            reply(request, json.dumps(body).encode(), status)

    with Shop() as server:
        url = f"http://127.0.0.1:{server.port if status else 9}"
        entry = {"name": "stock", "type": "./stock.py", "url": url}
        (home / "connectors.yml").write_text(json.dumps({"connectors": [entry]}))
        (home / ".env").write_text("STOCK_TOKEN=t0ken-value\nSTOCK_ACCOUNT=acme-account\n")
        command = ["connectors", "validate", "--credentials"]
        done = subprocess.run(command, cwd=home, env=ENVIRON, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0].startswith(said)


class _Shelves(Loopback):
    """GET /NAME?since=N: one item, the same id on every shelf."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = urlsplit(request.path)
        at = int(parse_qs(asked.query)["since"][0]) + 1
        reply(request, json.dumps({"items": [{"id": "1", "text": asked.path.strip("/")}], "at": at}).encode())


def test_feeds_are_polled_each_for_itself(home: Path) -> None:
    assert BLOCKS["shelves.py"].count("\n") < 40
    write(home, "shelves.py", "shelves.yml")
    with _Shelves() as server:
        text = BLOCKS["shelves.yml"].replace("8099", str(server.port))
        (home / "connectors.yml").write_text(text)
        checked, problems = config.check_options(config.load(Home(home)), Home(home))
        assert problems == []
        cls = load_class("./shelves.py", home)
        connector = cls(name="shop", seed_home=home, config=dict(checked.entries[0].options))
        thread = run_in_thread(connector)
        wait_for(partial(_has, home, 2))
        connector.stop()
        thread.join(10)
    assert {event.content.text for event in events(home)} == {"milk", "bread"}
    assert {event.id for event in events(home)} == {"shelves:shop:milk/1", "shelves:shop:bread/1"}
    assert [checkpoints.show(Home(home), "shop", name).value for name in ("milk", "bread")] == [1, 1]
