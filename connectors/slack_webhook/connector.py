"""Slack's incoming webhooks: outgoings are posted to the channel that the webhook was made for."""

from __future__ import annotations

from typing import Any, Self, cast
from urllib.parse import urlsplit

from pydantic import model_validator

from connectors.base import options
from connectors.base.auth import Keys
from connectors.base.connector import Connector
from connectors.base.declaration import Limits
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.base.split import split_text
from connectors.parts.mrkdwn import TEXT_MAX, quiet_all, render
from connectors.parts.posting import Poster, TargetOptions
from connectors.parts.rates import Rates
from connectors.parts.templates import render as fill
from connectors.slack_webhook.answers import DOCS, explain


class SlackWebhookOptions(options.Options):
    """Options of the `slack-webhook` type."""

    url: Secret = option(description="The webhook's URL; who has it can post.", env="SLACK_WEBHOOK_URL", help_url=DOCS)
    body: Any = option(
        None,
        description="What is posted: texts, lists and mappings with {{places}}; by default {text: {{text}}}.",
    )
    allow_broadcast: bool = option(
        False, description="The agent's texts may notify everybody: <!here>, <!channel>, <!everyone>, user groups."
    )
    post_interval_s: float = option(
        1.0, ge=0, description="Slack takes one post a second of a webhook, and somewhat more for a moment."
    )
    send_timeout_s: float = option(10.0, gt=0, le=120, description="How long a request may take, all in all.")

    @model_validator(mode="after")
    def _can_be_posted(self) -> Self:
        if urlsplit(self.url.reveal()).scheme not in ("http", "https"):
            raise ValueError("url must begin with https://hooks.slack.com/")
        if self.body is not None and not isinstance(self.body, dict):
            raise ValueError("body must be a mapping, as Slack wants it")
        return self


class SlackWebhookConnector(Connector):
    """Posts to one Slack channel through an incoming webhook; nothing comes back."""

    connector_type = "slack-webhook"
    version = "1"
    limits = Limits(text_max=TEXT_MAX)
    actions = ("post",)
    setup_help = f"Make an incoming webhook for a channel and put its URL into .env as SLACK_WEBHOOK_URL: {DOCS}"
    auth = (Keys("url"),)
    Options = SlackWebhookOptions

    _poster: Poster | None = None
    _rates: Rates | None = None

    def connect(self) -> None:
        """Nothing is sent: Slack offers no way to ask whether a webhook works."""
        given = self._given
        target = TargetOptions(url=given.url, send_timeout_s=given.send_timeout_s)
        names_channel = isinstance(given.body, dict) and "channel" in given.body
        self._poster = Poster(target, explain=lambda status, text: explain(status, text, names_channel=names_channel))
        self._rates = Rates(overall=[(1, given.post_interval_s)]) if given.post_interval_s else None

    def disconnect(self) -> None:
        """End the connection; safe twice."""
        if self._poster is not None:
            self._poster.close()

    def run_loop(self) -> None:
        """Nothing comes in."""
        self.wait()

    def pace(self, msg: OutgoingMessage) -> float:
        """https://docs.slack.dev/apis/web-api/rate-limits: "1 per second" for incoming webhooks."""
        return self._rates.acquire(msg.conversation_id) if self._rates is not None else 0.0

    def split(self, msg: OutgoingMessage) -> list[str]:
        """Measured as Slack counts: the markup, too."""
        if msg.action == "post":
            return [msg.text]
        return split_text(msg.text, TEXT_MAX, measure=lambda text: len(_shown(msg, text)["text"]))

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Post it. Raises Rejected, RetryLater, AuthError and ConfigError as `answers` says."""
        if self._poster is None:
            raise RetryLater("not connected")
        if msg.attachments:
            raise Rejected("a Slack webhook carries no files", hint="send a link, or use the type slack")
        posted = msg.model_copy(update={"action": "post", "input": self._body(msg)})
        return self._poster.send(posted)

    @property
    def _given(self) -> SlackWebhookOptions:
        return cast(SlackWebhookOptions, self.options)

    def _body(self, msg: OutgoingMessage) -> dict[str, Any]:
        given = self._given
        if msg.action == "post":
            body = dict(msg.input or {})
            return body if given.allow_broadcast else cast(dict[str, Any], quiet_all(body))
        shown = _shown(msg, msg.text, allow_broadcast=given.allow_broadcast)
        if given.body is None:
            return shown
        fields = msg.to_dict() if given.allow_broadcast else quiet_all(msg.to_dict())
        return cast(dict[str, Any], fill(given.body, {**fields, **shown}))


def _shown(msg: OutgoingMessage, text: str, *, allow_broadcast: bool = False) -> dict[str, Any]:
    return render(msg.model_copy(update={"text": text}), allow_broadcast=allow_broadcast)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=SlackWebhookConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="slack-webhook")
    args = parser.parse_args()
    SlackWebhookConnector(name=args.name, seed_home=args.seed_home).run()
