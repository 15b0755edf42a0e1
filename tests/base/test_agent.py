"""`AgentRunner`: any program as an agent."""

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.agent import STEPS, AgentRunner, Terms
from connectors.base.claims import Claims
from connectors.base.cursor import Cursor
from connectors.base.environment import MAX_VARIABLE_BYTES, variables
from connectors.base.errors import BadMessage, ConfigError
from connectors.base.holds import ConsumerInUse
from connectors.base.home import Home
from connectors.base.job import MAX_OUTPUT_BYTES
from connectors.base.message import Message, OutgoingMessage, Reason
from connectors.base.readers import Event, acked_folder, parse_event
from connectors.base.replies import replies, reply_id
from connectors.base.retry import Backoff
from tests.base.mail import drop, event, killed, line_of, names, program
from tests.helpers import wait_for

AT_ONCE = Backoff(initial_s=0.001, max_s=0.001)


@pytest.fixture
def box(home: Path) -> Home:
    made = Home(home)
    made.make(made.inbox)
    return made


def outgoings(box: Home, instance: str = "chat") -> list[OutgoingMessage]:
    """What the agent wrote, in order of writing."""
    folder = box.outbox(instance)
    return [OutgoingMessage.from_file(p) for p in sorted(map(folder.joinpath, names(folder)), key=_written_at)]


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def run_once(box: Home, *command: str, on_stderr: list[str] | None = None, **terms: Any) -> int:
    """Run the command on all that is there, with retries that do not wait."""
    chosen = Terms(**{"once": True, "backoff": AT_ONCE, **terms})
    lines = on_stderr if on_stderr is not None else []
    return AgentRunner(box, command, terms=chosen, on_stderr=lines.append).run()


