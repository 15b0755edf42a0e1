"""A person is told, by a command and by a URL, once in a while, and the manager never waits for it."""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.base.alerts import Alert, Alerter
from connectors.base.secrets import Redactor
from connectors.base.settings import Alerts
from tests.commands.program import manager
from tests.helpers import wait_for

CANARY = "canary-91be-secret"


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def output() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


@pytest.fixture
def alerter(time: Time, output: tuple[int, int]) -> Iterator[Callable[..., Alerter]]:
    made: list[Alerter] = []

    def make(**settings: Any) -> Alerter:
        redact = Redactor([CANARY]).redact
        made.append(Alerter(Alerts(**settings), redact=redact, monotonic=time, output_fd=output[1]))
        return made[-1]

    yield make
    for one in made:
        one.close()
        wait_for(lambda one=one: not one.reap())  # type: ignore[misc]  # the default binds it now


def alert(home: Path, kind: str = "auth", instance: str = "slack-main") -> Alert:
    return Alert(instance, kind, f"token {CANARY} refused", "renew it", "2026-01-01T00:00:00+00:00", str(home))


def done(one: Alerter) -> None:
    wait_for(lambda: not one.reap())


def said(output: tuple[int, int]) -> str:
    try:
        return os.read(output[0], 10_000).decode()
    except BlockingIOError:
        return ""


def recorder(home: Path) -> str:
    """A command that appends what it gets to the file `got`."""
    program = home / "record.py"
    program.write_text(
        "import json, os, sys\n"
        "env = {k: v for k, v in os.environ.items() if k.startswith('MAILBOX_ALERT_')}\n"
        "line = json.dumps({'stdin': json.load(sys.stdin), 'env': env, 'argv': sys.argv[1:]})\n"
        "open('got', 'a').write(line + chr(10))\n"
    )
    return f"{sys.executable} {program} 'two words'"


def got(home: Path) -> list[dict[str, Any]]:
    path = home / "got"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_command_gets_the_alert_as_json_and_in_variables_without_secrets(
    home: Path, alerter: Callable[..., Alerter], output: tuple[int, int]
) -> None:
    one = alerter(command=recorder(home))
    assert one.fire(alert(home))
    done(one)
    (found,) = got(home)
    assert found["stdin"] == {
        "instance": "slack-main",
        "kind": "auth",
        "text": "token **** refused",
        "hint": "renew it",
        "at": "2026-01-01T00:00:00+00:00",
        "home": str(home),
        "suppressed": 0,
    }
    assert found["env"]["MAILBOX_ALERT_TEXT"] == "token **** refused"
    assert found["env"]["MAILBOX_ALERT_INSTANCE"] == "slack-main"
    assert found["argv"] == ["two words"]
    assert said(output) == ""


def test_one_kind_of_one_instance_is_told_once_in_the_interval_and_the_rest_is_counted(
    home: Path, alerter: Callable[..., Alerter], time: Time
) -> None:
    one = alerter(command=recorder(home), min_interval_s=300)
    assert [one.fire(alert(home)) for _ in range(4)] == [True, False, False, False]
    assert one.fire(alert(home, "stall"))
    assert one.fire(alert(home, instance="other"))
    time.now += 300
    assert one.fire(alert(home))
    done(one)
    counts = [(found["stdin"]["instance"], found["stdin"]["kind"], found["stdin"]["suppressed"]) for found in got(home)]
    assert sorted(counts) == [
        ("other", "auth", 0),
        ("slack-main", "auth", 0),
        ("slack-main", "auth", 3),
        ("slack-main", "stall", 0),
    ]


