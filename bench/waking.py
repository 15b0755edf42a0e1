"""The rows about how soon the other side knows: connector and agent are processes of their own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench import mail
from bench.listening import Ear, bench_command, connectors_command, ear, environment, running, write_config
from bench.measure import Bench, Result, median, percentile, rate, result, take_turns

#: Between two drops: more than one takes, so that each finds the other side asleep.
PAUSE_S = 0.015


def drop_to_send(bench: Bench) -> Result:
    """From the rename into the outbox to the call of send_message, under the manager."""
    sizes = bench.sizes
    ours: list[float] = []
    theirs: list[float] = []
    with bench.scratch("drop") as folder, ear() as heard:
        home, peer = folder / "home", folder / "peer"
        write_config(home, 1)
        peer.mkdir()
        manager = connectors_command("run", "--seed-home", str(home))
        polling = bench_command("poll_loop", str(peer))
        with (
            running(manager, ear_address=heard.address, log=folder / "log"),
            running(polling, ear_address=heard.address, log=folder / "log"),
        ):
            heard.wait_for("connected", 2)
            outbox = home / "messages/outbox/idle-0"
            # A drop for the peer at a random time, and while it sleeps a share of ours.
            for turn in range(max(1, sizes.peer_drops)):
                waiting: dict[str, float] = {}
                if sizes.peer_drops:
                    threading.Event().wait(random.random() * 2)
                    waiting[f"p{turn}"] = _drop(peer, f"p{turn}")
                for number in range(sizes.drops // max(1, sizes.peer_drops)):
                    threading.Event().wait(PAUSE_S)
                    name = f"o{turn}-{number}"
                    waiting[name] = _drop(outbox, name)
                    ours += _times(heard, waiting, {name}, theirs)
                _times(heard, waiting, set(waiting), theirs)
    p99 = percentile(ours, 99)
    return result(
        "drop-to-send", "drop in outbox → send_message called, median", "ms", ours=median(ours),
        peer=median(theirs) if theirs else None, peer_name="the origin's 2 s poll loop", goal=("<=", 5.0),
        also=("p99 ≤ 50 ms", p99 <= 50), p99=p99, drops=len(ours), peer_longest=max(theirs, default=None),
        peer_drops=len(theirs),
    )  # fmt: skip


def _drop(outbox: Path, name: str) -> float:
    hidden = outbox.parent / f".{name}.tmp"
    hidden.write_text(f'{{"id": "{name}", "conversation_id": "C1", "text": "hello"}}')
    dropped = time.monotonic()
    os.rename(hidden, outbox / f"{name}.json")
    return dropped


def _times(heard: Ear, waiting: dict[str, float], until: set[str], theirs: list[float]) -> list[float]:
    """Hear until all of `until` were sent; the milliseconds that ours took, the peer's go into `theirs`."""
    ours: list[float] = []
    while until & set(waiting):
        for said in heard.wait_for("sent"):
            (theirs if said.who == "peer" else ours).append((said.at_s - waiting.pop(said.about)) * 1e3)
    return ours


def event_to_agent(bench: Bench) -> Result:
    """From the call of write_to_inbox to an agent that has claimed and read the event."""
    found: dict[str, list[float]] = {}
    writes: list[float] = []
    with bench.scratch("agent") as folder, ear() as heard:
        for way in ("claim", "tail"):
            home = folder / way
            with mail.connector(home) as one:
                command = bench_command("agent", str(home), way)
                with running(command, ear_address=heard.address, log=folder / "log"):
                    heard.wait_for("connected")
                    found[way] = []
                    for number in range(bench.sizes.drops):
                        threading.Event().wait(PAUSE_S)
                        event = mail.message(number)
                        begun = time.monotonic()
                        path = one.write_to_inbox(event)
                        writes.append((time.monotonic() - begun) * 1e3)
                        said = heard.wait_for("awake")[0]
                        found[way].append((said.at_s - begun) * 1e3)
                        if way == "tail":
                            path.unlink()
    return result(
        "event-to-agent", "event → agent awake with the file, median", "ms", ours=median(found["claim"]),
        goal=("<=", 5.0), p99=percentile(found["claim"], 99), of_which_durable_write=median(writes),
        by_tail=median(found["tail"]), by_tail_p99=percentile(found["tail"], 99), events=len(found["claim"]),
    )  # fmt: skip


def first_line(bench: Bench) -> Result:
    """`connectors tail` on a full inbox: until its first line is there."""
    count = bench.sizes.inbox_files
    with bench.scratch("tail") as folder:
        home = folder / "home"
        inbox = home / "messages/inbox"
        inbox.mkdir(parents=True)
        bench.say(f"making an inbox of {count} files")
        body = mail.message(0).to_bytes().decode()
        for number in range(count):
            text = body.replace('"bench:0"', f'"bench:{number}"')
            (inbox / f"20260101T000000.{number:06d}Z-bench-{number:08x}.json").write_text(text)
        plain = (
            "import os, sys; d = sys.argv[1]; n = min(x for x in os.listdir(d) if x.endswith('.json'));"
            " print(open(os.path.join(d, n)).read().replace(chr(10), ' '), flush=True)"
        )
        times = take_turns(
            bench.sizes.starts,
            ours=lambda _: _until_first_line(connectors_command("tail", "--seed-home", str(home))),
            plain=lambda _: _until_first_line([sys.executable, "-c", plain, str(inbox)]),
        )
    return result(
        "tail-100k", f"first line of `connectors tail` with {count} inbox files", "s", ours=median(times["ours"]),
        peer=median(times["plain"]), peer_name="python -c: list, find the first, read it", goal=("<=", 0.5),
        rounds=times,
    )  # fmt: skip


def _until_first_line(arguments: Sequence[str]) -> float:
    begun = time.monotonic()
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        line = process.stdout.readline() if process.stdout is not None else b""
        took = time.monotonic() - begun
        process.kill()
    if b'"bench:0"' not in line:
        raise RuntimeError(f"{arguments} did not print the first event, but {line!r}")
    return took


def help_text(bench: Bench, peer: Sequence[str] | None) -> Result:
    """`connectors --help` as a person waits for it."""
    commands = {"ours": connectors_command("--help"), "python": [sys.executable, "-c", "pass"]}
    if peer is not None:
        commands["nanobot"] = list(peer)

    def seconds(arguments: Sequence[str]) -> float:
        run = lambda: subprocess.run(  # noqa: E731 - one expression for `rate`
            arguments, env=environment(), check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        return 1 / rate(1, run)

    for arguments in commands.values():
        seconds(arguments)  # the first run compiles
    turns = {name: (lambda _, a=arguments: seconds(a)) for name, arguments in commands.items()}
    times = take_turns(bench.sizes.starts * 2, **turns)
    beside = "nanobot" if peer is not None else "python"
    name = "nanobot --version" if peer is not None else "python -c pass (the floor; the peer was not asked for)"
    return result(
        "help", "`connectors --help`", "s", ours=median(times["ours"]), peer=median(times[beside]), peer_name=name,
        goal=("<=", 0.25), python_alone=median(times["python"]), rounds=times,
    )  # fmt: skip
