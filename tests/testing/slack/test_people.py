"""What people do on the fake, as a connected app sees it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from slack_sdk import WebClient

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.testing.slack.conftest import App

BUTTON = [{"type": "actions", "elements": [{"type": "button", "action_id": "yes", "value": "1"}]}]


def settled(fake: FakeSlack) -> bool:
    """Whether the app got everything."""
    return not fake.unacknowledged


def events(fake: FakeSlack, app: App) -> list[dict[str, Any]]:
    """The events that came, in the order in which they were caused."""
    wait_for(lambda: settled(fake))
    found = [request.payload for request in list(app.requests) if request.type == "events_api"]
    return [payload["event"] for payload in sorted(found, key=lambda payload: str(payload["event_id"]))]


def answer(url: str, **body: Any) -> int:
    """Use a response_url; returns the HTTP status."""
    return httpx.post(url, json=body).status_code


@pytest.mark.parametrize(
    ("mention_first", "order"), [(False, ["message", "app_mention"]), (True, ["app_mention", "message"])]
)
def test_a_mention_comes_twice_in_either_order(
    fake: FakeSlack, app: App, mention_first: bool, order: list[str]
) -> None:
    ts = fake.post("C1", "U1", f"{fake.mention} hello", mention_first=mention_first)

    came = events(fake, app)
    assert [event["type"] for event in came] == order
    assert {(event["ts"], event["text"], event["channel"]) for event in came} == {(ts, "<@UBOT> hello", "C1")}
    assert len(fake.event_ids(ts)) == 2


def test_a_direct_message_has_its_kind_and_comes_once(fake: FakeSlack, app: App) -> None:
    fake.post("D1", "U1", f"{fake.mention} hello")

    (event,) = events(fake, app)
    assert (event["channel"], event["channel_type"], event["user"]) == ("D1", "im", "U1")


def test_nothing_is_heard_of_channels_without_the_bot(fake: FakeSlack, app: App) -> None:
    fake.post("C2", "U1", "among us")
    fake.invite_bot("C2")
    fake.post("C2", "U1", "hello bot")

    joined, notice, message = events(fake, app)
    assert (joined["type"], joined["user"], joined["inviter"]) == ("member_joined_channel", "UBOT", "U1")
    assert (notice["subtype"], message["text"]) == ("channel_join", "hello bot")


def test_scopes_and_subscriptions_decide_what_is_delivered(fake: FakeSlack, app: App) -> None:
    fake.scopes.discard("reactions:read")
    fake.subscriptions = {"app_mention", "reaction_added", "message.im"}

    ts = fake.post("C1", "U1", f"{fake.mention} hello")
    fake.react("C1", ts, "U1", "wave")
    fake.post("D1", "U1", "psst")

    assert [event["type"] for event in events(fake, app)] == ["app_mention", "message"]


def test_an_edit_shows_before_and_after(fake: FakeSlack, app: App) -> None:
    ts = fake.post("C1", "U1", "helo")
    fake.edit("C1", ts, "hello")

    _, event = events(fake, app)
    assert (event["subtype"], event["hidden"]) == ("message_changed", True)
    assert (event["previous_message"]["text"], event["message"]["text"]) == ("helo", "hello")
    assert event["message"]["edited"]["user"] == "U1"
    assert event["message"]["ts"] == ts != event["ts"]


def test_an_unfurl_is_a_change_that_nobody_made(fake: FakeSlack, app: App) -> None:
    ts = fake.post("C1", "U1", "https://example.org")
    fake.unfurl("C1", ts, [{"title": "Example"}])

    _, event = events(fake, app)
    assert event["subtype"] == "message_changed"
    assert "edited" not in event["message"]
    assert event["message"]["text"] == event["previous_message"]["text"]


def test_a_deletion_names_what_is_gone(fake: FakeSlack, app: App) -> None:
    ts = fake.post("C1", "U1", "oh")
    fake.delete("C1", ts)

    _, event = events(fake, app)
    assert (event["subtype"], event["deleted_ts"], event["previous_message"]["text"]) == ("message_deleted", ts, "oh")
    assert fake.messages("C1") == []


def test_reactions_come_and_go(fake: FakeSlack, app: App, web: WebClient) -> None:
    ts = web.chat_postMessage(channel="C1", text="hi")["ts"]
    fake.react("C1", str(ts), "U1", "wave")
    fake.unreact("C1", str(ts), "U1", "wave")

    came = events(fake, app)[1:]
    assert [(e["type"], e["user"], e["reaction"], e["item_user"], e["item"]["ts"]) for e in came] == [
        ("reaction_added", "U1", "wave", "UBOT", ts),
        ("reaction_removed", "U1", "wave", "UBOT", ts),
    ]


def test_the_bot_hears_itself(fake: FakeSlack, app: App, web: WebClient) -> None:
    web.chat_postMessage(channel="C1", text="hi")

    (event,) = events(fake, app)
    assert (event["bot_id"], event["user"], event["app_id"]) == ("B1", "UBOT", "A1")


def test_other_bots_speak_as_users_or_as_bot_messages(fake: FakeSlack, app: App) -> None:
    fake.post_as_bot("C1", "beep")
    fake.post_as_bot("C1", "boop", user=None, username="hook")

    modern, classic = events(fake, app)
    assert (modern["user"], modern["bot_id"], "subtype" in modern) == ("U9", "B9", False)
    assert (classic["subtype"], classic["username"], "user" in classic) == ("bot_message", "hook", False)
    assert fake.world.users["U9"]["is_bot"]


def test_files_subtypes_and_broadcasts_are_in_their_events(fake: FakeSlack, app: App) -> None:
    root = fake.post("C1", "U1", "look", files={"a.txt": b"a"})
    fake.post("C1", "U1", "too", thread_ts=root, broadcast=True)
    fake.post("C1", "U1", "waves", subtype="me_message")
    fake.post("C1", "U1", "?", subtype="nobody_knows")

    share, broadcast, me, unknown = events(fake, app)
    assert (share["subtype"], share["files"][0]["name"]) == ("file_share", "a.txt")
    assert (broadcast["subtype"], broadcast["thread_ts"], broadcast["root"]["ts"]) == ("thread_broadcast", root, root)
    assert (me["subtype"], unknown["subtype"]) == ("me_message", "nobody_knows")


def test_channels_are_renamed_archived_and_left(fake: FakeSlack, app: App) -> None:
    fake.rename("C1", "lobby")
    fake.leave("C1", "U2")
    fake.archive("C1")
    fake.leave("C1", "UBOT")

    assert [event["type"] for event in events(fake, app)] == [
        "channel_rename",
        "message",
        "member_left_channel",
        "message",
        "channel_archive",
        "channel_left",
    ]


def test_what_was_said_earlier_has_its_time(fake: FakeSlack, web: WebClient) -> None:
    fake.post("C1", "U1", "now")
    ts = fake.post("C1", "U1", "then", at=1_700_000_000.25)

    assert ts == "1700000000.250000"
    assert [m["text"] for m in web.conversations_history(channel="C1")["messages"]] == ["now", "then"]


def test_a_button_comes_with_its_message_and_an_address_for_answers(fake: FakeSlack, app: App, web: WebClient) -> None:
    ts = str(web.chat_postMessage(channel="C1", text="yes or no?", blocks=BUTTON)["ts"])

    click = fake.press_button("C1", ts, "U1", "yes", value="1")

    wait_for(lambda: fake.acknowledged(click))
    (request,) = [request for request in app.requests if request.type == "interactive"]
    assert request.accepts_response_payload
    assert (request.payload["actions"][0]["action_id"], request.payload["user"]["id"]) == ("yes", "U1")
    assert request.payload["message"]["ts"] == request.payload["container"]["message_ts"] == ts
    url = request.payload["response_url"]
    assert answer(url, text="done", replace_original=True) == 200
    assert fake.messages("C1")[0]["text"] == "done"
    assert answer(url, text="only you") == 200
    assert [(m["user"], m["text"]) for m in fake.ephemeral("C1")] == [("U1", "only you")]
    assert [call.outcome for call in fake.calls("response_url")] == ["ok", "ok"]


def test_a_response_url_works_five_times_for_half_an_hour() -> None:
    now = [1_700_000_000.0]
    with FakeSlack(clock=lambda: now[0], retry_waits_s=()) as fake:
        fake.slash_command("C1", "U1", "/ask", "why")
        fake.slash_command("C1", "U1", "/ask", "how")
        wait_for(lambda: len(fake.lost) == 2)
        often, late = (pending.payload["response_url"] for pending in fake.lost)

        statuses = [answer(often, text=str(n), response_type="in_channel") for n in range(6)]
        now[0] += 30 * 60 + 1

        assert statuses == [200] * 5 + [404]
        assert answer(late, text="too late") == 404
        assert fake.said("C1") == ["0", "1", "2", "3", "4"]


def test_a_command_is_answered_by_its_acknowledgement(fake: FakeSlack, app: App) -> None:
    app.acknowledges = lambda request: {"text": f"you asked {request.payload['text']}"}

    command = fake.slash_command("C1", "U1", "/ask", "why")

    wait_for(lambda: fake.acknowledged(command))
    (request,) = app.requests
    assert (request.type, request.payload["command"], request.payload["user_id"]) == ("slash_commands", "/ask", "U1")
    assert fake.ephemeral("C1")[0]["text"] == "you asked why"
    assert fake.acks[0].payload == {"text": "you asked why"}


def test_a_command_that_is_not_acknowledged_is_not_delivered_again() -> None:
    with FakeSlack(ack_timeout_s=0.05, retry_waits_s=(0.0, 0.0)) as fake:
        app = App(fake)
        fake.wait_connected()
        app.acknowledges = lambda request: False

        fake.slash_command("C1", "U1", "/ask")

        wait_for(lambda: fake.lost)
        wait_for(lambda: app.requests)
        app.close()
    assert len(app.requests) == 1


def test_shortcuts_and_modals_are_interactive(fake: FakeSlack, app: App) -> None:
    ts = fake.post("C1", "U1", "note this")
    anywhere = fake.shortcut("U1", "remind")
    on_message = fake.shortcut("U1", "note", channel="C1", ts=ts)
    form = fake.submit_modal("U1", "form", {"b": {"a": {"type": "plain_text_input", "value": "x"}}})

    wait_for(lambda: all(fake.acknowledged(each) for each in (anywhere, on_message, form)))
    payloads = {r.payload["trigger_id"]: r.payload for r in app.requests if r.type == "interactive"}
    assert payloads[anywhere]["type"] == "shortcut"
    assert (payloads[on_message]["type"], payloads[on_message]["message"]["ts"]) == ("message_action", ts)
    assert payloads[form]["view"]["state"]["values"]["b"]["a"]["value"] == "x"


def test_any_envelope_and_any_event_can_be_sent(fake: FakeSlack, app: App) -> None:
    envelope = fake.envelope("telepathy", {"thought": 1})
    event = fake.event({"type": "app_home_opened", "user": "U1", "tab": "home"})

    wait_for(lambda: fake.acknowledged(envelope) and fake.acknowledged(str(event)))
    assert sorted(request.type for request in app.requests) == ["events_api", "telepathy"]
