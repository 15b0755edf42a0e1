"""What people in the workspace do: say, edit, delete, react, share files, come and go.

Each makes the events that https://docs.slack.dev/reference/events lists for it, and the app gets those of channels
that its bot is a member of. Other bots post with `subtype: bot_message`: …/reference/events/message/bot_message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.testing.slack import files, messages, reactions
from connectors.testing.slack.state import Channel, Json, StoredFile, World


class People:
    """Methods of FakeSlack; each may be called from any thread."""

    world: World

    def post(
        self,
        channel: str,
        user: str,
        text: str = "",
        *,
        thread_ts: str | None = None,
        files: Mapping[str, bytes] | None = None,
        subtype: str | None = None,
        broadcast: bool = False,
        mention_first: bool = False,
        at: float | None = None,
        files_given: list[Json] | None = None,
        **more: Any,
    ) -> str:
        """Somebody says something; returns its ts. `more` are further fields of the message, as blocks or bot_id.

        A mention of the bot (`fake.mention`) makes `message` and `app_mention` envelopes; `mention_first` turns them
        around. `at`: when, in seconds since 1970 (for what was said while the app was away). `files` are stored and can
        be downloaded; `files_given` are file objects as the event is to have them.
        """
        with self.world.lock:
            place = self.world.channel(channel)
            message: Json = {
                "type": "message",
                "user": user,
                "text": text,
                "team": self.world.team_id,
                "ts": self.world.new_ts(at),
                "client_msg_id": f"client-{self.world.new_id('')}",
            }
            messages.in_thread(place, message, thread_ts, broadcast=broadcast)
            if subtype is not None:
                message["subtype"] = subtype
            message.update(more)
            if files_given is not None:
                message["files"] = files_given
            if files:
                self._with_files(place, message, files, mention_first=mention_first)
            else:
                messages.publish(self.world, place, message, mention_first=mention_first)
            return str(message["ts"])

    def _with_files(self, place: Channel, message: Json, given: Mapping[str, bytes], *, mention_first: bool) -> None:
        user = str(message.get("user", ""))
        stored = [files.make(self.world, name, data, user=user) for name, data in given.items()]
        self._share(place, message, stored, mention_first=mention_first)

    def _share(self, place: Channel, message: Json, stored: list[StoredFile], *, mention_first: bool = False) -> None:
        message.setdefault("subtype", "file_share")
        message.update(files=[file.info for file in stored], upload=True, display_as_bot=False)
        files.share(self.world, place, message, stored, mention_first=mention_first)

    def edit(self, channel: str, ts: str, text: str, *, user: str | None = None, **more: Any) -> str:
        """The author changes a message; returns the event's ts."""
        with self.world.lock:
            place, message = self._message(channel, ts)
            editor = user or str(message.get("user", ""))
            event = messages.change(self.world, place, message, {"text": text, **more}, edited_by=editor)
            return str(event["ts"])

    def unfurl(self, channel: str, ts: str, attachments: list[Json]) -> str:
        """Slack adds the preview of a link: `message_changed` with the same text and no `edited`."""
        with self.world.lock:
            place, message = self._message(channel, ts)
            event = messages.change(self.world, place, message, {"attachments": attachments}, edited_by=None)
            return str(event["ts"])

    def delete(self, channel: str, ts: str) -> str:
        """Somebody takes a message back; returns the event's ts."""
        with self.world.lock:
            place, message = self._message(channel, ts)
            return str(messages.remove(self.world, place, message)["ts"])

    def react(self, channel: str, ts: str, user: str, name: str) -> None:
        """Somebody reacts."""
        with self.world.lock:
            reactions.react(self.world, *self._message(channel, ts), user, name)

    def unreact(self, channel: str, ts: str, user: str, name: str) -> None:
        """Somebody takes a reaction back."""
        with self.world.lock:
            reactions.unreact(self.world, *self._message(channel, ts), user, name)

    def _message(self, channel: str, ts: str) -> tuple[Channel, Json]:
        place = self.world.channel(channel)
        try:
            return place, place.messages[ts]
        except KeyError:
            raise KeyError(f"no message {ts} in {channel}") from None
