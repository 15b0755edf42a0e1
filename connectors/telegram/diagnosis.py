"""What Telegram says about the configuration, for `connectors doctor`. Reads only: nothing is confirmed or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from connectors.base.checks.finding import Finding, Level
from connectors.base.errors import Rejected
from connectors.base.locks import credential_lock
from connectors.telegram.faults import Conflict
from connectors.telegram.ids import Me
from connectors.telegram.options import TelegramOptions, is_id
from connectors.telegram.polling import POLLER_NOTE, WEBHOOK_NOTE

if TYPE_CHECKING:
    from connectors.telegram.client import Client

_AREA = "telegram"
#: Of two requests that wait for updates, the older one is told of the conflict: ours, when the other comes back.
_PROBE_S = 3


class Diagnosis:
    """One instance's."""

    def __init__(self, client: Client, name: str, options: TelegramOptions) -> None:
        self._client = client
        self._name = name
        self._options = options

    def findings(self) -> Iterator[Finding]:
        """Raises AuthError for a refused token, and RetryLater when Telegram is not reachable."""
        me = Me.of(self._client.call("getMe"))
        yield self._finding(Level.INFO, f"this is @{me.username} ({me.id}, {me.name})", "")
        yield from self._privacy(me)
        webhook = str(self._client.call("getWebhookInfo").get("url") or "")
        yield from self._webhook(webhook)
        if not webhook and self._options.mode == "polling":
            yield from self._poller()
        yield from self._ids()
        for chat in self._groups():
            yield from self._chat(me, chat)

    def _privacy(self, me: Me) -> Iterator[Finding]:
        groups = bool(self._groups()) or "*" in self._options.allow.conversations
        if not me.joins_groups and groups:
            what = "the bot cannot be added to groups, and some are allowed"
            yield self._finding(Level.WARNING, what, "write /setjoingroups to @BotFather and choose Enable")
        if me.reads_all:
            yield self._finding(Level.INFO, "privacy mode is off: it sees all messages of its groups", "")
        elif groups:
            level = Level.WARNING if self._options.groups == "all" else Level.INFO
            what = "privacy mode is on: in groups it sees commands, mentions and replies only"
            fix = "to change that write /setprivacy to @BotFather, then remove the bot from the group and add it again"
            yield self._finding(level, what, fix)

    def _webhook(self, url: str) -> Iterator[Finding]:
        if self._options.mode == "polling" and url:
            yield self._finding(Level.ERROR, f"a webhook is set: {url}", WEBHOOK_NOTE.partition(": ")[2])
        if self._options.mode == "webhook":
            if url and url != self._options.webhook_url:
                what = f"Telegram brings updates to {url}, not to webhook_url"
                yield self._finding(Level.WARNING, what, "start the connector: it sets the webhook anew")
            info = self._client.call("getWebhookInfo")
            if info.get("last_error_message"):
                what = f"Telegram's last try to bring an update failed: {info['last_error_message']}"
                yield self._finding(Level.WARNING, what, "see whether the proxy hands webhook_url on to the connector")

    def _poller(self) -> Iterator[Finding]:
        """Ask for updates without an offset: that confirms none."""
        if self._in_use():
            return  # by a connector of this machine, whose request this would end
        try:
            self._client.poll(None, self._options.updates, _PROBE_S)
        except Conflict as error:
            note = WEBHOOK_NOTE if error.webhook else POLLER_NOTE
            yield self._finding(Level.ERROR, note.partition(":")[0], note.partition(": ")[2])

    def _in_use(self) -> bool:
        """Whether a process of this machine holds the token."""
        lock = credential_lock("telegram token", self._options.token.reveal())
        if lock is None or not lock.path.exists():
            return False
        probe = FileLock(lock.path, mode=0o666)
        try:
            probe.acquire(blocking=False)
        except Timeout:
            return True
        probe.release()
        return False

    def _ids(self) -> Iterator[Finding]:
        """Names can be taken over by others, and Telegram's ids are numbers; groups have negative ones."""
        allow = self._options.allow
        for key, listed in allow.model_dump().items():
            for item in listed or []:
                where = f"allow.{key}"
                if item == "*":
                    continue
                if not is_id(item):
                    fix = "use the numeric id: it is in the log when somebody is turned away, and in every event"
                    yield self._finding(Level.ERROR, f'"{item}" in {where} is no id', fix)
                elif key == "users" and item.startswith("-"):
                    yield self._finding(
                        Level.ERROR, f"{item} in {where} is a group's id", f"move it to allow.conversations: [{item}]"
                    )
                elif key == "conversations" and not item.startswith("-"):
                    yield self._finding(
                        Level.ERROR, f"{item} in {where} is a user's id", f"move it to allow.users: [{item}]"
                    )

    def _chat(self, me: Me, chat: str) -> Iterator[Finding]:
        """Whether the bot is a member where it is to listen."""
        try:
            found = self._client.call("getChat", chat_id=int(chat))
            member: Mapping[str, Any] = self._client.call("getChatMember", chat_id=int(chat), user_id=me.id)
        except Rejected as error:
            yield self._finding(Level.ERROR, f"chat {chat}: {error}", error.hint or "add the bot to the chat")
            return
        title, status = str(found.get("title") or chat), str(member.get("status"))
        if status in ("left", "kicked"):
            yield self._finding(Level.ERROR, f"the bot is not in {title} ({chat}): {status}", "add it to the chat")
        elif found.get("type") == "channel" and status != "administrator":
            what = f"the bot is no administrator of the channel {title} ({chat})"
            yield self._finding(Level.WARNING, what, "only administrators may post there")
        else:
            yield self._finding(Level.INFO, f"the bot is in {title} ({chat}) as {status}", "")

    def _groups(self) -> list[str]:
        listed = [*self._options.allow.conversations, *self._options.allowed_chats]
        return [chat for chat in dict.fromkeys(listed) if is_id(chat) and chat.startswith("-")]

    def _finding(self, level: Level, what: str, fix: str) -> Finding:
        return Finding(level, _AREA, what, f"connectors.yml: {self._name}", fix or "nothing to do")
