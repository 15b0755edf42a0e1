"""A home with a platform beside it, and the account of every event and outgoing after whatever happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.base.home import Home
from connectors.base.status import StatusFile
from tests.faults.program import NAME, append, lines

REPOSITORY = Path(__file__).parents[2]


class World:
    """What is offered and dropped is remembered here, outside of what is under test."""

    def __init__(self, root: Path, name: str = NAME) -> None:
        self.root = root
        self.name = name
        self.home = Home(root / "home")
        self.platform = root / "platform"
        self.log = root / "log"
        self.offered: list[str] = []
        self.dropped: dict[str, str] = {}
        self.bad: set[str] = set()
        self.platform.mkdir(parents=True)
        self.home.make(self.home.outbox(name))

    def offer(self, *events: str) -> None:
        for event in events:
            append(self.platform / "offered", event)
            self.offered.append(event)

    def drop(self, name: str, text: str, conversation: str = "C1", **fields: Any) -> None:
        """Drop an outgoing as a careful writer does; its text is unlike all others."""
        self.drop_raw(name, json.dumps({"conversation_id": conversation, "text": text, **fields}).encode())
        self.dropped[name] = text

    def drop_raw(self, name: str, data: bytes) -> None:
        staged = self.home.root / f"{name}.new"
        staged.write_bytes(data)
        staged.rename(self.home.outbox(self.name) / name)

    def drop_bad(self, name: str, data: bytes = b"[]") -> None:
        self.drop_raw(name, data)
        self.bad.add(name)

    def scenario(self, **fields: Any) -> dict[str, Any]:
        paths = {"home": str(self.home.root), "platform": str(self.platform), "log": str(self.log)}
        return {**paths, "name": self.name, **fields}

    # ── what is there ─────────────────────────────────────────────────────────────────────────────────────────

    def inbox(self) -> list[dict[str, Any]]:
        """Every file reads as a whole event, in the order of the names."""
        return [json.loads(p.read_bytes()) for p in sorted(self.home.inbox.glob("*"))]

    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_bytes()) for p in sorted(self.home.sent(self.name).glob("*"))]

    def reasons(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_bytes()) for p in sorted(self.home.failed.glob("*.reason.json"))]

    def sends(self) -> list[str]:
        return lines(self.platform / "sends")

    def acked(self) -> list[str]:
        return lines(self.platform / "acked")

    # ── the promises ──────────────────────────────────────────────────────────────────────────────────────────

    def check_now(self, *, power_cut: bool = False) -> None:
        """What must hold at every moment, also while nothing runs."""
        there = Counter(event["id"] for event in self.inbox())
        staged = {json.loads(p.read_bytes())["id"] for p in _whole(self.home.staging(self.name))}
        held = {event for event in self.acked() if event.startswith("held")} & staged
        missing = [event for event in self.acked() if event not in there and event not in held]
        if power_cut:  # finished at the next start
            missing = [event for event in missing if event not in staged]
        assert not missing, f"acknowledged and lost: {missing}"

    def check_at_the_end(self, *, power_cut: bool = False) -> None:
        """After a run that came to its end: everything is accounted for, exactly once."""
        self.check_now(power_cut=power_cut)
        there = Counter(event["id"] for event in self.inbox() if event.get("kind") != "delivery")
        assert set(there) == set(self.offered), set(self.offered) ^ set(there)
        twice = [event for event, count in there.items() if count > 1]
        assert power_cut or not twice, f"events that came twice: {twice}"
        for folder in (self.home.outbox(self.name), self.home.sending(self.name), self.home.staging(self.name)):
            assert os.listdir(folder) == [], f"left in {folder}"
        self._check_outgoings(power_cut)
        self._check_dead_letters(power_cut)

    def _check_outgoings(self, power_cut: bool) -> None:
        keys = Counter(receipt["key"] for receipt in self.receipts())
        assert not [key for key, count in keys.items() if count > 1], "two receipts of one claim"
        records = [*self.receipts(), *self.reasons()]
        ends = Counter(record["file"].partition("~")[0].removesuffix(".json") for record in records)
        wanted = Counter(name.removesuffix(".json") for name in (*self.dropped, *self.bad))
        nameless = ends - wanted
        if power_cut:  # it may take back the record of a claim, and with it the name; the file itself is there
            assert all(re.fullmatch("[0-9a-f]{16}", name) for name in nameless), nameless
            assert ends.total() == wanted.total(), f"ended {ends}, lost {wanted - ends}"
        else:
            assert ends == wanted, f"ended {nameless} too often, lost {wanted - ends}"
        sends = Counter(self.sends())
        ambiguous = {r["file"] for r in records if r.get("ambiguous")}
        if any(f"{name}.json" in ambiguous for name in nameless):
            ambiguous.update(f"{name}.json" for name in wanted - ends)
        for name, text in self.dropped.items():
            for part in () if text.startswith("reject") else text.split("|"):
                assert sends[part] >= 1, f"{name} has an end and was not sent"
                assert sends[part] == 1 or name in ambiguous, f"{name} was sent {sends[part]} times and nobody says so"

    def _check_dead_letters(self, power_cut: bool) -> None:
        letters = {p.name for p in self.home.failed.iterdir() if not p.name.endswith(".reason.json")}
        assert letters == {reason["file"] for reason in self.reasons()}
        events = [event for event in self.inbox() if event.get("kind") == "delivery"]
        if power_cut:  # may come twice, under the same id
            events = list({event["id"]: event for event in events}.values())
        told = Counter(event["metadata"]["delivery"]["key"] for event in events)
        assert told == Counter(reason["key"] for reason in self.reasons())


def _whole(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            continue
        yield path


def fill(world: World) -> None:
    """One of everything."""
    world.offer("e1", "held-1", "e2", "batch-1", "batch-2", "batch-3")
    world.drop("a.json", "a", "C1")
    world.drop("b.json", "b1|b2", "C2")
    world.drop("c.json", "c", "C1", id="mine")
    world.drop("d.json", "reject it", "C3")
    world.drop_bad("bad.json")


class Nursery:
    """Children that are forked from a process which has imported everything: a run takes milliseconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def run(self, world: World, **fields: Any) -> int:
        """Run one to its end; its exit code, or minus the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(world.scenario(**fields)) + "\n")
        self._process.stdin.flush()
        return os.waitstatus_to_exitcode(int(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@contextmanager
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    try:
        yield made
    finally:
        made.close()


def start(world: World, *before: str, **fields: Any) -> subprocess.Popen[bytes]:
    """A process of its own, `before` in front of its command line (strace, faketime)."""
    with world.log.open("ab") as log:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "tests.faults.program", json.dumps(world.scenario(**fields))],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


@contextmanager
def running(world: World, *before: str, **fields: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that receives and delivers until the block ends; it then has to stop by itself when it is asked to."""
    process = start(world, *before, loop=True, **fields)
    try:
        yield process
        process.terminate()
        assert process.wait(15) == 0, world.log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def status(world: World) -> dict[str, Any]:
    return StatusFile(world.home, world.name).read()


KILLED = -signal.SIGKILL
