"""The failures that a test can ask the fake for."""

from __future__ import annotations

import http.client
import threading
import urllib.error
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.testing.slack.conftest import refused

BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError)


@pytest.mark.parametrize(
    ("kind", "error", "answer"),
    [
        ("reject", None, {"ok": False, "error": "channel_not_found"}),
        ("reject", "restricted_action", {"ok": False, "error": "restricted_action"}),
        ("auth", None, {"ok": False, "error": "invalid_auth"}),
        ("auth", "token_revoked", {"ok": False, "error": "token_revoked"}),
        ("internal", None, {"ok": False, "error": "internal_error"}),
    ],
)
def test_a_call_fails_once_and_has_no_effect(
    fake: FakeSlack, web: WebClient, kind: Any, error: str | None, answer: dict[str, Any]
) -> None:
    fake.fail_next(kind, error=error)

    assert refused(web.chat_postMessage, channel="C1", text="one") == answer
    assert web.chat_postMessage(channel="C1", text="two")["ok"]
    assert fake.said() == ["two"]
    assert [call.outcome for call in fake.journal] == [kind, "ok"]


def test_a_scope_can_be_missing_for_one_call(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("scope", error="chat:write")

    answer = refused(web.chat_postMessage, channel="C1", text="one")

    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")
    assert "chat:write" not in answer["provided"].split(",")


def test_a_rate_limit_says_when_to_come_again(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("rate_limit", retry_after_s=30)

    with pytest.raises(SlackApiError) as error:
        web.chat_postMessage(channel="C1", text="one")

    answer: Any = error.value.response
    assert (answer.status_code, answer.headers["Retry-After"], answer["error"]) == (429, "30", "ratelimited")
    assert fake.said() == []


def test_an_unavailable_slack_answers_with_a_page(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("unavailable")

    with pytest.raises(SlackApiError) as error:
        web.chat_postMessage(channel="C1", text="one")

    response: Any = error.value.response
    assert response.status_code == 503
    assert fake.said() == []


@pytest.mark.parametrize(("kind", "said"), [("drop", []), ("cut", ["one"])])
def test_a_connection_ends_before_or_after_the_effect(
    fake: FakeSlack, web: WebClient, kind: Any, said: list[str]
) -> None:
    fake.fail_next(kind)

    with pytest.raises(BROKEN):
        web.chat_postMessage(channel="C1", text="one")

    assert fake.said() == said
    assert [call.outcome for call in fake.journal] == [kind]


def test_a_timeout_has_its_effect_and_ends_when_it_is_released(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("timeout")
    errors: list[BaseException] = []

    def call() -> None:
        try:
            web.chat_postMessage(channel="C1", text="one")
        except BROKEN as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: fake.hanging == 1)
    assert fake.said() == ["one"]
    assert errors == []

    fake.release()

    thread.join(10)
    assert len(errors) == 1
    assert fake.hanging == 0


def test_stopping_the_server_ends_what_hangs(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("timeout")
    ended = threading.Event()

    def call() -> None:
        try:
            web.chat_postMessage(channel="C1", text="one")
        except BROKEN:
            ended.set()

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: fake.hanging == 1)

    fake.stop()

    thread.join(10)
    assert ended.is_set()


def test_without_a_method_only_what_people_see_fails(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("reject")

    assert web.users_info(user="U1")["ok"]
    assert web.conversations_history(channel="C1")["ok"]
    assert refused(web.chat_postMessage, channel="C1", text="one")["error"] == "channel_not_found"


def test_a_failure_waits_for_the_method_that_it_names(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("reject", "users.info", error="user_not_visible")
    fake.fail_next("internal", "*", n=2)

    assert refused(web.users_info, user="U1")["error"] == "user_not_visible"
    assert refused(web.auth_test)["error"] == "internal_error"
    assert refused(web.chat_postMessage, channel="C1", text="one")["error"] == "internal_error"
    assert web.auth_test()["ok"]


def test_what_always_fails_is_healed(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("reject", always=True)
    for _ in range(3):
        refused(web.chat_postMessage, channel="C1", text="one")

    fake.heal()

    assert web.chat_postMessage(channel="C1", text="two")["ok"]


def test_a_failure_that_does_not_exist_is_an_error(fake: FakeSlack) -> None:
    kind: Any = "explode"
    with pytest.raises(ValueError, match="explode"):
        fake.fail_next(kind)
