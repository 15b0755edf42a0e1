"""What is refused before anything starts, and what a program is given of its surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.base.checks.finding import Level
from connectors.base.errors import ConfigError
from connectors.command.connector import CommandConnector
from connectors.command.options import CommandOptions
from tests.command.live import Place


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give command, send_command, or both"),
        ({"send_command": "cat", "schedule": "5m"}, "are about command"),
        ({"command": "cat", "schedule": "5m", "send_lines": True}, "use send_command in place of send_lines"),
        ({"command": "cat", "send_command": "cat", "send_lines": True}, "exclude each other"),
        ({"command": "cat", "fields": {"id": "x"}, "send_lines": True}, "every line is an event"),
        ({"command": []}, "names no program"),
        ({"command": "  "}, "names no program"),
        ({"command": 'echo "open'}, "cannot be split into words"),
        ({"command": "cat", "fields": {"name": "x"}}, "no such field 'name'"),
        ({"command": "cat", "env": {"A=B": "x"}}, "cannot be a variable"),
        ({"command": "cat", "env": {"MAILBOX_HOME": "x"}}, "the connector sets"),
        ({"command": "cat", "schedule": "sometimes"}, "is no schedule"),
        ({"comand": "cat"}, 'unknown option "comand"'),
    ],
)
def test_what_makes_no_sense_is_refused(home: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CommandConnector("prog", home, options).options  # noqa: B018 - reading them is what raises
    assert why in str(caught.value)


def test_a_command_is_words_and_no_shell_sees_it_unless_it_is_asked_for() -> None:
    given = CommandOptions(command="echo '$HOME;' x")
    assert given.words(given.command or "") == ["echo", "$HOME;", "x"]
    shell = CommandOptions(command=["echo", "a b"], shell=True)  # noqa: S604 - an option of that name
    assert shell.words(shell.command or "") == ["/bin/sh", "-c", "echo 'a b'"]


def test_a_program_gets_what_it_needs_and_no_secret_of_others() -> None:
    own = {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "SLACK_BOT_TOKEN": "canary", "HTTPS_PROXY": "http://u:p@x"}
    given = CommandOptions(command="cat", env={"TOKEN": "mine", "HOME": "/elsewhere"})
    assert given.environment(own, instance="prog", checkpoint="x" * 200_000) == {
        "PATH": "/bin",
        "HOME": "/elsewhere",
        "LC_ALL": "C",
        "TOKEN": "mine",
        "MAILBOX_INSTANCE": "prog",
    }


def test_a_program_that_is_not_there_is_named_before_anything_runs(home: Path) -> None:
    place = Place(home)
    (home / "plain").write_text("no program")
    for options, why in (
        ({"command": "no-such-program-here"}, "there is no program"),
        ({"command": "./gone"}, "there is no program"),
        ({"command": "./plain"}, "may not be run"),
        ({"command": "cat", "cwd": "nowhere"}, "is no folder"),
        ({"send_command": "no-such-program-here"}, "there is no program"),
    ):
        with pytest.raises(ConfigError, match=why):
            place.here(**options).connect()


def test_the_doctor_names_a_program_that_is_not_there(home: Path) -> None:
    place = Place(home)
    [finding] = place.here(command="cat", send_command="no-such-program-here").diagnose()
    assert (finding.level, "send_command: there is no program" in finding.what) == (Level.ERROR, True)
    [nowhere] = place.here(command="cat", cwd="nowhere").diagnose()
    assert "is no folder" in nowhere.what
