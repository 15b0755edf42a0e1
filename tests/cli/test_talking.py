"""What the cli connector reads and prints: on a terminal, in a pipe, and through its socket. Real processes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.message import Message, OutgoingMessage
from tests.helpers import wait_for

DEADLINE_S = 60
ALONE = (sys.executable, "-P", "-m", "connectors.cli.connector", "--seed-home", ".", "--name", "cli")
CHAT = (sys.executable, "-P", "-m", "connectors", "chat")
#: Moves the cursor, clears the screen, sets the title, rings; and the one-byte form of the first.
STEERING = "\x1b[2J\x1b]0;title\x07 \x9b5A\rover \x08 end"


def events(home: Path) -> list[Message]:
    return [Message.from_file(path) for path in sorted(Home(home).inbox.glob("*.json"))]


def answer(home: Path, event: Message, text: str) -> None:
    """As an agent does: reply, then take the event away."""
    OutgoingMessage(reply_to=event.id, text=text).write_to(Home(home).outbox("cli"))
    for path in Home(home).inbox.glob("*.json"):
        if Message.from_file(path).id == event.id:
            path.unlink()


def configure(home: Path, options: str) -> None:
    (home / "connectors.yml").write_text(f"connectors: [{{name: cli, type: cli, {options}}}]\n")


@contextmanager
def alone(home: Path, *arguments: str, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """The connector by itself, with pipes unless told otherwise; what has not ended by then is killed."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    with subprocess.Popen([*ALONE, *arguments], cwd=home, encoding="utf-8", **streams) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The rest of its output once its input has ended; it must end cleanly."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    return out, err