def sh(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


@contextmanager
def running(box: Home, *command: str, name: str = "agent", **terms: Any) -> Iterator[AgentRunner]:
    """A runner in a thread of its own, until the end of the block."""
    runner = AgentRunner(
        box, command, name=name, terms=Terms(**{"backoff": AT_ONCE, **terms}), on_stderr=lambda line: None
    )
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()


def an_event(message: Message, file: str = "x.json") -> Event:
    return parse_event(message.to_bytes(), Path(file))


# ── from event to reply ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_gets_the_event_and_what_it_prints_is_the_reply(box: Home) -> None:
    drop(box, event("a", "C1", text="hello $HOME `id`\n", thread_id="T1"))
    script = 'cat; printf "%s|" "$MAILBOX_ID" "$MAILBOX_KIND" "$MAILBOX_INSTANCE" "$MAILBOX_TYPE" "$MAILBOX_SENDER"'
    script += ' "$MAILBOX_SENDER_ID" "$MAILBOX_CONVERSATION" "$MAILBOX_THREAD" "$MAILBOX_TEXT" "$MAILBOX_ATTEMPT"'
    script += ' "$MAILBOX_HOME" "${MAILBOX_FILE##*/claimed/}"'
    assert run_once(box, *sh(script)) == 0
    (out,) = outgoings(box)
    on_stdin, _, values = out.text.partition("\n}\n")
    assert json.loads(on_stdin + "}")["id"] == "a"
    *fields, file, _ = values.split("|")
    assert fields == [
        *("a", "message", "chat", "demo", "Ann", "U1", "C1", "T1", "hello $HOME `id`\n", "1"),
        str(box.root),
    ]
    assert file.startswith("agent/2026")
    assert (out.conversation_id, out.thread_id, out.reply_to) == ("C1", "T1", "a")
    assert names(box.inbox) == names(box.claimed / "agent") == []


def test_no_output_is_no_reply(box: Home) -> None:
    drop(box, event("a"))
    assert run_once(box, "true") == 0
    assert outgoings(box) == []
    assert names(box.inbox) == []


def test_a_command_that_reads_nothing_and_a_huge_event_do_not_hang(box: Home) -> None:
    drop(box, event("a", text="x" * 5_000_000))
    assert run_once(box, *sh('echo "${#MAILBOX_TEXT} $MAILBOX_TEXT_CUT"')) == 0
    assert [o.text for o in outgoings(box)] == ["100000 5000000"]


def test_a_background_child_that_keeps_the_output_open_delays_nothing_for_long(box: Home) -> None:
    drop(box, event("a"))
    assert run_once(box, *sh("sleep 600 & echo $!"), timeout_s=60) == 0
    (out,) = outgoings(box)
    os.kill(int(out.text), signal.SIGKILL)


@pytest.mark.parametrize("status", [0, 3])
def test_what_a_command_that_has_ended_leaves_running_is_left_alone(box: Home, tmp_path: Path, status: int) -> None:
    drop(box, event("a"))
    script = f"(sleep 600 & echo $! >{tmp_path}/child); echo answer; exit {status}"
    assert run_once(box, *sh(script), timeout_s=60, max_attempts=1) == (status != 0)
    assert [out.text for out in outgoings(box)] == ([] if status else ["answer"])
    child = int((tmp_path / "child").read_text())
    assert not _is_gone(child)
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("output", "texts"),
    [
        ("", []),
        ("\n", []),
        ("\n\n", ["\n"]),
        ("  two  lines \nkept \n", ["  two  lines \nkept "]),
        ('{"text": "one"}', ["one"]),
        ('{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
        ('{"text": "one"}{"text": "two"}', ["one", "two"]),
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('{"answer": 42}', ['{"answer": 42}']),
        ('{"id": "x", "name": "y"}\n', ['{"id": "x", "name": "y"}']),
        ("[1, 2]", ["[1, 2]"]),
        ("[]", ["[]"]),
        ('{"text": "one"} and more', ['{"text": "one"} and more']),
        ('{"text": "one"', ['{"text": "one"']),
        ("{" * 100_000, ["{" * 100_000]),
    ],
)
def test_output_is_text_unless_it_is_nothing_but_outgoings(output: str, texts: list[str]) -> None:
    assert [o.text for o in replies(an_event(event("a")), output.encode())] == texts


@given(st.binary(max_size=200))
def test_any_output_makes_replies_or_says_what_is_wrong(output: bytes) -> None:
    try:
        made = replies(an_event(event("a")), output)
    except BadMessage:
        return
    assert all(o.conversation_id for o in made)  # what is JSON may name another one


def test_ids_are_the_same_in_every_run_and_differ_between_answers_events_and_instances() -> None:
    one, again = (replies(an_event(event("a")), b'{"text": "x"}{"text": "x"}') for _ in range(2))
    other = replies(an_event(event("a", instance="other")), b"x")
    assert [o.id for o in one] == [o.id for o in again]
    assert len({o.id for o in (*one, *other, *replies(an_event(event("b")), b"x"))}) == 4
    assert replies(an_event(event("a")), b'{"text": "x", "id": "mine"}')[0].id == "mine"


def test_an_answer_may_go_to_another_conversation_or_instance() -> None:
    text = (
        b'{"text": "x", "conversation_id": "C9"} {"text": "x", "connector_instance": "mail", "conversation_id": "M1"}'
    )
    here, there = replies(an_event(event("a", thread_id="T1")), text)
    assert (here.connector_instance, here.conversation_id, here.thread_id, here.reply_to) == ("chat", "C9", None, None)
    assert (there.connector_instance, there.conversation_id, there.reply_to) == ("mail", "M1", None)


def test_an_action_is_an_outgoing_too() -> None:
    (out,) = replies(an_event(event("a")), b'{"action": "react", "target_id": "7", "emoji": "+1"}')
    assert (out.action, out.conversation_id, out.reply_to) == ("react", "C1", "a")


def test_variables_are_data() -> None:
    hostile = event("a\0b", "C\0", text="\0" + "é" * 60_000 + "\ud800")
    found = variables(Path("/home"), an_event(hostile), 3)
    assert found[b"MAILBOX_ID"] == "a\ufffdb".encode()
    assert not any(b"\0" in value for value in found.values())
    assert MAX_VARIABLE_BYTES - 2 < len(found[b"MAILBOX_TEXT"]) <= MAX_VARIABLE_BYTES
    assert found[b"MAILBOX_TEXT"].decode().endswith("é")
    assert found[b"MAILBOX_TEXT_CUT"] == b"120004"
    assert found[b"MAILBOX_ATTEMPT"] == b"3"


# ── which events, in which order ─────────────────────────────────────────────────────────────────────────────────


def test_only_what_a_person_did_is_handed_out_and_the_rest_is_acknowledged(box: Home) -> None:
    kinds = ["message", "delivery", "command", "reaction", "button", "edit"]
    drop(box, *(event(kind, f"C{n}", kind=kind) for n, kind in enumerate(kinds)))
    reader = Cursor(box, "log")
    assert run_once(box, *sh("echo $MAILBOX_KIND")) == 0
    assert sorted(o.text for o in outgoings(box)) == ["button", "command", "message"]
    assert names(box.inbox) == []
    assert len(names(acked_folder(box))) == 6
    assert len(list(reader.events())) == 6


def test_all_kinds_can_be_asked_for(box: Home) -> None:
    drop(box, event("a", kind="delivery"))
    assert run_once(box, *sh("echo $MAILBOX_KIND"), kinds=None) == 0
    assert [o.text for o in outgoings(box)] == ["delivery"]


def test_jobs_run_side_by_side_and_in_order_within_a_conversation(box: Home, tmp_path: Path) -> None:
    drop(box, *(event(f"{number:02d}", f"C{number % 4}") for number in range(24)))
    log = tmp_path / "log"
    script = (
        f'echo "begin $MAILBOX_CONVERSATION $MAILBOX_ID" >>{log}; echo "end $MAILBOX_CONVERSATION $MAILBOX_ID" >>{log}'
    )
    assert run_once(box, *sh(script), jobs=4) == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    for number in range(4):
        own = [(what, event_id) for what, conversation, event_id in lines if conversation == f"C{number}"]
        ids = [f"{n:02d}" for n in range(number, 24, 4)]
        assert own == [(what, event_id) for event_id in ids for what in ("begin", "end")]


def test_jobs_are_really_side_by_side(box: Home, tmp_path: Path) -> None:
    """Each of two commands ends only when the other has begun."""
    drop(box, event("a", "A"), event("b", "B"))
    script = f"touch {tmp_path}/$MAILBOX_ID; until [ -e {tmp_path}/a ] && [ -e {tmp_path}/b ]; do :; done; echo done"
    assert run_once(box, *sh(script), jobs=2, timeout_s=60) == 0
    assert len(outgoings(box)) == 2


def test_an_event_that_arrives_wakes_the_runner(box: Home) -> None:
    with running(box, *sh("echo $MAILBOX_TEXT")):
        wait_for((box.claimed / "agent").is_dir)
        drop(box, event("a"))
        wait_for(lambda: [o.text for o in outgoings(box)] == ["a"])
        drop(box, event("b"))
        wait_for(lambda: [o.text for o in outgoings(box)] == ["a", "b"])


# ── failure ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failing_command_is_retried_and_given_up_with_its_last_words(
    box: Home, caplog: pytest.LogCaptureFixture
) -> None:
    drop(box, event("a"))
    lines: list[str] = []
    assert (
        run_once(box, *sh('echo "try $MAILBOX_ATTEMPT" >&2; echo half; exit 3'), on_stderr=lines, max_attempts=3) == 1
    )
    assert lines == ["try 1", "try 2", "try 3"]
    assert outgoings(box) == []
    file, reason_file = names(box.failed)
    reason = Reason.from_file(box.failed / reason_file)
    assert (reason.file, reason.class_, reason.attempts, reason.id) == (file, "agent", 3, "a")
    assert "ended with exit status 3 (attempt 3 of 3)" in reason.reason
    assert reason.reason.endswith("try 3")
    assert "given up" in caplog.text


