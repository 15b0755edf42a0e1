"""A program that runs all the time: its lines come in, once, and it never outlives its connector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.base.errors import Exit
from connectors.testing import wait_for
from tests.command.live import NAME, Place, alive


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def test_what_it_prints_comes_in_order_and_what_it_repeats_once(place: Place) -> None:
    program = place.script("""
        echo '{"text": "one"}'; echo '{"text": "two"}'; echo '{"text": "one"}'
        echo '{"id": "r", "text": "before"}'; echo '{"id": "r", "text": "after"}'
        exec sleep 1000""")
    with place.run(command=program):
        wait_for(lambda: len(place.events) == 4)
    assert place.texts == ["one", "two", "before", "after"]
    before, after = (message.event for message in place.events[2:])
    assert before is not None
    assert after is not None
    assert after.supersedes == f"command:{NAME}:r"
    assert before.provenance["platform"] == "command"


def test_messages_and_events_of_records_keep_their_order(place: Place) -> None:
    program = place.script("""
        echo '{"id": "1", "text": "a record"}'
        echo '{"id": "2", "content": {"text": "a message"}, "sender": {"id": "ada"}, "conversation": {"id": "C1"}}'
        echo '{"id": "3", "text": "a record again"}'
        exec sleep 1000""")
    with place.run(command=program):
        wait_for(lambda: len(place.events) == 3)
    assert [(message.kind, message.conversation.id) for message in place.events] == [
        ("event", "1"),
        ("message", "C1"),
        ("event", "3"),
    ]


def test_a_line_that_means_nothing_is_kept_and_stops_no_other(place: Place) -> None:
    program = place.script("""
        echo 'not json'; echo '{"text": "good"}'; echo '{"txt": "typo", "ack": "t"}'
        head -c 5000 /dev/zero | tr '\\0' x; echo; printf '\\xff\\n'
        while read -r line; do echo "$line" >>notes; done""")
    with place.run(command=program, max_line_bytes=1000) as running:
        wait_for(lambda: len(place.refused) == 4 and place.status.get("last_error"))
        wait_for(lambda: len(place.notes) == 2)
        assert "see" in running.output
    assert place.texts == ["good"]
    assert [entry["why"].split(" (")[0] for entry in place.refused] == [
        "is no JSON",
        'an event has no field "txt"',
        "is too long: 5,000 bytes",
        "is no JSON object: not UTF-8",
    ]
    assert [entry["line"][:8] for entry in place.refused] == ["not json", '{"txt": ', "xxxxxxxx", "\\xff"]
    assert json.loads(place.notes[1])["nack"] == "t"
    assert place.status["counters"]["refused"] == 4
    assert "refused" in place.status["last_error"]["text"]


def test_when_it_ends_it_is_started_again_where_its_checkpoint_is(place: Place) -> None:
    program = place.script("""
        echo "$MAILBOX_CHECKPOINT" >>notes
        read -r start; echo "$start" >>notes
        n=$(( ${MAILBOX_CHECKPOINT/null/0} + 1 ))
        echo "{\\"text\\": \\"number $n\\"}"; echo "{\\"checkpoint\\": $n}"
        echo "my last words" >&2; exit 3""")
    with place.run(command=program) as running:
        wait_for(lambda: len(place.events) >= 3, deadline_s=30)
        wait_for(lambda: place.status.get("state") == "reconnecting")
        assert "program ended with exit status 3: my last words; it is started again in" in running.output
    assert place.texts[:3] == ["number 1", "number 2", "number 3"]
    assert place.notes[0] == "null"
    assert place.notes[2] == "1"
    assert json.loads(place.notes[3]) == {"start": {"instance": NAME, "checkpoint": 1}}


@pytest.mark.parametrize(("code", "exit_code"), [(77, Exit.AUTH), (78, Exit.CONFIG)])
def test_exit_codes_for_a_person_end_the_connector_with_them(place: Place, code: int, exit_code: Exit) -> None:
    program = place.script(f'echo "the token has expired" >&2; exit {code}')
    with place.run(command=program) as running:
        assert running.wait() == exit_code
        assert "the token has expired" in running.output


def test_a_stop_ends_all_that_it_started_also_what_does_not_listen(place: Place) -> None:
    program = place.script("""
        trap '' TERM HUP
        ( trap '' TERM; echo $BASHPID >>notes; exec sleep 1000 ) &
        echo $$ >>notes
        while :; do sleep 1000; done""")
    with place.run(command=program, stop_grace_s=0.2).connected() as running:
        pids = [int(pid) for pid in wait_for(lambda: place.notes if len(place.notes) == 2 else [])]
        assert all(alive(pid) for pid in pids)
        running.terminate()
        assert running.wait() == Exit.OK
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_nothing_outlives_a_connector_that_is_killed(place: Place) -> None:
    program = place.script("""
        trap '' TERM HUP
        ( trap '' TERM; echo $BASHPID >>notes; exec sleep 1000 ) &
        echo $$ >>notes
        while :; do sleep 1000; done""")
    with place.run(command=program).connected() as running:
        pids = [int(pid) for pid in wait_for(lambda: place.notes if len(place.notes) == 2 else [])]
        running.kill()
        wait_for(lambda: not any(alive(pid) for pid in pids), deadline_s=5)


def test_what_it_left_in_the_background_ends_with_it(place: Place) -> None:
    program = place.script("sleep 1000 & echo $! >>notes; exit 1")
    with place.run(command=program):
        [pid, *_] = (int(pid) for pid in wait_for(lambda: place.notes))
        wait_for(lambda: not alive(pid))


def test_it_may_wait_for_its_own_children_and_finds_no_other(place: Place) -> None:
    program = place.script(
        """
