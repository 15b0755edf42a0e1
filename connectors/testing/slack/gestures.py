"""What people do beside talking: buttons, slash commands, shortcuts, modals; and envelopes as a test writes them.

https://docs.slack.dev/interactivity/handling-user-interaction : a click, a shortcut or a submission comes as an
`interactive` envelope, a command as `slash_commands`; both accept a payload in their acknowledgement. What a command
is acknowledged with is shown to the one who gave it, or to all with `response_type: in_channel`.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.slack import events, responses
from connectors.testing.slack.deliveries import Ack, Pending
from connectors.testing.slack.sockets import Hub
from connectors.testing.slack.state import Channel, Json, World


class Gestures:
    """Methods of FakeSlack; each may be called from any thread and returns the id that `acks` knows it by."""

    world: World
    _hub: Hub

    def event(self, event: Json) -> str | None:
        """Deliver any event to the app; returns its event_id, None when the app does not get such events."""
        with self.world.lock:
            name, scope = events.subscription(self.world, event)
            wanted = self.world.subscriptions
            if (wanted is not None and name not in wanted) or (scope is not None and scope not in self.world.scopes):
                return None
            payload = events.callback(self.world, event)
            return self._submit("events_api", payload, str(payload["event_id"]), retries=True)

    def press_button(
        self, channel: str, ts: str, user: str, action_id: str, *, value: str = "", block_id: str = "b1", **more: Any
    ) -> str:
        """Somebody presses a button; `more` are further fields of the action (a menu: type, selected_option)."""
        with self.world.lock:
            place = self.world.channel(channel)
            action = {
                "action_id": action_id,
                "block_id": block_id,
                "text": {"type": "plain_text", "text": action_id, "emoji": True},
                "value": value,
                **more,
            }
            payload = events.block_actions(self.world, place, place.messages[ts], user, action)
            return self._submit("interactive", payload, str(payload["trigger_id"]))

    def slash_command(self, channel: str, user: str, command: str, text: str = "") -> str:
        """Somebody gives a command, as `/ask`."""
        with self.world.lock:
            payload = events.command(self.world, self.world.channel(channel), user, command, text)
            return self._submit("slash_commands", payload, str(payload["trigger_id"]))

    def shortcut(self, user: str, callback_id: str, *, channel: str | None = None, ts: str | None = None) -> str:
        """Somebody uses a shortcut: a global one, or with channel and ts the one of a message's menu."""
        with self.world.lock:
            place = self.world.channel(channel) if channel is not None else None
            message = place.messages[ts] if place is not None and ts is not None else None
            payload = events.shortcut(self.world, user, callback_id, place, message)
            return self._submit("interactive", payload, str(payload["trigger_id"]))

    def submit_modal(self, user: str, callback_id: str, values: Json, **view: Any) -> str:
        """Somebody submits a modal; `view` are further fields of the view (private_metadata …)."""
        with self.world.lock:
            payload = events.view_submission(self.world, user, callback_id, values, view)
            return self._submit("interactive", payload, str(payload["trigger_id"]))

    def envelope(
        self,
        kind: str,
        payload: Json,
        *,
        accepts_response: bool = False,
        retries: bool = False,
    ) -> str:
        """Any envelope: of a type that nobody has seen, or with a payload that makes no sense."""
        with self.world.lock:
            return self._submit(kind, payload, self.world.new_id("En"), accepts=accepts_response, retries=retries)

    def redeliver(self, event_id: str) -> None:
        """Deliver something again that was acknowledged, as Slack does when an acknowledgement got lost."""
        with self.world.lock:
            known = self._hub.deliveries.known[event_id]
            again = Pending(known.id, known.type, known.payload, known.accepts_response, known.retries)
            again.attempt, again.reason = 1, "timeout"
            self._hub.deliveries.submit(again)

    def event_ids(self, ts: str) -> list[str]:
        """The ids of the events that tell of the message with this ts: `message`, and `app_mention`."""
        with self.world.lock:
            found = [(known, known.payload.get("event")) for known in self._hub.deliveries.known.values()]
            return [known.id for known, event in found if isinstance(event, dict) and event.get("event_ts") == ts]

    def _submit(self, kind: str, payload: Json, own_id: str, *, accepts: bool = True, retries: bool = False) -> str:
        self._hub.deliveries.submit(Pending(own_id, kind, payload, accepts and kind != "events_api", retries))
        return own_id

    def _answered(self, ack: Ack) -> None:
        """A command's acknowledgement with a payload is an answer to the one who gave it."""
        if ack.type != "slash_commands" or not ack.payload or ack.late:
            return
        payload = self._hub.deliveries.known[ack.id].payload
        place: Channel = self.world.channel(str(payload["channel_id"]))
        url = responses.ResponseUrl(place.id, str(payload["user_id"]), self.world.clock())
        if ack.payload.get("text") or ack.payload.get("blocks"):
            responses.say(self.world, url, ack.payload)