def test_a_waiting_retry_blocks_only_its_own_conversation(box: Home) -> None:
    drop(box, event("a1", "A"), event("a2", "A"), event("b1", "B"), event("b2", "B"))
    script = 'case $MAILBOX_CONVERSATION in A) exit 1;; esac; echo "$MAILBOX_ID"'
    with running(box, *sh(script), backoff=Backoff(1000, 1000, uniform=lambda low, high: high)):
        wait_for(lambda: len(outgoings(box)) == 2)
    assert [o.text for o in outgoings(box)] == ["b1", "b2"]
    held = Claims(box, "other")
    assert held.claim() is None  # the wait of a1 outlives the runner, and a2 waits behind it


def test_attempts_survive_a_restart(box: Home) -> None:
    drop(box, event("a"))
    with running(box, "false", backoff=Backoff(1000, 1000, uniform=lambda low, high: high)):
        wait_for(lambda: _attempts(box) == [1])
        wait_for(lambda: '"waiting": true' in (box.state / ".readers/claims/agent.json").read_text())
    claims = Claims(box, "agent")
    with claims.holds.lock():
        claims.holds.give_back(claims.folder / names(claims.folder)[0])  # the wait is over
    assert run_once(box, *sh("echo attempt $MAILBOX_ATTEMPT")) == 0
    assert [o.text for o in outgoings(box)] == ["attempt 2"]
    assert _attempts(box) == []


