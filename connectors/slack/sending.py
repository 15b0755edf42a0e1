"""Everything that goes out. Methods and their errors: https://docs.slack.dev/reference/methods

A post carries its key as message metadata (https://docs.slack.dev/messaging/message-metadata). A post whose outcome is
not known is looked for by that key before it is made again, so that people see it once.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from connectors.base.errors import ConnectorError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.parts.mrkdwn import plain, render
from connectors.parts.rates import Rates
from connectors.slack import lookup
from connectors.slack.answers import word_of
from connectors.slack.emoji import emoji_name
from connectors.slack.incoming import stamp, target_of, text
from connectors.slack.options import SlackOptions
from connectors.slack.rendering import blocks_of
from connectors.slack.uploads import Uploads

#: "chat.postMessage generally allows posting one message per second per channel, while also maintaining a
#: workspace-wide limit": https://docs.slack.dev/apis/web-api/rate-limits . Methods of tier 3 take 50 a minute.
POSTS_OVERALL = [(200, 60.0)]
OTHERS = [(50, 60.0)]
_PLACE = re.compile(r"[CGD][A-Z0-9]+")
_USER = re.compile(r"[UW][A-Z0-9]+")
_TYPING_S = 3.0
_MAX_OPENED = 1000

Call = Callable[..., Mapping[str, Any]]


class Sending:
    """One connector's sends; threads may share it. `check` raises Rejected for where nothing may be written."""

    def __init__(
        self, call: Call, options: SlackOptions, uploads: Uploads, *, check: Callable[[str], None], own_user: str
    ) -> None:
        self._call = call
        self._options = options
        self._uploads = uploads
        self._check = check
        self._own_user = own_user
        interval_s = options.post_interval_s
        self._posts = Rates(conversation=[(1, interval_s)] if interval_s else [], overall=POSTS_OVERALL)
        self._others = Rates(conversation=OTHERS)
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, str] = OrderedDict()  # user -> direct conversation
        self._typed: dict[str, float] = {}
        self.threads: Callable[[str, str, str], None] = lambda channel, root, ts: None  #: told of threads written to

    # ── pace ──────────────────────────────────────────────────────────────────────────────────────────────────

    def pace(self, msg: OutgoingMessage) -> float:
        """Seconds until Slack takes this one."""
        if msg.action == "send" and not msg.attachments:
            return self._posts.acquire(msg.conversation_id)
        if msg.action in _METHODS:
            return self._others.acquire(_METHODS[msg.action])
        return 0.0

    # ── actions ───────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, msg: OutgoingMessage) -> Receipt:
        """One outgoing, or one part of it."""
        action = _ACTIONS.get(msg.action)
        if action is None:
            raise Rejected(f"this connector has no action {msg.action!r}", hint=f"it knows {', '.join(_ACTIONS)}")
        return action(self, msg)

    def _post(self, msg: OutgoingMessage) -> Receipt:
        channel = self._place(msg)
        thread = self._thread(msg, channel)
        if msg.attachments:
            return self._with_files(msg, channel, thread)
        key = msg.idempotency_key or msg.id
        untold = False
        if msg.ambiguous:
            found = lookup.find_post(self._call, channel, thread, key, self._own_user)
            if found.ts:
                return Receipt(ids=[found.ts])
            untold = not found.certain
        answer = self._say(channel, self._post_arguments(msg, thread, key), msg)
        ts = text(answer.get("ts"))
        if thread:
            self.threads(channel, thread, ts)
        return Receipt(ids=[ts], ambiguous=untold)

    def _post_arguments(self, msg: OutgoingMessage, thread: str | None, key: str) -> dict[str, Any]:
        unfurl = msg.metadata.get("unfurl", self._options.unfurl)
        return {
            **render(msg, allow_broadcast=self._options.allow_broadcast),
            "blocks": blocks_of(msg, allow_broadcast=self._options.allow_broadcast),
            "thread_ts": thread,
            "reply_broadcast": True if thread and msg.metadata.get("reply_broadcast") is True else None,
            "unfurl_links": bool(unfurl),
            "unfurl_media": bool(unfurl),
            "metadata": {"event_type": lookup.EVENT_TYPE, "event_payload": {"key": key}},
        }

    def _say(self, channel: str, arguments: dict[str, Any], msg: OutgoingMessage) -> Mapping[str, Any]:
        """Post it; what Slack does not take as formatted text goes as plain text."""
        try:
            return self._limited("chat.postMessage", channel, channel=channel, **arguments)
        except Rejected as error:
            if msg.format != "markdown" or word_of(error) not in ("msg_too_long", "no_text") or not msg.text.strip():
                raise
        return self._limited("chat.postMessage", channel, channel=channel, **{**arguments, **plain(msg.text)})

    def _with_files(self, msg: OutgoingMessage, channel: str, thread: str | None) -> Receipt:
        if msg.text.strip():
            raise Rejected("files are sent apart from the text", hint="this is a fault of the connector's `split`")
        return self._uploads.send(msg, channel, thread)

    def _edit(self, msg: OutgoingMessage) -> Receipt:
        channel, ts = self._target(msg)
        if msg.attachments:
            raise Rejected("an edit cannot bring files", hint="send them as a new message")
        arguments = render(msg, allow_broadcast=self._options.allow_broadcast)
        arguments["blocks"] = blocks_of(msg, allow_broadcast=self._options.allow_broadcast)
        arguments.pop("mrkdwn", None)
        self._limited("chat.update", channel, channel=channel, ts=ts, **arguments)
        return Receipt(ids=[ts])

    def _delete(self, msg: OutgoingMessage) -> Receipt:
        if re.fullmatch(r"F[A-Z0-9]+", msg.target_id or ""):
            self._tolerant(
                "files.delete", "files.delete", "file_not_found" if msg.ambiguous else "", file=msg.target_id
            )
            return Receipt(ids=[msg.target_id or ""])
        channel, ts = self._target(msg)
        # What is gone after an attempt that was cut off was deleted by that.
        self._tolerant("chat.delete", channel, "message_not_found" if msg.ambiguous else "", channel=channel, ts=ts)
        return Receipt(ids=[ts])

    def _react(self, msg: OutgoingMessage) -> Receipt:
        channel, ts = self._target(msg)
        emoji = (msg.emoji or "").strip()
        remove = emoji.startswith("-") or msg.metadata.get("remove") is True
        # "+1" and "-1" are names of their own.
        name = emoji_name(emoji[1:] if emoji.startswith("-") and emoji != "-1" else emoji)
        if emoji == "-1":
            remove = msg.metadata.get("remove") is True
        method, fine = ("reactions.remove", "no_reaction") if remove else ("reactions.add", "already_reacted")
        self._tolerant(method, channel, fine, channel=channel, timestamp=ts, name=name)
        return Receipt(ids=[ts])

    def _typing(self, msg: OutgoingMessage) -> Receipt:
        """Shown in threads of apps that may; elsewhere nothing, quietly: nobody is to wait for it, or to hear of it.

        https://docs.slack.dev/reference/methods/assistant.threads.setStatus
        """
        thread = stamp(msg.thread_id) or (target_of(msg.reply_to or "") or ("", ""))[1]
        channel, now = msg.conversation_id, time.monotonic()
        free = self._posts.free(channel) and now - self._typed.get(channel, -_TYPING_S) >= _TYPING_S
        if not thread or not free:
            return Receipt()
        self._typed = {k: at for k, at in self._typed.items() if now - at < _TYPING_S} | {channel: now}
        try:
            self._check(channel)
            status = text(msg.metadata.get("status")) or "is typing…"
            self._call("assistant.threads.setStatus", channel_id=channel, thread_ts=thread, status=status)
        except ConnectorError:
            return Receipt()
        return Receipt()

    # ── what they share ───────────────────────────────────────────────────────────────────────────────────────

    def _limited(self, method: str, key: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            return self._call(method, **arguments)
        except RetryLater as error:
            if error.after_s is not None:
                rates, penalised = (self._posts, key) if method == "chat.postMessage" else (self._others, method)
                rates.penalise(penalised, error.after_s)
            raise

    def _tolerant(self, method: str, key: str, fine: str, **arguments: Any) -> None:
        """A call that one kind of refusal makes no difference to: what it wanted is so already."""
        try:
            self._limited(method, key, **arguments)
        except Rejected as error:
            if not fine or word_of(error) != fine:
                raise

    def _place(self, msg: OutgoingMessage) -> str:
        """The conversation's id. A person's stands for the direct conversation with them."""
        wanted = msg.conversation_id
        if not wanted:
            raise Rejected("conversation_id is missing", hint="give it, or the id of an event as reply_to or target_id")
        if _PLACE.fullmatch(wanted):
            self._check(wanted)
            return wanted
        if not _USER.fullmatch(wanted):
            raise Rejected(
                f"conversation_id {wanted!r} is no id of Slack's",
                hint="names change, ids do not: open the channel's details in Slack, its id is at the bottom (C…)",
            )
        place = self._opened.get(wanted) or self._open(wanted)
        try:
            self._check(place)
        except Rejected:
            self._check(wanted)
        return place

    def _open(self, user: str) -> str:
        """https://docs.slack.dev/reference/methods/conversations.open"""
        answer = self._call("conversations.open", users=user)
        channel = answer.get("channel")
        place = text(channel.get("id")) if isinstance(channel, Mapping) else ""
        if not place:
            raise Rejected(f"conversations.open gave no conversation with {user}", hint="is it the id of a person?")
        with self._lock:
            self._opened[user] = place
            while len(self._opened) > _MAX_OPENED:
                self._opened.popitem(last=False)
        return place

    def _thread(self, msg: OutgoingMessage, channel: str) -> str | None:
        """The thread's first post. Never guessed: a thread that is not there is an error, not the channel."""
        given = msg.thread_id
        if given:
            target = target_of(given)
            ts = target[1] if target is not None and target[0] == channel else stamp(given)
            if not ts:
                raise Rejected(
                    f"thread_id {given!r} is no ts of a post in {channel}",
                    hint="copy conversation.thread_id, or the ts of the post to answer, such as 1700000000.000100",
                )
            return ts
        target = target_of(msg.reply_to or "")
        if self._options.reply_in_thread and target and target[0] == channel and not channel.startswith("D"):
            return target[1]
        return None

    def _target(self, msg: OutgoingMessage) -> tuple[str, str]:
        """Conversation and ts of the post that is meant."""
        reference = msg.target_id or (msg.reply_to if msg.action == "react" else "") or ""
        named = target_of(reference)
        if named is not None:
            self._check(named[0])
            return named
        ts = stamp(reference)
        if not ts:
            raise Rejected(
                f"{msg.action} needs a target_id: {reference!r} is none",
                hint="the ts of a post, such as 1700000000.000100, or the id of its event",
            )
        return self._place(msg), ts


_ACTIONS: dict[str, Callable[[Sending, OutgoingMessage], Receipt]] = {
    "send": Sending._post,  # noqa: SLF001 - this module's own
    "edit": Sending._edit,  # noqa: SLF001
    "delete": Sending._delete,  # noqa: SLF001
    "react": Sending._react,  # noqa: SLF001
    "typing": Sending._typing,  # noqa: SLF001
}
_METHODS = {
    "send": "files.completeUploadExternal",
    "edit": "chat.update",
    "delete": "chat.delete",
    "react": "reactions.add",
}
