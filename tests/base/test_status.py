"""status.json: what an instance says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.base.home import Home
from connectors.base.overview import overview
from connectors.base.status import StatusFile


def make(home: Path, **more: Any) -> tuple[StatusFile, list[float]]:
    now = [100.0]
    return StatusFile(Home(home), "a", monotonic=lambda: now[0], **more), now


def test_a_changed_state_is_written_at_once_with_its_time(home: Path) -> None:
    status, _ = make(home)
    status.update(state="connecting", pid=7)
    first = status.read()
    assert (first["state"], first["pid"]) == ("connecting", 7)
    status.update(state="connecting", pid=8)
    status.update(state="connected")
    assert status.read()["since"] > first["since"]
    assert status.read()["pid"] == 8
    status.close()


def test_counters_are_written_once_a_second_at_most_and_at_the_end(home: Path) -> None:
    status, now = make(home)
    status.update(state="connected")
    for _ in range(100):
        status.count("sent")
    assert "counters" not in status.read()
    now[0] += 1.1
    status.count("sent")
    assert status.read()["counters"] == {"sent": 101}
    status.count("received", 5, last_received="now")
    status.close()
    assert status.read()["counters"] == {"sent": 101, "received": 5}
    assert status.read()["last_received"] == "now"


def test_counters_go_on_over_restarts(home: Path) -> None:
    status, _ = make(home)
    status.count("sent", 3)
    status.close()
    again, _ = make(home)
    again.count("sent")
    again.close()
    assert again.read()["counters"] == {"sent": 4}


def test_an_error_is_written_at_once_with_its_hint_and_redacted(home: Path) -> None:
    status, _ = make(home, redact=lambda data: json.loads(json.dumps(data).replace("xoxb-canary", "****")))
    status.error("refused xoxb-canary", hint="renew it", kind="AuthError")
    found = status.read()["last_error"]
    assert (found["text"], found["hint"], found["class"]) == ("refused ****", "renew it", "AuthError")
    assert b"canary" not in status.path.read_bytes()
    status.close()


def test_a_disk_that_takes_nothing_stops_nobody(home: Path) -> None:
    status, now = make(home)
    status.update(state="connecting")
    folder = status.path.parent
    status.path.unlink()
    folder.rmdir()
    folder.write_text("a file where the folder was")
    status.update(state="connected")
    status.count("sent")
    folder.unlink()
    folder.mkdir()
    now[0] += 1.1
    status.flush()
    assert status.read()["state"] == "connected"
    status.close()


def test_a_torn_or_missing_file_reads_as_empty(home: Path) -> None:
    status, _ = make(home)
    assert status.read() == {}
    status.update(state="x")
    status.path.write_bytes(b'{"state": "x"')
    assert make(home)[0].read() == {}
    status.close()


def test_odd_text_is_no_obstacle(home: Path) -> None:
    status, _ = make(home)
    status.error("lone \ud800 surrogate \x1b[2J")
    assert "surrogate" in status.read()["last_error"]["text"]
    status.close()


def test_it_is_private(home: Path) -> None:
    status, _ = make(home)
    status.update(state="x")
    assert status.path.stat().st_mode & 0o777 == 0o600
    assert status.path.parent.stat().st_mode & 0o777 == 0o700
    status.close()


def test_what_is_no_instance_has_no_row(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "connectors.yml").write_text("connectors: []\n")
    for folder in (home.state / "approvals", home.outbox("approvals"), home.state_dir("gone"), home.outbox("gone")):
        folder.mkdir(parents=True)
    for name in ("approvals", "gone"):
        (home.outbox(name) / "m.json").write_text("{}")
    assert [shown.name for shown in overview(home).instances] == ["gone"]
