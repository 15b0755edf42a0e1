"""The Telegram connector: what `connectors.base.connector.Connector` asks of it, put together from this folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from connectors.base.connector import Connector
from connectors.base.declaration import Capabilities, Limits
from connectors.base.errors import ConfigError, MissingDependency, Rejected, RetryLater
from connectors.base.message import Attachment, OutgoingMessage, Receipt
from connectors.parts.access import Access
from connectors.parts.downloads import Downloads, FetchFailed, FetchLater
from connectors.parts.unneeded import HTTPX_PROGRAM, give_back, unneeded
from connectors.telegram.faults import TOKEN_HINT
from connectors.telegram.ids import Me
from connectors.telegram.options import UPLOAD_MAX_BYTES, TelegramOptions
from connectors.telegram.own import OwnMessages
from connectors.telegram.planning import Planner

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding
    from connectors.telegram.client import Client
    from connectors.telegram.sending import Sender

_INSTALL = "pip install 'mailbox-connectors[telegram]'"


class TelegramConnector(Connector):
    """Telegram bots: private chats, groups, topics, channels."""

    connector_type = "telegram"
    version = "1"
    extra = "telegram"
    capabilities = Capabilities(
        edit=True,
        delete=True,
        react=True,
        typing=True,
        threads=True,
        attachments_in=True,
        attachments_out=True,
        fetch=True,
    )
    limits = Limits(text_max=4096, text_unit="utf16", attachment_max_bytes=UPLOAD_MAX_BYTES)
    parallel_sends = 4
    setup_help = (
        "Write to @BotFather in Telegram: /newbot, choose a name; it answers with the token, TELEGRAM_BOT_TOKEN. "
        "For groups: add the bot; /setprivacy decides what it sees there."
    )
    Options = TelegramOptions

    _client: Client | None = None
    _access: Access | None = None
    _downloads: Downloads | None = None
    _sender: Sender | None = None

    def connect(self) -> None:
        """Ask Telegram who the bot is. Raises AuthError for a refused token, RetryLater when it is not reachable."""
        options = self._options
        self._client = client = self._open_client()
        try:
            self._me = Me.of(client.call("getMe"))
        except Rejected as error:
            raise ConfigError(f"Telegram refused getMe: {error}", hint=error.hint or TOKEN_HINT) from error
        self.logger.info("this is @%s (%d)", self._me.username, self._me.id)
        self._up_since = datetime.now(UTC)
        from connectors.telegram.sending import Sender

        users = [chat for chat in options.allowed_chats if not chat.startswith("-")]
        groups = [chat for chat in options.allowed_chats if chat.startswith("-")]
        self._access = Access(self, options, users=users, conversations=groups)
        self._own = OwnMessages(self.state_dir, self.logger)
        self._sender = Sender(self, client, self._access, self._planner, self._own, options)
        self._downloads = Downloads(
            self, self._fetch, max_bytes=options.max_download_bytes, timeout_s=options.download_timeout_s
        )
        self._downloads.start()

    def disconnect(self) -> None:
        """End the requests that are open; safe twice."""
        if self._downloads is not None:
            self._downloads.close()
        if self._access is not None:
            self._access.close()
        if self._client is not None:
            self._client.close()

    def stop(self) -> None:
        """Also out of the middle of a request for updates."""
        super().stop()
        if self._client is not None:
            self._client.interrupt()

    def run_loop(self) -> None:
        """Poll, or listen for the webhook, until stopped."""
        from connectors.telegram.polling import Poller
        from connectors.telegram.receiving import Receiver

        if self._client is None or self._access is None or self._downloads is None:
            raise RetryLater("not connected")
        receiver = Receiver(
            self,
            self._client,
            self._me,
            self._access,
            self._downloads,
            self._own,
            up_since=self._up_since,
            raw=self._options.raw,
        )
        note = self._privacy_note()
        if note is not None:
            self.report_state("connected", note)
        give_back()
        if self._options.mode == "webhook":
            from connectors.telegram.webhook import Webhook

            Webhook(self, self._client, receiver, self._options).run()
        else:
            Poller(self, self._client, self._me, receiver, note=note, options=self._options).run()

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Raises Rejected, RetryLater and AuthError as Telegram answers."""
        if self._sender is None or self._downloads is None:
            raise RetryLater("not connected")
        if msg.action == "fetch":
            return self._downloads.fetch_again(msg.target_id or "")
        return self._sender.send(msg)

    def split(self, msg: OutgoingMessage) -> list[str]:
        """By the length after entities parsing; with files see `Planner.split`."""
        return self._planner.split(msg)

    def files(self, msg: OutgoingMessage) -> list[list[Attachment]]:
        """Albums of two to ten, and what goes alone."""
        return self._planner.files(msg)

    def pace(self, msg: OutgoingMessage) -> float:
        """One message a second in a chat, 20 a minute in a group, 30 a second in all."""
        return 0.0 if self._sender is None else self._sender.pace(msg)

    def diagnose(self) -> Iterable[Finding]:
        """Identity, privacy mode, webhook or second poller, and whether the allowed chats are what they should be."""
        from connectors.telegram.diagnosis import Diagnosis

        client = self._open_client()
        try:
            yield from Diagnosis(client, self.name, self._options).findings()
        finally:
            client.close()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _options(self) -> TelegramOptions:
        return cast(TelegramOptions, self.options)

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self._options.upload_max_bytes)

    def _open_client(self) -> Client:
        try:
            with unneeded(HTTPX_PROGRAM):
                from connectors.telegram.client import Client
        except ImportError as error:
            raise MissingDependency("the type telegram needs python-telegram-bot", install=_INSTALL) from error
        return Client(self._options, self.logger)

    def _fetch(self, entry: Mapping[str, Any]) -> Iterator[bytes]:
        """https://core.telegram.org/bots/api#getfile: the link is valid for an hour, the file_id for good."""
        client = self._client
        if client is None:
            raise RetryLater("not connected")
        try:
            found = client.call("getFile", file_id=entry["ref"]["file_id"])
        except Rejected as error:
            if "too big" in str(error).lower():
                text = "larger than the 20 MB that Telegram lets bots fetch; a local Bot API server has no such limit"
                raise FetchFailed(text) from error
            raise
        path = found.get("file_path") if isinstance(found, dict) else None
        if not path:
            raise FetchFailed("Telegram gave no place to fetch it from")
        came, size = 0, found.get("file_size")
        for chunk in client.files.read(str(path)):
            came += len(chunk)
            yield chunk
        if isinstance(size, int) and came != size:
            raise FetchLater(f"{came} bytes came instead of {size}")

    def _privacy_note(self) -> str | None:
        """With privacy mode a bot sees of a group only what addresses it (https://core.telegram.org/bots/features)."""
        options = self._options
        groups = [*options.allow.conversations, *(chat for chat in options.allowed_chats if chat.startswith("-"))]
        if self._me.reads_all or not groups or options.groups == "none":
            return None
        note = (
            "privacy mode is on: in groups Telegram delivers commands, mentions and replies only; to change that write "
            "/setprivacy to @BotFather, then remove the bot from the group and add it again"
        )
        if options.groups == "all":
            self.logger.warning("groups: all, but %s", note)
        return note


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=TelegramConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="telegram")
    args = parser.parse_args()
    TelegramConnector(name=args.name, seed_home=args.seed_home).run()
