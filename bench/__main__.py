"""`scripts/bench`: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import disk, mail, platforms, processes, sources, waking
from bench.measure import FULL, QUICK, TINY, Bench, Result, machine
from bench.report import table, to_json

#: In the order of the table.
ROWS: dict[str, Callable[[Bench], Result]] = {
    "drop-to-send": waking.drop_to_send,
    "event-to-agent": waking.event_to_agent,
    "inbox-one": mail.inbox_one,
    "inbox-batch": mail.inbox_batch,
    "outbox": mail.outbox,
    "outbox-100k": mail.outbox_queue,
    "tail-100k": waking.first_line,
    "idle-cpu": processes.idle_cpu,
    "memory": processes.memory,
    "start": processes.start,
    "restart": processes.restart,
    "help": partial(waking.help_text, peer=None),
    **platforms.ROWS,
    **sources.ROWS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0: every goal was reached. 1: one was missed. 2: a row could not be measured."""
    asked = _parse(arguments)
    sizes = TINY if asked.tiny else QUICK if asked.quick else FULL
    chosen = {name: ROWS[name] for name in asked.rows or ROWS}
    parent = asked.dir or ("/var/tmp" if os.path.isdir("/var/tmp") else None)  # noqa: S108 - kept on disk, as /tmp may not be
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    found: list[Result] = []
    failed = False
    try:
        disk.spread(folder)
        bench = Bench(sizes, folder)
        if asked.peers and "help" in chosen:
            chosen["help"] = partial(waking.help_text, peer=_nanobot(folder))
        about = machine(folder)
        for name, measure in chosen.items():
            bench.say(name)
            try:
                found.append(measure(bench))
            except Exception as error:  # noqa: BLE001 - one row that cannot be measured must not hide the others
                failed = True
                bench.say(f"{name} could not be measured: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mode = "tiny" if asked.tiny else "quick" if asked.quick else "full"
    if asked.json:
        Path(asked.json).write_text(to_json(found, about, mode) + "\n", encoding="utf-8")
    sys.stdout.write(table(found, about, mode) + "\n")
    return 2 if failed else int(not all(one.ok for one in found))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure every figure that this project promises, beside its floor or its peer in the same run.",
        epilog="Exit code: 0 all goals reached, 1 one missed, 2 a row could not be measured.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="smaller samples: three minutes instead of eleven")
    parser.add_argument("--tiny", action="store_true", help="seconds; the figures mean nothing (to test the benchmark)")
    parser.add_argument("--json", metavar="FILE", help="also write everything that was measured to FILE")
    parser.add_argument("--dir", metavar="FOLDER", help="measure on this folder's disk (default: /var/tmp)")
    parser.add_argument(
        "--peers", action="store_true", help="install nanobot-ai with pip in a throw-away venv, for `help`"
    )
    found = parser.parse_args(arguments)
    unknown = [name for name in found.rows if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are: {', '.join(ROWS)}")
    return found


def _nanobot(folder: Path) -> list[str] | None:
    """`nanobot --version` in a virtual environment of its own; None when it cannot be had within 3 minutes."""
    venv = folder / "venv"
    try:
        for command in (
            [sys.executable, "-m", "venv", str(venv)],
            [str(venv / "bin/pip"), "install", "-q", "nanobot-ai"],
        ):
            subprocess.run(command, check=True, timeout=180, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        Bench.say(f"nanobot-ai could not be installed: {error}")
        return None
    return [str(venv / "bin/nanobot"), "--version"]


if __name__ == "__main__":
    sys.exit(main())
