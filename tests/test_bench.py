"""The benchmark works. How fast things are is never a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    "drop-to-send",
    "event-to-agent",
    "inbox-one",
    "inbox-batch",
    "outbox",
    "outbox-100k",
    "tail-100k",
    "idle-cpu",
    "memory",
    "start",
    "restart",
    "help",
    *(f"{platform}-{row}" for platform in ("slack", "telegram") for row in ("in", "kill", "memory", "idle")),
    "poll",
    "poll-memory",
    "webhook",
    "webhook-p99",
    "webhook-kill",
]


def test_a_tiny_run_measures_every_row_and_tells_it_as_a_table_and_as_json(tmp_path: Path) -> None:
    # given / when
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--tiny", "--dir", str(tmp_path), "--json", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    # then
    assert done.returncode in (0, 1), done.stderr  # 1: at this size a goal may be missed
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["mode"] == "tiny"
    assert [row["row"] for row in found["rows"]] == ROWS
    assert all(row["ours"] >= 0 and row["goal"] and isinstance(row["ok"], bool) for row in found["rows"])
    assert [line.split()[0] for line in done.stdout.splitlines()[1 : 1 + len(ROWS)]] == ROWS
    assert "\x1b" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"], "it cleans up"


def test_an_unknown_row_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "speed"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "there is no row 'speed'" in done.stderr
    assert "outbox-100k" in done.stderr
