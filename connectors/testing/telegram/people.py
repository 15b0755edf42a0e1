"""What people do on the platform: they open chats and write."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from connectors.testing.telegram.entities import detect
from connectors.testing.telegram.model import Chat, Posted, User
from connectors.testing.telegram.posting import SERVICE_USERS, compose, publish
from connectors.testing.telegram.privacy import reaches_bot
from connectors.testing.telegram.world import World


class People:
    """The methods that a test calls. A chat or a user is given as an object or by its id."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.users.update(SERVICE_USERS)

    @property
    def bot(self) -> User:
        """The bot itself."""
        return self.world.bot

    # ── who and where ─────────────────────────────────────────────────────────────────────────────────────────

    def user(self, first_name: str = "Ada", *, id: int | None = None, **details: Any) -> User:  # noqa: A002 - the word
        """A new person; `username`, `last_name`, `is_bot`, `language_code`, `deactivated` as the platform has them."""
        with self.world.lock:
            found = User(self.world.number("user", 5_000_000_001) if id is None else id, first_name, **details)
            self.world.users[found.id] = found
            return found

    def private(self, user: User | int, *, started: bool = True) -> Chat:
        """The private chat of the bot and a user, who has pressed Start."""
        with self.world.lock:
            found = self.world.private(self._user(user))
            found.started = found.started or started
            return found

    def group(self, title: str = "Group", members: Iterable[User] = (), *, bot: str = "member", **details: Any) -> Chat:
        """A basic group. `bot`: the bot's status in it (member, administrator, left, kicked, restricted)."""
        return self._make("group", title, members, bot, details)

    def supergroup(
        self, title: str = "Supergroup", members: Iterable[User] = (), *, bot: str = "member", **details: Any
    ) -> Chat:
        """A supergroup; `is_forum=True`: with topics. `username` makes it public."""
        return self._make("supergroup", title, members, bot, details)

    def channel(self, title: str = "Channel", *, bot: str = "administrator", **details: Any) -> Chat:
        """A channel. Bots are administrators there."""
        return self._make("channel", title, (), bot, details)

    def chat(self, chat: Chat | int) -> Chat:
        """The chat with this id."""
        with self.world.lock:
            return chat if isinstance(chat, Chat) else self.world.chats[chat]

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────

    def post(self, chat: Chat | int, user: User | int | None, text: str = "", **kind: Any) -> Posted:
        """Somebody writes something.

        What it is: one of photo, document, voice, audio, video, video_note, animation, sticker (a File or bytes; a
        sticker also "static", "animated", "video"), location=(latitude, longitude), venue=(…, title, address),
        contact=(phone, name), poll=(question, [options]), dice="🎲", story=True; `text` is then the caption.

        What hangs on it: reply_to (a message's id, or what `post` returned), quote (a part of that text),
        external_reply (what `post` returned for another chat), topic, entities, mentions={"name in the text": user},
        origin (forwarded: a User, a name, a Chat, a MessageOrigin), as_chat (an anonymous administrator: the chat
        itself; or a channel), via_bot, album (a media_group_id), business (a connection's id), date, more (any fields).
        """
        with self.world.lock:
            where = self._where(chat, kind.get("business"))
            who = None if user is None else self._user(user)
            return publish(self.world, where, compose(self.world, where, who, text, kind))

    def album(
        self,
        chat: Chat | int,
        user: User | int | None,
        items: Iterable[Mapping[str, Any]],
        text: str = "",
        *,
        gap_s: float = 0,
        **kind: Any,
    ) -> list[Posted]:
        """Several files as one album: an update an item, `gap_s` seconds apart. The text is the first one's caption.

        An item is what `post` takes, such as {"photo": b"…"}; {"text": …} gives it a caption of its own.
        """
        with self.world.lock:
            group = str(self.world.number("album", 13_800_000_000_000_001))
        found = []
        never = threading.Event()
        for number, item in enumerate(items):
            if number and gap_s:
                never.wait(gap_s)
            own = {**item}
            caption = own.pop("text", text if number == 0 else "")
            found.append(self.post(chat, user, caption, **{**kind, **own, "album": group}))
        return found

    def edit(
        self, chat: Chat | int, message_id: int, text: str | None = None, *, business: str | None = None, **more: Any
    ) -> Posted:
        """The author changes a text or caption (`more`: any fields; None removes one)."""
        with self.world.lock:
            where = self._where(chat, business)
            old = where.messages[message_id]
            new = {**old, "edit_date": self.world.now()}
            if text is not None:
                names = ("text", "entities") if "text" in old else ("caption", "caption_entities")
                new.pop(names[1], None)
                new[names[0]] = text
                if found := detect(text):
                    new[names[1]] = found
            new.update(more)
            new = {name: value for name, value in new.items() if value is not None}
            where.messages[message_id] = new
            kind = "edited_channel_post" if where.type == "channel" else "edited_message"
            if "business_connection_id" in new:
                kind = "edited_business_message"
            update_id = self.world.emit(kind, new) if reaches_bot(self.world, where, new) else None
            return Posted(where.id, message_id, update_id, new)

    def delete(self, chat: Chat | int, message_id: int, *, business: str | None = None) -> int | None:
        """Somebody deletes a message. Bots are told in chats of business accounts only."""
        with self.world.lock:
            where = self._where(chat, business)
            where.deleted.add(message_id)
            if not business:
                return None
            update = {"business_connection_id": business, "chat": where.json(), "message_ids": [message_id]}
            return self.world.emit("deleted_business_messages", update)

    def inject(self, update: Mapping[str, Any], update_id: int | None = None) -> int:
        """Queue any update, known or not, wanted or not; its update_id is filled in."""
        with self.world.lock:
            found = self.world.updates.put({k: v for k, v in update.items() if k != "update_id"}, update_id)
            self.world.changed()
            return found

    def _make(self, kind: Any, title: str, members: Iterable[User], bot: str, details: dict[str, Any]) -> Chat:
        with self.world.lock:
            number = details.pop("id", None)
            found = Chat(number or self.world.chat_id(kind), kind, title=title, **details)
            found.members = {self.world.bot.id: bot, **{member.id: "member" for member in members}}
            if found.is_forum:
                found.last_message_id = 1  # the number of the General topic
            self.world.chats[found.id] = found
            return found

    def _where(self, chat: Chat | int, business: str | None) -> Chat:
        found = self.chat(chat)
        return self.world.business_chat(business, self.world.users[found.id]) if business else found

    def _user(self, user: User | int) -> User:
        return user if isinstance(user, User) else self.world.users[user]
