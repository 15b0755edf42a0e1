"""Webhooks out: what is posted, and what each answer means for the outgoing."""

import base64
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import AuthError, ConfigError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage
from connectors.parts.posting import Poster, TargetOptions
from connectors.parts.signatures import verify
from connectors.testing import wait_for
from connectors.webhook.connector import WebhookConnector
from tests.webhook.live import Hook, Taker

MESSAGE = OutgoingMessage(conversation_id="C1", text='say "hi"', id="o1", idempotency_key="k1", metadata={"n": 1})


def post(url: str, **options: Any) -> Any:
    poster = Poster(TargetOptions(url=url, **options))
    try:
        return poster.send(MESSAGE)
    finally:
        poster.close()


def test_an_outgoing_is_posted_and_its_receipt_has_the_answer_s_id() -> None:
    with Taker() as taker:
        receipt = post(f"{taker.url}/in?x=1")
    [(method, path, headers, body)] = taker.requests
    assert (method, path, headers["content-type"]) == ("POST", "/in?x=1", "application/json")
    assert json.loads(body)["text"] == 'say "hi"'
    assert receipt.ids == ["m1"]


def test_method_headers_template_and_credentials_are_as_configured() -> None:
    template = {"text": "{{text}}", "blocks": [{"id": "{{metadata.n}}", "to": "#{{conversation_id}}"}]}
    options = {"method": "PUT", "headers": {"X-A": "b", "authorization": "none"}, "body": template}
    with Taker() as taker:
        post(taker.url, **options, basic="u:p")
        post(taker.url, **options, bearer="t0ken")
        post(taker.url, body="{{text}}!", idempotency_header="X-Once")
    first, second, third = taker.requests
    assert first[0] == "PUT"
    assert first[2]["x-a"] == "b"
    assert first[2]["authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"
    assert second[2]["authorization"] == "Bearer t0ken"
    assert json.loads(first[3]) == {"text": 'say "hi"', "blocks": [{"id": 1, "to": "#C1"}]}
    assert third[3] == b'say "hi"!'
    assert third[2]["x-once"] == "k1"
    assert "idempotency-key" not in first[2]


@pytest.mark.parametrize("scheme", ["hmac", "github", "slack", "stripe", "standard"])
def test_a_body_is_signed_in_the_scheme_of_choice(scheme: Any) -> None:
    secret = "whsec_c2VjcmV0IG9mIG91cnM=" if scheme == "standard" else "secret of ours"
    with Taker() as taker:
        post(taker.url, sign_secret=secret, sign_scheme=scheme)
    [(_, _, headers, body)] = taker.requests
    verify(scheme, secret, headers, body, now=time.time())
    if scheme == "standard":
        assert headers["webhook-id"] == "k1"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 301, 302])
def test_a_refusal_is_a_dead_letter(home: Path, status: int) -> None:
    with Taker((status, {"Location": "http://127.0.0.1:9/"}, b"no")) as taker, Hook(home, url=taker.url) as hook:
        hook.drop({"conversation_id": "C1", "text": "x"})
        [reason] = wait_for(lambda: hook.reasons)
        assert reason.class_ == "rejected"
        assert len(taker.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again_and_is_not_ambiguous(home: Path, status: int) -> None:
    """Weakness: words in the answer decided, so that a 503 whose text said "not found" was given up."""
    with Taker((status, {}, b"invalid: not found")) as taker, Hook(home, url=taker.url) as hook:
        hook.drop({"conversation_id": "C1", "text": "x"})
        [receipt] = wait_for(lambda: hook.receipts)
        assert len(taker.requests) == 2
        assert receipt.ambiguous is False


def test_a_wait_that_the_receiver_gives_is_kept() -> None:
    for value, low, high in (
        ("7", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("nonsense", 1, 1),
        ("1e9", 3600, 3600),
    ):
        with Taker((429, {"Retry-After": value}, b"")) as taker, pytest.raises(RetryLater) as caught:
            post(taker.url)
        assert low <= (caught.value.after_s or 0) <= high


def test_401_is_the_credential_s_fault_where_there_is_one() -> None:
    with Taker((401, {}, b"")) as taker, pytest.raises(AuthError):
        post(taker.url, bearer="old-token")


def test_who_knows_the_receiver_s_words_is_asked_first_and_the_status_decides_the_rest() -> None:
    def explain(status: int, text: str) -> ConfigError | None:
        return ConfigError(f"{status} {text}") if text == "closed" else None

    with Taker((200, {}, b"closed"), (404, {}, b"gone")) as taker:
        poster = Poster(TargetOptions(url=taker.url), explain=explain)
        with pytest.raises(ConfigError, match="200 closed"):
            poster.send(MESSAGE)
        with pytest.raises(Rejected):
            poster.send(MESSAGE)
        poster.close()


def test_no_answer_in_time_is_ambiguous_and_nobody_waits_longer() -> None:
    gate = threading.Event()
    with Taker() as taker:
        taker.hold = lambda: gate.wait(20)
        with pytest.raises(RetryLater) as caught:
            post(taker.url, send_timeout_s=0.2)
        gate.set()
    assert caught.value.ambiguous


def test_nobody_there_is_not_ambiguous() -> None:
    with pytest.raises(RetryLater) as caught:
        post("http://127.0.0.1:9/")
    assert not caught.value.ambiguous


def test_an_answer_without_end_is_read_to_a_bound() -> None:
    with Taker((200, {}, b"x" * 5_000_000)) as taker:
        assert post(taker.url).ids == []


def test_the_action_post_sends_its_input_as_it_is(home: Path) -> None:
    with Taker() as taker, Hook(home, url=taker.url) as hook:
        hook.drop({"action": "post", "input": {"any": ["thing"]}})
        wait_for(lambda: hook.receipts)
    assert json.loads(taker.requests[0][3]) == {"any": ["thing"]}


def test_the_address_is_a_secret_and_in_no_log_nor_reason(home: Path) -> None:
    with Taker((404, {}, b"gone")) as taker, Hook(home, url=f"{taker.url}/T0KEN-canary") as hook:
        hook.drop({"conversation_id": "C1", "text": "x"})
        wait_for(lambda: hook.reasons)
    written = [path.read_text() for path in [*home.glob("logs/*"), *home.glob("messages/failed/*.reason.json")]]
    assert "canary" not in "".join(written)


def test_with_neither_url_nor_replies_an_outgoing_is_a_dead_letter_that_says_what_to_set(home: Path) -> None:
    with Hook(home) as hook:
        hook.drop({"conversation_id": "C1", "text": "x"})
        [reason] = wait_for(lambda: hook.reasons)
        assert "set url" in reason.hint


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "ftp://a"}, "url must begin"),
        ({"url": "http://a", "bearer": "xxxx", "basic": "u:p"}, "exclude"),
        ({"basic": "nocolon"}, "user:password"),
        ({"listen": False}, "does nothing"),
        ({"path": "no-slash"}, "path must begin"),
    ],
)
def test_options_that_cannot_work_are_errors(home: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        _ = WebhookConnector("hook", home, options).options