import os
try:
    os.wait()
except ChildProcessError:
    print('{"text": "alone"}', flush=True)
import time; time.sleep(1000)""",
        language="python",
    )
    with place.run(command=program):
        wait_for(lambda: place.texts == ["alone"])


def test_what_it_says_when_it_is_asked_to_end_is_not_lost(place: Place) -> None:
    program = place.script("""
        trap 'echo "{\\"text\\": \\"the last one\\"}"; echo "{\\"checkpoint\\": 9}"; exit 0' TERM
        echo '{"text": "first"}'
        while :; do sleep 0.05; done""")
    with place.run(command=program) as running:
        wait_for(lambda: place.texts)
        running.terminate()
        assert running.wait() == Exit.OK
    assert place.texts == ["first", "the last one"]


def test_its_variables_are_few_and_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "canary-of-another")
    program = place.script("env >notes.part; mv notes.part notes; exec sleep 1000")
    with place.run(command=program, env={"TOKEN": "mine"}):
        found = dict(line.split("=", 1) for line in wait_for(lambda: place.notes))
    assert "canary" not in str(found)
    assert (found["TOKEN"], found["MAILBOX_INSTANCE"], found["MAILBOX_CHECKPOINT"]) == ("mine", NAME, "null")
    assert found["MAILBOX_HOME"] == str(place.home.root)
    assert Path(found["MAILBOX_STATE"]).stat().st_mode & 0o777 == 0o700


def test_it_says_itself_how_it_is(place: Place) -> None:
    program = place.script("""
        echo '{"state": "reconnecting", "note": "the server is gone"}'
        until [ -e go ]; do sleep 0.05; done
        echo '{"state": "connected"}'; exec sleep 1000""")
    with place.run(command=program):
        wait_for(lambda: place.status.get("note") == "the server is gone")
        (place.home.root / "go").touch()
        wait_for(lambda: place.status.get("state") == "connected")


def test_files_that_it_names_are_stored_and_those_that_are_not_there_are_named(place: Place) -> None:
    program = place.script("""
        cd "$MAILBOX_FILES"; mkfifo pipe; printf pixels >picture.png
        at="{\\"path\\": \\"$MAILBOX_FILES"
        echo '{"id": "1", "content": {"text": "look", "attachments": ['"$at/picture.png\\"}, $at/gone\\"}"]}}
        echo '{"id": "2", "text": "too", "attachments": ['"$at/pipe\\", \\"name\\": \\"it\\"}"]}
        exec sleep 1000""")
    with place.run(command=program):
        wait_for(lambda: len(place.events) == 2)
    picture, gone = place.events[0].content.attachments
    assert (place.home.root / picture["path"]).read_bytes() == b"pixels"
    assert place.home.attachments in (place.home.root / picture["path"]).parents
    assert gone == {"name": "gone", "error": "No such file or directory"}
    assert place.events[1].content.attachments == [{"name": "it", "error": "it is no file"}]


def test_a_file_of_the_home_is_refused_with_the_reason(place: Place) -> None:
    place.home.env_file.write_text("TOKEN=s3cret")
    program = place.script("""echo '{"id": "1", "text": "x", "attachments": [{"path": ".env"}]}'; exec sleep 1000""")
    with place.run(command=program):
        wait_for(lambda: place.events)
    [entry] = place.events[0].content.attachments
    assert entry == {"name": ".env", "error": "it is in no folder that files may come from (attachment_roots)"}
    assert not list(place.home.attachments.rglob("*.env"))


def test_a_program_that_has_closed_its_stdout_is_told_of(place: Place) -> None:
    program = place.script("""echo '{"text": "last"}'; exec >&-; echo $$ >>notes; exec sleep 1000""")
    with place.run(command=program) as running:
        wait_for(lambda: place.status.get("state") == "failing", deadline_s=20)
        assert "closed its stdout" in place.status["note"]
        assert running.output.count("closed its stdout") == 1
    assert place.texts == ["last"]


def test_any_program_that_prints_json_lines_is_a_source(place: Place) -> None:
    program = place.script("""
        echo '{"__CURSOR": "c1", "MESSAGE": "unit started", "_SYSTEMD_UNIT": "sshd"}'
        echo '{"__CURSOR": "c2", "MESSAGE": "unit started", "_SYSTEMD_UNIT": "sshd"}'
        exec sleep 1000""")
    fields = {"id": "__CURSOR", "text": "MESSAGE", "platform_event": "_SYSTEMD_UNIT"}
    with place.run(command=program, fields=fields):
        wait_for(lambda: len(place.events) == 2)
    assert place.texts == ["unit started"] * 2
    event = place.events[0].event
    assert event is not None
    assert (event.platform_event, event.payload["__CURSOR"]) == ("sshd", "c1")


@pytest.mark.parametrize("step", ["intake.staged", "intake.recorded", "intake.published"])
def test_a_death_loses_nothing_of_a_program_that_goes_on_at_its_checkpoint(place: Place, step: str) -> None:
    program = place.script("""
        n=${MAILBOX_CHECKPOINT/null/0}
        while (( n < 40 )); do
            n=$(( n + 1 )); echo "{\\"id\\": \\"$n\\", \\"text\\": \\"$n\\"}"; echo "{\\"checkpoint\\": $n}"
        done
        exec sleep 1000""")
    with place.run(command=program, kill_at=(step, 7)) as killed:
        killed.wait()
    with place.run(command=program):
        wait_for(lambda: len(place.events) >= 40)
    assert place.texts == [str(n) for n in range(1, 41)]


def test_sync_has_nothing_to_do_and_says_so(place: Place) -> None:
    with place.run(command=place.script("exec sleep 1000")).connected():
        place.drop({"action": "sync"})
        [receipt] = wait_for(lambda: place.receipts)
    assert receipt.metadata["new"] == 0


# ── outgoings ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outgoing_whose_program_dies_over_it_may_have_been_sent(place: Place) -> None:
    program = place.script("""
        read -r start
        while read -r line; do
            echo "$line" >>notes
            key=$(sed 's/.*"send": "\\([^"]*\\)".*/\\1/' <<<"$line")
            [ -e died ] || { touch died; exit 1; }
            echo "{\\"sent\\": \\"$key\\", \\"ids\\": [\\"m1\\"]}"
        done""")
    with place.run(command=program, send_lines=True).connected():
        place.drop({"conversation_id": "C1", "text": "hi", "id": "o1"})
        [receipt] = wait_for(lambda: place.receipts, deadline_s=30)
    assert (receipt.ids, receipt.ambiguous) == (["m1"], True)
    assert len({json.loads(line)["send"] for line in place.notes}) == 1


def test_while_the_program_is_away_an_outgoing_waits_and_costs_no_attempt(place: Place) -> None:
    program = place.script("""
        [ -e up ] || exit 1
        while read -r line; do
            key=$(sed -n 's/.*"send": "\\([^"]*\\)".*/\\1/p' <<<"$line")
            [ -z "$key" ] || echo "{\\"sent\\": \\"$key\\"}"
        done""")
    with place.run(command=program, send_lines=True):
        wait_for(lambda: place.status.get("state") == "reconnecting")
        place.drop({"conversation_id": "C1", "text": "hi"})
        wait_for(lambda: not list(place.home.outbox(NAME).glob("*.json")))
        (place.home.root / "up").touch()
        [receipt] = wait_for(lambda: place.receipts, deadline_s=30)
    assert receipt.attempts <= 2
    assert receipt.ambiguous is False


def test_a_program_that_never_answers_is_not_waited_for_for_ever(place: Place) -> None:
    (place.home.config_file).write_text(
        json.dumps({"connectors": [], "delivery": {"quiet_s": 0.1, "on_ambiguous": "hold"}})
    )
    with place.run(command=place.script("exec cat >/dev/null"), send_lines=True, send_timeout_s=0.3).connected():
        place.drop({"conversation_id": "C1", "text": "hi"})
        [reason] = wait_for(lambda: place.reasons)
    assert reason.class_ == "ambiguous"


def test_without_a_way_to_send_an_outgoing_is_a_dead_letter_that_says_how_to_make_one(place: Place) -> None:
    with place.run(command=place.script("exec sleep 1000")).connected():
        place.drop({"conversation_id": "C1", "text": "hi"})
        [reason] = wait_for(lambda: place.reasons)
    assert "send_command" in reason.hint


def test_an_action_that_the_operator_names_is_handed_over(place: Place) -> None:
    program = place.script("""
        while read -r line; do
            key=$(sed -n 's/.*"send": "\\([^"]*\\)".*/\\1/p' <<<"$line")
            [ -z "$key" ] || { echo "$line" >>notes; echo "{\\"sent\\": \\"$key\\"}"; }
        done""")
    with place.run(command=program, send_lines=True, actions=["react"]).connected():
        place.drop({"action": "react", "conversation_id": "C1", "target_id": "m1", "emoji": "eyes"}, "a.json")
        place.drop({"action": "edit", "conversation_id": "C2", "target_id": "m1", "text": "x"}, "b.json")
        wait_for(lambda: place.receipts and place.reasons)
    assert json.loads(place.notes[0])["outgoing"]["emoji"] == "eyes"
    assert [reason.file for reason in place.reasons] == ["b.json"]