def _attempts(box: Home) -> list[int]:
    path = box.state / ".readers/agents/agent.json"
    return list(json.loads(path.read_text()).values()) if path.exists() else []


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(box: Home, tmp_path: Path) -> None:
    drop(box, event("a"))
    script = f"sleep 600 & echo $! >{tmp_path}/child; wait"
    assert run_once(box, *sh(script), timeout_s=0.3, max_attempts=1) == 1
    reason = Reason.from_file(box.failed / names(box.failed)[1])
    assert "did not end within 0.3 s" in reason.reason
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: _is_gone(child))


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_endless_output_ends_the_command(box: Home) -> None:
    drop(box, event("a"))
    assert run_once(box, "yes", max_attempts=1) == 1
    reason = Reason.from_file(box.failed / names(box.failed)[1])
    assert f"more than {MAX_OUTPUT_BYTES} bytes" in reason.reason


def test_output_that_cannot_be_sent_is_a_failure_with_its_reason(box: Home) -> None:
    drop(box, event("a"))
    output = '{"text": "x", "connector_instance": "nowhere", "conversation_id": "N1"}'
    assert run_once(box, "echo", output, max_attempts=1) == 1
    reason = Reason.from_file(box.failed / names(box.failed)[1])
    assert "no outbox for 'nowhere'" in reason.reason


def test_control_characters_of_stderr_reach_no_terminal(box: Home) -> None:
    drop(box, event("a"))
    lines: list[str] = []
    run_once(box, *sh(r"printf '\033[31mred\007\n\377\n' >&2; printf 'no newline' >&2"), on_stderr=lines)
    assert lines == ["\\x1b[31mred\\x07", "\ufffd", "no newline"]


def test_a_command_that_is_not_there_is_a_config_error_and_costs_no_event(box: Home) -> None:
    drop(box, event("a"))
    with pytest.raises(ConfigError, match="'no-such-program' cannot be run"):
        run_once(box, "no-such-program")
    assert len(names(box.inbox)) == 1


def test_a_plain_delete_while_the_command_runs_is_final(box: Home) -> None:
    drop(box, event("a"), event("b"))
    assert run_once(box, *sh('rm -f "$MAILBOX_FILE"; echo "$MAILBOX_ID"')) == 0
    assert [o.text for o in outgoings(box)] == ["a", "b"]
    assert names(box.inbox) == names(box.failed) == []


def test_two_runners_of_one_name_are_refused(box: Home) -> None:
    with running(box, "true"):
        wait_for((box.state / ".readers/agents/agent.json").exists)
        with pytest.raises(ConsumerInUse):
            AgentRunner(box, ["true"]).run()


# ── stopping and dying ───────────────────────────────────────────────────────────────────────────────────────────

RUNNER = """
import os, signal, sys
from connectors.base import steps
from connectors.base.agent import AgentRunner, Terms
from connectors.base.home import Home
home, at, grace, *command = sys.argv[1:]
if at:
    steps.listener = lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == at else None
print("ready")
code = AgentRunner(Home(home), command, terms=Terms(once=bool(at), stop_grace_s=float(grace))).run()
print("ended", code)
"""


