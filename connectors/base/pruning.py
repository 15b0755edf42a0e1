"""The manager has the home pruned, every hour, by a child process: it waits for none, and no failure disturbs it."""

from __future__ import annotations

import base64
import json
import os
import pickle
from contextlib import suppress
from dataclasses import replace

from connectors.base.instance import Host
from connectors.base.launch import Child, launch

PRUNE = "connectors.base.retention:prune_home"
#: The first time some minutes after the start, when what failed to start has been tried again.
FIRST_AFTER_S = 300.0
EVERY_S = 3600.0
#: One that takes longer hangs: a network mount that is gone.
LIMIT_S = 1800.0
#: The counts in words, in the order in which they are told.
WORDS = {
    "receipts": "receipts",
    "dead_letters": "dead letters",
    "events": "ids of events",
    "outgoings": "records of outgoings",
    "attachments": "attachments",
    "logs": "log files",
    "leftovers": "temporary files",
}


class Pruning:
    """Call `look` at every pass of the manager's loop. At most one child runs at a time."""

    def __init__(self, host: Host, *, error_fd: int, entry: str = PRUNE) -> None:
        self._host = host
        self._error_fd = error_fd
        self._entry = entry
        self._next_s = host.clock.monotonic() + FIRST_AFTER_S
        self._end_s = 0.0
        self._child: Child | None = None
        self._output_fd = -1

    def look(self, now_s: float) -> None:
        """Start it when it is due; tell how it ended."""
        if self._child is not None:
            if self._child.poll() is not None:
                self._ended(self._child)
            elif now_s >= self._end_s:
                self.close()
                self._host.say(f"pruning did not end within {LIMIT_S:g} s: given up until the next hour")
        elif now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            self._end_s = now_s + LIMIT_S
            try:
                self._start()
            except OSError as error:
                self._host.say(f"not pruned: no process can be started: {error}")

    def close(self) -> None:
        """End it; safe twice. What it did not come to is for the next one."""
        child, self._child = self._child, None
        if child is not None:
            child.end()
            os.close(self._output_fd)

    def _start(self) -> None:
        host = self._host
        config = replace(host.config, env={}, values=())
        argument = {
            "home": str(host.home.root),
            "lifeline_fd": host.lifeline_fd,
            "config": base64.b64encode(pickle.dumps(config)).decode(),
        }
        # Read when it has ended: the one line that it prints fits into any pipe.
        self._output_fd, write_fd = os.pipe()
        os.set_blocking(self._output_fd, False)
        stdio = (None, write_fd, self._error_fd)
        try:
            self._child = launch(
                self._entry, argument, name="prune", stdio=stdio, keep=(host.lifeline_fd,), method=host.method
            )
        except BaseException:
            os.close(self._output_fd)
            raise
        finally:
            os.close(write_fd)

    def _ended(self, child: Child) -> None:
        said = b""
        with suppress(BlockingIOError):
            said = os.read(self._output_fd, 65_536)
        self.close()
        if child.status != 0:
            self._host.say(f"pruning ended with {child.status}: tried again in an hour")
            return
        with suppress(ValueError, AttributeError, IndexError):
            counts = json.loads(said.splitlines()[-1])
            done = [f"{counts[what]} {words}" for what, words in WORDS.items() if counts.get(what)]
            if done:
                self._host.say(f"pruned: {', '.join(done)}")
