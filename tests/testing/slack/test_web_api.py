"""The Web API of the fake, asked by slack-sdk's WebClient."""

import json
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from connectors.testing.slack import FakeSlack
from tests.testing.slack.conftest import refused


def test_the_token_says_who_the_bot_is(fake: FakeSlack, web: WebClient) -> None:
    answer = web.auth_test()

    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == ("UBOT", "B1", "T1")
    assert web.bots_info(bot=answer["bot_id"])["bot"]["user_id"] == "UBOT"
    assert set(answer.headers["X-OAuth-Scopes"].split(",")) == fake.scopes


@pytest.mark.parametrize(
    ("token", "error"),
    [("xoxb-wrong", "invalid_auth"), ("", "not_authed"), ("the app's", "not_allowed_token_type")],
)
def test_a_token_that_is_not_the_bots_is_refused(fake: FakeSlack, token: str, error: str) -> None:
    token = fake.app_token if token == "the app's" else token
    assert refused(WebClient(token, base_url=fake.api_url).auth_test) == {"ok": False, "error": error}


def test_a_revoked_token_is_refused_until_it_is_good_again(fake: FakeSlack, web: WebClient) -> None:
    fake.revoke("account_inactive")
    assert refused(web.auth_test)["error"] == "account_inactive"

    fake.revoke(None)
    assert web.auth_test()["ok"]


def test_the_app_token_opens_sockets_and_the_bot_token_does_not(fake: FakeSlack, web: WebClient) -> None:
    assert refused(web.apps_connections_open, app_token=fake.bot_token)["error"] == "not_allowed_token_type"
    assert web.apps_connections_open(app_token=fake.app_token)["url"].startswith("ws://127.0.0.1:")


def test_a_missing_scope_is_named(fake: FakeSlack, web: WebClient) -> None:
    fake.scopes.discard("chat:write")

    with pytest.raises(SlackApiError) as error:
        web.chat_postMessage(channel="C1", text="hi")

    answer: Any = error.value.response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")
    assert answer["provided"] == ",".join(sorted(fake.scopes))
    assert answer.headers["X-Accepted-OAuth-Scopes"] == "chat:write"
    assert fake.messages("C1") == []


def test_an_unknown_method_is_said(web: WebClient) -> None:
    assert refused(web.api_call, api_method="chat.shout")["error"] == "unknown_method"


def test_forms_json_and_queries_are_all_understood(fake: FakeSlack, web: WebClient) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}}]
    sent = {"channel": "C1", "text": "hi", "blocks": json.dumps(blocks)}

    web.api_call("chat.postMessage", data=sent)
    web.api_call("chat.postMessage", json={**sent, "blocks": blocks})
    web.api_call("chat.postMessage", http_verb="GET", params=sent)

    assert [message["blocks"] for message in fake.messages("C1")] == [blocks] * 3
    assert [call.args["blocks"] for call in fake.calls("chat.postMessage")] == [blocks] * 3


def test_a_body_that_is_no_json_is_said(fake: FakeSlack) -> None:
    headers = {"Authorization": f"Bearer {fake.bot_token}", "Content-Type": "application/json"}
    answer = httpx.post(f"{fake.api_url}chat.postMessage", content=b"{oh", headers=headers)

    assert answer.json() == {"ok": False, "error": "invalid_json"}


def test_no_token_is_in_the_journal(fake: FakeSlack, web: WebClient) -> None:
    web.chat_postMessage(channel="C1", text="hi")
    web.apps_connections_open(app_token=fake.app_token)
    form = {"token": fake.bot_token, "channel": "C1", "text": "hi"}
    assert httpx.post(f"{fake.api_url}chat.postMessage", data=form).json()["ok"]

    assert [call.outcome for call in fake.journal] == ["ok"] * 3
    assert fake.bot_token not in repr(fake.journal)
    assert fake.app_token not in repr(fake.journal)


