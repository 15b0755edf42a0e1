"""Runs one connector in a process of its own, for tests: `python -m connectors.testing.run JOB.json`.

The job is what `process.RunningConnector` writes: {"connector", "name", "home", "config", "outcomes", "receive",
"journal", "kill_at"}. `connector` is "module:Class" or "/path/file.py:Class"; `outcomes` and `receive` are the words
of `scripted`; with `kill_at: ["outbox.sent", 1]` the process dies by SIGKILL when it comes to that step for the first
time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import connectors
from connectors.base import steps
from connectors.base.connector import Connector
from connectors.base.loading import UNIQUE
from connectors.base.registry import load_class
from connectors.testing.script import scripted


def place_of(cls: type[Connector]) -> str:
    """What `find_class` finds the class by, in another process with the same `sys.path`."""
    module = sys.modules[cls.__module__]
    file = getattr(module, "__file__", None)
    ours = Path(connectors.__path__[0])
    by_loader = cls.__module__.startswith((f"{connectors.__name__}.", UNIQUE))
    if file is not None and by_loader and not Path(file).is_relative_to(ours):
        return f"{file}:{cls.__qualname__}"  # of a home, or a single file: only the loader knows how to import it
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(place: str) -> type[Connector]:
    """The class that `module:Class` or `/path/file.py:Class` names."""
    module, _, name = place.rpartition(":")
    if "/" in module:
        return _load(Path(module), name)
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise TypeError(f"{place} is no connector class")
    return found


def _load(file: Path, name: str) -> type[Connector]:
    """As the manager loads it: `<home>/connectors/<type>/connector.py` by its type, so that it can import its like."""
    if file.name == "connector.py" and file.parent.parent.name == "connectors":
        return load_class(f"connectors.{file.parent.name}.connector:{name}", file.parents[2])
    return load_class(f"{file}:{name}", file.parent)


def _kill_at(name: str, occurrence: int) -> None:
    left = occurrence

    def listen(step: str) -> None:
        nonlocal left
        if step == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    steps.listener = listen


def main(job_file: str) -> None:
    """Run the job's connector to its end; exits as it does."""
    job = json.loads(Path(job_file).read_bytes())
    cls = find_class(job["connector"])
    if job.get("outcomes") or job.get("receive", "own") != "own":
        journal = job.get("journal")
        cls = scripted(
            cls,
            *job.get("outcomes", []),
            receive=job.get("receive", "own"),
            journal=None if journal is None else Path(journal),
        )
    if job.get("kill_at"):
        _kill_at(*job["kill_at"])
    cls(name=job["name"], seed_home=job["home"], config=job.get("config")).run()


if __name__ == "__main__":
    main(sys.argv[1])
