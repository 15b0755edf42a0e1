"""Failures on demand, and what the journal says of them."""

import httpx
import pytest
import telegram

from connectors.testing.telegram import Chat, FakeTelegram, User
from connectors.testing.waiting import wait_for
from tests.testing.telegram.client import Client


@pytest.mark.parametrize(
    ("kind", "code", "description"),
    [
        ("reject", 400, "Bad Request: refused on demand"),
        ("auth", 401, "Unauthorized"),
        ("unavailable", 502, "Bad Gateway"),
        ("rate_limit", 429, "Too Many Requests: retry after 7"),
        (
            "conflict",
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        ),
    ],
)
def test_the_next_call_is_refused_and_the_one_after_is_not(
    client: Client, chat: Chat, kind: str, code: int, description: str
) -> None:
    fake = client.fake
    fake.fail_next(kind, retry_after_s=7)  # type: ignore[arg-type]  # it is one of the kinds
    client.raw("getUpdates", json={})  # not meant
    answer = client.raw("sendMessage", json={"chat_id": chat.id, "text": "x"})
    assert (answer.status_code, answer.json()["error_code"], answer.json()["description"]) == (code, code, description)
    assert answer.json().get("parameters", {}) == ({"retry_after": 7} if code == 429 else {})
    assert fake.sent == []
    client.do(client.bot.send_message(chat.id, "x"))
    assert [(c.outcome, c.error_code) for c in fake.calls("sendmessage")] == [(description, code), ("ok", None)]


def test_failures_are_for_the_method_that_is_named(client: Client, chat: Chat) -> None:
    client.fake.fail_next("unavailable", "getUpdates", 2)
    client.do(client.bot.send_message(chat.id, "x"))
    for _ in range(2):
        with pytest.raises(telegram.error.NetworkError, match="Bad Gateway"):
            client.do(client.bot.get_updates())
    assert client.do(client.bot.get_updates()) == ()


def test_the_answer_can_be_chosen(client: Client, chat: Chat) -> None:
    client.fake.fail_next(
        "reject", "sendMessage", code=403, description="Forbidden: bot was kicked from the group chat"
    )
    with pytest.raises(telegram.error.Forbidden, match="kicked from the group"):
        client.do(client.bot.send_message(chat.id, "x"))
    client.fake.fail_next("reject", n=5)
    client.fake.clear_failures()
    client.do(client.bot.send_message(chat.id, "x"))


def test_a_dropped_call_was_not_accepted_and_a_cut_one_was(client: Client, chat: Chat) -> None:
    for kind, sent in (("drop", 0), ("cut", 1)):
        client.fake.fail_next(kind)  # type: ignore[arg-type]  # it is one of the kinds
        with pytest.raises(telegram.error.NetworkError):
            client.do(client.bot.send_message(chat.id, kind))
        assert len(client.fake.sent) == sent
    assert [call.outcome for call in client.fake.journal] == ["drop", "cut"]
    assert [call.ok for call in client.fake.journal] == [False, True]


def test_a_call_that_times_out_was_accepted_and_ends_at_release(client: Client, chat: Chat) -> None:
    client.fake.fail_next("timeout", "sendMessage")
    hanging = client.later(client.bot.send_message(chat.id, "x"))
    wait_for(lambda: client.fake.hanging == 1)
    assert [sent.text for sent in client.fake.sent] == ["x"]
    assert not hanging.done()
    client.fake.release()
    with pytest.raises(telegram.error.NetworkError):
        hanging.result(10)
    wait_for(lambda: client.fake.hanging == 0)


def test_a_poll_that_is_cut_has_confirmed_its_offset(client: Client, chat: Chat, ada: User) -> None:
    posted = client.fake.post(chat, ada, "x")
    client.fake.fail_next("cut", "getUpdates")
    with pytest.raises(telegram.error.NetworkError):
        client.do(client.bot.get_updates(offset=(posted.update_id or 0) + 1, timeout=50))
    assert client.fake.pending == []


def test_downloads_fail_too(client: Client, chat: Chat, ada: User) -> None:
    document = client.fake.post(chat, ada, document=b"content").message["document"]
    file = client.do(client.bot.get_file(document["file_id"]))
    for kind in ("unavailable", "drop", "cut"):
        client.fake.fail_next(kind, "download")
        with pytest.raises(telegram.error.NetworkError):
            client.do(file.download_as_bytearray())
    assert client.do(file.download_as_bytearray()) == b"content"
    assert httpx.get(f"{client.fake.base_file_url}1:wrong/{document['file_id']}").status_code == 401
    assert httpx.get(f"{client.fake.base_file_url}{client.fake.token}/nothing").status_code == 404


def test_an_unknown_kind_is_a_mistake_of_the_test(fake: FakeTelegram) -> None:
    with pytest.raises(ValueError, match="'rejct' is none of reject, auth"):
        fake.fail_next("rejct")  # type: ignore[arg-type]  # that is the point


def test_a_wrong_token_is_refused_and_no_token_is_in_the_journal(fake: FakeTelegram) -> None:
    wrong = "7000000001:AAAnotherTokenThatIsNotTheRightOne01"
    with Client(fake, wrong) as client, pytest.raises(telegram.error.InvalidToken):
        client.do(client.bot.get_me())
    assert httpx.get(f"{fake.base_url}nonsense/getMe").json()["error_code"] == 404
    assert httpx.get(f"{fake.base_url}{wrong}/getMe").json()["description"] == "Unauthorized"
    assert "AAA" not in repr(fake.journal)
    assert fake.token not in repr(fake.journal)


def test_an_unknown_method_is_not_found(client: Client) -> None:
    assert client.refusal("doSomething") == (404, "Not Found: method not found")


def test_a_body_that_is_no_object_is_refused(client: Client) -> None:
    answer = client.raw("getMe", content=b"[1", headers={"Content-Type": "application/json"})
    assert answer.json()["error_code"] == 400


def test_stopped_it_refuses_connections_and_started_again_it_remembers(client: Client, chat: Chat, ada: User) -> None:
    fake = client.fake
    url = fake.url
    poll = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    fake.stop()
    with pytest.raises(telegram.error.NetworkError):
        poll.result(10)
    with pytest.raises(telegram.error.NetworkError):
        client.do(client.bot.get_me())
    fake.post(chat, ada, "while it was down")
    fake.stop()
    fake.start()
    assert fake.url == url
    [update] = client.do(client.bot.get_updates(timeout=50))
    assert update.message is not None
    assert update.message.text == "while it was down"


def test_a_port_that_is_taken_is_an_error(fake: FakeTelegram) -> None:
    port = int(fake.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        FakeTelegram(port).start()
