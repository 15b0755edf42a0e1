"""What else happens on the platform: reactions, buttons, members, topics, migrations, business accounts.

https://core.telegram.org/bots/api#update and the types that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.testing.telegram.members import change
from connectors.testing.telegram.model import Chat, Posted, User
from connectors.testing.telegram.people import People
from connectors.testing.telegram.posting import compose, publish


class Happenings(People):
    """The methods of a test that are no posts."""

    # ── reactions and buttons ─────────────────────────────────────────────────────────────────────────────────

    def react(
        self,
        chat: Chat | int,
        message_id: int,
        user: User | int | None,
        emoji: Iterable[str],
        *,
        as_chat: Chat | None = None,
    ) -> int | None:
        """Somebody's reactions to a message are these now; none: they are gone.

        The bot is told in private chats, and as an administrator, if it asked for message_reaction.
        """
        with self.world.lock:
            where = self.chat(chat)
            who = as_chat.id if as_chat else self._user(user).id  # type: ignore[arg-type]  # one of them is given
            before = self.world.reactions.get((where.id, message_id, who), [])
            now = self.world.reactions[where.id, message_id, who] = list(emoji)
            update = {
                "chat": where.json(),
                "message_id": message_id,
                "date": self.world.now(),
                "old_reaction": [{"type": "emoji", "emoji": one} for one in before],
                "new_reaction": [{"type": "emoji", "emoji": one} for one in now],
            }
            update.update({"actor_chat": as_chat.json()} if as_chat else {"user": self.world.users[who].json()})
            return self.world.emit("message_reaction", update) if self._administers(where) else None

    def reaction_count(self, chat: Chat | int, message_id: int, counts: Mapping[str, int]) -> int | None:
        """Anonymous reactions changed, as in channels: how often each is there now."""
        with self.world.lock:
            where = self.chat(chat)
            reactions = [{"type": {"type": "emoji", "emoji": one}, "total_count": n} for one, n in counts.items()]
            update = {"chat": where.json(), "message_id": message_id, "date": self.world.now(), "reactions": reactions}
            return self.world.emit("message_reaction_count", update) if self._administers(where) else None

    def press(self, chat: Chat | int, message_id: int, user: User | int, data: str | None = None) -> str:
        """Somebody presses the button with this callback_data (None: the first one). Returns the query's id."""
        with self.world.lock:
            where = self.chat(chat)
            message = where.messages[message_id]
            rows = message.get("reply_markup", {}).get("inline_keyboard", [])
            known = [button["callback_data"] for row in rows for button in row if button.get("callback_data")]
            if not known or data not in (None, *known):
                raise ValueError(f"the message has no button {data!r}: {known}")
            query_id = str(self.world.number("callback"))
            query = {
                "id": query_id,
                "from": self._user(user).json(),
                "message": message,
                "chat_instance": str(-(10**18) - where.id),
                "data": known[0] if data is None else data,
            }
            self.world.callbacks[query_id] = {"answer": None, "expired": False}
            self.world.emit("callback_query", query)
            return query_id

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        """The callback queries that the bot answered: id → the parameters of the answer."""
        with self.world.lock:
            found = {i: query["answer"] for i, query in self.world.callbacks.items()}
            return {i: answer for i, answer in found.items() if answer is not None}

    def expire_callbacks(self) -> None:
        """From now on it is too late to answer the queries that there are."""
        with self.world.lock:
            for query in self.world.callbacks.values():
                query["expired"] = True

    # ── members ───────────────────────────────────────────────────────────────────────────────────────────────

    def member(self, chat: Chat | int, user: User | int, status: str, *, by: User | int | None = None) -> int | None:
        """Somebody's status in a chat changes: creator, administrator, member, restricted, left, kicked."""
        with self.world.lock:
            who = self._user(user)
            return change(self.world, self.chat(chat), who, status, who if by is None else self._user(by))

    def block(self, user: User | int) -> int | None:
        """The user stops the bot."""
        with self.world.lock:
            where = self.private(user, started=False)
            where.blocked = True
            return change(self.world, where, self.world.bot, "kicked", self._user(user))

    def unblock(self, user: User | int) -> int | None:
        """The user starts it again."""
        with self.world.lock:
            where = self.private(user)
            where.blocked = False
            return change(self.world, where, self.world.bot, "member", self._user(user))

    def join(self, chat: Chat | int, users: Iterable[User], *, by: User | int | None = None) -> Posted:
        """People are added to a group: their status, and the service message."""
        with self.world.lock:
            where, added = self.chat(chat), list(users)
            adder = added[0] if by is None else self._user(by)
            for one in added:
                change(self.world, where, one, "member", adder)
            return self.service(where, adder, new_chat_members=[one.json() for one in added])

    def leave(self, chat: Chat | int, user: User | int) -> Posted:
        """Somebody goes."""
        with self.world.lock:
            where, who = self.chat(chat), self._user(user)
            change(self.world, where, who, "left", who)
            return self.service(where, who, left_chat_member=who.json())

    # ── chats ─────────────────────────────────────────────────────────────────────────────────────────────────

    def service(self, chat: Chat | int, user: User | int | None, **fields: Any) -> Posted:
        """A service message with these fields, such as new_chat_title="…"."""
        with self.world.lock:
            where = self.chat(chat)
            who = None if user is None else self._user(user)
            return publish(self.world, where, compose(self.world, where, who, "", {"more": fields}))

    def topic(self, chat: Chat | int, name: str, user: User | int | None = None) -> Posted:
        """A new topic of a forum; its id is the message_id of the service message that is returned."""
        with self.world.lock:
            where = self.chat(chat)
            if not where.is_forum:
                raise ValueError(f"{where.title!r} is no forum: supergroup(…, is_forum=True)")
            number = where.last_message_id + 1
            where.topics[number] = name
            created = {"name": name, "icon_color": 7322096}
            return self.service(
                where, user, forum_topic_created=created, message_thread_id=number, is_topic_message=True
            )

    def close_topic(self, chat: Chat | int, topic: int, user: User | int | None = None) -> Posted:
        """Only administrators may write there now."""
        with self.world.lock:
            where = self.chat(chat)
            where.closed_topics.add(topic)
            return self.service(where, user, forum_topic_closed={}, message_thread_id=topic, is_topic_message=True)

    def delete_topic(self, chat: Chat | int, topic: int) -> None:
        """It is gone with what was in it. Bots are not told."""
        with self.world.lock:
            where = self.chat(chat)
            del where.topics[topic]
            where.deleted.update(i for i, m in where.messages.items() if m.get("message_thread_id") == topic)

    def migrate(self, group: Chat | int, user: User | int | None = None) -> Chat:
        """The group becomes a supergroup with another id, which is returned; both chats get a service message."""
        with self.world.lock:
            old = self.chat(group)
            new = self.supergroup(old.title or "", bot=old.members.get(self.world.bot.id, "left"))
            new.members = dict(old.members)
            self.service(old, user, migrate_to_chat_id=new.id)
            old.migrated_to = new.id
            self.service(new, user, migrate_from_chat_id=old.id)
            return new

    # ── business accounts ─────────────────────────────────────────────────────────────────────────────────────

    def business(self, owner: User | int) -> str:
        """A business account lets the bot into its chats; returns the connection's id, for post(…, business=id)."""
        with self.world.lock:
            who = self._user(owner)
            connection_id = f"business-{self.world.number('business')}"
            connection = {
                "id": connection_id,
                "user": who.json(),
                "user_chat_id": self.private(who).id,
                "date": self.world.now(),
                "is_enabled": True,
            }
            self.world.connections[connection_id] = who
            self.world.emit("business_connection", connection)
            return connection_id

    def _administers(self, chat: Chat) -> bool:
        return chat.type == "private" or chat.members.get(self.world.bot.id) in ("administrator", "creator")
