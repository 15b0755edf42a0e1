"""Puts one connector together: who tells whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.base.errors import AuthError, ConnectorError
from connectors.base.secrets import Secret
from connectors.parts.access import ANY, Access
from connectors.parts.downloads import Downloads
from connectors.slack.bookmarks import Bookmarks
from connectors.slack.client import Web, bypassed, check_kinds
from connectors.slack.files import Files
from connectors.slack.gaps import Gaps
from connectors.slack.gate import Gate
from connectors.slack.handshake import open_socket
from connectors.slack.incoming import Me, mapping, text
from connectors.slack.names import Names
from connectors.slack.receiving import Receiver, Sinks
from connectors.slack.session import Listener, Session
from connectors.slack.sockets import Hooks, Sockets

if TYPE_CHECKING:
    from connectors.slack.connector import SlackConnector
    from connectors.slack.options import SlackOptions
    from connectors.slack.sending import Sending

_JOIN_S = 2.0


def web_for(options: SlackOptions, token: Secret) -> Web:
    """The Web API as the options want it."""
    return Web(token, base_url=options.base_url, timeout_s=options.timeout_s, proxy=options.proxy)


class Parts:
    """What a connected connector consists of. Construction asks nobody; `connect` does."""

    def __init__(self, connector: SlackConnector, options: SlackOptions) -> None:
        check_kinds(options.bot_token, options.app_token)
        self._connector = connector
        self._options = options
        self._logger = connector.logger
        self._bot, self._app = web_for(options, options.bot_token), web_for(options, options.app_token)
        self._access = Access(connector, options, conversations=options.channels)
        self._names = Names(self._bot.call, logger=self._logger)
        self._bookmarks = Bookmarks(connector.checkpoint, self._commit)
        self._files = Files(
            self._bot.call,
            options.bot_token,
            base_url=options.base_url,
            proxy=options.proxy,
            timeout_s=options.timeout_s,
        )
        self.downloads = Downloads(
            connector, self._files.fetch, max_bytes=options.download_max_bytes, timeout_s=options.download_timeout_s
        )
        self.receiver = Receiver(
            connector.name,
            gate=Gate(self._access, options, lambda event: connector.kept(event) is not None),
            names=self._names,
            bookmarks=self._bookmarks,
            sinks=Sinks(self.downloads.accept, self._say, connector.fail),
            download=options.download,
            logger=self._logger,
        )
        self._gaps = Gaps(
            self._bot.call,
            self._bookmarks,
            self.receiver.fetched,
            max_age_s=options.gap_fill_max_age_s,
            wait=connector.wait,
            fail=connector.fail,
            logger=self._logger,
        )
        self.sockets = Sockets(self._hooks(), ping_s=options.ping_s)
        self._sending: Sending | None = None
        self._sending_lock = threading.Lock()

    def connect(self) -> None:
        """Who am I, and a socket. Without an answer nothing is received: own posts could not be told from others'."""
        answer = self._bot.call("auth.test")
        me = Me(text(answer.get("team_id")), text(answer.get("user_id")), text(answer.get("bot_id")))
        if not me.team_id or not me.user_id:
            raise AuthError("auth.test does not say who the bot is", hint="take a bot token (xoxb-…)")
        self.receiver.me = me
        self._bookmarks.away()
        for channel in {*self._options.channels, *self._options.allow.conversations} - {ANY}:
            self._bookmarks.follow(channel, f"{time.time():.6f}")
        self.downloads.start()
        self.sockets.start()
        self._logger.info(
            "%s (%s) in %s (%s)", text(answer.get("user")), me.user_id, text(answer.get("team")), me.team_id
        )

    def start(self) -> None:
        """Begin to receive."""
        self.receiver.start()
        if self._options.gap_fill_max_age_s:
            self._gaps.fill()

    @property
    def sending(self) -> Sending:
        """How things go out. It is loaded when something does: many connectors mostly listen."""
        with self._sending_lock:
            if self._sending is None:
                from connectors.slack.sending import Sending
                from connectors.slack.uploads import Uploads

                uploads = Uploads(self._bot.call, self._files, self._connector.state_dir)
                uploads.tidy()
                check, own_user = self._access.check_send, self.receiver.me.user_id
                self._sending = Sending(self._bot.call, self._options, uploads, check=check, own_user=own_user)
                self._sending.threads = self._wrote
            return self._sending

    def close(self) -> None:
        """End everything; safe twice."""
        self.sockets.close()
        self.receiver.stop(_JOIN_S)
        self._gaps.join(_JOIN_S)
        self.downloads.close()
        self._names.close()
        self._access.close()

    # ── who is told ───────────────────────────────────────────────────────────────────────────────────────────

    def _hooks(self) -> Hooks:
        connector = self._connector
        return Hooks(
            open=self._open,
            envelope=self.receiver.take,
            state=connector.report_state,
            stall=connector.report_stall,
            up=self._up,
            stopped=connector.is_ending,
            log=self._logger.info,
        )

    def _open(self, number: int, listener: Listener) -> Session:
        """https://docs.slack.dev/reference/methods/apps.connections.open"""
        url = text(self._app.call("apps.connections.open").get("url"))
        proxy = None if bypassed(url) else self._app.proxy
        socket = open_socket(url, proxy=proxy, timeout_s=min(self._options.timeout_s, 10.0))
        return Session(number, socket, listener)

    def _up(self, hello: Mapping[str, Any], down_s: float) -> None:
        """A socket said hello, after `down_s` seconds without one."""
        app_id = text(mapping(hello.get("connection_info")).get("app_id"))
        if app_id:
            self.receiver.me = replace(self.receiver.me, app_id=app_id)
        if down_s > 0:
            self.receiver.up_since = datetime.now(UTC)
        if down_s > self._options.gap_fill_after_s and self._options.gap_fill_max_age_s:
            self._logger.info("there was no connection for %.0f s; looking for what was said meanwhile", down_s)
            self._bookmarks.away()
            self._gaps.fill()

    def _wrote(self, channel: str, root: str, ts: str) -> None:
        """The bot wrote into a thread: its replies are missed, too, during an absence."""
        self._bookmarks.wrote(channel, root, ts)

    def _commit(self, name: str, value: Any) -> None:
        self._connector.write_all_to_inbox([], checkpoint=(name, value))

    def _say(self, user: str, channel: str, words: str) -> None:
        """Answer a stranger, once. It is no outgoing: whether it arrives changes nothing."""
        try:
            place = channel or text(mapping(self._bot.call("conversations.open", users=user).get("channel")).get("id"))
            self._bot.call("chat.postMessage", channel=place, text=words)
        except ConnectorError as error:
            self._logger.warning("the pairing code could not be told to %s: %s", user, error)
