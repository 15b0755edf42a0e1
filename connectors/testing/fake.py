"""The connector for `FakePlatform`, and a model for your own: what a real one has, without an SDK.

In connectors.yml: `type: connectors.testing.fake`, `url: http://127.0.0.1:PORT`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, urlsplit

from connectors.base.connector import Connector
from connectors.base.declaration import Capabilities, Limits
from connectors.base.errors import AuthError, Rejected, RetryLater
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.base.options import Options, option
from connectors.base.retry import Backoff
from connectors.base.secrets import Secret


class FakeOptions(Options):
    """Options of the `fake` type."""

    url: str = option(description="Where the fake platform listens.", env="FAKE_URL")
    token: Secret | None = option(None, description="What the fake platform wants to see.", env="FAKE_TOKEN")
    idempotent: bool = option(False, description="Send an Idempotency-Key, so that a repeated send is exactly once.")
    timeout_s: float = option(5.0, gt=0, description="How long a send waits for its answer.")
    poll_s: float = option(20.0, gt=0, description="How long one request for events stays open.")


class FakeConnector(Connector):
    """Chat with the fake platform."""

    connector_type = "fake"
    version = "1"
    capabilities = Capabilities(threads=True)
    limits = Limits(text_max=4000)
    setup_help = "Start a FakePlatform and give its url."
    Options = FakeOptions

    def connect(self) -> None:
        """Raises AuthError when the platform refuses the token, RetryLater when it is not there."""
        options = cast(FakeOptions, self.options)
        self._client = Client(options.url, options.token, timeout_s=options.timeout_s)
        self._client.call("GET", "/me")

    def disconnect(self) -> None:
        """End the request for events, if one is open."""
        client: Client | None = getattr(self, "_client", None)
        if client is not None:
            client.close()

    def stop(self) -> None:
        """Also out of the middle of a request for events."""
        super().stop()
        self.disconnect()

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Raises Rejected, AuthError and RetryLater as the platform answers."""
        body = {"conversation": msg.conversation_id, "text": msg.text, "thread": msg.thread_id}
        idempotent = cast(FakeOptions, self.options).idempotent
        headers = {"Idempotency-Key": msg.idempotency_key or msg.id} if idempotent else {}
        return Receipt(ids=[self._client.call("POST", "/send", body, headers)["id"]])

    def run_loop(self) -> None:
        """Ask for events; acknowledge each only when it is durable."""
        poll_s, backoff, failures = cast(FakeOptions, self.options).poll_s, Backoff(0.05, 5.0), 0
        while self._running:
            try:
                for event in self._client.updates(poll_s):
                    self.write_to_inbox(normalise(event, self.name))
                    self._client.call("POST", "/ack", {"ids": [event["id"]]})
                failures = 0
            except RetryLater as error:
                if not self._running:
                    return
                failures += 1
                self.logger.warning("receiving: %s", error)
                self.wait(backoff.wait_s(failures))

    def sends_once(self) -> bool:
        """An option here, so that both kinds of platform can be played."""
        return cast(FakeOptions, self.options).idempotent


def normalise(event: Mapping[str, Any], instance: str) -> Message:
    """The platform's event in the mailbox's words. The id is the platform's own, so a redelivery has the same."""
    return Message(
        id=f"fake:{instance}:{event['id']}",
        connector=ConnectorInfo(type="fake", instance=instance),
        sender=Sender(id=event["sender"], username=event["sender"]),
        content=Content(text=event["text"]),
        conversation=Conversation(id=event["conversation"], thread_id=event["thread"]),
    )


class Client:
    """The requests, and the platform's answers as the project's errors."""

    def __init__(self, url: str, token: Secret | None, *, timeout_s: float) -> None:
        self._address = urlsplit(url)
        self._token = token
        self._timeout_s = timeout_s
        self._polling: socket.socket | None = None
        self._closed = False

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer. Raises Rejected (400), AuthError (401), RetryLater (429, 5xx, no connection, no answer)."""
        connection = self._open(self._timeout_s)
        try:
            return self._exchange(connection, method, path, body, dict(headers or {}))
        finally:
            connection.close()

    def updates(self, wait_s: float) -> list[dict[str, Any]]:
        """Events that were not acknowledged yet; waits for one. RetryLater when it was cut off."""
        connection = self._open(wait_s + self._timeout_s)
        try:
            self._polling = connection.sock
            if self._closed:
                raise RetryLater("closed")
            answer = self._exchange(connection, "GET", f"/updates?wait_s={quote(str(wait_s))}", None, {})
            return cast(list[dict[str, Any]], answer["events"])
        finally:
            self._polling = None
            connection.close()

    def close(self) -> None:
        """Cut off a request for events that is open in another thread; safe twice."""
        self._closed = True
        polling = self._polling
        if polling is not None:
            try:
                polling.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise RetryLater(f"{self._address.netloc} is not reachable: {_said(error)}") from error
        return connection

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: dict[str, str],
    ) -> dict[str, Any]:
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            # The request may have arrived: only the platform knows.
            raise RetryLater(f"no answer: {_said(error)}", ambiguous=True) from error
        found = json.loads(content or b"{}")
        if answer.status == 200:
            return cast(dict[str, Any], found)
        said = f"{answer.status} {found.get('error', '')}"
        if answer.status == 401:
            raise AuthError(said, hint="set FAKE_TOKEN to a token that the platform knows")
        if answer.status == 429:
            raise RetryLater(said, after_s=float(answer.getheader("Retry-After") or 1))
        if answer.status >= 500:
            raise RetryLater(said)
        raise Rejected(said, hint="the fake platform does not take this")


def _said(error: Exception) -> str:
    code = getattr(error, "errno", None)
    return os.strerror(code) if code else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=FakeConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="fake")
    args = parser.parse_args()
    FakeConnector(name=args.name, seed_home=args.seed_home).run()
