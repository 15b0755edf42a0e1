"""What was not let in is counted, said once, and explained."""

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.base.dropped import MAX_ENTRIES, Drop, read
from connectors.base.home import Home
from connectors.parts.access import Approach
from connectors.parts.drops import FORGET_AFTER_S, MAX_KNOWN, Drops
from connectors.parts.pairing import Pairing
from tests.base.box import Clocks
from tests.commands.program import answer, connectors, done, on_terminal
from tests.helpers import wait_for
from tests.parts.gates import NAME, Gate, direct, group


def drops(folder: Path, clocks: Clocks) -> Drops:
    return Drops(folder, clock=lambda: clocks.wall, monotonic=lambda: clocks.mono)


def saved(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "drops.json").read_text())["drops"]
    return found


def test_the_first_drop_of_a_chat_is_a_warning_with_the_exact_key_to_edit(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = Gate(home).access

    for _ in range(3):
        access.admit(group("U1", "C0123", sender_name="Ada", conversation_name="#general"))

    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert said.name == f"connector.{NAME}"
    assert said.getMessage() == (
        "dropped what U1 (Ada) wrote in C0123 (#general): conversation not allowed; to let it in: "
        'connectors.yml: fake-main: allow.conversations: add "C0123" (#general)'
    )


@pytest.mark.parametrize(
    ("options", "approach", "key"),
    [
        ({"direct": "allow"}, direct("U1", sender_name="Ada"), 'allow.users: add "U1" (Ada)'),
        ({"groups": "none"}, group(), "groups: mention"),
        ({}, group(conversation="T1", parent_id="C1"), 'allow.conversations: add "C1"'),
        ({"allow": {"conversations": ["C1"]}}, group(mentions_me=False), "groups: all"),
        (
            {"allow": {"conversations": ["C1"], "group_users": ["U2"]}},
            group("U1"),
            'allow.group_users: add "U1"',
        ),
        ({}, group("B1", is_bot=True), 'allow.bots: add "B1"'),
    ],
)
def test_every_reason_has_its_key(
    home: Path, options: dict[str, Any], approach: Approach, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(home, **options)

    assert not gate.access.admit(approach).ok

    assert caplog.records[-1].getMessage().endswith(f"; to let it in: connectors.yml: fake-main: {key}")


def test_names_with_control_characters_steer_no_terminal(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(home)
    evil = "\x1b[2J\nfatal: all is lost\u202e"
    gate.access.admit(group("U\x07", "C\n1", sender_name=evil, conversation_name=evil))
    gate.access.close()

    shown = done("explain", NAME, home=home) + done("explain", "C\n1", home=home)

    for text in (caplog.records[-1].getMessage(), shown):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\nfatal" not in text


def test_drops_are_counted_by_conversation_sender_and_reason_and_survive_a_restart(tmp_path: Path) -> None:
    clocks = Clocks()
    one = drops(tmp_path, clocks)
    begun = clocks.wall
    one.count(Drop("C1", "U1", "r1"))
    clocks.tick(5)
    one.count(Drop("C1", "U1", "r1"))
    one.count(Drop("C1", "U2", "r1"))
    one.count(Drop("C1", "U1", "r2"))
    one.close()

    two = drops(tmp_path, clocks)
    clocks.tick(5)
    two.count(Drop("C1", "U1", "r1", sender_name="Ada"))
    two.close()

    found = {(drop.sender_id, drop.reason): drop for drop in two.entries()}
    assert {key: drop.count for key, drop in found.items()} == {("U1", "r1"): 3, ("U2", "r1"): 1, ("U1", "r2"): 1}
    assert (found[("U1", "r1")].first, found[("U1", "r1")].last) == (begun, begun + 10)
    assert saved(tmp_path)[-1]["sender_name"] == "Ada"
    assert (tmp_path / "drops.json").stat().st_mode & 0o777 == 0o600
    two.close()


def test_no_more_than_so_many_are_kept_and_the_least_recent_go(tmp_path: Path) -> None:
    clocks = Clocks()
    some = drops(tmp_path, clocks)
    for number in range(MAX_ENTRIES + 10):
        some.count(Drop("C1", f"U{number}", "r"))
        some.count(Drop("C1", "U0", "r"))
    some.count(Drop("C" * 10_000, "U" * 10_000, "r", "k" * 10_000, "n" * 10_000))
    some.close()

    kept = saved(tmp_path)
    assert len(kept) == MAX_ENTRIES
    assert {entry["sender_id"] for entry in kept} >= {"U0", f"U{MAX_ENTRIES + 9}"}
    assert "U1" not in {entry["sender_id"] for entry in kept}
    assert len(json.dumps(kept[-1])) < 3000


def test_the_file_is_written_once_a_second_at_most_and_at_the_end(tmp_path: Path) -> None:
    clocks = Clocks()
    some = drops(tmp_path, clocks)
    some.count(Drop("C1", "U1", "r"))
    inode = (tmp_path / "drops.json").stat().st_ino
    for _ in range(100):
        some.count(Drop("C1", "U1", "r"))
    assert (tmp_path / "drops.json").stat().st_ino == inode
    assert saved(tmp_path)[0]["count"] == 1
    clocks.tick(1.0)
    some.count(Drop("C1", "U1", "r"))
    assert saved(tmp_path)[0]["count"] == 102
    some.count(Drop("C1", "U1", "r"))
    some.close()
    some.close()
    assert saved(tmp_path)[0]["count"] == 103


def test_what_came_within_the_second_is_written_without_another_drop(tmp_path: Path) -> None:
    some = Drops(tmp_path)
    threads = [
        threading.Thread(target=lambda: [some.count(Drop("C1", "U1", "r")) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    wait_for(lambda: saved(tmp_path)[0]["count"] == 200, deadline_s=30)


def test_an_event_that_comes_again_is_counted_once_also_after_a_restart(home: Path) -> None:
    gate = Gate(home, direct="allow")
    gate.access.admit(direct(event_id="e1"))
    gate.access.admit(direct(event_id="e1"))
    gate.access.admit(direct(event_id="e2"))
    gate = gate.again(direct="allow")

    gate.access.admit(direct(event_id="e2"))
    gate.access.admit(direct(event_id="e3"))
    gate.access.admit(direct())
    gate.access.admit(direct())
    gate.access.close()

    assert saved(gate.state)[0]["count"] == 5


def test_so_many_events_are_known_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    some = drops(tmp_path, Clocks())
    for number in range(MAX_KNOWN + 1):
        some.count(Drop("C1", "U1", "r"), f"e{number}")
    some.count(Drop("C1", "U1", "r"), "e0")
    some.count(Drop("C1", "U1", "r"), f"e{MAX_KNOWN}")
    some.close()

    assert saved(tmp_path)[0]["count"] == MAX_KNOWN + 2
    assert len(json.loads((tmp_path / "drops.json").read_text())["known"]) == MAX_KNOWN


def test_what_a_stranger_wrote_is_no_drop_to_look_after_once_he_is_paired(home: Path) -> None:
    gate = Gate(home)
    gate.access.admit(direct("U1"))
    gate.access.admit(direct("U2"))
    gate.access.close()
    (code,) = [asked.code for asked in gate.access.pairing.read().pending if asked.user_id == "U1"]

    Pairing(gate.state, clock=lambda: gate.clocks.wall).approve(code)  # as another process does

    assert [drop.sender_id for drop in read(Home(home), NAME)] == ["U2"]
    gate.access.admit(direct("U2"))  # and the connector, which has been running all the time, does not bring it back
    gate.access.close()
    assert [(drop.sender_id, drop.count) for drop in read(Home(home), NAME)] == [("U2", 2)]


def test_what_does_not_come_again_is_forgotten_after_a_week(tmp_path: Path) -> None:
    clocks = Clocks()
    some = drops(tmp_path, clocks)
    some.count(Drop("C1", "U1", "r"))
    some.close()
    clocks.tick(FORGET_AFTER_S)

    assert drops(tmp_path, clocks).entries() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"drops": [{"conversation_id": "C1", "se',
        b"[" * 100_000,
        b'{"drops": 7}',
        b'{"drops": [7, null, [], {"conversation_id": 7}, {"count": "x"}, {"count": NaN}, {"first": Infinity}]}',
        b'{"drops": [{"conversation_id": "C1", "count": -1e999, "last": 1e400}]}',
        b'{"drops": [{"sender_id": "U1", "count": ' + b"9" * 5000 + b"}]}",
        b"\xff\xfe\x00",
        b'{"drops": [], "known": 7}',
        b'{"drops": [], "known": [7, null, "x"]}',
    ],
)
def test_a_file_that_is_wrong_stops_neither_connector_nor_status(home: Path, content: bytes) -> None:
    gate = Gate(home)
    (gate.state / "drops.json").write_bytes(content)

    assert all(isinstance(drop, Drop) for drop in read(Home(home), NAME))
    assert connectors("status", home=home).returncode in (0, 1)
    assert "Traceback" not in connectors("explain", "C1", home=home).stderr
    access = gate.again().access
    access.admit(group())
    access.close()
    assert saved(gate.state)[-1]["conversation_id"] == "C1"


def test_what_cannot_be_written_is_counted_nevertheless(tmp_path: Path) -> None:
    (tmp_path / "drops.json").mkdir()
    some = drops(tmp_path, Clocks())

    some.count(Drop("C1", "U1", "r"))

    assert some.count(Drop("C1", "U1", "r")).count == 2
    some.close()
    assert os.listdir(tmp_path) == ["drops.json"]


# ── status and explain ────────────────────────────────────────────────────────────────────────────────────────


def with_drops(home: Path) -> None:
    (home / "connectors.yml").write_text(f"connectors:\n  - {{name: {NAME}, type: cli}}\n")
    gate = Gate(home)
    for _ in range(3):
        gate.access.admit(group("U1", "C1", conversation_name="#general", sender_name="Ada"))
    gate.access.admit(direct("U2"))
    gate.access.close()


def test_status_counts_them(home: Path) -> None:
    with_drops(home)

    (view,) = answer("status", home=home)["instances"]
    assert view["drops"]["total"] == 4
    assert view["drops"]["reasons"] == {"conversation not allowed": 3, "not paired": 1}
    shown = " ".join(on_terminal("status", home=home).split())
    assert f"{NAME}: 4 messages not let in, the last one" in shown
    assert "ago: 3 conversation not allowed, 1 not paired" in shown
    assert f"connectors explain {NAME}" in shown


def test_status_is_silent_where_nothing_was_dropped(home: Path) -> None:
    (home / "connectors.yml").write_text(f"connectors:\n  - {{name: {NAME}, type: cli}}\n")

    assert answer("status", home=home)["instances"][0]["drops"] == {}
    assert "not let in" not in connectors("status", home=home).stdout


@pytest.mark.parametrize("wanted", ["C1", "U1", NAME])
def test_explain_says_what_to_edit(home: Path, wanted: str) -> None:
    with_drops(home)

    found = answer("explain", wanted, home=home)

    (life,) = [one for one in found if one["id"] in ("C1", "U1")]
    assert (life["what"], life["instance"]) == ("drop", NAME)
    assert life["now"] == "not let in, 3 times: conversation not allowed"
    assert life["facts"]["to let it in"] == f'connectors.yml: {NAME}: allow.conversations: add "C1" (#general)'
    assert 'allow.conversations: add "C1" (#general)' in done("explain", wanted, home=home)


def test_explain_of_an_event_says_nothing_of_drops(home: Path) -> None:
    from tests.commands.program import put_event

    with_drops(home)
    (home / "messages" / "inbox").mkdir(parents=True, exist_ok=True)
    put_event(home, "C1")

    assert [one["what"] for one in answer("explain", "C1", home=home)] == ["event"]
    assert connectors("explain", "nobody", home=home).returncode == 1
