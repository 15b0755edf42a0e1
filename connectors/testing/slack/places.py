"""What happens to channels and their members, and other apps: joining, leaving, renaming, archiving, other bots.

https://docs.slack.dev/reference/events/member_joined_channel, …/member_left_channel, …/channel_rename,
…/channel_archive, …/channel_left ; people see these as messages with the subtypes channel_join, channel_leave,
channel_name, channel_archive: https://docs.slack.dev/reference/events/message#subtypes. A file of a Slack Connect
channel comes as a stub with `file_access: check_file_info`: …/reference/events/message/file_share.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.slack import files, messages
from connectors.testing.slack.people import People
from connectors.testing.slack.state import Channel, Json, Kind

_PREFIX = {"channel": "channel", "group": "group", "im": "im", "mpim": "mpim"}


class Places(People):
    """Methods of FakeSlack; each may be called from any thread."""

    def add_user(self, user_id: str, name: str, **fields: Any) -> str:
        """Somebody joins the workspace; returns the id. `fields`: real_name, is_bot, deleted, tz …"""
        self.world.add_user(user_id, name, **fields)
        return user_id

    def add_channel(
        self, channel_id: str, name: str, *, kind: Kind = "channel", members: list[str] | None = None
    ) -> str:
        """A new conversation; returns the id. Without `members`: U1, U2 and the bot."""
        everybody = ["U1", "U2", self.world.bot_user]
        self.world.add_channel(channel_id, name, kind=kind, members=everybody if members is None else members)
        return channel_id

    def direct(self, *users: str) -> str:
        """The id of the bot's direct conversation with these people."""
        with self.world.lock:
            return self.world.direct(*users).id

    def invite_bot(self, channel: str, by: str = "U1") -> None:
        """Somebody adds the bot to a channel."""
        self.join(channel, self.world.bot_user, inviter=by)

    def join(self, channel: str, user: str, *, inviter: str | None = None) -> None:
        """Somebody enters a channel."""
        with self.world.lock:
            place = self.world.channel(channel)
            place.members.append(user)
            more = {"inviter": inviter} if inviter else {}
            self._membership(place, "member_joined_channel", user, **more)
            self._notice(place, user, "channel_join", f"<@{user}> has joined the channel", **more)

    def leave(self, channel: str, user: str) -> None:
        """Somebody leaves a channel; the bot is told by `channel_left` when it is the one."""
        with self.world.lock:
            place = self.world.channel(channel)
            place.members.remove(user)
            if user == self.world.bot_user:
                name = "channel_left" if place.kind == "channel" else "group_left"
                self.world.emit({"type": name, "channel": place.id, "actor_id": "U1", "event_ts": self.world.new_ts()})
                return
            self._membership(place, "member_left_channel", user)
            self._notice(place, user, "channel_leave", f"<@{user}> has left the channel")

    def _membership(self, place: Channel, kind: str, user: str, **more: Any) -> None:
        event = {
            "type": kind,
            "user": user,
            "channel": place.id,
            "channel_type": "C" if place.kind == "channel" else "G",
            "team": self.world.team_id,
            "event_ts": self.world.new_ts(),
            **more,
        }
        self.world.announce(place, event)

    def rename(self, channel: str, name: str, by: str = "U1") -> None:
        """A channel gets another name."""
        with self.world.lock:
            place = self.world.channel(channel)
            old, place.name = place.name, name
            self._channel_event(place, "rename", name=name, name_normalized=name.lower(), created=place.created)
            self._notice(place, by, "channel_name", f'has renamed the channel from "{old}" to "{name}"')

    def archive(self, channel: str, by: str = "U1") -> None:
        """A channel is closed."""
        with self.world.lock:
            place = self.world.channel(channel)
            place.archived = True
            event = {"type": f"{_PREFIX[place.kind]}_archive", "channel": place.id, "user": by}
            self.world.announce(place, {**event, "event_ts": self.world.new_ts()})

    def set_topic(self, channel: str, topic: str, by: str = "U1") -> None:
        """A channel gets a topic."""
        with self.world.lock:
            place = self.world.channel(channel)
            place.topic = topic
            self._notice(place, by, "channel_topic", f"set the channel topic: {topic}", topic=topic)

    def _channel_event(self, place: Channel, what: str, **fields: Any) -> None:
        event: Json = {"type": f"{_PREFIX[place.kind]}_{what}", "channel": {"id": place.id, **fields}}
        self.world.announce(place, {**event, "event_ts": self.world.new_ts()})

    def _notice(self, place: Channel, user: str, subtype: str, text: str, **more: Any) -> None:
        message = {"type": "message", "subtype": subtype, "user": user, "text": text, "ts": self.world.new_ts(), **more}
        messages.publish(self.world, place, message)

    def post_as_bot(
        self,
        channel: str,
        text: str,
        *,
        bot_id: str = "B9",
        app_id: str = "A9",
        user: str | None = "U9",
        username: str = "otherbot",
        thread_ts: str | None = None,
        **more: Any,
    ) -> str:
        """Another app says something; `user=None`: with the subtype bot_message, as webhooks and old apps do."""
        with self.world.lock:
            place = self.world.channel(channel)
            profile = {"id": bot_id, "app_id": app_id, "name": username, "deleted": False}
            self.world.bots.setdefault(bot_id, {**profile, "user_id": user or "", "updated": 0, "icons": {}})
            message: Json = {"type": "message", "text": text, "ts": self.world.new_ts(), "bot_id": bot_id}
            if user is None:
                message.update(subtype="bot_message", username=username)
            else:
                if user not in self.world.users:
                    self.world.add_user(user, username, is_bot=True, bot_id=bot_id, app_id=app_id)
                team = self.world.team_id
                message.update(user=user, app_id=app_id, team=team, bot_profile={**profile, "team_id": team})
            messages.in_thread(place, message, thread_ts)
            message.update(more)
            messages.publish(self.world, place, message)
            return str(message["ts"])

    def post_connect_stub(self, channel: str, user: str, text: str, name: str, data: bytes) -> str:
        """Somebody of another organisation shares a file: the event has its id only, files.info the rest."""
        with self.world.lock:
            stored = files.make(self.world, name, data, user=user)
            stub = {"id": stored.info["id"], "mode": "file_access", "file_access": "check_file_info"}
            stub.update(created=0, timestamp=0, user="")
            return self.post(channel, user, text, subtype="file_share", files_given=[stub])
