"""Replies to a webhook's event: in the answer, by asking, by callback; never to where only this machine may ask."""

import concurrent.futures
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.parts.signatures import sign, verify
from connectors.testing import wait_for
from tests.webhook.live import SECRET, Hook, Taker


def reply_to(hook: Hook, text: str, name: str = "a.json") -> str:
    """Answer the only event; returns its id."""
    [event] = wait_for(lambda: hook.events)
    hook.drop({"reply_to": event.id, "text": text}, name)
    return event.id


def ask(hook: Hook, url: str, **headers: str) -> httpx.Response:
    """For replies, signed as the docs say."""
    made = sign("hmac", SECRET, url.encode(), now=time.time(), delivery_id="")
    return hook.client.get(httpx.URL(hook.url).join(url), headers=headers or made)


def test_a_request_waits_for_the_reply_and_has_it_in_its_answer(home: Path) -> None:
    with Hook(home, replies="wait") as hook, concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(hook.post, {"text": "how are you?"}, "d1")
        event_id = reply_to(hook, "fine")
        answer = asked.result()
        assert answer.status_code == 200
        assert answer.json()["event_id"] == event_id
        assert answer.json()["reply"]["text"] == "fine"
        [receipt] = wait_for(lambda: hook.receipts)
        assert receipt.reply_to == event_id


def test_a_reply_that_takes_too_long_is_202_and_can_be_fetched_later(home: Path) -> None:
    with Hook(home, replies="wait", reply_timeout_s=0.2) as hook:
        answer = hook.post({"text": "?"}, "d1")
        assert answer.status_code == 202
        url = answer.json()["reply_url"]
        nothing = ask(hook, url)
        assert (nothing.status_code, nothing.json()["replies"]) == (202, [])
        reply_to(hook, "late")
        wait_for(lambda: ask(hook, url).status_code == 200)
        assert [reply["text"] for reply in ask(hook, url).json()["replies"]] == ["late"]
        again = hook.post({"text": "?"}, "d1")
        assert (again.status_code, again.json()["reply"]["text"]) == (200, "late")
    with Hook(home, replies="poll") as hook:
        assert ask(hook, url).json()["replies"][0]["text"] == "late"


def test_a_stop_ends_the_wait_at_once_and_loses_nothing(home: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with Hook(home, replies="wait", reply_timeout_s=600) as hook:
            asked = pool.submit(hook.post, {"text": "?"}, "d1")
            wait_for(lambda: hook.events)
            hook.connector.stop()
            assert asked.result().status_code == 202
        assert len(hook.events) == 1


def test_replies_are_shown_only_to_who_proves_itself(home: Path) -> None:
    with Hook(home, replies="poll") as hook:
        url = hook.post({"text": "?"}, "d1").json()["reply_url"]
        reply_to(hook, "for you alone")
        wait_for(lambda: ask(hook, url).status_code == 200)
        other = sign("hmac", SECRET, url.encode() + b"x", now=time.time(), delivery_id="")
        assert [ask(hook, url, **headers).status_code for headers in ({"X-A": "b"}, other)] == [401, 401]
        assert ask(hook, url.replace("d1", "d2")).status_code == 404
        assert hook.client.post(httpx.URL(hook.url).join(url)).status_code == 405


def test_several_replies_are_kept_in_order_and_each_once(home: Path) -> None:
    with Hook(home, replies="poll") as hook:
        url = hook.post({"text": "?"}, "d1").json()["reply_url"]
        reply_to(hook, "one", "1.json")
        wait_for(lambda: len(hook.receipts) == 1)
        reply_to(hook, "two", "2.json")
        wait_for(lambda: len(hook.receipts) == 2)
        assert [reply["text"] for reply in ask(hook, url).json()["replies"]] == ["one", "two"]


def test_a_callback_brings_the_reply_signed_and_without_our_credentials(home: Path) -> None:
    options: dict[str, Any] = {"sign_secret": "s3cret-of-ours", "sign_scheme": "hmac", "bearer": "our-own-token"}
    with Taker() as taker, Hook(home, replies="callback", callback_hosts=["127.0.0.1"], **options) as hook:
        answer = hook.post({"text": "?", "callback_url": f"{taker.url}/cb"}, "d1")
        assert answer.status_code == 202
        event_id = reply_to(hook, "fine")
        wait_for(lambda: hook.receipts)
        [(method, path, headers, body)] = taker.requests
    assert (method, path) == ("POST", "/cb")
    assert json.loads(body)["event_id"] == event_id
    assert json.loads(body)["reply"]["text"] == "fine"
    assert "authorization" not in headers
    assert headers["idempotency-key"]
    verify("hmac", "s3cret-of-ours", headers, body, now=time.time())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "file:///etc/passwd"]
)
def test_a_callback_to_a_private_address_is_a_dead_letter(home: Path, url: str) -> None:
    with Hook(home, replies="callback") as hook:
        hook.post({"text": "?", "callback_url": url}, "d1")
        reply_to(hook, "secret of the house")
        [reason] = wait_for(lambda: hook.reasons)
        assert reason.class_ == "rejected"


def test_a_redirect_to_a_private_address_is_not_followed(home: Path) -> None:
    with Taker() as inside, Taker((307, {"Location": f"{inside.url}/admin"}, b"")) as outside:
        allowed = outside.url.removeprefix("http://")
        with Hook(home, replies="callback", callback_hosts=[allowed]) as hook:
            hook.post({"text": "?", "callback_url": outside.url}, "d1")
            reply_to(hook, "x")
            [reason] = wait_for(lambda: hook.reasons)
        assert reason.class_ == "rejected"
        assert len(outside.requests) == 1
        assert inside.requests == []


def test_a_redirect_to_an_allowed_address_is_followed_with_the_body(home: Path) -> None:
    with Taker() as second, Taker((308, {"Location": f"{second.url}/moved"}, b"")) as first:
        with Hook(home, replies="callback", callback_hosts=["127.0.0.1"]) as hook:
            hook.post({"text": "?", "callback_url": first.url}, "d1")
            reply_to(hook, "moved")
            wait_for(lambda: hook.receipts)
        [(_, path, _, body)] = second.requests
        assert path == "/moved"
        assert json.loads(body)["reply"]["text"] == "moved"


def test_an_event_without_a_callback_has_its_reply_kept(home: Path) -> None:
    with Hook(home, replies="callback") as hook:
        url = hook.post({"text": "?"}, "d1").json()["reply_url"]
        reply_to(hook, "kept")
        wait_for(lambda: ask(hook, url).status_code == 200)
