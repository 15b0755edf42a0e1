"""The webhook: who is let in, what is answered when, and what Telegram is told."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from connectors.telegram.connector import TelegramConnector
from connectors.testing.telegram import FakeTelegram
from connectors.testing.waiting import wait_for
from tests.telegram.bot import Bot
from tests.telegram.conftest import MakeBot

SECRET = "a-secret_of-ours"
UPDATE = {
    "update_id": 5,
    "message": {
        "message_id": 1,
        "date": 1_700_000_000,
        "from": {"id": 501, "is_bot": False, "first_name": "Ada"},
        "chat": {"id": 501, "type": "private", "first_name": "Ada"},
        "text": "by webhook",
    },
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def one(fake: FakeTelegram, bot: MakeBot) -> Bot:
    """A bot that listens; `webhook_url` is its listener itself, where a proxy would be."""
    port = free_port()
    made = bot(
        allow={"users": ["501"]},
        webhook_url=f"http://127.0.0.1:{port}/hook",
        webhook_port=port,
        webhook_secret=SECRET,
        webhook_max_bytes=10_000,
        local_mode=True,
    )
    made.run()
    wait_for(lambda: fake.calls("setWebhook"))
    return made


def post(one: Bot, update: Any = UPDATE, *, secret: str | None = SECRET, path: str = "/hook", **more: Any) -> int:
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
    url = f"http://127.0.0.1:{one.options['webhook_port']}{path}"
    given = {"json": update} if "content" not in more else {}
    return httpx.post(url, headers=headers, **given, **more).status_code


def test_telegram_is_told_where_and_with_which_secret(fake: FakeTelegram, one: Bot) -> None:
    [call] = fake.calls("setWebhook")
    assert call.params["url"] == one.options["webhook_url"]
    assert call.params["secret_token"] == SECRET
    assert "message_reaction" in call.params["allowed_updates"]
    assert str(call.params.get("drop_pending_updates")).lower() == "false"
    assert fake.calls("getUpdates") == []


def test_an_update_is_durable_before_it_is_answered(one: Bot) -> None:
    assert post(one) == 200
    assert [event.content.text for event in one.events()] == ["by webhook"]


def test_what_comes_again_is_one_event(one: Bot) -> None:
    assert [post(one), post(one)] == [200, 200]
    assert len(one.events()) == 1


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "ü"])
def test_without_the_secret_nothing_is_taken(one: Bot, secret: str | None) -> None:
    name = b"X-Telegram-Bot-Api-Secret-Token"
    headers: dict[bytes, bytes] = {} if secret is None else {name: secret.encode()}
    url = f"http://127.0.0.1:{one.options['webhook_port']}/hook"
    assert httpx.post(url, headers=headers, json=UPDATE).status_code == 403
    assert one.events() == []


def test_other_paths_methods_sizes_and_shapes_are_refused(one: Bot) -> None:
    assert post(one, path="/other") == 404
    assert httpx.get(f"http://127.0.0.1:{one.options['webhook_port']}/hook").status_code == 501
    assert post(one, content=b"x" * 10_001) == 413
    assert post(one, content=b"no json") == 400
    assert post(one, ["a list"]) == 400
    assert post(one, {"message": {}}) == 400
    assert one.events() == []


def test_a_connection_that_says_nothing_holds_up_nobody(one: Bot) -> None:
    with socket.create_connection(("127.0.0.1", one.options["webhook_port"])):
        assert post(one) == 200


def test_a_body_that_ends_too_early_is_not_taken(one: Bot) -> None:
    with socket.create_connection(("127.0.0.1", one.options["webhook_port"])) as raw:
        fields = ("POST /hook HTTP/1.1", f"X-Telegram-Bot-Api-Secret-Token: {SECRET}", "Content-Length: 100", "", "")
        head = "\r\n".join(fields)
        raw.sendall(head.encode() + b'{"update_id": 5')
        raw.shutdown(socket.SHUT_WR)
        assert b" 400 " in raw.recv(1000)
    assert one.events() == []


def test_updates_come_from_the_platform_by_itself(fake: FakeTelegram, one: Bot) -> None:
    ada = fake.user("Ada", id=501)
    fake.post(fake.private(ada), ada, "hello there")
    assert one.event().content.text == "hello there"


def test_without_a_secret_of_ours_there_is_one_all_the_same(fake: FakeTelegram, bot: MakeBot) -> None:
    port = free_port()
    one = bot(webhook_url=f"http://127.0.0.1:{port}/hook", webhook_port=port, local_mode=True)
    one.run()
    [call] = wait_for(lambda: fake.calls("setWebhook"))
    assert len(call.params["secret_token"]) >= 32


def test_a_port_that_is_taken_is_an_error_of_the_configuration(fake: FakeTelegram, bot: MakeBot) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = bot(webhook_url="https://example.org/hook", webhook_port=taken.getsockname()[1])
        one.run()
        wait_for(lambda: one.status.get("exit_code") == 78)
        assert "webhook_port" in one.status["last_error"]["hint"]


def test_the_public_address_must_be_https() -> None:
    with pytest.raises(Exception, match="https"):
        TelegramConnector.Options(token="t", webhook_url="http://example.org/hook")
