"""The program itself: help, errors, exit codes, pipes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import connectors.commands
from connectors.commands.main import SECTIONS, VERBS, load, main
from tests.commands.program import PROGRAM, done, on_terminal, put_event
from tests.commands.program import connectors as run

NO_VERBS = {"__init__", "arguments", "main", "onboarding", "output", "reference", "sending"}


def test_help_lists_every_verb_with_one_line_and_they_all_exist() -> None:
    text = done("--help")

    files = {path.stem for path in Path(connectors.commands.__path__[0]).glob("*.py")} - NO_VERBS
    assert files == set(VERBS)
    for section, verbs in SECTIONS.items():
        assert f"{section}:\n" in text
        for verb, line in verbs.items():
            assert any(row.split(maxsplit=1) == [verb, line] for row in text.splitlines()), verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_the_home_and_explains_its_options(verb: str) -> None:
    command = load(verb)

    for one in getattr(command, "commands", {"": command}).values():
        options = {name: param for param in one.params for name in param.opts}
        assert options["--seed-home"].envvar == "MAILBOX_HOME", one.name
        assert all(param.help for param in one.params), one.name
        assert "\n" not in " ".join(param.help for param in one.params)


def test_help_is_quick_because_it_imports_no_verb_and_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from connectors.commands.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)

    loaded = set(result.stderr.split())
    assert not loaded & {"rich", "pydantic", "yaml", "watchdog", "filelock", "sqlite3.dbapi2", "httpx"} - {
        "sqlite3.dbapi2"
    }
    assert not {f"connectors.commands.{verb}" for verb in VERBS} & loaded


def test_an_unknown_verb_is_a_usage_error_with_a_suggestion() -> None:
    result = run("statsu")

    assert result.returncode == 2
    assert 'there is no verb "statsu" (did you mean "status"?)' in result.stderr


def test_the_version_is_printed() -> None:
    assert done("--version").startswith("connectors 0.")


def test_an_error_is_one_line_and_a_hint_on_stderr_with_its_exit_code(home: Path) -> None:
    result = run("tail", home=home)

    assert result.returncode == 78
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: {home} is no home: it has neither connectors.yml nor messages/",
        "hint:  name it with --seed-home FOLDER, or make one: connectors init",
    ]


@pytest.mark.parametrize("verb", ["status", "tail", "run", "failed list", "doctor", "logs"])
def test_a_verb_in_the_wrong_folder_makes_nothing_there(home: Path, verb: str) -> None:
    run(*verb.split(), home=home)

    assert list(home.iterdir()) == []


def test_an_error_of_the_system_is_no_traceback(box: Path) -> None:
    (box / "messages" / "claimed").rmdir()
    (box / "messages" / "claimed").write_text("")

    result = run("next", "--as", "me", home=box)

    assert result.returncode in (1, 78)
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")


def test_the_home_can_come_from_the_environment_and_the_option_wins(box: Path, tmp_path: Path) -> None:
    env = {"MAILBOX_HOME": str(box)}

    assert done("types", env=env)
    assert run("tail", env={"MAILBOX_HOME": str(tmp_path / "nowhere")}).returncode == 78
    assert run("tail", "--seed-home", box, env={"MAILBOX_HOME": "/nowhere"}).returncode == 0


@pytest.mark.parametrize(
    "verb", ["tail", "logs cli -n 100000", "failed show x.json", "explain e", "logs cli -n 9999 -f"]
)
def test_a_reader_who_has_seen_enough_ends_it_quietly_with_141(box: Path, verb: str) -> None:
    """As the shell says of a program that SIGPIPE ended: `connectors tail | head -1`."""
    for number in range(300):
        (box / "messages" / "inbox" / f"{number:05}.json").write_bytes(_event(number))
    put_event(box, "e", "word " * 100_000)
    (box / "logs" / "cli.log").write_text("2026-01-01T00:00:00.000Z INFO one\n" * 20_000)
    (box / "messages" / "failed" / "x.json").write_text("a line\n" * 20_000)
    with subprocess.Popen(
        [*PROGRAM, *verb.split()], cwd=box, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (141, b"")


def test_an_error_that_nobody_reads_keeps_its_exit_code(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([*PROGRAM, "tail"], cwd=home, stdout=subprocess.PIPE, stderr=write) as process:
        os.close(write)
        assert process.stdout is not None
        output = process.stdout.read()

    assert (process.returncode, output) == (78, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("verb", "code"), [("status --json", 1), ("types", 0), ("explain --nothing", 2)])
def test_what_the_caller_closed_is_no_failure(box: Path, closed: str, verb: str, code: int) -> None:
    line = f'exec "$@" {verb} {closed}'
    result = subprocess.run(["sh", "-c", line, "sh", *PROGRAM], cwd=box, capture_output=True, text=True, check=False)

    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def _event(number: int) -> bytes:
    return json.dumps(
        {
            "id": f"e{number}",
            "connector": {"type": "cli", "instance": "cli"},
            "sender": {"id": "U"},
            "content": {"text": "x" * 500},
            "conversation": {"id": "C"},
        }
    ).encode()


def test_ctrl_c_ends_it_quietly_with_130(box: Path) -> None:
    put_event(box, "e1")
    with subprocess.Popen([*PROGRAM, "tail", "-f"], cwd=box, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        errors = process.stderr.read()

    assert (code, errors) == (130, b"")


def test_what_is_piped_has_no_colours_and_no_control_characters(box: Path) -> None:
    (box / "messages" / "failed" / "evil\x1b[31m.json").write_text("{}")

    listed = done("failed", "list", home=box, env={"FORCE_COLOR": "1"})

    assert "\x1b" not in listed
    assert "\\x1b[31m.json" in listed


def test_main_can_be_called_with_arguments(capsys: pytest.CaptureFixture[str], box: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["validate", "--seed-home", str(box)])

    assert end.value.code == 0
    assert capsys.readouterr().out == "connectors.yml is valid: 1 of 1 connectors are enabled\n"


def test_on_a_terminal_there_are_headings_and_no_line_is_too_long(box: Path) -> None:
    lines = on_terminal("status", home=box).splitlines()

    assert any("NAME" in line and "WAITING" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_no_color_means_no_colour_on_a_terminal(box: Path) -> None:
    (box / ".env").chmod(0o644)

    assert "\x1b[31merror" in on_terminal("doctor", home=box, raw=True)
    assert "\x1b[3" not in on_terminal("doctor", home=box, raw=True, NO_COLOR="1")
