"""The scripts of the repository: setting up, and running the whole with one command."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The first start on a busy machine; these tests are about what happens, not about how fast.
DEADLINE_S = 60


@pytest.fixture(autouse=True)
def same_venv(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts use the environment that the tests run in."""
    monkeypatch.setenv("MAILBOX_VENV", sys.prefix)


def run(script: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )


def test_the_lock_holds_names_versions_and_hashes_and_no_address() -> None:
    lines = (ROOT / "scripts" / "requirements.lock").read_text(encoding="utf-8").splitlines()

    legal = re.compile(r"[a-z0-9._-]+==[\w.]+( ; [^/@]*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    assert [line for line in lines if not legal.fullmatch(line)] == []
    assert any(line.startswith("pydantic==") for line in lines)


@pytest.mark.skipif(not (Path(sys.prefix) / ".stamp").exists(), reason="not the environment of scripts/setup")
def test_setup_has_nothing_to_do_the_second_time_and_keeps_stdout_clean() -> None:
    again = run("setup")

    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == f"setup: {sys.prefix} is up to date\n"
    assert run("setup", "--quiet").stderr == ""


def test_setup_never_empties_a_folder_that_is_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thesis.txt").write_text("three years", encoding="utf-8")
    monkeypatch.setenv("MAILBOX_VENV", str(tmp_path))

    refused = run("setup")

    assert refused.returncode == 1
    assert "is no virtual environment" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_echo_agent_answers_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBOX_TEXT", "two\nlines")

    answer = run("echo-agent", text='{"id": "x"}')

    assert answer.stdout == "You said: two\nlines\n"


def test_ctrl_c_ends_a_chat_and_kills_nothing(home: Path) -> None:
    """The terminal sends SIGINT to all of them at once; what scripts/run hands on must not be the second one, on which
    the manager kills. Whether it came second was a race: hence several times.
    """
    for _ in range(4):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(ROOT / "scripts" / "run", ["run", "--seed-home", str(home)])  # noqa: S606 - no shell is wanted
        shown = b""
        while b"> " not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        shown += b"".join(iter(lambda: read(terminal), b""))  # noqa: B023 - called here
        os.close(terminal)

        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert b"killed" not in shown


def read(fd: int) -> bytes:
    try:
        return os.read(fd, 1000)
    except OSError:  # EIO: nobody has the terminal open any more
        return b""
