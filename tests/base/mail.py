"""Events for the tests of the readers, and worker processes that can be killed."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.base.readers import digest
from tests.helpers import wait_for

_numbers = itertools.count()


def event(event_id: str, conversation: str = "C1", *, instance: str = "chat", **fields: Any) -> Message:
    """An event as a connector would make it; `text` is its id unless given."""
    text = fields.pop("text", event_id)
    data = {
        "id": event_id,
        "connector": {"type": "demo", "instance": instance},
        "sender": {"id": "U1", "username": "ann", "display_name": "Ann"},
        "content": {"text": text},
        "conversation": {"id": conversation, "thread_id": fields.pop("thread_id", None)},
    }
    return Message.from_dict({**data, **fields})


def drop(home: Home, *events: Message) -> list[Path]:
    """Put events into the inbox under names that sort in this order; returns their paths."""
    home.make(home.inbox)
    paths = []
    for message in events:
        name = f"20260101T000000.{next(_numbers):06d}Z-{message.connector.instance}-{digest(message.id)}.json"
        staged = home.messages / f".{name}"
        staged.write_bytes(message.to_bytes())
        os.rename(staged, home.inbox / name)
        paths.append(home.inbox / name)
    return paths


def names(folder: Path) -> list[str]:
    """The visible entries of a folder that may not exist."""
    return sorted(n for n in os.listdir(folder) if not n.startswith(".")) if folder.is_dir() else []


@contextmanager
def program(source: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A Python program as a process of its own, with its stdout at hand; it is killed at the end."""
    command = [sys.executable, "-u", "-c", source, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


def line_of(process: "subprocess.Popen[str]") -> str:
    """The next line that the program prints; AssertionError with its errors when it ends without one."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return line.rstrip("\n")


def killed(process: "subprocess.Popen[str]") -> None:
    """SIGKILL, and wait until it is dead."""
    process.send_signal(signal.SIGKILL)
    wait_for(lambda: process.poll() is not None)
