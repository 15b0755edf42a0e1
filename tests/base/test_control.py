"""What is said when the manager does not answer."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base.control import NotRunning, request, socket_path
from connectors.base.errors import ConnectorError
from connectors.base.home import Home

_LISTEN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
sys.stdin.read()
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


@contextmanager
def deaf_manager(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that listens and never answers."""
    home.make(home.state, private=True)
    with subprocess.Popen(
        [sys.executable, "-c", _LISTEN, str(socket_path(home))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            yield process
        finally:
            process.kill()


def test_without_a_manager_it_says_how_to_start_one(home: Path) -> None:
    with pytest.raises(NotRunning) as excinfo:
        request(Home(home), "status")
    assert excinfo.value.hint == "start it: connectors run"


@linux
def test_a_manager_that_gives_no_answer_in_time_is_named_and_how_to_end_it(home: Path) -> None:
    with deaf_manager(Home(home)) as process, pytest.raises(ConnectorError) as excinfo:
        request(Home(home), "stop", timeout_s=0.1)
    assert str(excinfo.value) == f"the manager (pid {process.pid}) gave no answer to stop within 0.1 s"
    assert f"kill {process.pid}" in excinfo.value.hint


@linux
def test_a_suspended_manager_is_asked_nothing(home: Path) -> None:
    with deaf_manager(Home(home)) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(ConnectorError) as excinfo:
            request(Home(home), "stop", timeout_s=60)
    assert str(excinfo.value) == f"the manager (pid {process.pid}) is suspended and does not answer"
    assert excinfo.value.hint == f"let it go on: kill -CONT {process.pid}; or end it: kill -KILL {process.pid}"


def test_an_answer_may_come_in_pieces_and_late(home: Path) -> None:
    Home(home).make(Home(home).state, private=True)
    text = json.dumps({"ok": True, "text": "x" * 300_000}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(Home(home))))
        listener.listen()

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                while not sock.recv(1000).endswith(b"\n"):
                    pass
                for start in range(0, len(text), 70_000):
                    sock.sendall(text[start : start + 70_000])

        thread = threading.Thread(target=answer)
        thread.start()
        assert request(Home(home), "status")["text"] == "x" * 300_000
        thread.join()
