"""The examples of the README do what it says."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import connectors
from connectors.testing import wait_for
from tests.command.live import NAME, Place
from tests.docs.blocks import blocks
from tests.helpers import requires

README = Path(connectors.__path__[0]) / "command" / "README.md"


@pytest.fixture
def place(home: Path) -> Place:
    """With the files of the README in it."""
    place = Place(home)
    for block in blocks(README):
        if block.says("file") and block.directive[1] != "connectors.yml":
            path = home / block.directive[1]
            path.write_text(block.text)
            path.chmod(0o755)
    return place


def options_of(name: str) -> dict[str, Any]:
    """What the README says of this instance, in a connectors.yml."""
    found = [yaml.safe_load(block.text) for block in blocks(README) if block.language == "yaml"]
    [entry] = [entry for data in found for entry in data["connectors"] if entry["name"] == name]
    return {key: value for key, value in entry.items() if key not in ("name", "type")}


def test_the_bash_source_brings_each_line_once_and_the_target_pins_outgoings(place: Place) -> None:
    requires("jq")
    log = place.home.root / "app.log"
    log.write_text("INFO up\nERROR disk\tfull\nERROR disk\tfull\n")
    with place.run(**options_of("errors")).connected():
        wait_for(lambda: len(place.events) == 2)
        with log.open("a") as file:
            file.write("ERROR again\n")
        place.drop({"action": "sync"})
        wait_for(lambda: place.receipts)
        place.drop({"conversation_id": "board", "text": "hello"}, "b.json")
        place.drop({"conversation_id": "board", "text": ""}, "c.json")
        wait_for(lambda: len(place.receipts) == 2 and place.reasons)
    assert place.texts == ["ERROR disk\tfull", "ERROR disk\tfull", "ERROR again"]
    assert [message.id for message in place.events] == [f"command:{NAME}:line {n}" for n in (2, 3, 4)]
    assert (place.home.root / "board.txt").read_text() == "hello\n"
    assert [receipt.ids for receipt in place.receipts if receipt.action == "send"] == [["1"]]
    assert "an empty text" in place.reasons[0].reason


class Room(socketserver.ThreadingTCPServer):
    """The chat server of the README: says MSG until SEEN, answers SAY with OK."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Guest)
        self.unseen = {"1": "MSG 1 ada hello there", "2": "MSG 2 bob hi"}
        self.said: list[str] = []


class _Guest(socketserver.StreamRequestHandler):
    server: Room

    def handle(self) -> None:
        for line in list(self.server.unseen.values()):
            self.wfile.write(f"{line}\n".encode())
        for data in self.rfile:
            word, first, *rest = data.decode().split()
            if word == "SEEN":
                self.server.unseen.pop(first, None)
            else:
                self.server.said.append(" ".join(rest))
                self.wfile.write(f"OK {first} s{len(self.server.said)}\n".encode())


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_node_example_joins_a_chat_server_both_ways(place: Place, room: Room) -> None:
    requires("node")
    options = {**options_of("room"), "env": {"ROOM_PORT": str(room.server_address[1])}}
    with place.run(**options).connected():
        wait_for(lambda: not room.unseen, what="both were acknowledged")
        place.drop({"conversation_id": "room", "text": "good\nevening", "id": "an id of 2 words"})
        [receipt] = wait_for(lambda: place.receipts)
    assert [(message.sender.id, message.content.text) for message in place.events] == [
        ("ada", "hello there"),
        ("bob", "hi"),
    ]
    assert (room.said, receipt.ids) == (["good evening"], ["s1"])


def test_the_lines_that_the_readme_shows_mean_what_it_says() -> None:
    from connectors.command.protocol import Reader

    shown = [json.loads(block.text) for block in blocks(README) if block.text.startswith("{")]
    reader = Reader("command", NAME, {})
    lines = [reader.read(json.dumps(line).encode()) for line in shown if "send" not in line]
    assert len(lines) == 2