@pytest.mark.parametrize("at", STEPS)
def test_a_runner_that_is_killed_at_any_step_answers_each_event_once(box: Home, at: str) -> None:
    drop(box, event("a"))
    command = sh("echo $MAILBOX_TEXT")
    with program(RUNNER, box.root, at, 10, *command) as process:
        assert process.wait(timeout=30) == -signal.SIGKILL
    first = {o.id for o in outgoings(box)}
    assert run_once(box, *command) == 0
    assert [o.text for o in outgoings(box)] == ["a"]
    assert first <= {reply_id(an_event(event("a")), 0)} == {o.id for o in outgoings(box)}
    assert names(box.inbox) == names(box.claimed / "agent") == []


def test_a_reply_that_was_sent_meanwhile_is_written_again_under_the_same_id(box: Home) -> None:
    drop(box, event("a"))
    command = sh("echo $MAILBOX_TEXT")
    with program(RUNNER, box.root, "agent.replied", 10, *command) as process:
        assert process.wait(timeout=30) == -signal.SIGKILL
    (path,) = box.outbox("chat").iterdir()
    first = OutgoingMessage.from_file(path)
    path.unlink()  # the connector has taken it
    assert run_once(box, *command) == 0
    assert [o.id for o in outgoings(box)] == [first.id]  # and answers it with the first one's receipt


def test_sigterm_waits_for_what_runs(box: Home, tmp_path: Path) -> None:
    drop(box, event("a"), event("b"))
    script = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do :; done; echo $MAILBOX_ID"
    with program(RUNNER, box.root, "", 30, *sh(script)) as process:
        assert line_of(process) == "ready"
        wait_for((tmp_path / "begun").exists)
        process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        assert line_of(process) == "ended 0"
    assert [o.text for o in outgoings(box)] == ["a"]
    assert len(names(box.inbox)) == 1


def test_sigterm_gives_back_what_does_not_end(box: Home, tmp_path: Path) -> None:
    drop(box, event("a"))
    script = f"echo $$ >{tmp_path}/pid; sleep 600; echo late"
    with program(RUNNER, box.root, "", 0.1, *sh(script)) as process:
        assert line_of(process) == "ready"
        wait_for((tmp_path / "pid").exists)
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "ended 0"
    assert outgoings(box) == []
    assert len(names(box.inbox)) == 1
    assert _attempts(box) == []  # it does not count


def test_a_second_signal_waits_no_longer(box: Home, tmp_path: Path) -> None:
    drop(box, event("a"))
    with program(RUNNER, box.root, "", 600, *sh(f"touch {tmp_path}/begun; sleep 600")) as process:
        assert line_of(process) == "ready"
        wait_for((tmp_path / "begun").exists)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "ended 0"
    assert len(names(box.inbox)) == 1


def test_a_killed_runner_costs_an_attempt_so_that_no_event_kills_it_for_ever(box: Home) -> None:
    drop(box, event("poison"))
    for _ in range(2):
        with program(RUNNER, box.root, "agent.ran", 10, "true") as process:
            assert process.wait(timeout=30) == -signal.SIGKILL
    assert run_once(box, *sh("echo $MAILBOX_ATTEMPT; exit 1"), max_attempts=3) == 1
    assert Reason.from_file(box.failed / names(box.failed)[1]).attempts == 3


def test_another_worker_gets_what_a_killed_runner_had(box: Home, tmp_path: Path) -> None:
    drop(box, event("a"))
    with program(RUNNER, box.root, "", 10, *sh(f"echo $$ >{tmp_path}/pid; sleep 600")) as process:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        killed(process)
    os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert Claims(box, "other").claim() is not None


def test_a_fault_of_the_folders_is_waited_out(box: Home, caplog: pytest.LogCaptureFixture) -> None:
    """A reply that cannot be written costs no attempt: the event stays, and the log says why."""
    caplog.set_level(logging.WARNING)
    box.make(box.messages / "outbox")
    (box.messages / "outbox" / "chat").write_text("a file where a folder has to be")
    drop(box, event("a"))
    with running(box, *sh("echo hi"), max_attempts=1000):
        wait_for(lambda: "is needed as a folder" in caplog.text)
    assert names(box.failed) == []
