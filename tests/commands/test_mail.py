"""The verbs for agents: tail, next, ack, nack, reply, send, cancel, replay, agent."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.commands.program import DEADLINE_S, connectors, done, manager, put_event
from tests.helpers import wait_for


def outbox(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((home / "messages/outbox/cli").glob("*.json"))]


def ids(text: str) -> list[str]:
    return [json.loads(line)["id"] for line in text.splitlines()]


def test_tail_prints_one_event_a_line_and_leaves_them(box: Path) -> None:
    for event_id in ("e1", "e2"):
        put_event(box, event_id, "two\nlines")

    text = done("tail", home=box)

    assert ids(text) == ["e1", "e2"]
    assert ids(done("tail", home=box)) == ["e1", "e2"]
    assert json.loads(text.splitlines()[0])["content"]["text"] == "two\nlines"


def test_a_cursor_is_moved_by_ack_alone(box: Path) -> None:
    put_event(box, "e1")
    put_event(box, "e2")

    assert ids(done("tail", "--as", "me", home=box)) == ["e1", "e2"]
    done("ack", "e1", "--as", "me", home=box)
    assert ids(done("tail", "--as", "me", home=box)) == ["e2"]
    assert ids(done("tail", "--as", "me", "--auto-ack", home=box)) == ["e2"]
    assert done("tail", "--as", "me", home=box) == ""


def test_auto_ack_needs_a_cursor(box: Path) -> None:
    assert connectors("tail", "--auto-ack", home=box).returncode == 78


def test_tail_chooses_kinds_and_instances(box: Path) -> None:
    put_event(box, "e1")
    put_event(box, "e2", instance="other")

    assert ids(done("tail", "--instance", "other", home=box)) == ["e2"]
    assert done("tail", "--kinds", "edit,delete", home=box) == ""
    wrong = connectors("tail", "--kinds", "mesage", home=box)
    assert wrong.returncode == 78
    assert 'there is no kind "mesage" (did you mean "message"?)' in wrong.stderr


def test_next_claims_and_ack_deletes(box: Path) -> None:
    put_event(box, "e1")

    assert ids(done("next", "--as", "w1", home=box)) == ["e1"]
    assert connectors("next", "--as", "w2", home=box).returncode == 1
    assert done("ack", "e1", "--as", "w1", home=box) == ""
    assert not list(box.glob("messages/*/**/*.json"))
    again = connectors("ack", "e1", "--as", "w1", home=box)
    assert again.returncode == 1
    assert "does not hold 'e1'" in again.stderr


def test_nack_gives_it_back_at_once_or_later(box: Path) -> None:
    put_event(box, "e1")

    done("next", "--as", "w1", home=box)
    done("nack", "e1", "--as", "w1", home=box)
    assert ids(done("next", "--as", "w2", home=box)) == ["e1"]
    done("nack", "e1", "--as", "w2", "--delay", 3600, home=box)
    assert connectors("next", "--as", "w1", home=box).returncode == 1


def test_next_waits_for_an_event(box: Path) -> None:
    import threading

    threading.Timer(0.3, put_event, (box, "late")).start()

    assert ids(done("next", "--as", "w", "--wait", DEADLINE_S, home=box)) == ["late"]


def test_reply_goes_where_the_event_came_from(box: Path) -> None:
    put_event(box, "e1", conversation="C7")

    reply_id = done("reply", "e1", "-", "--id", "r1", home=box, text="from\nstdin\n").strip()

    (outgoing,) = outbox(box)
    assert reply_id == outgoing["id"] == "r1"
    assert (outgoing["reply_to"], outgoing["conversation_id"], outgoing["thread_id"]) == ("e1", "C7", "T1")
    assert outgoing["text"] == "from\nstdin"
    unknown = connectors("reply", "nix", "text", home=box)
    assert unknown.returncode == 1
    assert "no kept event has the id 'nix'" in unknown.stderr


def test_send_takes_every_field(box: Path) -> None:
    before = datetime.now(UTC)
    file = box / "plan.pdf"
    file.write_bytes(b"%PDF")

    done(
        *("send", "cli", "C1", "hi", "--thread", "T2", "--format", "plain", "--id", "s1", "--attach", file),
        *("--not-before", "+2h", "--expires-at", "2030-01-01T00:00:00+01:00"),
        home=box,
    )

    (outgoing,) = outbox(box)
    assert (outgoing["thread_id"], outgoing["format"], outgoing["id"]) == ("T2", "plain", "s1")
    waits = datetime.fromisoformat(outgoing["not_before"]) - before
    assert timedelta(hours=2) <= waits < timedelta(hours=2, minutes=5)
    assert outgoing["expires_at"] == "2029-12-31T23:00:00Z"
    (attachment,) = outgoing["attachments"]
    assert attachment["name"] == "plan.pdf"
    assert (box / attachment["path"]).read_bytes() == b"%PDF"
    assert attachment["path"].startswith("messages/attachments/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nix", "C", "x"), "there is no outbox for 'nix'; there are: cli"),
        (("cli", "C", "x", "--not-before", "soon"), "'soon' is no time"),
        (("cli", "C", "x", "--attach", "/nowhere"), "/nowhere is no file"),
        (("cli", "C", "x", "--format", "bold"), "format: "),
    ],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_written(
    box: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = connectors("send", *arguments, home=box)

    assert result.returncode in (1, 78)
    assert said in result.stderr
    assert outbox(box) == []


def test_send_waits_for_the_receipt(box: Path) -> None:
    import subprocess

    from tests.commands.program import PROGRAM

    with (
        manager(box),
        subprocess.Popen([*PROGRAM, "chat"], cwd=box, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as chat,
    ):
        # The connector takes what waits when somebody attaches.
        sent = done("send", "cli", "C1", "hi", "--id", "s1", "--wait", DEADLINE_S, home=box)
        again = json.loads(done("send", "cli", "C1", "hi", "--id", "s1", "--wait", DEADLINE_S, "--json", home=box))
        chat.terminate()

    assert sent.startswith("s1 sent")
    assert again["state"] == "duplicate"
    assert again["record"]["id"] == "s1"


def test_send_tells_of_a_failure_and_of_no_end(box: Path) -> None:
    with manager(box):
        failed = connectors("reply", "e", "x", "--wait", DEADLINE_S, home=box)
        dead = connectors(
            *("send", "cli", "C", "x", "--expires-at", "2020-01-01T00:00:00Z", "--wait", DEADLINE_S), home=box
        )
        late = connectors("send", "cli", "C", "x", "--id", "l1", "--not-before", "+1d", "--wait", 0.1, home=box)

    assert failed.returncode == 1
    assert dead.returncode == 1
    assert "failed: expires_at was 2020-01-01" in dead.stdout
    assert late.returncode == 1
    assert late.stdout == "l1 is not sent yet: connectors explain l1\n"


def test_cancel_takes_back_what_waits(box: Path) -> None:
    done("send", "cli", "C", "x", "--id", "c1", home=box)

    assert done("cancel", "c1", home=box) == "c1 is cancelled\n"
    assert outbox(box) == []
    again = connectors("cancel", "c1", home=box)
    assert again.returncode == 1
    assert "no outgoing 'c1' waits to be sent" in again.stderr


def test_replay_brings_back_what_was_acknowledged(box: Path) -> None:
    with manager(box):
        import subprocess

        from tests.commands.program import PROGRAM

        subprocess.run([*PROGRAM, "chat"], cwd=box, input=b"hello\n", timeout=DEADLINE_S, check=True)
        (event_id,) = ids(wait_for(lambda: done("tail", home=box), deadline_s=DEADLINE_S))
        done("next", "--as", "w", home=box)
        done("ack", event_id, "--as", "w", home=box)
        path = Path(done("replay", event_id, home=box).strip())

    assert path.parent == box / "messages/inbox"
    assert ids(done("tail", home=box)) == [event_id]
    assert connectors("replay", "nix", home=box).returncode == 1


def test_agent_runs_a_command_for_every_event(box: Path) -> None:
    put_event(box, "e1", "one")
    put_event(box, "e2", "two")

    result = connectors(
        *("agent", "--once", "--jobs", 2, "--as", "bot", "--", "sh", "-c", 'echo "$0: $MAILBOX_TEXT"', "-v"), home=box
    )

    assert result.returncode == 0
    assert sorted(outgoing["text"] for outgoing in outbox(box)) == ["-v: one", "-v: two"]
    assert done("tail", home=box) == ""


def test_agent_gives_up_visibly(box: Path) -> None:
    put_event(box, "e1")

    result = connectors("agent", "--once", "--attempts", 1, "--", "sh", "-c", "echo no >&2; exit 3", home=box)

    assert result.returncode == 1
    assert "given up" in result.stderr
    assert "agent" in done("failed", "list", home=box)


def test_agent_without_a_command_is_a_usage_error(box: Path) -> None:
    assert connectors("agent", home=box).returncode == 2
    assert connectors("agent", "--", "/no/such/program", home=box).returncode == 78