def test_a_message_is_posted_as_the_bot(fake: FakeSlack, web: WebClient) -> None:
    metadata = {"event_type": "mark", "event_payload": {"key": "k1"}}
    answer = web.chat_postMessage(channel="C1", text="hi", metadata=metadata, unfurl_links=False)

    (message,) = fake.messages("C1")
    assert answer["ts"] == message["ts"]
    assert (message["text"], message["user"], message["bot_id"]) == ("hi", "UBOT", "B1")
    assert message["metadata"] == metadata
    assert fake.said("C1") == ["hi"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C404", "text": "hi"}, "channel_not_found"),
        ({"channel": "C2", "text": "hi"}, "not_in_channel"),
        ({"channel": "C1", "text": ""}, "no_text"),
        ({"channel": "C1", "markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"channel": "C1", "markdown_text": "x", "text": "y"}, "markdown_text_conflict"),
        ({"channel": "C1", "blocks": "[oh"}, "invalid_blocks_format"),
        ({"channel": "C1", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "C1", "text": "x", "attachments": [{"text": "a"}] * 101}, "too_many_attachments"),
        ({"channel": "C1", "text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"channel": "C1", "text": "x", "thread_ts": ""}, "invalid_thread_ts"),
        ({"channel": "C1", "text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"channel": "C1", "text": "x", "thread_ts": "1700000000.000001"}, "thread_not_found"),
    ],
)
def test_what_cannot_be_posted_is_refused_with_slacks_word(
    fake: FakeSlack, web: WebClient, arguments: dict[str, Any], error: str
) -> None:
    assert refused(web.api_call, api_method="chat.postMessage", json=arguments)["error"] == error
    assert fake.calls("chat.postMessage")[-1].outcome == error
    assert fake.said() == []


def test_an_archived_channel_takes_no_messages(fake: FakeSlack, web: WebClient) -> None:
    fake.archive("C1")

    assert refused(web.chat_postMessage, channel="C1", text="hi")["error"] == "is_archived"


def test_a_text_is_cut_at_forty_thousand_characters(fake: FakeSlack, web: WebClient) -> None:
    web.chat_postMessage(channel="C1", text="é" * 40_001)

    assert fake.said("C1") == ["é" * 40_000]


def test_a_user_id_and_a_name_lead_to_their_channel(fake: FakeSlack, web: WebClient) -> None:
    assert web.chat_postMessage(channel="U2", text="psst")["channel"] == "D2"
    assert web.chat_postMessage(channel="#general", text="all")["channel"] == "C1"
    assert fake.said() == ["psst", "all"]


def test_replies_are_counted_in_their_root(fake: FakeSlack, web: WebClient) -> None:
    root = fake.post("C1", "U1", "question")
    reply = web.chat_postMessage(channel="C1", text="answer", thread_ts=root)["ts"]
    deeper = web.chat_postMessage(channel="C1", text="more", thread_ts=reply)

    assert deeper["message"]["thread_ts"] == root
    assert fake.messages("C1")[0]["reply_count"] == 2
    assert [m["text"] for m in web.conversations_replies(channel="C1", ts=root)["messages"]] == [
        "question",
        "answer",
        "more",
    ]
    assert [m["text"] for m in web.conversations_history(channel="C1")["messages"]] == ["question"]


def test_a_broadcast_reply_is_in_the_channel_too(web: WebClient, fake: FakeSlack) -> None:
    root = fake.post("C1", "U1", "question")
    web.chat_postMessage(channel="C1", text="answer", thread_ts=root, reply_broadcast=True)

    newest = web.conversations_history(channel="C1")["messages"][0]
    assert (newest["subtype"], newest["root"]["text"]) == ("thread_broadcast", "question")


def test_the_bot_changes_and_takes_back_its_own_messages_only(fake: FakeSlack, web: WebClient) -> None:
    own = web.chat_postMessage(channel="C1", text="helo")["ts"]
    other = fake.post("C1", "U1", "hi")

    assert web.chat_update(channel="C1", ts=own, text="hello")["text"] == "hello"
    assert fake.messages("C1")[0]["edited"]["user"] == "UBOT"
    assert refused(web.chat_update, channel="C1", ts=other, text="x")["error"] == "cant_update_message"
    assert refused(web.chat_update, channel="C1", ts=own, text="x" * 4_001)["error"] == "msg_too_long"
    assert refused(web.chat_delete, channel="C1", ts=other)["error"] == "cant_delete_message"
    web.chat_delete(channel="C1", ts=own)
    assert refused(web.chat_delete, channel="C1", ts=own)["error"] == "message_not_found"
    assert [message["text"] for message in fake.messages("C1")] == ["hi"]


def test_an_ephemeral_message_is_seen_by_one_person(fake: FakeSlack, web: WebClient) -> None:
    web.chat_postEphemeral(channel="C1", user="U1", text="only you")

    assert [(m["user"], m["text"]) for m in fake.ephemeral("C1")] == [("U1", "only you")]
    assert fake.messages("C1") == []
    assert refused(web.chat_postEphemeral, channel="C1", user="U7", text="x")["error"] == "user_not_in_channel"


def test_a_permalink_names_channel_and_message(fake: FakeSlack, web: WebClient) -> None:
    ts = fake.post("C1", "U1", "hi")

    link = web.chat_getPermalink(channel="C1", message_ts=ts)["permalink"]

    assert link.endswith(f"/archives/C1/p{ts.replace('.', '')}")


def test_history_goes_back_page_by_page(fake: FakeSlack, web: WebClient) -> None:
    stamps = [fake.post("C1", "U1", str(number)) for number in range(7)]

    texts, cursor = [], None
    while cursor != "":
        answer = web.conversations_history(channel="C1", limit=3, cursor=cursor)
        texts.append([message["text"] for message in answer["messages"]])
        cursor = answer["response_metadata"]["next_cursor"]

    assert texts == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    between: dict[str, Any] = {"channel": "C1", "oldest": stamps[1], "latest": stamps[3]}
    assert [m["text"] for m in web.conversations_history(**between)["messages"]] == ["2"]
    assert [m["text"] for m in web.conversations_history(**between, inclusive=True)["messages"]] == ["3", "2", "1"]
    assert refused(web.conversations_history, channel="C1", cursor="oh")["error"] == "invalid_cursor"


def test_metadata_is_in_the_history_on_demand(web: WebClient) -> None:
    metadata = {"event_type": "mark", "event_payload": {"key": "k1"}}
    web.chat_postMessage(channel="C1", text="hi", metadata=metadata)

    (plain,) = web.conversations_history(channel="C1")["messages"]
    (full,) = web.conversations_history(channel="C1", include_all_metadata=True)["messages"]

    assert "metadata" not in plain
    assert full["metadata"] == metadata


def test_a_channel_without_the_bot_has_no_history_until_it_joins(web: WebClient) -> None:
    assert refused(web.conversations_history, channel="C2")["error"] == "not_in_channel"
    assert not web.conversations_info(channel="C2")["channel"]["is_member"]

    web.conversations_join(channel="C2")

    assert web.conversations_history(channel="C2")["messages"] == []
    assert "UBOT" in web.conversations_members(channel="C2")["members"]


def test_each_kind_of_channel_wants_its_own_scope(fake: FakeSlack, web: WebClient) -> None:
    fake.scopes.discard("groups:history")

    assert refused(web.conversations_history, channel="G1")["needed"] == "groups:history"
    assert web.conversations_history(channel="C1")["ok"]


def test_conversations_are_listed_by_kind(web: WebClient) -> None:
    def listed(types: str) -> list[str]:
        return [channel["id"] for channel in web.conversations_list(types=types)["channels"]]

    assert listed("public_channel") == ["C1", "C2"]
    assert listed("private_channel,im") == ["G1", "D1", "D2"]
    assert refused(web.conversations_list, types="secret")["error"] == "invalid_types"


def test_a_direct_conversation_is_opened_once(fake: FakeSlack, web: WebClient) -> None:
    fake.add_user("U3", "carol")

    assert web.conversations_open(users="U1")["channel"]["id"] == "D1"
    first = web.conversations_open(users="U3")["channel"]["id"]
    assert web.conversations_open(users=["U3"])["channel"]["id"] == first
    assert web.conversations_open(users=["U1", "U2"], return_im=True)["channel"]["is_mpim"]


def test_users_are_found_one_by_one_and_in_pages(web: WebClient) -> None:
    assert web.users_info(user="U1")["user"]["profile"]["display_name"] == "alice"
    assert refused(web.users_info, user="U404")["error"] == "user_not_found"

    page = web.users_list(limit=2)
    rest = web.users_list(limit=2, cursor=page["response_metadata"]["next_cursor"])

    assert [user["id"] for user in [*page["members"], *rest["members"]]] == ["U1", "U2", "UBOT"]


def test_a_reaction_is_added_once_and_removed_once(fake: FakeSlack, web: WebClient) -> None:
    ts = fake.post("C1", "U1", "hi")
    at: dict[str, Any] = {"channel": "C1", "timestamp": ts, "name": "wave"}
    fake.react("C1", ts, "U2", "wave")

    web.reactions_add(**at)

    assert refused(web.reactions_add, **at)["error"] == "already_reacted"
    assert web.reactions_get(channel="C1", timestamp=ts)["message"]["reactions"] == [
        {"name": "wave", "users": ["U2", "UBOT"], "count": 2}
    ]
    web.reactions_remove(**at)
    assert refused(web.reactions_remove, **at)["error"] == "no_reaction"
    assert refused(web.reactions_add, **{**at, "name": "no such thing"})["error"] == "invalid_name"


def test_a_status_stays_until_the_bot_answers(fake: FakeSlack, web: WebClient) -> None:
    ts = fake.post("D1", "U1", "hi")

    web.assistant_threads_setStatus(channel_id="D1", thread_ts=ts, status="thinks")
    assert fake.statuses("D1") == {ts: "thinks"}

    web.chat_postMessage(channel="D1", thread_ts=ts, text="done")
    assert fake.statuses("D1") == {}


def test_a_method_with_a_rate_answers_429_above_it() -> None:
    with FakeSlack(rates={"chat.postMessage": (1, 3600.0)}) as fake:
        web = WebClient(fake.bot_token, base_url=fake.api_url, retry_handlers=[])
        web.chat_postMessage(channel="C1", text="one")
        web.chat_postMessage(channel="D1", text="elsewhere")

        with pytest.raises(SlackApiError) as error:
            web.chat_postMessage(channel="C1", text="two")

        answer: Any = error.value.response
        assert (answer.status_code, answer["error"]) == (429, "ratelimited")
        assert int(answer.headers["Retry-After"]) == 3600
        assert fake.said() == ["one", "elsewhere"]
