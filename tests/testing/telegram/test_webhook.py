"""Webhooks: updates really arrive at a server of the test."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import telegram

from connectors.testing.telegram import Chat, FakeTelegram, User
from connectors.testing.waiting import wait_for
from tests.testing.telegram.client import Client


class Receiver:
    """Takes what is POSTed; `statuses` are answered first, then 200 with `answer`."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.secrets: list[str | None] = []
        self.statuses: list[int] = []
        self.answer: dict[str, Any] | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                receiver.secrets.append(self.headers.get("X-Telegram-Bot-Api-Secret-Token"))
                receiver.updates.append(json.loads(body))
                raw = json.dumps(receiver.answer).encode() if receiver.answer and status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def test_updates_are_posted_with_the_secret_and_are_confirmed_by_200(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User, receiver: Receiver
) -> None:
    fake.post(chat, ada, "before")
    client.do(client.bot.set_webhook(receiver.url, secret_token="s3cret"))
    fake.post(chat, ada, "after")
    wait_for(lambda: len(receiver.updates) == 2)
    assert [update["message"]["text"] for update in receiver.updates] == ["before", "after"]
    assert receiver.secrets == ["s3cret"] * 2
    wait_for(lambda: fake.pending == [])


def test_an_update_is_posted_again_until_it_is_taken(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User, receiver: Receiver
) -> None:
    receiver.statuses = [500, 404]
    client.do(client.bot.set_webhook(receiver.url))
    fake.post(chat, ada, "one")
    fake.post(chat, ada, "two")
    wait_for(lambda: fake.pending == [])
    assert [update["message"]["text"] for update in receiver.updates] == ["one", "one", "one", "two"]
    info = client.do(client.bot.get_webhook_info())
    assert (info.url, info.last_error_message) == (receiver.url, "Wrong response from the webhook: 404 Not Found")


def test_an_answer_may_carry_a_call(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User, receiver: Receiver
) -> None:
    receiver.answer = {"method": "sendMessage", "chat_id": chat.id, "text": "at once"}
    client.do(client.bot.set_webhook(receiver.url))
    fake.post(chat, ada, "one")
    wait_for(lambda: [sent.text for sent in fake.sent] == ["at once"])


def test_polling_and_a_webhook_exclude_each_other(fake: FakeTelegram, client: Client, receiver: Receiver) -> None:
    poll = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    client.do(client.bot.set_webhook(receiver.url, allowed_updates=["message"], max_connections=3))
    with pytest.raises(telegram.error.Conflict, match="terminated by setWebhook request"):
        poll.result(10)
    with pytest.raises(
        telegram.error.Conflict, match="can't use getUpdates method while webhook is active; use delete"
    ):
        client.do(client.bot.get_updates())
    info = client.do(client.bot.get_webhook_info())
    assert (info.url, info.max_connections, info.allowed_updates) == (receiver.url, 3, ("message",))
    client.do(client.bot.delete_webhook())
    assert client.do(client.bot.get_updates()) == ()
    assert client.do(client.bot.get_webhook_info()).url == ""


def test_pending_updates_are_dropped_only_when_asked(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    fake.post(chat, ada, "kept")
    client.do(client.bot.delete_webhook())
    assert len(fake.pending) == 1
    client.do(client.bot.delete_webhook(drop_pending_updates=True))
    assert fake.pending == []


def test_a_receiver_that_is_not_there_is_tried_again(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User, receiver: Receiver
) -> None:
    client.do(client.bot.set_webhook("http://127.0.0.1:9/hook"))
    fake.post(chat, ada, "x")
    info = wait_for(lambda: client.do(client.bot.get_webhook_info()).last_error_message)
    assert info == "Connection failed"
    client.do(client.bot.set_webhook(receiver.url))
    wait_for(lambda: fake.pending == [])


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"url": "nonsense"}, "invalid webhook URL specified"),
        ({"url": "https://example.org/hook"}, "bad webhook: the fake delivers to loopback only"),
        ({"url": "http://127.0.0.1:1", "secret_token": "ä"}, "secret token contains unallowed characters"),
        ({"url": "http://127.0.0.1:1", "secret_token": "a" * 257}, "secret token is too long"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(client: Client, params: dict[str, str], refusal: str) -> None:
    assert client.refusal("setWebhook", **params) == (400, f"Bad Request: {refusal}")
