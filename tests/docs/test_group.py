"""docs/mailbox-format.md, section 9: what another user of the group can do, and what stays private."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base.attachments import save_incoming
from connectors.base.home import Home, Modes
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Sender
from connectors.base.outgoings import put
from connectors.base.readers import read_event

GROUP, STRANGER = 65_534, 12_345
# The verbs are loaded first: the stranger may not be able to read this Python's files.
PROGRAM = """
import os, sys
from connectors.commands import main
import connectors.base.failed, connectors.base.kept, connectors.base.mailbox, connectors.base.message
import connectors.base.outgoings, connectors.base.store, connectors.base.outcome
for verb in ("reply", "send", "tail", "failed", "next"):
    main.load(verb)
os.setgroups([]), os.setegid({group}), os.seteuid({user}), os.umask(0o007)
main.main(sys.argv[1:])
"""


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def shared(home: Path) -> Home:
    """A home whose connectors run with `group:`, and one event in its inbox."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    for folder in (home, *home.parents):
        if folder.owner() == "root" and folder.is_relative_to(os.environ.get("TMPDIR", "/tmp")):
            folder.chmod(folder.stat().st_mode | 0o011)
    made = Home(home, Modes.for_group(GROUP))
    made.make_common()
    made.make(made.outbox("cli"), made.staging("cli"))
    event = Message(
        id="e1",
        connector=ConnectorInfo(type="cli", instance="cli"),
        sender=Sender(id="ada"),
        content=Content(text="hello"),
        conversation=Conversation(id="c1"),
    )
    path = event.write_to(made.inbox)
    os.chown(path, -1, GROUP)
    path.chmod(made.modes.file)
    return made


def as_stranger(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(group=GROUP, user=STRANGER), *arguments, "--seed-home", home.root],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_what_the_base_writes_below_messages_is_the_groups_whatever_the_umask_is(shared: Home) -> None:
    with umask(0o077):
        saved = save_incoming(shared, [b"picture"], "cat.png", 100)
        event = read_event(next(shared.inbox.glob("*.json")))
        answer = put(shared, OutgoingMessage(connector_instance="cli", reply_to=event.id, text="hi"), event=event)

    for path in (shared.root / saved["path"], answer):
        assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, GROUP), path
        assert (path.parent.stat().st_mode & 0o7777, path.parent.stat().st_gid) == (0o2770, GROUP), path.parent


@pytest.mark.parametrize(
    "arguments", [("tail",), ("reply", "e1", "hi"), ("send", "cli", "c1", "hi"), ("failed", "list")], ids=" ".join
)
def test_a_member_of_the_group_can_look_answer_and_send(shared: Home, arguments: tuple[str, ...]) -> None:
    done = as_stranger(shared, *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    for path in shared.outbox("cli").glob("*.json"):
        assert path.stat().st_mode & 0o070 == 0o060, "the connector's user must be able to read it"


def test_claims_and_private_state_are_the_operators_alone(shared: Home) -> None:
    done = as_stranger(shared, "next", "--as", "stranger")

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert shared.state.stat().st_mode & 0o077 == 0
    assert shared.logs.stat().st_mode & 0o077 == 0
