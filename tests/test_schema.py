"""docs/schema is what the code writes and reads: never stale, and true of real files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import BadMessage
from connectors.base.home import Home
from connectors.base.message import Message, OutgoingMessage, Reason, Receipt, Record
from connectors.testing import FakeConnector, scripted
from tests.json_schema import is_valid

ROOT = Path(__file__).parent.parent
MODELS: dict[str, type[Record]] = {"event": Message, "outgoing": OutgoingMessage, "receipt": Receipt, "reason": Reason}


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "schema" / f"{name}.json").read_bytes())
    return found


def test_the_schemas_are_not_stale() -> None:
    program = [sys.executable, str(ROOT / "scripts" / "schema"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stale_schema_is_found(tmp_path: Path) -> None:
    program = (ROOT / "scripts" / "schema").read_text()
    copy = tmp_path / "scripts" / "schema"
    copy.parent.mkdir()
    copy.write_text(program)
    (tmp_path / "connectors").symlink_to(ROOT / "connectors")
    run = [sys.executable, str(copy)]
    assert subprocess.run([*run, "--check"], capture_output=True, check=False).returncode == 1
    assert subprocess.run(run, check=False).returncode == 0
    assert subprocess.run([*run, "--check"], check=False).returncode == 0
    (tmp_path / "docs" / "schema" / "event.json").write_text("{}")
    stale = subprocess.run([*run, "--check"], capture_output=True, text=True, check=False)
    assert (stale.returncode, "event.json" in stale.stderr) == (1, True)


def event(**fields: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "id": "e1",
        "timestamp": "2026-01-31T12:00:00+00:00",
        "connector": {"type": "fake", "instance": "fake-main"},
        "sender": {"id": "U1", "username": "", "display_name": ""},
        "content": {"text": "hi", "media_type": "text", "attachments": []},
        "conversation": {"id": "C1", "type": "dm", "name": "", "thread_id": None},
        "metadata": {},
        **fields,
    }


RECEIPT = {
    "version": "1.0",
    "id": "o1",
    "key": "k",
    "connector_instance": "f",
    "ids": ["m1"],
    "sent_at": "2026-01-31T12:00:00+00:00",
    "attempts": 1,
}
REASON = {
    "version": "1.0",
    "id": "o1",
    "key": "k",
    "connector_instance": "f",
    "file": "a.json",
    "class": "rejected",
    "reason": "no",
    "hint": "",
    "attempts": 1,
    "failed_at": "2026-01-31T12:00:00+00:00",
}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("event", event()),
    ("event", event(kind="edit", late=True, late_by_s=12.5, received_at="2026-01-31T12:00:00+00:00", mentions_me=True)),
    ("event", event(event={"type": "feed.item", "payload": {"a": [1]}, "trace_id": None})),
    ("event", event(field_of_a_newer_program=[1, {"x": None}])),
    ("outgoing", {"conversation_id": "C1", "text": "hi"}),
    ("outgoing", {"reply_to": "e1", "text": ""}),
    ("outgoing", {"conversation_id": "C1", "attachments": [{"path": "messages/attachments/a.png", "name": None}]}),
    ("outgoing", {"conversation_id": "C1", "text": "x", "not_before": "2026-01-31T12:00:00Z", "thread_id": None}),
    ("outgoing", {"conversation_id": "C1", "action": "react", "target_id": "m1", "emoji": "eyes"}),
    ("receipt", RECEIPT),
    ("receipt", {**RECEIPT, "ambiguous": True, "duplicate_of": "k0"}),
    ("reason", REASON),
]
BAD: list[tuple[str, Any]] = [
    ("event", event(id="")),
    ("event", event(kind="shout")),
    ("event", event(connector={"type": "fake"})),
    ("event", event(late="yes, very")),
    ("event", {key: value for key, value in event().items() if key != "sender"}),
    ("event", []),
    ("outgoing", {"text": "hi"}),
    ("outgoing", {"conversation_id": "", "text": "hi"}),
    ("outgoing", {"conversation_id": "C1"}),
    ("outgoing", {"conversation_id": "C1", "action": "send"}),
    ("outgoing", {"conversation_id": "C1", "text": ["hi"]}),
    ("outgoing", {"conversation_id": "C1", "text": "x", "attachments": [{"name": "a.png"}]}),
    ("outgoing", {"conversation_id": "C1", "text": "x", "format": "rtf"}),
    ("outgoing", {"conversation_id": "C1", "text": "x", "expires_at": "2026-01-31T12:00:00"}),
    ("outgoing", {"conversation_id": "C1", "text": "x", "id": "i" * 513}),
    ("reason", {**REASON, "class": "bad luck"}),
    ("receipt", {**RECEIPT, "ids": "m1"}),
]


@pytest.mark.parametrize(("name", "data"), GOOD)
def test_what_the_program_reads_follows_the_schema(name: str, data: dict[str, Any]) -> None:
    assert is_valid(data, schema(name))
    assert is_valid(MODELS[name].from_dict(data).to_dict(), schema(name))


@pytest.mark.parametrize(("name", "data"), BAD)
def test_what_the_program_refuses_does_not_follow_the_schema(name: str, data: Any) -> None:
    assert not is_valid(data, schema(name))
    with pytest.raises(BadMessage):
        MODELS[name].from_json(json.dumps(data))


def test_the_files_that_a_connector_writes_follow_the_schemas(home: Path) -> None:
    cls: Any = scripted(FakeConnector, "receipt:m1", "rejected:no", "retry", "true")
    connector = cls(name="f", seed_home=home, config={"url": "http://127.0.0.1:9"})
    connector.write_to_inbox(Message.from_dict(event()))
    for n, data in enumerate([{"text": "a"}, {"text": "b"}, {}, {"text": "c", "id": "o3"}]):
        (connector.outbox / f"{n}.json").write_text(json.dumps({"conversation_id": f"C{n}", **data}))
    connector.process_outbox()
    connector.close()
    found = {
        "event": list(Home(home).inbox.glob("*.json")),
        "receipt": list(Home(home).sent("f").glob("*.json")),
        "reason": list(Home(home).failed.glob("*.reason.json")),
    }
    assert {name: len(files) for name, files in found.items()} == {"event": 3, "receipt": 1, "reason": 2}
    for name, files in found.items():
        assert [file.name for file in files if not is_valid(json.loads(file.read_bytes()), schema(name))] == []


def test_every_property_says_what_it_is_or_is_of_the_seeds() -> None:
    for name, model in MODELS.items():
        properties = schema(name)["properties"]
        unclear = {
            key
            for key, part in properties.items()
            if "description" not in part and "$ref" not in part and key.rstrip("_") not in _known(model)
        }
        assert unclear == set(), f"{name}: give these fields a description in connectors/base/message.py"


def _known(model: type[Record]) -> set[str]:
    """Names that the seed document explains, or that say everything."""
    plain = {"text", "attempts", "ambiguous", "metadata", "conversation_id", "thread_id", "reply_to", "action", "kind"}
    more = {"format", "attachments", "emoji", "input", "not_before", "expires_at", "event", "id", "key", "parts_sent"}
    return {*model.seed_fields, *plain, *more, "connector_instance", "failed_at"}