def write(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def one_event(home: Path) -> Message:
    return wait_for(lambda: events(home), deadline_s=DEADLINE_S)[0]


# --- a pipe -----------------------------------------------------------------------------------------------------------


def test_a_line_is_an_event_with_its_blanks_and_the_reply_is_printed(home: Path) -> None:
    with alone(home) as process:
        write(process, "  two  words \r\n")
        event = one_event(home)
        answer(home, event, " three\nlines\t ")
        out, err = finished(process)

    assert event.content.text == "  two  words "
    assert (event.connector.instance, event.conversation.id, event.sender.id) == ("cli", "cli", "user")
    assert out == " three\nlines\t \n", err


def test_the_last_line_needs_no_line_break_and_a_file_is_read_as_a_pipe_is(home: Path) -> None:
    (home / "lines").write_text("one\ntwo")
    configure(home, "linger_s: 0")
    with (home / "lines").open() as lines, alone(home, stdin=lines) as process:
        finished(process)

    assert [event.content.text for event in events(home)] == ["one", "two"]


def test_json_lines_go_both_ways(home: Path) -> None:
    line = {"text": "hi", "id": "m1", "sender_id": "U7", "username": "ada", "conversation_id": "C7", "thread_id": "T7"}
    with alone(home, "--json") as process:
        write(process, json.dumps(line) + "\n")
        event = one_event(home)
        answer(home, event, "größer \x1b[2J")
        out, _ = finished(process)

    assert (event.id, event.content.text) == ("m1", "hi")
    assert (event.sender.id, event.sender.username) == ("U7", "ada")
    assert (event.conversation.id, event.conversation.thread_id) == ("C7", "T7")
    assert json.loads(out) == {"text": "größer \x1b[2J", "reply_to": "m1", "conversation_id": "C7"}
    assert out.isascii()
    assert "\x1b" not in out


NO_MESSAGES = (
    *("no json", "[1]", "5", "{}", "[" * 9999),
    *('{"text": 5}', '{"text": "a", "id": ""}', '{"text": "a", "id": 7}'),
)


@pytest.mark.parametrize("line", NO_MESSAGES)
def test_a_json_line_that_is_no_message_is_named_and_the_next_one_is_read(home: Path, line: str) -> None:
    configure(home, "json: true, linger_s: 0")
    with alone(home) as process:
        write(process, f'{line}\n\n{{"text": "next"}}\n')
        _, err = finished(process)

    assert [event.content.text for event in events(home)] == ["next"]
    assert "cli: line ignored: " in err
    assert "Traceback" not in err


def test_the_same_id_again_is_no_second_event(home: Path) -> None:
    configure(home, "json: true, linger_s: 0")
    with alone(home) as process:
        write(process, '{"text": "a", "id": "m1"}\n{"text": "a", "id": "m1"}\n')
        finished(process)

    assert len(events(home)) == 1


def test_without_a_reply_it_ends_when_the_linger_is_over_and_says_so(home: Path) -> None:
    configure(home, "linger_s: 0.2")
    with alone(home) as process:
        write(process, "is anybody there?\n")
        _, err = finished(process)

    assert "cli: 1 lines without a reply after 0.2 s; is an agent running?\n" in err
    assert [event.content.text for event in events(home)] == ["is anybody there?"]


def test_what_was_acknowledged_without_a_reply_is_not_waited_for(home: Path) -> None:
    configure(home, "linger_s: 600")
    with alone(home) as process:
        write(process, "thanks\n")
        one_event(home)
        assert process.stdin is not None
        process.stdin.close()
        for path in Home(home).inbox.glob("*.json"):
            path.unlink()

        assert process.wait(DEADLINE_S) == 0


def test_while_an_agent_has_the_event_the_linger_does_not_run_out(home: Path) -> None:
    configure(home, "linger_s: 0.5")
    with alone(home) as process:
        write(process, "take your time\n")
        event = one_event(home)
        claimed = Home(home).claimed / "worker"
        claimed.mkdir(mode=0o700)
        (path,) = Home(home).inbox.glob("*.json")
        path.rename(claimed / path.name)
        assert process.stdin is not None
        process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        OutgoingMessage(reply_to=event.id, text="done").write_to(Home(home).outbox("cli"))
        (claimed / path.name).unlink()

        assert process.wait(DEADLINE_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "done\n"


def test_who_reads_the_output_may_leave(home: Path) -> None:
    """As in `… | head -1`: it ends cleanly, and what could not be printed stays queued."""
    with alone(home) as process:
        write(process, "one\n")
        event = one_event(home)
        assert process.stdout is not None
        process.stdout.close()
        answer(home, event, "x")

        assert process.wait(DEADLINE_S) == 0
        assert process.stderr is not None
        assert "Error" not in process.stderr.read()
    assert not list(Home(home).sent("cli").glob("*.json"))


# --- control characters -----------------------------------------------------------------------------------------------


def steers(shown: str) -> bool:
    """Whether it has a control character (C0 but line breaks and tabs, DEL, C1)."""
    return any(unicodedata.category(character) == "Cc" and character not in "\n\t\r" for character in shown)


def test_no_control_character_reaches_who_reads_the_pipe(home: Path) -> None:
    with alone(home) as process:
        write(process, "hello\n")
        answer(home, one_event(home), STEERING)
        out, _ = finished(process)

    assert not steers(out)
    assert "\r" not in out
    assert "\\x1b[2J\\x1b]0;title\\x07 \\x9b5A\\rover \\x08 end" in out


def test_a_terminal_is_a_chat_and_no_control_character_reaches_it(home: Path) -> None:
    with terminal(home, ALONE) as (process, typed, shown_until):
        shown_until("> ")
        typed("hello\n")
        event = one_event(home)
        answer(home, event, f"hi {STEERING}")
        shown = shown_until("end\r\n> ")
        typed("\x04")  # Ctrl-D: the end of the input

        assert process.wait(DEADLINE_S) == 0
    assert event.content.text == "hello"
    assert "\r\x1b[Khi \\x1b[2J" in shown, "the prompt is overwritten, and what came is visible"
    assert not steers(shown.replace("\x1b[K", ""))


def test_a_chat_shows_no_control_character_either(home: Path) -> None:
    with alone(home, stdin=subprocess.DEVNULL), terminal(home, CHAT, when=listening) as (process, typed, shown_until):
        shown_until("> ")
        typed("hello\n")
        answer(home, one_event(home), STEERING)
        shown = shown_until("end\r\n> ")
        typed("\x04")

        assert process.wait(DEADLINE_S) == 0
    assert not steers(shown.replace("\x1b[K", ""))


# --- the socket -------------------------------------------------------------------------------------------------------


def listening(home: Path) -> bool:
    return (Home(home).state_dir("cli") / "chat.sock").exists()


@pytest.mark.parametrize("closed", [False, True], ids=["dev-null", "closed"])
def test_without_an_input_it_listens_and_what_nobody_sees_waits(home: Path, closed: bool) -> None:
    close: dict[str, Any] = {"stdin": None, "preexec_fn": lambda: os.close(0)}
    with alone(home, **(close if closed else {"stdin": subprocess.DEVNULL})) as process:
        wait_for(lambda: listening(home), deadline_s=DEADLINE_S)
        socket = Home(home).state_dir("cli") / "chat.sock"
        assert socket.stat().st_mode & 0o777 == 0o600
        OutgoingMessage(conversation_id="cli", text="while you were away").write_to(Home(home).outbox("cli"))
        wait_for(lambda: not list(Home(home).outbox("cli").glob("*.json")), deadline_s=DEADLINE_S)
        assert not list(Home(home).sent("cli").glob("*.json"))
        with subprocess.Popen(CHAT, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as chat:
            assert chat.stdout is not None
            assert chat.stdout.readline() == "while you were away\n"
            chat.communicate(timeout=DEADLINE_S)
        process.terminate()

        assert process.wait(DEADLINE_S) == 0
    assert not socket.exists()


def test_the_last_line_of_a_chat_needs_no_line_break(home: Path) -> None:
    with alone(home, stdin=subprocess.DEVNULL):
        wait_for(lambda: listening(home), deadline_s=DEADLINE_S)
        subprocess.run(CHAT, cwd=home, input=b"one\ntwo", check=True, timeout=DEADLINE_S)

        wait_for(lambda: [event.content.text for event in events(home)] == ["one", "two"], deadline_s=DEADLINE_S)


# ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def terminal(
    home: Path, command: tuple[str, ...], when: Callable[[Path], bool] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[str], None], Callable[[str], str]]]:
    """A program on a terminal: itself, how to type, and how to read until something was shown."""
    if when is not None:
        wait_for(lambda: when(home), deadline_s=DEADLINE_S)
    leader, follower = pty.openpty()
    shown = b""

    def typed(text: str) -> None:
        os.write(leader, text.encode())

    def shown_until(text: str) -> str:
        nonlocal shown
        while text not in shown.decode(errors="replace"):
            shown += os.read(leader, 4096)
        return shown.decode()

    with subprocess.Popen(command, cwd=home, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        try:
            yield process, typed, shown_until
        finally:
            if process.poll() is None:
                process.terminate()
            os.close(leader)
