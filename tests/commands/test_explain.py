"""explain: the whole life of one event or outgoing."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from tests.base.box import Box
from tests.commands.program import answer, connectors, done, on_terminal, put_event


def explained(home: Path, wanted: str) -> dict[str, Any]:
    """The only answer."""
    (life,) = answer("explain", wanted, home=home)
    found: dict[str, Any] = life
    return found


def test_an_event_on_its_way(box: Path) -> None:
    path = put_event(box, "e1", "hello\x1b[31m")

    assert explained(box, "e1")["now"] == "it waits in the inbox"
    assert explained(box, path.name)["id"] == "e1"
    done("next", "--as", "w1", home=box)
    assert explained(box, "e1")["now"] == "claimed by w1"
    done("send", "cli", "C", "x", home=box)
    done("reply", "e1", "answer", "--id", "r1", home=box)
    text = done("explain", "e1", home=box)
    assert "answered by r1: connectors explain r1" in text
    assert "text: hello\\x1b[31m" in text
    assert explained(box, "r1")["facts"]["reply to"] == "e1"
    assert explained(box, "r1")["now"].startswith("waits in the outbox")


def test_an_event_that_an_agent_gave_up(box: Path) -> None:
    put_event(box, "e1")
    connectors("agent", "--once", "--attempts", 1, "--", "false", home=box)

    now = explained(box, "e1")["now"]

    assert now.startswith("given up: false: it ended with exit status 1")


def test_an_outgoing_from_the_outbox_to_its_receipt(home: Path) -> None:
    answers: list[Any] = [RetryLater("busy"), Receipt(ids=["p1"])]

    def platform(message: OutgoingMessage) -> Receipt:
        result = answers.pop(0)
        if isinstance(result, Exception):
            raise result
        found: Receipt = result
        return found

    box = Box(home, answer=platform)
    (box.outbox_folder / "a.json").write_text(json.dumps({"id": "o1", "conversation_id": "C1", "text": "x"}))
    box.delivery.deliver_ready()
    waiting = explained(home, "o1")
    box.clocks.tick(100)
    box.delivery.deliver_ready()
    sent = explained(home, "o1")

    assert waiting["now"].startswith("queued")
    assert waiting["facts"]["last error"] == "busy"
    assert sent["now"] == "sent"
    assert any("attempt 1 failed: busy" in moment["what"] for moment in sent["moments"])
    assert sent["moments"][-1]["what"] == "sent with attempt 2: p1"
    assert explained(home, sent["facts"]["key"]) == sent
    assert explained(home, "a.json") == sent


def test_an_event_and_an_outgoing_may_have_the_same_id(box: Path) -> None:
    put_event(box, "same")
    done("send", "cli", "C", "x", "--id", "same", home=box)

    assert [life["what"] for life in answer("explain", "same", home=box)] == ["event", "outgoing"]


@pytest.mark.parametrize("wanted", ["nix", "nix.json", "../../etc/passwd.json"])
def test_an_id_that_nobody_knows(box: Path, wanted: str) -> None:
    result = connectors("explain", wanted, home=box)

    assert result.returncode == 1
    assert f"nobody knows {wanted!r}" in result.stderr
    assert "looked in messages/inbox" in result.stderr


def test_long_fields_have_a_few_lines_on_a_terminal_and_one_in_a_pipe(box: Path) -> None:
    text = "word " * 600 + "x" * 300 + "\nlast"
    put_event(box, "e" * 300, text)

    lines = on_terminal("explain", "e" * 300, home=box).splitlines()
    (field,) = [line for line in done("explain", "e" * 300, home=box).splitlines() if line.startswith("  text: ")]

    assert lines[0].startswith("event eeee")
    assert lines[0].endswith("… of cli")
    assert all(len(line) <= 80 for line in lines if not line.startswith("  file: "))
    assert sum(line.strip().startswith(("text: ", "word")) for line in lines) == 4
    assert field == "  text: " + text.replace("\n", "\\n")
