"""What exists on the platform, in memory: users, chats, messages, files, and the queue of updates.

Everything here is guarded by one lock; `changed` is called after every change that somebody may wait for.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

from connectors.testing.telegram.errors import bad, forbidden
from connectors.testing.telegram.model import Call, Chat, File, StoredFile, User
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.rates import Rates
from connectors.testing.telegram.updates import KEPT_S, Updates

_SUPERGROUP_BASE = -1_000_000_000_000


class World:
    """The state of one fake platform with one bot."""

    def __init__(
        self,
        bot: User,
        *,
        privacy: bool,
        clock: Callable[[], float] = time.time,
        keep_s: float = KEPT_S,
        past: int = 0,
    ) -> None:
        """`past`: so many updates and messages there were before."""
        self.lock = threading.RLock()
        self.bot = bot
        self.privacy = privacy
        self.can_join_groups = True
        self.clock = clock
        self.updates = Updates(clock, keep_s=keep_s, first_id=100_001 + past)
        self.users: dict[int, User] = {bot.id: bot}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, StoredFile] = {}
        self.journal: list[Call] = []
        #: method, chat, message id, parse_mode
        self.sent: list[tuple[str, Chat, int, str | None]] = []
        #: business connections: id → owner; and the chats of the owners with their customers
        self.connections: dict[str, User] = {}
        self.business: dict[tuple[str, int], Chat] = {}
        self.callbacks: dict[str, dict[str, Any]] = {}
        #: (chat, message, user) → emoji
        self.reactions: dict[tuple[int, int, int], list[str]] = {}
        self.commands: dict[str, list[dict[str, str]]] = {}
        self.rates = Rates(clock)
        self.logged_out = False
        self.webhook: dict[str, Any] = {}
        self.changed: Callable[[], None] = lambda: None
        self._numbers = {"callback": 4_380_000_000_000_000 + past}
        #: private chats and basic groups number their messages together, as the bot's own account does
        self._message_id = past

    def number(self, what: str, first: int = 1) -> int:
        """The next number of a series."""
        self._numbers[what] = self._numbers.get(what, first - 1) + 1
        return self._numbers[what]

    def now(self) -> int:
        """Unix time, as in `date`."""
        return int(self.clock())

    # ── users and chats ───────────────────────────────────────────────────────────────────────────────────────

    def chat_id(self, kind: str) -> int:
        """A free id; -100… for supergroups and channels."""
        if kind in ("supergroup", "channel"):
            return _SUPERGROUP_BASE - self.number("supergroup", 1_500_000_001)
        return -self.number("group", 4_000_001)

    def private(self, user: User) -> Chat:
        """The private chat between the bot and a user."""
        if user.id not in self.chats:
            self.chats[user.id] = Chat(
                user.id,
                "private",
                first_name=user.first_name,
                last_name=user.last_name,
                username=user.username,
                members={user.id: "member", self.bot.id: "member"},
            )
        return self.chats[user.id]

    def business_chat(self, connection_id: str, customer: User) -> Chat:
        """The chat of a business account with a customer: its id is that of the bot's chat, its messages are not."""
        if connection_id not in self.connections:
            raise bad("business connection not found")
        key = (connection_id, customer.id)
        if key not in self.business:
            names = {name: getattr(customer, name) for name in ("first_name", "last_name", "username")}
            self.business[key] = Chat(customer.id, "private", business=connection_id, started=True, **names)
        return self.business[key]

    def destination(self, params: Params) -> Chat:
        """Where a call writes: a chat of the bot, or one of the business account that it names."""
        given = params.values.get("chat_id")
        if "business_connection_id" not in params:
            return self.writable(given)
        customer = self.users.get(params.integer("chat_id"))
        if customer is None:
            raise bad("chat not found")
        return self.business_chat(params.text("business_connection_id"), customer)

    def chat(self, given: Any) -> Chat:
        """The chat that a call names by id or @username, if the bot knows it."""
        wanted = str(given if given is not None else "").strip()
        if not wanted:
            raise bad("chat_id is empty")
        for chat in self.chats.values():
            by_name = wanted.startswith("@") and (chat.username or "").lower() == wanted[1:].lower()
            if (by_name and chat.type != "private") or wanted == str(chat.id):
                return chat
        if wanted.isdecimal() and int(wanted) in self.users:
            return self.private(self.users[int(wanted)])
        raise bad("chat not found")

    def writable(self, given: Any) -> Chat:
        """The chat, if the bot may write there; otherwise the refusal that the platform words for the case."""
        chat = self.chat(given)
        if chat.migrated_to is not None:
            raise bad("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to)
        if chat.type == "private":
            user = self.users[chat.id]
            if user.deactivated:
                raise forbidden("user is deactivated")
            if chat.blocked:
                raise forbidden("bot was blocked by the user")
            if user.is_bot:
                raise forbidden("bots can't send messages to bots")
            if not chat.started:
                raise forbidden("bot can't initiate conversation with a user")
            return chat
        self.inside(chat)
        if chat.type == "channel" and chat.members[self.bot.id] not in ("administrator", "creator"):
            raise bad("need administrator rights in the channel chat")
        if chat.members[self.bot.id] == "restricted":
            raise bad("not enough rights to send text messages to the chat")
        return chat

    def inside(self, chat: Chat) -> None:
        """403 when the bot is not in the chat any more."""
        status = chat.members.get(self.bot.id, "left")
        if status == "kicked":
            raise forbidden(f"bot was kicked from the {chat.type} chat")
        if status == "left":
            raise forbidden(f"bot is not a member of the {chat.type} chat")

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

    def message_id(self, chat: Chat) -> int:
        """The next id there: supergroups, channels and business accounts count for themselves."""
        if chat.type in ("supergroup", "channel") or chat.business:
            chat.last_message_id += 1
            return chat.last_message_id
        self._message_id += 1
        chat.last_message_id = self._message_id
        return self._message_id

    def keep(self, chat: Chat, message: dict[str, Any]) -> None:
        """From now on it is in the chat."""
        self.resolve(message)
        chat.messages[message["message_id"]] = message
        sender = message.get("from", {})
        if sender.get("is_bot") and "sender_chat" not in message:
            chat.last_bot_id = sender["id"]

    def resolve(self, message: dict[str, Any]) -> None:
        """Mentions by id get their user; those of nobody that is known are no mentions."""
        for name in ("entities", "caption_entities"):
            if any(e["type"] == "text_mention" for e in message.get(name, [])):
                kept = [e for e in message[name] if e["type"] != "text_mention" or e["user"]["id"] in self.users]
                message[name] = [
                    {**e, "user": self.users[e["user"]["id"]].json()} if e["type"] == "text_mention" else e
                    for e in kept
                ]

    def emit(self, kind: str, payload: Any) -> int | None:
        """Tell the bot, if it wants this kind. Returns the update's id."""
        update_id = self.updates.add(kind, payload)
        self.changed()
        return update_id

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────

    def store(self, content: File, folder: str) -> StoredFile:
        """Keep a file. Its ids are texts without meaning; the path's name does not tell the file's."""
        n = self.number("file")
        unique = hashlib.sha256(f"{folder}/{n}".encode()).hexdigest()[:15]
        suffix = content.name.rpartition(".")[2] if content.name and "." in content.name else ""
        path = f"{folder}/file_{n}" + (f".{suffix}" if suffix.isalnum() else "")
        stored = StoredFile(f"BQAC{n:06d}{unique}-{folder}", f"AgAD{unique}", path, content)
        self.files[stored.file_id] = stored
        return stored
