"""getUpdates: long polling, one poller at a time.

https://core.telegram.org/bots/api#getupdates: `timeout` in seconds, at most 50 here as in the server; it does not work
while a webhook is set. A second getUpdates that has to wait ends the first one with 409 (do_get_updates and
abort_long_poll in the server's Client.cpp); one that is answered at once does not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from connectors.testing.telegram.errors import CONFLICT, ApiError, bad
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.world import World

MAX_TIMEOUT_S = 50
WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)
WEBHOOK_SET = "Conflict: terminated by setWebhook request"


@dataclass(eq=False)
class Poller:
    """A getUpdates under way."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended_by: str | None = None
    frozen: bool = False


class Polling:
    """All of it happens in the server's loop; the world is touched with its lock held."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pollers: list[Poller] = []

    def wake(self) -> None:
        """Something changed."""
        for poller in self.pollers:
            poller.woken.set()

    def end(self, reason: str) -> None:
        """409 for those under way."""
        for poller in self.pollers:
            if not poller.frozen:
                poller.ended_by = reason
                poller.woken.set()

    async def get(self, params: Params) -> list[dict[str, Any]]:
        """The updates that wait, or those that come within `timeout` seconds."""
        until = asyncio.get_running_loop().time() + min(max(params.integer("timeout"), 0), MAX_TIMEOUT_S)
        limit = params.integer("limit", 100)
        with self.world.lock:
            self.begin(params)
            batch = self.world.updates.take(params.integer("offset"), limit)
            if not batch and params.integer("timeout") > 0:
                self.end(CONFLICT)
            poller = Poller()
            self.pollers.append(poller)
        try:
            while not batch or poller.frozen:
                remaining_s = until - asyncio.get_running_loop().time()
                if remaining_s <= 0 and not poller.frozen:
                    break
                await _wait(poller.woken, None if poller.frozen else remaining_s)
                if poller.ended_by is not None:
                    raise ApiError(409, poller.ended_by)
                with self.world.lock:
                    batch = [] if poller.frozen else self.world.updates.peek(limit)
            return batch
        finally:
            self.pollers.remove(poller)

    def begin(self, params: Params) -> None:
        """Refuse while a webhook is set; remember which kinds the bot wants."""
        if self.world.webhook.get("url"):
            raise ApiError(409, WEBHOOK_ACTIVE)
        allow(self.world, params)


def allow(world: World, params: Params) -> None:
    """Remember `allowed_updates`; not given, what was said before stays."""
    if "allowed_updates" not in params.values:
        return
    kinds = params.decoded("allowed_updates", "allowed_updates")
    if kinds is None:
        return
    if not isinstance(kinds, list):
        raise bad("can't parse allowed_updates: an array is expected")
    world.updates.allow(str(kind).lower() for kind in kinds)


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
    event.clear()
