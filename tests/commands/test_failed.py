"""failed list, show, retry and drop."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import Rejected
from connectors.base.failed import dead_letters, find, retry
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.store import OutState
from tests.base.box import NAME, Box
from tests.commands.program import answer, connectors, done, on_terminal, put_event


class Platform:
    """Refuses the texts in `refused`; knows what it took."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.took: list[str] = []

    def __call__(self, message: OutgoingMessage) -> Receipt:
        if message.text in self.refused:
            raise Rejected("too rude", hint="be polite")
        self.took.append(message.text)
        return Receipt(ids=[f"p{len(self.took)}"])


def box_of(home: Path, platform: Platform, **how: Any) -> Box:
    return Box(home, answer=platform, split=lambda message: message.text.split("|"), **how)


def send(box: Box, name: str, text: str, **fields: Any) -> None:
    (box.outbox_folder / name).write_text(json.dumps({"conversation_id": "C1", "text": text, **fields}))
    box.delivery.deliver_ready()


def test_a_dead_letter_is_listed_shown_and_sent_again_from_its_first_unsent_part(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"two"}
    send(box, "long.json", "one|two|three", id="o1")
    assert platform.took == ["one"]

    (letter,) = answer("failed", "list", home=home)
    assert (letter["class"], letter["reason"], letter["parts_sent"]) == ("rejected", "too rude", 1)
    shown = done("failed", "show", letter["key"][:6], home=home)
    assert "hint:      be polite" in shown
    assert '"text": "one|two|three"' in shown
    platform.refused = set()
    path = Path(done("failed", "retry", "o1", home=home).strip())
    assert path.parent == box.outbox_folder
    box.delivery.deliver_ready()

    assert platform.took == ["one", "two", "three"]
    assert list(box.home.failed.iterdir()) == []
    (receipt,) = box.home.sent(NAME).iterdir()
    assert json.loads(receipt.read_text())["ids"] == ["p1", "p2", "p3"]


def test_a_second_retry_does_nothing_twice(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"x"}
    send(box, "a.json", "x")
    letter = find(box.home, "a.json")
    reason = letter.path.with_name("a.json.reason.json")
    text = reason.read_text()

    retry(box.home, letter)
    # As if the first one had died before its last step.
    reason.write_text(text)
    assert dead_letters(box.home) == []
    with pytest.raises(FileNotFoundError):
        retry(box.home, letter)
    platform.refused = set()
    box.delivery.deliver_ready()

    assert platform.took == ["x"]


def test_a_retry_that_died_before_the_move_can_be_repeated(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"two"}
    send(box, "a.json", "one|two")
    letter = find(box.home, "a.json")
    box.store.revive(f"a~{letter.key}.json", letter.key)

    retry(box.home, find(box.home, letter.key))
    platform.refused = set()
    box.delivery.deliver_ready()

    assert platform.took == ["one", "two"]


def test_a_retry_that_died_before_the_move_survives_a_restart_of_the_connector(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"two"}
    send(box, "a.json", "one|two")
    letter = find(box.home, "a.json")
    box.store.revive(f"a~{letter.key}.json", letter.key)
    box.reopen()
    box.deliver()

    assert f"connectors failed retry {letter.key}" in done("explain", letter.key, home=home)
    retry(box.home, find(box.home, letter.key))
    platform.refused = set()
    box.deliver()

    assert platform.took == ["one", "two"]


def test_a_retry_fails_again_visibly(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"x"}
    send(box, "a.json", "x")
    retry(box.home, find(box.home, "a.json"))
    box.delivery.deliver_ready()

    (letter,) = dead_letters(box.home)
    assert letter.kind == "rejected"
    assert [event.name for event in box.home.inbox.iterdir() if event.suffix == ".json"] != []


