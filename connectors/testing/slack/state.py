"""What the fake workspace consists of: people, channels, messages, files. No network in here.

Objects are kept in the form that Slack gives them to apps, as dictionaries:
https://docs.slack.dev/reference/objects/conversation-object, …/user-object, …/file-object.
A message's `ts` is unique within a channel and grows: https://docs.slack.dev/messaging/#threading-and-replies.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["channel", "group", "im", "mpim"]

#: What a message event of each kind of conversation is called, and the word in its scopes.
SCOPE_WORD: dict[Kind, str] = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}

# fmt: off
BOT_SCOPES = (
    "app_mentions:read", "assistant:write", "channels:history", "channels:join", "channels:manage", "channels:read",
    "chat:write", "commands", "files:read", "files:write", "groups:history", "groups:read", "groups:write",
    "im:history", "im:read", "im:write", "mpim:history", "mpim:read", "mpim:write", "reactions:read",
    "reactions:write", "users:read",
)
# fmt: on


@dataclass
class Channel:
    """One conversation. `messages` by ts, oldest first; replies of threads are among them."""

    id: str
    name: str
    kind: Kind = "channel"
    members: list[str] = field(default_factory=list)
    archived: bool = False
    topic: str = ""
    shared: bool = False
    messages: dict[str, Json] = field(default_factory=dict)
    ephemeral: list[Json] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    created: int = 1_700_000_000

    def ordered(self) -> list[Json]:
        """The messages, oldest first."""
        return [self.messages[ts] for ts in sorted(self.messages, key=seconds)]

    def replies(self, root: str) -> list[Json]:
        """The messages of a thread without its root, oldest first."""
        return [m for m in self.ordered() if m.get("thread_ts") == root and m["ts"] != root]


@dataclass
class StoredFile:
    """A file: what apps are told of it, and its bytes (None until they were uploaded)."""

    info: Json
    data: bytes | None = None
    ticket: str | None = None
    length: int | None = None


class World:
    """Everything that exists in the workspace; use it with `lock` held."""

    def __init__(self, *, bot_token: str, app_token: str, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.clock = clock
        self.bot_token, self.app_token = bot_token, app_token
        self.team_id, self.team_name = "T1", "Fakes"
        self.app_id, self.bot_id, self.bot_user = "A1", "B1", "UBOT"
        self.bot_name = "fakebot"
        self.scopes: set[str] = set(BOT_SCOPES)
        self.app_scopes: set[str] = {"connections:write"}
        self.revoked: str | None = None
        self.origin = ""
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, StoredFile] = {}
        self.uploads: list[StoredFile] = []
        self.bots: dict[str, Json] = {}
        self.response_urls: dict[str, Any] = {}
        self.subscriptions: set[str] | None = None
        self.emit: Callable[[Json], Any] = lambda event: None
        self.new_socket_url: Callable[[], str] = lambda: ""
        #: each is told of what happens: channel, message, what ("" for a new message), and who did it beside its author
        self.watchers: list[Callable[[str, Json, str, str], None]] = []
        self._last_ts = 0
        self._numbers = 0
        self._furnish()

    def _furnish(self) -> None:
        self.add_user("U1", "alice", real_name="Alice Example")
        self.add_user("U2", "bob", real_name="Bob Example")
        self.add_user(self.bot_user, self.bot_name, is_bot=True, bot_id=self.bot_id, app_id=self.app_id)
        self.bots[self.bot_id] = {
            "id": self.bot_id,
            "app_id": self.app_id,
            "user_id": self.bot_user,
            "name": self.bot_name,
            "deleted": False,
            "updated": 1_700_000_000,
            "icons": {},
        }
        self.add_channel("C1", "general", members=["U1", "U2", self.bot_user])
        self.add_channel("C2", "random", members=["U1", "U2"])
        self.add_channel("G1", "secret", kind="group", members=["U1", "U2", self.bot_user])
        self.add_channel("D1", "", kind="im", members=["U1", self.bot_user])
        self.add_channel("D2", "", kind="im", members=["U2", self.bot_user])

    # ── people and places ─────────────────────────────────────────────────────────────────────────────────────

    def add_user(self, user_id: str, name: str, *, real_name: str = "", is_bot: bool = False, **more: Any) -> Json:
        """Somebody joins the workspace."""
        profile = {"real_name": real_name or name, "display_name": name, "team": self.team_id}
        if is_bot:
            profile["bot_id"] = more.pop("bot_id", f"B{user_id[1:]}")
            profile["api_app_id"] = more.pop("app_id", f"A{user_id[1:]}")
        user = {
            "id": user_id,
            "team_id": self.team_id,
            "name": name,
            "deleted": False,
            "real_name": real_name or name,
            "tz": "Etc/UTC",
            "profile": profile,
            "is_bot": is_bot,
            "is_app_user": False,
            "updated": 1_700_000_000,
            **more,
        }
        with self.lock:
            self.users[user_id] = user
        return user

    def add_channel(
        self, channel_id: str, name: str, *, kind: Kind = "channel", members: Iterable[str] = ()
    ) -> Channel:
        """A conversation comes into being."""
        channel = Channel(channel_id, name, kind, list(members))
        with self.lock:
            self.channels[channel_id] = channel
        return channel

    def channel(self, channel_id: str) -> Channel:
        """The conversation; a test that names an unknown one is told which there are."""
        try:
            return self.channels[channel_id]
        except KeyError:
            known = ", ".join(self.channels)
            raise KeyError(
                f"no channel {channel_id} in the fake workspace, only {known}: add_channel() adds one"
            ) from None

    def direct(self, *users: str) -> Channel:
        """The direct conversation of the bot with these people, made when there is none."""
        members = {*users, self.bot_user}
        kind: Kind = "im" if len(members) <= 2 else "mpim"
        for channel in self.channels.values():
            if channel.kind == kind and set(channel.members) == members:
                return channel
        prefix = "D" if kind == "im" else "G"
        name = "" if kind == "im" else "mpdm-" + "--".join(sorted(self.users[u]["name"] for u in members)) + "-1"
        return self.add_channel(self.new_id(prefix), name, kind=kind, members=sorted(members))

    # ── ids and times ─────────────────────────────────────────────────────────────────────────────────────────

    def new_id(self, prefix: str) -> str:
        """An id that nothing else has."""
        self._numbers += 1
        return f"{prefix}{self._numbers:08d}"

    def new_ts(self, at: float | None = None) -> str:
        """A ts: seconds and microseconds of now (or of `at`), never the same twice, always growing for now."""
        micros = int((self.clock() if at is None else at) * 1_000_000)
        if at is None:
            micros = self._last_ts = max(micros, self._last_ts + 1)
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, channel: Channel, message: Json) -> Json:
        """Add a message to its channel, and count it in its thread's root."""
        channel.messages[message["ts"]] = message
        root = channel.messages.get(message.get("thread_ts", ""))
        if root is not None and root is not message:
            self.count_replies(channel, root)
        self.tell(channel, message)
        return message

    def tell(self, channel: Channel, message: Json, what: str = "", user: str = "") -> None:
        """Let those know who watch: a message is new, has changed, or `user` did something to it."""
        for watch in self.watchers:
            watch(channel.id, message, what, user)
        self.changed.notify_all()

    def count_replies(self, channel: Channel, root: Json) -> None:
        """Bring a thread's root up to date: reply_count, reply_users, latest_reply."""
        replies = channel.replies(root["ts"])
        if not replies:
            for key in ("thread_ts", "reply_count", "reply_users", "reply_users_count", "latest_reply"):
                root.pop(key, None)
            return
        users = list(dict.fromkeys(m.get("user", "") for m in replies))
        root.update(
            thread_ts=root["ts"],
            reply_count=len(replies),
            reply_users=users,
            reply_users_count=len(users),
            latest_reply=replies[-1]["ts"],
        )

    def announce(self, channel: Channel, event: Json) -> None:
        """Tell the app of something in a conversation that its bot is a member of."""
        if self.bot_user in channel.members:
            self.emit(copy.deepcopy(event))


def seconds(ts: str) -> tuple[int, int]:
    """A ts as a value that sorts, exactly."""
    whole, _, micros = ts.partition(".")
    return int(whole or 0), int((micros or "0").ljust(6, "0")[:6])
