"""The options of the `slack` type. Reading them imports no SDK."""

from __future__ import annotations

from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts.access import AccessOptions

WEB_API = "https://slack.com/api/"
_APPS = "https://api.slack.com/apps"


class SlackOptions(AccessOptions):
    """What connectors.yml may say of a Slack connector."""

    bot_token: Secret = option(
        description="The bot's token (xoxb-…): your app, OAuth & Permissions.", env="SLACK_BOT_TOKEN", help_url=_APPS
    )
    app_token: Secret = option(
        description="The app-level token (xapp-…) with connections:write: your app, Basic Information.",
        env="SLACK_APP_TOKEN",
        help_url=_APPS,
        exclusive=True,
    )
    channels: list[str] = option([], description="Ids of channels to listen to; the same as allow.conversations.")
    reply_in_thread: bool = option(
        False, description="An answer (reply_to) to a post in a channel opens a thread on that post."
    )
    allow_broadcast: bool = option(
        False, description="The agent's texts may notify everybody: <!here>, <!channel>, <!everyone>, user groups."
    )
    unfurl: bool = option(True, description="Slack shows previews of the links in what is sent.")
    download: bool = option(True, description="Fetch the files of events; otherwise they can be fetched later.")
    download_max_bytes: int = option(50_000_000, gt=0, description="Larger files are not fetched.")
    download_timeout_s: float = option(60.0, gt=0, description="An event waits so long for its files.")
    gap_fill_max_age_s: float = option(
        86_400.0, ge=0, description="What was said while the connector was away is fetched up to this age; 0: never."
    )
    gap_fill_after_s: float = option(
        60.0, ge=0, description="After a connection was gone for so long, look for what was said meanwhile."
    )
    timeout_s: float = option(30.0, gt=0, description="How long one request to Slack may take.")
    ping_s: float = option(
        10.0, ge=0.05, description="How often the socket is asked for a sign of life; two missed ones replace it."
    )
    post_interval_s: float = option(
        1.05, ge=0, description="Seconds between two posts in one conversation; Slack takes about one a second."
    )
    proxy: str | None = option(None, description="An HTTP proxy; default: HTTPS_PROXY and NO_PROXY of the environment.")
    base_url: str = option(WEB_API, description="The Web API's address.")
