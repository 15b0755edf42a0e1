"""The floors and the peers, written as plainly as they can be: what every figure is compared with.

The peers repeat how the design that this project comes from works: one manager that forks daemon processes with
`multiprocessing`, an outbox that is polled every 2 s and whose files are deleted before they are sent.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: How often the origin's connectors look into their outbox, and its manager at its processes; and its wait before
#: a restart. All in seconds.
POLL_S = 2.0
WATCH_S = 5.0
RESTART_DELAY_S = 2.0


def write_durably(staging: Path, folder: Path, name: str, data: bytes) -> None:
    """The floor of all that is durable: write, fsync, rename, fsync the folder."""
    with open(staging / name, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(staging / name, folder / name)
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def poll_once(outbox: Path, send: Callable[[dict[str, str]], None]) -> None:
    """One pass of the origin's poll: list, read, delete, send."""
    for name in sorted(os.listdir(outbox)):
        if name.endswith(".json"):
            data = json.loads((outbox / name).read_text())
            (outbox / name).unlink()
            send(data)


def poll(outbox: Path, send: Callable[[dict[str, str]], None], stop: threading.Event) -> None:
    """The origin's poll loop."""
    while not stop.is_set():
        poll_once(outbox, send)
        stop.wait(POLL_S)


def run_origin(outboxes: list[Path], tell: Callable[[str], None], *, with_base: bool) -> None:
    """The origin's manager: fork a daemon process for each outbox, and start those anew that have ended.

    `with_base` imports this project's base into them, to compare the shapes with the same content.
    """
    if with_base:
        import connectors.base.connector
        import connectors.base.serve  # noqa: F401 - for what it costs
    import logging  # noqa: F401 - the origin's manager has these loaded before it forks
    import signal  # noqa: F401 - as above

    import yaml  # noqa: F401 - as above

    context = multiprocessing.get_context("fork")
    processes = {}
    for outbox in outboxes:
        processes[outbox] = context.Process(target=_daemon, args=(outbox, tell), daemon=True)
        processes[outbox].start()
    while True:
        threading.Event().wait(WATCH_S)
        for outbox, process in processes.items():
            if not process.is_alive():
                threading.Event().wait(RESTART_DELAY_S)
                processes[outbox] = context.Process(target=_daemon, args=(outbox, tell), daemon=True)
                processes[outbox].start()


def _daemon(outbox: Path, tell: Callable[[str], None]) -> None:
    tell(f"{outbox.name} connected {os.getpid()} {time.monotonic_ns()}")
    poll(outbox, lambda _: None, threading.Event())
