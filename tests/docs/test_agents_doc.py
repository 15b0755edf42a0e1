"""docs/agents.md: every agent in it runs here, as a process, on a real home folder."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base.agent import DEFAULT_KINDS, Terms
from connectors.base.environment import variables
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from connectors.base.readers import parse_event
from tests.base.mail import drop, event, names
from tests.docs.blocks import ROOT, Block, blocks, run_session
from tests.helpers import requires, wait_for

DOC = ROOT / "docs" / "agents.md"
FILES = {block.directive[1]: block for block in blocks(DOC) if block.says("file")}
TEXTS = ["hello", "two\nlines  ", "$(touch hacked) `id` \\n \"quoted\" 'single' {} é☃"]


@pytest.fixture
def box(home: Path) -> Home:
    made = Home(home)
    made.make_common()
    made.make(made.outbox("chat"))
    return made


def environ() -> dict[str, str]:
    """The environment, with this Python's programs first on the PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def written(block: Block, box: Home) -> Path:
    path = box.root / block.directive[1]
    path.write_text(block.text, encoding="utf-8")
    path.chmod(0o700)
    return path


@contextmanager
def started(box: Home, *command: str) -> Iterator[None]:
    """A program in the home folder, ended with all that it started."""
    with subprocess.Popen(command, cwd=box.root, env=environ(), start_new_session=True) as process:
        try:
            yield
            assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def sent(box: Home) -> list[OutgoingMessage]:
    found = [OutgoingMessage.from_file(box.outbox("chat") / name) for name in names(box.outbox("chat"))]
    return sorted(found, key=lambda o: o.id)


def waiting(box: Home) -> list[str]:
    folders = [box.inbox, *(box.claimed / name for name in names(box.claimed))]
    return [name for folder in folders for name in names(folder) if name.startswith("2026")]


AGENTS = {
    "echo.sh": ("jq",),
    "echo.mjs": ("node",),
    "plain.py": (),
    "worker.sh": ("jq",),
    "worker.py": (),
}


@pytest.mark.parametrize("name", AGENTS)
def test_each_complete_agent_answers_each_message_once(name: str, box: Home) -> None:
    # given an inbox with messages, news that must not be answered, and rubbish
    for program in AGENTS[name]:
        requires(program)
    plain = name in ("echo.sh", "echo.mjs", "plain.py")
    path = written(FILES[name], box)
    (box.inbox / "rubbish.json").write_text('{"id": ')
    (box.inbox / ".hidden.json").write_bytes(event("hidden").to_bytes())
    (box.inbox / "folder.json").mkdir()
    os.mkfifo(box.inbox / "pipe.json")
    drop(box, event("d", "C0", kind="delivery"), event("1", text=TEXTS[0]))
    # when the agent runs, and more arrives
    with started(box, str(path), *([] if plain else ["worker-1"])):
        wait_for(lambda: len(sent(box)) == 1, deadline_s=30)
        drop(box, event("2", text=TEXTS[1]), event("3", text=TEXTS[2]))
        wait_for(lambda: len(sent(box)) == 3, deadline_s=30)
        wait_for(lambda: len(waiting(box)) == (0 if plain else 1), deadline_s=30)
    # then each message has one answer, in its conversation, and the rest is as it was
    assert [(o.id, o.reply_to) for o in sent(box)] == [("re-1", "1"), ("re-2", "2"), ("re-3", "3")]
    assert [o.text for o in sent(box)] == [f"You said: {text}" for text in TEXTS]
    assert {"rubbish.json", "folder.json", "pipe.json"} <= set(names(box.inbox))
    assert not (box.root / "hacked").exists()


@pytest.mark.parametrize("name", ["reader.sh", "reader.py"])
def test_each_independent_reader_writes_every_event_down_and_acknowledges_it(name: str, box: Home) -> None:
    if name.endswith(".sh"):
        requires("jq")
    path = written(FILES[name], box)
    drop(box, event("a", "C1"), event("b", "C2", kind="delivery"))
    with started(box, str(path)):
        wait_for(lambda: waiting(box) == [], deadline_s=30)
        drop(box, event("c", "C3"))
        wait_for(lambda: waiting(box) == [], deadline_s=30)
    lines = (box.root / "journal.txt").read_text().splitlines()
    assert [line.split(" ")[1:] for line in lines] == [["C1", "U1"], ["C2", "U1"], ["C3", "U1"]]


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("answer.sh", [("C1", "You said: hello there")]),
        ("answer.py", [("C1", "2 words"), ("audit", "U1 wrote 2 words")]),
    ],
)
def test_each_command_answers_through_connectors_agent(name: str, answers: list[tuple[str, str]], box: Home) -> None:
    path = written(FILES[name], box)
    drop(box, event("a", "C1", text="hello there"), event("d", "C1", kind="delivery"))
    command = ["connectors", "agent", "--once", "--", str(path)]
    subprocess.run(command, cwd=box.root, env=environ(), check=True, timeout=60)
    assert sorted((o.conversation_id, o.text) for o in sent(box)) == answers
    assert waiting(box) == []


def test_the_other_blocks_run(box: Home, tmp_path: Path) -> None:
    chosen = [b for b in blocks(DOC) if not b.directive and b.language in ("bash", "python")]
    assert len(chosen) == 2
    for ran in run_session(chosen, box.root, environ=environ(), log=tmp_path / "log"):
        assert not ran.error
    assert len(names(box.outbox("team"))) == 2


def test_every_block_of_the_document_is_run_or_says_why_not() -> None:
    assert {*AGENTS, "reader.sh", "reader.py", "answer.sh", "answer.py"} == FILES.keys()
    assert all(block.directive or block.language in ("bash", "python") for block in blocks(DOC))


def test_every_variable_and_default_is_in_the_document() -> None:
    text = DOC.read_text(encoding="utf-8")
    made = variables(Path("/home"), parse_event(event("a").to_bytes(), Path("x.json")), 1)
    assert set(re.findall(r"`(MAILBOX_\w+)`", text)) == {name.decode() for name in made}
    terms = Terms()
    assert f"`--timeout` seconds (default {terms.timeout_s:g};" in text
    assert f"After {terms.max_attempts} attempts" in text
    assert f"what runs has {terms.stop_grace_s:g} s" in text
    assert all(f"`{kind}`" in text for kind in DEFAULT_KINDS)