def test_a_corrected_file_is_a_new_outgoing(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    (box.outbox_folder / "a.json").write_text('{"text": 3}')
    box.delivery.deliver_ready()
    letter = find(box.home, "a.json")
    assert letter.kind == "bad_message"
    letter.path.write_text('{"conversation_id": "C", "text": "now right"}')

    retry(box.home, letter)
    box.delivery.deliver_ready()

    assert platform.took == ["now right"]
    row = box.store.outgoing(letter.key)
    assert row is not None
    assert row.state == OutState.DEAD


def test_an_event_that_an_agent_gave_up_goes_back_to_the_inbox(box: Path) -> None:
    put_event(box, "e1")
    connectors("agent", "--once", "--attempts", 1, "--", "false", home=box)

    path = Path(done("failed", "retry", "e1", home=box).strip())

    assert path.parent == box / "messages/inbox"
    assert [name.name for name in (box / "messages/failed").iterdir()] == []


def test_a_file_without_a_reason_is_listed_and_needs_an_instance(box: Path) -> None:
    (box / "messages/failed/lost").write_text('{"conversation_id": "C", "text": "x"}')

    listed = done("failed", "list", home=box)
    refused = connectors("failed", "retry", "lost", home=box)
    path = Path(done("failed", "retry", "lost", "--instance", "cli", home=box).strip())

    assert listed.startswith("lost\t")
    assert listed.endswith("\tunknown\tthere is no reason beside it\n")
    assert refused.returncode == 78
    assert "--instance NAME" in refused.stderr
    assert path == box / "messages/outbox/cli/lost.json"


def test_all_can_be_retried_or_dropped_by_instance_and_class(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"x"}
    for name in ("a.json", "b.json"):
        send(box, name, "x")
    (box.outbox_folder / "c.json").write_text("[]")
    box.delivery.deliver_ready()

    assert len(done("failed", "list", "--class", "rejected", home=home).splitlines()) == 2
    assert done("failed", "list", "--instance", "nobody", home=home) == ""
    assert len(done("failed", "retry", "--all", "--class", "rejected", home=home).splitlines()) == 2
    refused = connectors("failed", "drop", "--all", home=home)
    assert refused.returncode == 78
    assert "1 dead letter would be deleted" in refused.stderr
    assert done("failed", "drop", "--all", "--yes", home=home) == "dropped c.json\n"
    assert list(box.home.failed.iterdir()) == []


def test_dropping_one_is_remembered(home: Path) -> None:
    platform = Platform()
    box = box_of(home, platform)
    platform.refused = {"x"}
    send(box, "a.json", "x", id="o1")

    done("failed", "drop", "o1", home=home)

    assert list(box.home.failed.iterdir()) == []
    assert "dropped by hand" in done("explain", "o1", home=home)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "nix"), 1, "no dead letter has the id 'nix'"),
        (("show", "a"), 1, "'a' fits 2 dead letters: a1.json, a2.json"),
        (("retry",), 78, "name one dead letter, or say --all"),
        (("drop", "a1.json", "--all"), 78, "name one dead letter, or say --all"),
    ],
)
def test_what_is_not_clear_is_asked_back(box: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    for name in ("a1.json", "a2.json"):
        (box / "messages/failed" / name).write_text("{}")

    result = connectors("failed", *arguments, home=box)

    assert result.returncode == code
    assert said in result.stderr
    assert len(list((box / "messages/failed").iterdir())) == 2


def test_a_long_reason_has_one_line_in_the_list_and_is_whole_in_a_pipe(home: Path) -> None:
    """Also a letter whose file name and instance are as long as names get."""
    failed = Box(home).home.failed
    why = f"the platform said {'no ' * 900}{'x' * 300}\nand no more"
    for name, owner in (("n" * 200, "i" * 64), ("short", "cli")):
        (failed / f"{name}.json").write_text("{}")
        reason = {"class": "rejected", "reason": why, "connector_instance": owner, "hint": "h " * 1500}
        (failed / f"{name}.json.reason.json").write_text(json.dumps(reason))

    heading, *lines = on_terminal("failed", "list", home=home).splitlines()
    piped = done("failed", "list", home=home).splitlines()

    assert heading.split() == ["KEY", "FAILED", "INSTANCE", "CLASS", "REASON"]
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) == 3
    assert all("rejected" in line and line.endswith("…") for line in lines[:2])
    assert lines[2] == "all of it: connectors failed show KEY"
    assert [line.split("\t")[-1] for line in piped] == [why.replace("\n", "\\n")] * 2
