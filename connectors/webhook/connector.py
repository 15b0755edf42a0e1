"""Webhooks in and out: whatever can post JSON is a source, whatever takes a post is a target."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Self, cast

from pydantic import model_validator

from connectors.base.connector import Connector
from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import (
    ConnectorInfo,
    Content,
    Conversation,
    Message,
    OutgoingMessage,
    Receipt,
    Sender,
    SourceEvent,
)
from connectors.base.options import option
from connectors.parts.bodies import look_up, text_of
from connectors.parts.egress import Guard
from connectors.parts.posting import Poster, TargetOptions
from connectors.parts.replies import Replies, ReplyOptions
from connectors.parts.webhook import Answer, Delivery, Webhook, WebhookOptions

#: An id that is longer is replaced by its hash.
_ID_MAX = 200


class WebhookConnectorOptions(WebhookOptions, ReplyOptions, TargetOptions):
    """Options of the `webhook` type: what comes in, what is replied, where outgoings are posted."""

    listen: bool = option(True, description="Whether to listen; false for a connector that only posts to url.")
    type_field: str = option("type", description="Where in the body the name of what happened is.")
    text_field: str = option("text", description="Where in the body a text is; with one the event is a message.")
    id_field: str | None = option(
        None, description="Where in the body an id is that is the same when the sender tries again."
    )
    sender_field: str = option("sender", description="Where in the body the sender's id is.")
    conversation_field: str = option("conversation_id", description="Where in the body the conversation's id is.")
    thread_field: str = option("thread_id", description="Where in the body the thread's id is.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.listen and self.url is None:
            raise ValueError("with listen: false a url is needed, or the connector does nothing")
        return self


class WebhookConnector(Connector):
    """Webhooks: JSON posted to this machine becomes events; outgoings are posted to an address."""

    connector_type = "webhook"
    version = "1"
    extra = "webhook"
    actions = ("post",)
    parallel_sends = 4
    setup_help = (
        "Choose a secret, put it into .env as WEBHOOK_SECRET, and give it to the sender together with the address, "
        "http://127.0.0.1:4800/webhook/<instance>; a proxy with TLS makes it reachable from outside."
    )
    Options = WebhookConnectorOptions

    _webhook: Webhook | None = None
    _poster: Poster | None = None
    _allowed: Guard | None = None
    _replies: Replies | None = None

    def connect(self) -> None:
        """Bind the port. Raises ConfigError and MissingDependency."""
        given = self._given
        self._poster = Poster(given)
        self._allowed = Guard(given.callback_hosts)
        if not given.listen:
            return
        path = given.path or f"/webhook/{self.name}"
        self._replies = Replies(self, path, given) if given.replies != "none" else None
        self._webhook = Webhook(self, given, self._read, replies=self._replies)
        self._webhook.open()

    def disconnect(self) -> None:
        """Give back the port; safe twice."""
        if self._webhook is not None:
            self._webhook.close()
        if self._poster is not None:
            self._poster.close()

    def run_loop(self) -> None:
        """Serve until stopped."""
        if self._webhook is None:
            self.wait()
        else:
            self._webhook.run()

    def sends_once(self) -> bool:
        """Where the receiver knows a repetition by its header."""
        return bool(self.get_config("idempotency_header"))

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """A reply goes to who waits for it, everything else to `url`. Raises Rejected, RetryLater and AuthError."""
        if self._poster is None or self._allowed is None:
            raise RetryLater("not connected")
        if msg.attachments:
            raise Rejected("a webhook carries no files", hint="send a text, or a link in it")
        if self._replies is not None and msg.reply_to and msg.action == "send":
            event = self.kept(msg.reply_to)
            url = event.metadata.get("callback_url") if event is not None else None
            if self._given.replies == "callback" and isinstance(url, str):
                reply = {"id": msg.id, "text": msg.text, "format": msg.format, "metadata": msg.metadata}
                body = {"event_id": msg.reply_to, "reply": reply}
                return self._poster.call_back(url, body, msg, self._allowed)
            return self._replies.keep(msg, msg.reply_to)
        if self._given.url is None:
            raise Rejected(
                "there is nowhere to send this to",
                hint="set url for outgoings, or replies (wait, poll or callback) for answers to events",
            )
        return self._poster.send(msg)

    @property
    def _given(self) -> WebhookConnectorOptions:
        return cast(WebhookConnectorOptions, self.options)

    def _read(self, delivery: Delivery) -> Message | Answer:
        given, payload = self._given, delivery.payload
        if given.scheme == "slack" and payload.get("type") == "url_verification":
            # https://docs.slack.dev/reference/events/url_verification
            return Answer(200, {"challenge": text_of(payload.get("challenge")) or ""})
        return normalise(delivery, self.name, given)


def normalise(delivery: Delivery, instance: str, given: WebhookConnectorOptions) -> Message:
    """A delivery in the mailbox's words. Without any id of the sender's it gets a random one."""
    payload, headers = delivery.payload, delivery.headers
    event_id = f"webhook:{instance}:{_delivery_id(delivery, given) or secrets.token_hex(8)}"
    text = look_up(payload, given.text_field)
    text = text if isinstance(text, str) else None
    platform_event = text_of(look_up(payload, given.type_field)) or headers.get("x-github-event") or "unknown"
    sender = text_of(look_up(payload, given.sender_field)) or instance
    metadata: dict[str, Any] = {"headers": dict(delivery.headers)}
    callback = look_up(payload, given.callback_field)
    if given.replies == "callback" and isinstance(callback, str):
        metadata["callback_url"] = callback
    return Message(
        id=event_id,
        connector=ConnectorInfo(type="webhook", instance=instance),
        sender=Sender(id=sender),
        content=Content(text=text or ""),
        conversation=Conversation(
            id=text_of(look_up(payload, given.conversation_field)) or instance,
            thread_id=text_of(look_up(payload, given.thread_field)),
        ),
        kind="event" if text is None else "message",
        metadata=metadata,
        event=SourceEvent(
            id=f"evt_{hashlib.sha256(event_id.encode()).hexdigest()[:16]}",
            type="resource.changed" if text is None else "message.received",
            platform_event=platform_event,
            provenance={"platform": "webhook", "platform_event": platform_event, "author": sender},
            payload=payload,
            trace_id=f"trc_{secrets.token_hex(8)}",
        ),
    )


def _delivery_id(delivery: Delivery, given: WebhookConnectorOptions) -> str | None:
    """Signed ids first: of a header that is not signed, a replay could make up another one."""
    found = text_of(look_up(delivery.payload, given.id_field)) if given.id_field else None
    if found is None and given.scheme == "slack":
        found = text_of(delivery.payload.get("event_id"))
    if found is None and given.scheme == "stripe":
        found = text_of(delivery.payload.get("id"))
    found = found or text_of(delivery.id)
    if found is not None and len(found) > _ID_MAX:
        return hashlib.sha256(found.encode()).hexdigest()
    return found


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=WebhookConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="webhook")
    args = parser.parse_args()
    WebhookConnector(name=args.name, seed_home=args.seed_home).run()
