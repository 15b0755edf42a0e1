"""A connector in a process of its own, as a test starts it, watches it and kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from connectors.base.connector import Connector
from connectors.base.home import Home
from connectors.base.status import StatusFile
from connectors.testing.run import place_of
from connectors.testing.waiting import wait_for


class RunningConnector:
    """Starts at once. Everything that it prints is in `output`; its status file says how far it is.

    `outcomes` and `receive` are the words of `connectors.testing.script`; `kill_at` is a step's name
    (`connectors.base.steps`) and which occurrence of it ends the process by SIGKILL.
    """

    def __init__(
        self,
        connector: type[Connector] | str,
        home: str | os.PathLike[str],
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        outcomes: Sequence[str] = (),
        receive: str = "own",
        kill_at: tuple[str, int] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.name = name
        self.home = Home(home)
        self._folder = tempfile.TemporaryDirectory(prefix="connector-")
        self.journal_file = Path(self._folder.name) / "journal"
        self._output = Path(self._folder.name) / "output"
        place = connector if isinstance(connector, str) else place_of(connector)
        job = {
            "connector": place,
            "name": name,
            "home": str(self.home.root),
            "config": None if config is None else dict(config),
            "outcomes": list(outcomes),
            "receive": receive,
            "journal": str(self.journal_file),
            "kill_at": kill_at,
        }
        file = Path(self._folder.name) / "job.json"
        file.write_text(json.dumps(job))
        with self._output.open("wb") as output:
            # The class may be in a test module, which only this process's path finds.
            path = os.pathsep.join(entry for entry in sys.path if entry)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "connectors.testing.run", str(file)],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
            )
        self.pid = self.process.pid

    @property
    def status(self) -> dict[str, Any]:
        """What its status file says, once this very process has written it."""
        found = StatusFile(self.home, self.name).read()
        return found if found.get("pid") == self.pid else {}

    @property
    def output(self) -> str:
        """What it printed, its log included."""
        return self._output.read_text(errors="replace")

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The calls of send_message: {outcome, pid, id, text, to} each."""
        if not self.journal_file.exists():
            return []
        return [json.loads(line) for line in self.journal_file.read_text().splitlines()]

    def connected(self, deadline_s: float = 20) -> Self:
        """Wait until it is. AssertionError, with its output, when it ends before."""

        def look() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it was connected:\n{self.output}")
            return self.status.get("state") == "connected"

        wait_for(look, deadline_s=deadline_s, what=f"{self.name} is connected")
        return self

    def wait(self, deadline_s: float = 20) -> int:
        """Wait for its end; returns the exit code, or minus the signal's number."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline_s} s:\n{self.output}") from None

    def terminate(self) -> None:
        """Ask for its end (SIGTERM)."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> int:
        """End it (SIGKILL) and wait for that."""
        self.process.kill()
        return self.process.wait()

    def close(self) -> None:
        """End it, if it still runs, and clean up; safe twice."""
        self.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
