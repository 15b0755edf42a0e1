"""A program that is run by schedule, or once for each outgoing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.base.errors import AuthError, Exit
from connectors.base.message import OutgoingMessage
from connectors.parts.checking import BadBatch
from connectors.testing import wait_for
from tests.command.live import NAME, Place, alive

#: Answers with what it found as its checkpoint, and brings two events.
COUNTS = """
    read -r start; echo "$start" >>notes
    n=${MAILBOX_CHECKPOINT/null/0}
    for i in 1 2; do n=$(( n + 1 )); echo "{\\"id\\": \\"$n\\", \\"text\\": \\"$n\\"}"; done
    echo "{\\"checkpoint\\": $n}"
"""


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def test_every_run_begins_where_the_last_one_ended(place: Place) -> None:
    program = place.script(COUNTS)
    for n in (1, 2):
        connector = place.here(command=program, schedule="1h")
        assert connector.sync().counts.new == 2
        assert connector.checkpoint() == 2 * n
        connector.close()
    assert place.texts == ["1", "2", "3", "4"]
    assert [json.loads(line)["start"]["checkpoint"] for line in place.notes] == [None, 2]


def test_it_runs_when_it_is_due_and_when_it_is_asked_to(place: Place) -> None:
    with place.run(command=place.script(COUNTS), schedule="1h").connected():
        wait_for(lambda: len(place.events) == 2)
        place.drop({"action": "sync"})
        [receipt] = wait_for(lambda: place.receipts)
    assert (receipt.metadata["new"], len(place.events)) == (2, 4)


def test_a_line_that_means_nothing_refuses_the_run_and_names_all_of_them(place: Place) -> None:
    program = place.script("""
        echo '{"text": "good"}'; echo oops; echo '{"txt": 1}'; echo '{"sent": "k"}'; echo '{"checkpoint": 1}'""")
    connector = place.here(command=program, schedule="1h")
    try:
        with pytest.raises(BadBatch) as caught:
            connector.sync()
        assert connector.checkpoint() is None
    finally:
        connector.close()
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "line 2 is no JSON",
        'line 3 an event has no field "txt" (did you mean "text"?)',
        "line 4 is an answer, and nothing was asked",
    ]
    assert place.events == []
    assert len(place.refused) == 3


def test_a_run_that_fails_keeps_what_it_brought_and_not_its_checkpoint(place: Place) -> None:
    program = place.script("""
        echo '{"text": "paid for"}'; echo '{"checkpoint": 5}'; echo "the server hung up" >&2; exit 1""")
    with place.run(command=program, schedule="1h"):
        wait_for(lambda: place.status.get("state") == "failing")
        assert "program ended with exit status 1: the server hung up" in place.status["note"]
    assert place.texts == ["paid for"]
    connector = place.here(command=program)
    assert connector.checkpoint() is None
    connector.close()


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(place: Place) -> None:
    program = place.script("trap '' TERM; sleep 1000 & echo $$ $! >>notes; wait")
    with place.run(command=program, schedule="1h", run_limit_s=0.5):
        wait_for(lambda: "did not end within 0.5 s" in str(place.status.get("note")), deadline_s=20)
        wait_for(lambda: not any(alive(int(pid)) for pid in place.notes[0].split()))


def test_a_stop_cuts_a_run_off_and_the_next_start_begins_it_anew(place: Place) -> None:
    program = place.script("""
        echo '{"text": "once"}'; echo $$ >>notes
        [ -e go ] || sleep 1000
        echo '{"checkpoint": 1}'""")
    with place.run(command=program, schedule="1h").connected() as running:
        wait_for(lambda: place.notes)
        running.terminate()
        assert running.wait() == Exit.OK
    assert not alive(int(place.notes[0]))
    (place.home.root / "go").touch()
    connector = place.here(command=program, schedule="1h")
    connector.sync()
    assert connector.checkpoint() == 1
    connector.close()
    assert place.texts == ["once"]


def test_ten_thousand_lines_come_whole_also_through_a_death(place: Place) -> None:
    program = place.script("""
        seq 10000 | sed 's/.*/{"id": "&", "text": "&"}/'; echo '{"checkpoint": "end"}'""")
    with place.run(command=program, schedule="1h", kill_at=("intake.recorded", 3)) as killed:
        killed.wait()
    connector = place.here(command=program, schedule="1h")
    counts = connector.sync().counts
    connector.close()
    assert counts.unchanged > 0
    assert counts.new + counts.unchanged == 10_000
    assert place.texts == [str(n) for n in range(1, 10_001)]


def test_an_exit_code_for_a_person_ends_the_connector(place: Place) -> None:
    with place.run(command=place.script("exit 77"), schedule="1h") as running:
        assert running.wait() == Exit.AUTH


# ── a program for each outgoing ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("script", "ids"),
    [
        ("exit 0", []),
        ("cat >/dev/null; echo sent it, bye", []),
        ('key=$(sed \'s/.*"send": "\\([^"]*\\).*/\\1/\'); echo \'{"sent": "\'$key\'", "ids": ["m1"]}\'', ["m1"]),
        ("""echo starting; echo '{"sent": true, "ids": [7]}'; exit 3""", ["7"]),
    ],
)
def test_what_ends_well_was_sent(place: Place, script: str, ids: list[str]) -> None:
    with place.run(send_command=place.script(script)).connected():
        place.drop({"conversation_id": "C1", "text": "x" * 300_000})
        [receipt] = wait_for(lambda: place.receipts)
    assert (receipt.ids, receipt.ambiguous) == (ids, False)


@pytest.mark.parametrize(
    ("script", "class_", "reason"),
    [
        ('echo "no such room" >&2; exit 65', "rejected", "ended with exit status 65: no such room"),
        ("""echo '{"rejected": true, "reason": "no such room"}'""", "rejected", "no such room"),
        ("exit 3", "exhausted", "ended with exit status 3"),
        ("kill -SEGV $$", "exhausted", "was ended by SIGSEGV"),
    ],
)
def test_what_ends_badly_is_tried_again_or_refused(place: Place, script: str, class_: str, reason: str) -> None:
    delivery = {"quiet_s": 0.1, "max_attempts": 2, "initial_delay_s": 0.01, "max_delay_s": 0.02}
    place.home.config_file.write_text(json.dumps({"connectors": [], "delivery": delivery}))
    with place.run(send_command=place.script(script)).connected():
        place.drop({"conversation_id": "C1", "text": "hi"})
        [found] = wait_for(lambda: place.reasons)
    assert found.class_ == class_
    assert reason in found.reason
    assert found.attempts == (1 if class_ == "rejected" else 2)
    assert found.ambiguous is ("SIGSEGV" in reason)


def test_a_wait_that_the_program_asks_for_costs_no_attempt(place: Place) -> None:
    program = place.script("""
        [ -e once ] || { touch once; echo '{"retry": true, "after_s": 0.1, "reason": "slow down"}'; exit 0; }""")
    with place.run(send_command=program).connected():
        place.drop({"conversation_id": "C1", "text": "hi"})
        [receipt] = wait_for(lambda: place.receipts)
    assert receipt.attempts == 1


def test_a_refused_credential_ends_the_connector_and_the_outgoing_waits(place: Place) -> None:
    with place.run(send_command=place.script("echo expired >&2; exit 77")).connected() as running:
        place.drop({"conversation_id": "C1", "text": "hi"})
        assert running.wait() == Exit.AUTH
    assert [path.name for path in place.home.sending(NAME).glob("*.json")] + [
        path.name for path in place.home.outbox(NAME).glob("*.json")
    ]
    connector = place.here(send_command="./program")
    with pytest.raises(AuthError, match="expired"):
        connector.send_message(OutgoingMessage(conversation_id="C1", text="hi"))
    connector.close()


def test_a_program_that_is_killed_with_its_connector_may_have_sent(place: Place) -> None:
    program = place.script("[ -e once ] && exit 0; echo $$ >>notes; touch once; sleep 1000")
    with place.run(send_command=program).connected() as running:
        place.drop({"conversation_id": "C1", "text": "hi"})
        [pid] = (int(text) for text in wait_for(lambda: place.notes))
        running.kill()
    wait_for(lambda: not alive(pid))
    with place.run(send_command=program).connected():
        [receipt] = wait_for(lambda: place.receipts)
    assert receipt.ambiguous is True


def test_files_are_handed_over_by_path(place: Place) -> None:
    place.home.make(place.home.attachments)
    (place.home.attachments / "a.txt").write_bytes(b"content")
    program = place.script("""
        path=$(sed 's/.*"path": "\\([^"]*\\)".*/\\1/'); cp -- "$path" got""")
    with place.run(send_command=program).connected():
        attachment = {"path": "messages/attachments/a.txt", "name": "b.txt"}
        place.drop({"conversation_id": "C1", "text": "", "attachments": [attachment]})
        wait_for(lambda: place.receipts)
    assert (place.home.root / "got").read_bytes() == b"content"


def test_one_program_brings_and_another_takes(place: Place) -> None:
    source = place.script('echo \'{"text": "in"}\'; exec sleep 1000', "source")
    with place.run(command=source, send_command=place.script("cat >>notes", "target")).connected():
        wait_for(lambda: place.texts == ["in"])
        place.drop({"conversation_id": "C1", "text": "out"})
        wait_for(lambda: place.receipts)
    assert json.loads(place.notes[0])["outgoing"]["text"] == "out"
