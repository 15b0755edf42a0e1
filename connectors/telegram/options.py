"""The options of the `telegram` type."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts.access import AccessOptions

API = "https://core.telegram.org/bots/api"
#: What a bot may download and upload through the public server (https://core.telegram.org/bots/api#getfile and
#: #sending-files), and through a local one (https://core.telegram.org/bots/api#using-a-local-bot-api-server).
DOWNLOAD_MAX_BYTES = 20 * 1024**2
UPLOAD_MAX_BYTES = 50 * 1024**2
LOCAL_UPLOAD_MAX_BYTES = 2000 * 1024**2

#: Asked for by name: Telegram leaves some kinds out of its default (https://core.telegram.org/bots/api#getupdates).
UPDATES = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "message_reaction",
    "message_reaction_count",
    "my_chat_member",
    "chat_join_request",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
)


class TelegramOptions(AccessOptions):
    """Options of the `telegram` type; who may write to the bot is in `allow`, `groups` and `direct`."""

    token: Secret = option(
        description="The bot's token, as BotFather gave it.",
        env="TELEGRAM_BOT_TOKEN",
        help_url="https://core.telegram.org/bots/features#botfather",
        exclusive=True,
    )
    allowed_chats: list[str] = option(
        [],
        description="Ids that may write to the bot: a negative one as in allow.conversations, a positive one as in "
        "allow.users.",
    )
    base_url: str = option(
        "https://api.telegram.org/bot", description="Where the Bot API is, to which the token is appended."
    )
    base_file_url: str | None = option(
        None, description="Where its files are, to which the token is appended; by default beside base_url."
    )
    local_mode: bool = option(
        False, description="The server at base_url runs with --local: no 20 MB limit, files are read from its disk."
    )
    proxy: str | None = option(
        None, description="Proxy for every request, such as http://127.0.0.1:3128; by default HTTPS_PROXY and the like."
    )
    timeout_s: float = option(20.0, gt=0, le=300, description="How long a request waits for its answer.")
    upload_timeout_s: float = option(300.0, gt=0, description="How long a request with files may take.")
    download_timeout_s: float = option(
        120.0, gt=0, description="How long an event waits for its files before it is published without them."
    )
    poll_timeout_s: int = option(30, ge=1, le=50, description="How long one request for updates stays open.")
    stall_s: float = option(
        15.0, gt=0, description="So much later than poll_timeout_s a request for updates counts as stalled."
    )
    link_preview: bool = option(True, description="Whether links in what is sent get a preview.")
    max_download_bytes: int = option(
        DOWNLOAD_MAX_BYTES, ge=0, description="Larger files are not fetched: the event says so."
    )
    raw: bool = option(False, description="Put the platform's own object into metadata.raw, up to 16,000 bytes.")
    updates: list[str] = option(
        list(UPDATES), description="The kinds of updates that Telegram is asked for.", help_url=f"{API}#update"
    )
    delete_webhook: bool = option(
        False, description="When polling finds a webhook of this bot, delete it; otherwise wait and say so."
    )
    webhook_url: str | None = option(
        None,
        description="Receive by webhook instead of polling: the public https address that a proxy hands on.",
        help_url="https://core.telegram.org/bots/webhooks",
    )
    webhook_secret: Secret | None = option(
        None,
        description="What Telegram has to show with each webhook request; by default a new one at each start.",
        env="TELEGRAM_WEBHOOK_SECRET",
    )
    webhook_host: str = option("127.0.0.1", description="The address to listen on for the webhook.")
    webhook_port: int = option(8080, ge=0, le=65535, description="The port to listen on for the webhook.")
    webhook_max_bytes: int = option(1_000_000, gt=0, description="Larger webhook requests are refused.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for chat in self.allowed_chats:
            if not is_id(chat):
                raise ValueError(f'allowed_chats: "{chat}" is no numeric id (write to @userinfobot, or read the log)')
        if self.webhook_url is not None and urlsplit(self.webhook_url).scheme != "https" and not self.local_mode:
            raise ValueError("webhook_url must begin with https:// (only a local Bot API server takes http://)")
        secret = self.webhook_secret.reveal() if self.webhook_secret else ""
        if not (len(secret) <= 256 and all(c.isascii() and (c.isalnum() or c in "_-") for c in secret)):
            raise ValueError("webhook_secret may have 1 to 256 letters, digits, _ and - only")
        return self

    @property
    def mode(self) -> Literal["polling", "webhook"]:
        """How updates come in."""
        return "webhook" if self.webhook_url else "polling"

    @property
    def upload_max_bytes(self) -> int:
        """The largest file that may be sent."""
        return LOCAL_UPLOAD_MAX_BYTES if self.local_mode else UPLOAD_MAX_BYTES

    @property
    def file_url(self) -> str:
        """Where downloads begin."""
        if self.base_file_url is not None:
            return self.base_file_url
        # https://api.telegram.org/bot → https://api.telegram.org/file/bot
        return self.base_url.removesuffix("/bot") + "/file/bot"


def is_id(text: str) -> bool:
    """Whether it is a numeric id, as of users and chats; usernames can change hands."""
    return text.removeprefix("-").isdecimal()
