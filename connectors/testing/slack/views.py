"""What a test sees of the fake: messages, calls, acknowledgements, sockets; and waiting for the app to be there."""

from __future__ import annotations

import copy

from connectors.testing.slack.calls import Call, Calls
from connectors.testing.slack.deliveries import Ack, Pending
from connectors.testing.slack.messages import shown
from connectors.testing.slack.sockets import Hub
from connectors.testing.slack.state import Json, StoredFile, World, seconds
from connectors.testing.slack.wire import Socket


class Views:
    """Properties of FakeSlack; copies, from any thread."""

    world: World
    _calls: Calls
    _hub: Hub

    def messages(self, channel: str) -> list[Json]:
        """What people see in a channel, oldest first; replies of threads too."""
        with self.world.lock:
            return [shown(message) for message in self.world.channel(channel).ordered()]

    def ephemeral(self, channel: str) -> list[Json]:
        """What single people (`user`) see in a channel, oldest first."""
        with self.world.lock:
            return copy.deepcopy(self.world.channel(channel).ephemeral)

    def statuses(self, channel: str) -> dict[str, str]:
        """The status lines below threads, by the thread's ts."""
        with self.world.lock:
            return dict(self.world.channel(channel).statuses)

    def said(self, channel: str | None = None) -> list[str]:
        """The texts that the bot has in a channel (or in all), oldest first."""
        with self.world.lock:
            places = [self.world.channel(channel)] if channel else list(self.world.channels.values())
            own = [m for place in places for m in place.ordered() if m.get("bot_id") == self.world.bot_id]
            return [str(message["text"]) for message in sorted(own, key=lambda m: seconds(m["ts"]))]

    @property
    def journal(self) -> list[Call]:
        """Every call that arrived, in order."""
        with self.world.lock:
            return list(self._calls.journal)

    def calls(self, method: str) -> list[Call]:
        """The calls of one method, in order."""
        return [call for call in self.journal if call.method == method]

    @property
    def hanging(self) -> int:
        """How many calls wait for an answer because of `timeout`."""
        return self._calls.hanging

    @property
    def unacknowledged(self) -> list[Pending]:
        """What nobody acknowledged yet: id, type, payload, attempt."""
        with self.world.lock:
            return list(self._hub.deliveries.pending)

    @property
    def lost(self) -> list[Pending]:
        """What was given up after its last attempt."""
        with self.world.lock:
            return list(self._hub.deliveries.lost)

    @property
    def acks(self) -> list[Ack]:
        """Every acknowledgement, with how long it took."""
        with self.world.lock:
            return list(self._hub.deliveries.acks)

    @property
    def stray_acks(self) -> list[Json]:
        """What arrived on a socket and acknowledged nothing."""
        with self.world.lock:
            return list(self._hub.deliveries.stray)

    def acknowledged(self, event_id: str) -> bool:
        """Whether this was acknowledged in time, at least once."""
        return any(ack.id == event_id and not ack.late for ack in self.acks)

    @property
    def sockets(self) -> list[Socket]:
        """The sockets that Slack believes to be open, oldest first."""
        return self._hub.open_sockets

    @property
    def all_sockets(self) -> list[Socket]:
        """Those that are gone too."""
        with self.world.lock:
            return list(self._hub.all_sockets)

    @property
    def uploads(self) -> list[StoredFile]:
        """The files that the app uploaded and completed: info, data."""
        with self.world.lock:
            return list(self.world.uploads)

    def wait_connected(self, sockets: int = 1, *, deadline_s: float = 10) -> None:
        """Until so many sockets got their hello; AssertionError when that takes longer."""
        with self.world.changed:
            if not self.world.changed.wait_for(lambda: self._greeted() >= sockets, deadline_s):
                raise AssertionError(f"not {sockets} sockets within {deadline_s} s: {self._hub.all_sockets}")

    def _greeted(self) -> int:
        return sum(socket.greeted and not socket.leaving for socket in self._hub.open_sockets)
