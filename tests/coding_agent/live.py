"""A coding agent that runs, and its hooks: they post to the connector until it has them."""

from __future__ import annotations

import json
import threading
from typing import Any, Self

import httpx

from connectors.parts.lifecycle import Phase
from tests.webhook.live import free_port, signed

#: What a tool says of each phase.
SAID: dict[Phase, dict[str, Any]] = {
    "started": {"hook_type": "start"},
    "active": {"hook_type": "active"},
    "completed": {"exit_status": 0},
    "failed": {"hook_type": "stop", "exit_status": 3},
    "stopped": {"exit_status": 143},
}


class Tool:
    """Each hook in a thread of its own; `summary` is what the session says at its end."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/hooks"
        self._bodies: dict[str, bytes] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._taken: set[str] = set()
        self._over = threading.Event()

    def hook(self, session: str, **fields: Any) -> str:
        """Begin to tell of a session; returns a name for this hook."""
        name = f"h{len(self._bodies)}"
        self._bodies[name] = json.dumps({"session_id": session, **fields}).encode()
        self.deliver(name)
        return name

    def deliver(self, name: str) -> None:
        self._threads[name] = threading.Thread(target=self._deliver, args=(name,), daemon=True)
        self._threads[name].start()

    def _deliver(self, name: str) -> None:
        body = self._bodies[name]
        while not self._over.wait(0.02):
            try:
                answer = httpx.post(self.url, content=body, headers=signed(body), timeout=1)
            except httpx.HTTPError:
                continue
            if answer.is_success:
                self._taken.add(name)
                return

    def has(self, name: str) -> bool:
        return name in self._taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads.values():
            thread.join()