def test_only_what_is_wanted_is_told(home: Path, alerter: Callable[..., Alerter]) -> None:
    assert not alerter().fire(alert(home))
    assert not alerter(command=recorder(home), on=("stall",)).fire(alert(home))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"{sys.executable} -c 'raise SystemExit(\"no mail server\")'", "ended with 1: no mail server"),
        ("/no/such/program", "cannot be run"),
        ("unbalanced 'quote", "cannot be run"),
    ],
)
def test_a_command_that_fails_is_logged_and_nothing_more(
    command: str, reason: str, home: Path, alerter: Callable[..., Alerter], output: tuple[int, int]
) -> None:
    one = alerter(command=command)
    assert one.fire(alert(home))
    done(one)
    text = said(output)
    assert "alert auth of slack-main not delivered" in text
    assert reason in text


def test_a_fork_that_fails_is_no_error(home: Path, time: Time) -> None:
    one = Alerter(Alerts(command="x"), redact=str, monotonic=time, output_fd=10_000)
    one.fire(alert(home))
    done(one)


class _Hook(HTTPServer):
    status = 200
    bodies: list[Any]


@pytest.fixture
def hook() -> Iterator[_Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert isinstance(self.server, _Hook)
            self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = _Hook(("127.0.0.1", 0), Handler)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_url_gets_the_alert_as_json(
    home: Path, alerter: Callable[..., Alerter], hook: _Hook, output: tuple[int, int]
) -> None:
    one = alerter(url=f"http://127.0.0.1:{hook.server_port}/{CANARY}")
    one.fire(alert(home))
    done(one)
    assert [body["text"] for body in hook.bodies] == ["token **** refused"]
    assert said(output) == ""


def test_a_url_that_fails_is_logged_without_the_url(
    home: Path, alerter: Callable[..., Alerter], hook: _Hook, output: tuple[int, int]
) -> None:
    hook.status = 500
    one = alerter(url=f"http://127.0.0.1:{hook.server_port}/hooks/t0ken-in-the-path")
    one.fire(alert(home))
    done(one)
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        two = alerter(url=f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/hooks/t0ken-in-the-path")
        two.fire(alert(home, "stall"))
        done(two)
    text = said(output)
    assert "answered 500" in text
    assert "cannot be called: ConnectError" in text
    assert "t0ken" not in text


_HANGING = """
from pathlib import Path

from connectors.base.connector import Connector


class Hanging(Connector):
    connector_type = "hanging"
    send_stall_s = 0.2

    def connect(self):
        pass

    def disconnect(self):
        pass

    def run_loop(self):
        while not self.wait(0.02):
            with open("ticks", "a") as ticks:
                ticks.write(".")

    def send_message(self, msg):
        while not Path(msg.text).exists() and not self.wait(0.02):
            pass
        return True
"""


def test_a_send_that_hangs_makes_one_alert_not_one_at_every_look(home: Path) -> None:
    """A look is made five times in `send_stall_s`, here every 0.04 s."""
    (home / "hanging.py").write_text(_HANGING)
    (home / "connectors.yml").write_text(
        f"alerts:\n  command: {recorder(home)}\n  on: [stall]\n  min_interval_s: 0\n"
        "connectors:\n  - name: slow\n    type: ./hanging.py\n"
    )
    ticks, outbox = home / "ticks", home / "messages" / "outbox" / "slow"

    def texts() -> list[str]:
        return [found["stdin"]["text"] for found in got(home)]

    with manager(home):
        for name in ("one", "two"):
            before = len(texts())
            (outbox / f"{name}.json").write_text(json.dumps({"conversation_id": "C", "text": str(home / name)}))
            wait_for(lambda before=before: len(texts()) > before, deadline_s=60)  # type: ignore[misc]  # binds it now
            seen = ticks.stat().st_size
            wait_for(lambda seen=seen: ticks.stat().st_size > seen + 50, deadline_s=60)  # type: ignore[misc]
            assert len(texts()) == before + 1
            (home / name).touch()
            wait_for(lambda name=name: not (outbox / f"{name}.json").exists())  # type: ignore[misc]
    assert [text.partition(" for more than ")[0] for text in texts()] == [
        f"send_message has been busy with {name}.json" for name in ("one", "two")
    ]
    assert all(text.endswith(" for more than 0.2 s") for text in texts())
