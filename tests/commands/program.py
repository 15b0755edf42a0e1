"""Running the real program, and a manager behind it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.base.control import request
from connectors.base.errors import ConnectorError
from connectors.base.home import Home
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, Sender
from connectors.base.starting import begin
from tests.helpers import wait_for

DEADLINE_S = 60
PROGRAM = (sys.executable, "-P", "-m", "connectors")


def connectors(
    *arguments: object, home: Path | None = None, text: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end, in the home if one is given."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
        cwd=home,
        env={**os.environ, **(env or {})},
    )


def done(*arguments: object, home: Path | None = None, text: str = "", env: Mapping[str, str] | None = None) -> str:
    """What a verb prints that must succeed."""
    result = connectors(*arguments, home=home, text=text, env=env)
    assert result.returncode == 0, (arguments, result)
    return result.stdout


def answer(*arguments: object, home: Path) -> Any:
    """The JSON that a verb prints."""
    return json.loads(connectors(*arguments, "--json", home=home).stdout)


@contextmanager
def manager(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`connectors run` without input, as a service has it, until the block ends."""
    with (home / "run.log").open("wb") as log:
        process = subprocess.Popen([*PROGRAM, "run"], cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or _answers(Home(home)), deadline_s=DEADLINE_S)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


def _answers(home: Home) -> bool:
    try:
        return all(one["state"] != "starting" for one in request(home, "status")["instances"].values())
    except ConnectorError:
        return False


def status_of(home: Path, name: str = "cli") -> dict[str, Any]:
    """What `status --json` says of an instance."""
    found = answer("status", home=home)["instances"]
    view: dict[str, Any] = next((one for one in found if one["name"] == name), {})
    return view


def put_event(home: Path, event_id: str, text: str = "hello", instance: str = "cli", conversation: str = "C1") -> Path:
    """An event file as another program leaves it in the inbox."""
    message = Message(
        id=event_id,
        connector=ConnectorInfo(type="cli", instance=instance),
        sender=Sender(id="U1", username="ada"),
        content=Content(text=text),
        conversation=Conversation(id=conversation, thread_id="T1"),
    )
    return message.write_to(home / "messages" / "inbox")


def new_home(home: Path) -> Path:
    """A home as `connectors init` makes it, with an outbox for `cli`."""
    begin(Home(home))
    (home / "messages" / "outbox" / "cli").mkdir(mode=0o700)
    return home


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def on_terminal(*arguments: str, home: Path, raw: bool = False, **env: str) -> str:
    """What a verb shows on a terminal of 80 columns; `raw`: with its colours."""
    master, slave = pty.openpty()
    settings = {**os.environ, "COLUMNS": "80", "TERM": "xterm", **env}
    process = subprocess.Popen([*PROGRAM, *arguments], cwd=home, stdin=slave, stdout=slave, stderr=slave, env=settings)
    os.close(slave)
    data = b""
    while chunk := _read(master):
        data += chunk
    os.close(master)
    process.wait(DEADLINE_S)
    text = data.decode().replace("\r\n", "\n")
    return text if raw else plain(text)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: nobody has the terminal open any more
        return b""
