"""Measuring on a machine that others use too: sizes, interleaved rounds, medians, and what is told as a result."""

from __future__ import annotations

import os
import platform
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from connectors.base.watch import remote_file_system


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `rounds`: how often ours and the floor take turns."""

    rounds: int = 7
    writes: int = 300  #: a round
    drops: int = 200
    peer_drops: int = 6
    queued: tuple[int, int] = (1_000, 100_000)
    first_sends: int = 1_000
    inbox_files: int = 100_000
    connectors: int = 10
    idle_s: float = 60.0
    settle_s: float = 5.0
    starts: int = 7
    kills: int = 5
    peer_kills: int = 3
    burst: int = 10_000


FULL = Sizes()
QUICK = Sizes(
    rounds=5, writes=150, drops=100, peer_drops=3, idle_s=10.0, settle_s=2.0, starts=5, kills=3,
    peer_kills=1, burst=2_000,
)  # fmt: skip
#: So small that the figures mean nothing; for the test that the benchmark works.
TINY = Sizes(
    rounds=1, writes=5, drops=3, peer_drops=0, queued=(10, 40), first_sends=10, inbox_files=50, connectors=2,
    idle_s=0.2, settle_s=0.2, starts=1, kills=1, peer_kills=0, burst=10,
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One row. `figure` is what `goal` is about: `ours` itself, or a ratio to `peer`."""

    row: str
    what: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    figure: float
    goal: str
    ok: bool
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Bench:
    """One run of the benchmark: its sizes, and folders on the disk that is measured."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes = sizes
        self.folder = folder

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A new empty folder. It goes at the end of the run: deleting many files slows down who creates some next."""
        path = self.folder / f"{name}-{secrets.token_hex(4)}"
        path.mkdir()
        yield path

    @staticmethod
    def say(text: str) -> None:
        """Progress, for whoever watches."""
        sys.stderr.write(f"bench: {text}\n")
        sys.stderr.flush()


def wait_until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Raises TimeoutError that says `what` did not happen."""
    never = threading.Event()
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s:g} s: {what}")
        never.wait(0.002)


def take_turns(rounds: int, **kinds: Callable[[int], float]) -> dict[str, list[float]]:
    """Call each of `kinds` with the round's number, in turns, every second round in reverse: A B, B A, A B, …"""
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds):
        for name in sorted(kinds, reverse=bool(number % 2)):
            found[name].append(kinds[name](number))
    return found


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second, when `work` does `count`."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of the rounds: what slows a machine down for a while slows both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` per cent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def result(
    row: str,
    what: str,
    unit: str,
    *,
    ours: float,
    goal: tuple[Literal["<=", ">="], float],
    peer: float | None = None,
    peer_name: str = "",
    figure: float | None = None,
    figure_unit: str | None = None,
    also: tuple[str, bool] = ("", True),
    **details: Any,
) -> Result:
    """Build a row. `also` is a second condition of the goal, in words, and whether it holds."""
    value = ours if figure is None else figure
    sign, bound = goal
    holds = value <= bound if sign == "<=" else value >= bound
    shown_unit = unit if figure is None else (figure_unit or "× peer")
    text = f"{'≤' if sign == '<=' else '≥'} {bound:g} {shown_unit}" + (f", {also[0]}" if also[0] else "")
    return Result(row, what, unit, ours, peer, peer_name, value, text, holds and also[1], details)


def machine(folder: Path) -> dict[str, Any]:
    """What the figures were measured on. No names of the machine or of its people."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "file_system": remote_file_system(folder) or _file_system(folder),
        "load": [round(load, 2) for load in os.getloadavg()],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _file_system(folder: Path) -> str:
    try:
        mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    real = str(folder.resolve())
    inside = [(len(point), kind) for _, point, kind, *_ in mounts if f"{real}/".startswith(point.rstrip("/") + "/")]
    return max(inside, default=(0, ""))[1]
