"""What every update goes through, whichever way it came: normalised, let in or not, durable, then answered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from connectors.base.connector import Connector
from connectors.base.message import Message
from connectors.parts.access import Access, Approach
from connectors.parts.downloads import Downloads
from connectors.parts.lateness import mark_late
from connectors.telegram.ids import Me, mapping
from connectors.telegram.normalise import normalise, unreadable
from connectors.telegram.own import OwnMessages

if TYPE_CHECKING:
    from connectors.telegram.client import Client

#: What is sent in addition to a message's own text, when nobody waits for it.
Call = tuple[str, dict[str, Any]]


class Receiver:
    """One bot's updates. Not for several threads at once."""

    def __init__(
        self,
        connector: Connector,
        client: Client,
        me: Me,
        access: Access,
        downloads: Downloads,
        own: OwnMessages,
        *,
        up_since: datetime,
        raw: bool = False,
    ) -> None:
        self._connector = connector
        self._client = client
        self._me = me
        self._access = access
        self._downloads = downloads
        self._own = own
        self._up_since = up_since
        self._raw = raw

    def take(self, updates: Sequence[Mapping[str, Any]], checkpoint: tuple[str, Any] | None = None) -> None:
        """When this returns, all that was let in is durable and the updates may be confirmed.

        Raises RetryLater when stopped meanwhile: do not confirm.
        """
        calls: list[Call] = []
        for update in updates:
            self._follow(update)
            message, said = self._read(update)
            calls += said
            if message is not None:
                self._downloads.accept(message)
        if checkpoint is not None:
            self._connector.write_all_to_inbox([], checkpoint=checkpoint)
        for method, parameters in calls:
            self._client.later(method, **parameters)

    def _read(self, update: Mapping[str, Any]) -> tuple[Message | None, list[Call]]:
        """The event, if it may come in; and what is to be said without being asked."""
        calls: list[Call] = []
        query = mapping(update.get("callback_query"))
        if query.get("id"):
            # Until then the button shows that it is busy (https://core.telegram.org/bots/api#answercallbackquery).
            calls.append(("answerCallbackQuery", {"callback_query_id": str(query["id"])}))
        try:
            message = normalise(update, self._me, self._connector.name, raw=self._raw)
        except Exception:  # an odd update must neither be lost nor hold up those behind it
            self._connector.logger.exception("update %s could not be read", update.get("update_id"))
            message = unreadable(update, self._me, self._connector.name)
        if message is None:
            return None, calls
        message = self._addressed(message)
        approach = approach_of(message)
        verdict = self._access.admit(approach)
        if not verdict.ok:
            # Not in a business account's chats: there it would be said in the owner's name.
            if verdict.say is not None and approach.conversation_id == approach.sender_id:
                calls.append(("sendMessage", {"chat_id": approach.sender_id, "text": verdict.say}))
            return None, calls
        message = message.model_copy(
            update={
                "sender": message.sender.model_copy(update={"trust": verdict.trust}),
                "metadata": {**message.metadata, "why": verdict.why},
            }
        )
        return mark_late(self._with_known_files(message), self._up_since), calls

    def _addressed(self, message: Message) -> Message:
        """With what only this connector knows: whose message a reaction is to, and why an edited one was let in."""
        why: object = message.metadata.get("why")
        if why is None and message.kind == "reaction":
            own = self._own.has(message.conversation.id, message.metadata.get("message_id"))
            why = "reaction" if own else None
        elif why is None and message.kind == "edit":
            before = self._connector.kept(str(message.metadata.get("edit_of")))
            why = before.metadata.get("why") if before is not None else None
        if why in (None, "all"):  # that is the gate's own word
            return message
        return message.model_copy(update={"metadata": {**message.metadata, "why": why}})

    def _follow(self, update: Mapping[str, Any]) -> None:
        """A group became a supergroup and has a new id (https://core.telegram.org/bots/api#message)."""
        message = mapping(update.get("message"))
        chat = mapping(message.get("chat"))
        if message.get("migrate_to_chat_id"):
            self._access.moved(str(chat.get("id")), str(message["migrate_to_chat_id"]))
        elif message.get("migrate_from_chat_id"):
            self._access.moved(str(message["migrate_from_chat_id"]), str(chat.get("id")))

    def _with_known_files(self, message: Message) -> Message:
        """An edit of a caption names the same file again: it is not fetched twice."""
        original = message.metadata.get("edit_of")
        if not message.content.attachments or not original:
            return message
        before = self._connector.kept(str(original))
        known = {_unique(entry): entry for entry in before.content.attachments} if before is not None else {}
        entries = [
            {**entry, **_fetched(known.get(_unique(entry)), self._connector.seed_home)}
            for entry in message.content.attachments
        ]
        content = message.content.model_copy(update={"attachments": entries})
        return message.model_copy(update={"content": content})


def approach_of(message: Message) -> Approach:
    """Who wants to come in, and how."""
    why = str(message.metadata.get("why") or "")
    direct = message.conversation.type == "dm"
    return Approach(
        sender_id=message.sender.id,
        conversation_id=message.conversation.id,
        direct=direct,
        mentions_me=bool(why),
        is_bot=message.sender.is_bot,
        sender_name=_shown(message.sender.username, message.sender.display_name),
        conversation_name=message.conversation.name,
        why="" if direct else why,
        event_id=message.id,
    )


def _shown(username: str, name: str) -> str:
    return name or (f"@{username}" if username else "")


def _unique(entry: Mapping[str, Any]) -> str:
    return str(mapping(entry.get("ref")).get("file_unique_id") or "")


def _fetched(entry: Mapping[str, Any] | None, home: os.PathLike[str]) -> dict[str, Any]:
    """What is known of a file that is still there."""
    if entry is None or not _unique(entry) or not entry.get("path"):
        return {}
    if not os.path.isfile(os.path.join(home, str(entry["path"]))):
        return {}
    return {key: entry[key] for key in ("path", "size", "sha256") if key in entry}


def last_id(updates: Iterable[Mapping[str, Any]]) -> int:
    """The highest update id."""
    return max(int(update["update_id"]) for update in updates)
