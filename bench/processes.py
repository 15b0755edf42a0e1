"""The rows about ten connectors under the manager: memory, idle CPU, start and restart."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.listening import (
    Ear,
    bench_command,
    connectors_command,
    ear,
    family,
    make_outboxes,
    running,
    write_config,
)
from bench.measure import Bench, Result, median, result, take_turns

ORIGIN = "the origin's shape: a manager that forks daemons"


def _ours(folder: Path) -> list[str]:
    return connectors_command("run", "--seed-home", str(folder))


def _origin(folder: Path) -> list[str]:
    """With this project's base in every process, so that only the shapes differ."""
    return bench_command("origin", str(folder), "with-base")


def _bare_origin(folder: Path) -> list[str]:
    """With the standard library and PyYAML alone."""
    return bench_command("origin", str(folder))


def idle_cpu(bench: Bench) -> Result:
    """CPU time of all processes while nothing happens. Both shapes run side by side, in the same seconds."""
    sizes = bench.sizes
    with bench.scratch("cpu") as folder, ear() as heard:
        write_config(folder / "home", sizes.connectors)
        make_outboxes(folder / "origin", sizes.connectors)
        log = folder / "log"
        with (
            running(_ours(folder / "home"), ear_address=heard.address, log=log) as ours,
            running(_origin(folder / "origin"), ear_address=heard.address, log=log) as origin,
        ):
            heard.wait_for("connected", 2 * sizes.connectors)
            threading.Event().wait(sizes.settle_s)
            families = {"ours": family(ours), "origin": family(origin)}
            before = {name: cpu_s(pids) for name, pids in families.items()}
            begun = time.monotonic()
            threading.Event().wait(sizes.idle_s)
            took = time.monotonic() - begun
            used = {name: 100 * (cpu_s(pids) - before[name]) / took for name, pids in families.items()}
            alone = 100 * (cpu_s([ours]) - before["ours"]) / took if len(families["ours"]) == 1 else None
    return result(
        "idle-cpu", f"{sizes.connectors} idle connectors and manager: CPU over {took:.0f} s", "% of a core",
        ours=used["ours"], peer=used["origin"], peer_name=ORIGIN, goal=("<=", 0.5),
        processes=len(families["ours"]), manager_alone=alone,
    )  # fmt: skip


def cpu_s(pids: list[int]) -> float:
    """CPU seconds of these processes so far; from the scheduler's nanoseconds, since a tick is 10 ms."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total / 1e9


def memory(bench: Bench) -> Result:
    """Proportional set size of manager and connectors, each shape alone, in turns."""
    sizes = bench.sizes
    seen: dict[str, list[int]] = {}

    def measure(name: str, start: Callable[[Path], list[str]]) -> Callable[[int], float]:
        def once(number: int) -> float:
            with bench.scratch(f"memory-{name}-{number}") as folder, ear() as heard:
                write_config(folder, sizes.connectors)
                make_outboxes(folder, sizes.connectors)
                with running(start(folder), ear_address=heard.address, log=folder / "log") as pid:
                    heard.wait_for("connected", sizes.connectors)
                    threading.Event().wait(sizes.settle_s)
                    pids = family(pid)
                    each = [pss_mb(one) for one in pids]
                    seen[name] = [round(mb * 10) for mb in each]
                    return sum(each)

        return once

    found = take_turns(
        min(3, sizes.starts),
        ours=measure("ours", _ours),
        origin=measure("origin", _origin),
        bare=measure("bare", _bare_origin),
    )
    ours, origin = median(found["ours"]), median(found["origin"])
    return result(
        "memory", f"memory of {sizes.connectors} idle connectors and manager (PSS)", "MB", ours=ours, peer=origin,
        peer_name=ORIGIN, figure=ours / origin, figure_unit="of the origin's shape", goal=("<=", 1.0),
        origin_without_our_base=median(found["bare"]), rounds=found,
        each_mb={name: [tenths / 10 for tenths in sizes_] for name, sizes_ in seen.items()},
    )  # fmt: skip


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss")


def start(bench: Bench) -> Result:
    """From the start of the manager's process until the last of the connectors is connected."""
    sizes = bench.sizes

    def measure(name: str, command: Callable[[Path], list[str]]) -> Callable[[int], float]:
        def once(number: int) -> float:
            with bench.scratch(f"start-{name}-{number}") as folder, ear() as heard:
                write_config(folder, sizes.connectors)
                make_outboxes(folder, sizes.connectors)
                begun = time.monotonic()
                with running(command(folder), ear_address=heard.address, log=folder / "log"):
                    return max(said.at_s for said in heard.wait_for("connected", sizes.connectors)) - begun

        return once

    times = take_turns(
        sizes.starts, ours=measure("ours", _ours), origin=measure("origin", _origin), bare=measure("bare", _bare_origin)
    )
    return result(
        "start", f"manager start → {sizes.connectors} connectors connected", "s", ours=median(times["ours"]),
        peer=median(times["origin"]), peer_name=ORIGIN, goal=("<=", 1.0), origin_without_our_base=median(times["bare"]),
        rounds=times,
    )  # fmt: skip


def restart(bench: Bench) -> Result:
    """From SIGKILL to a connector until it is connected again."""
    sizes = bench.sizes
    with bench.scratch("restart") as folder, ear() as ours_heard, ear() as origin_heard:
        # Each is killed for the first time: a second crash soon after is meant to wait longer.
        write_config(folder / "home", sizes.kills)
        make_outboxes(folder / "origin", max(1, sizes.peer_kills))
        log = folder / "log"
        with (
            running(_ours(folder / "home"), ear_address=ours_heard.address, log=log),
            running(_origin(folder / "origin"), ear_address=origin_heard.address, log=log),
        ):
            times = _kill_each(ours_heard, sizes.kills, sizes.kills)
            theirs = _kill_each(origin_heard, max(1, sizes.peer_kills), sizes.peer_kills)
    return result(
        "restart", "killed connector → running again", "s", ours=median(times),
        peer=median(theirs) if theirs else None, peer_name="the origin's shape: looks every 5 s, waits 2 s",
        goal=("<=", 1.5), longest=max(times), peer_longest=max(theirs, default=None), kills=len(times),
    )  # fmt: skip


def _kill_each(heard: Ear, count: int, kills: int) -> list[float]:
    times = []
    for said in heard.wait_for("connected", count)[:kills]:
        killed = time.monotonic()
        os.kill(int(said.about), signal.SIGKILL)
        times.append(heard.wait_for("connected")[0].at_s - killed)
    return times
