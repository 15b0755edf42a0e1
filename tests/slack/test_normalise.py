"""Payloads as Slack's documentation shows them, and what becomes of them.

https://docs.slack.dev/reference/events and the pages below it; https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.message import Message
from connectors.slack.incoming import Known, Me, Person, Place, dress, when
from connectors.slack.normalise import as_it_came, normalise, occurrence

ME = Me("T123ABC456", "UBOT", "B0BOT", "A123ABC456")
NAMES = Known(
    {"U123ABC456": Person("ada", "Ada"), "UBOT": Person("bot", "Bot", is_bot=True)},
    {"C123ABC456": Place("general", "channel"), "G1": Place("mpdm-a--b-1", "mpim")},
)


def wrapped(event: dict[str, Any], **envelope: Any) -> dict[str, Any]:
    """As Socket Mode delivers an event."""
    payload = {
        "token": "XXYYZZ",
        "team_id": "T123ABC456",
        "api_app_id": "A123ABC456",
        "event": event,
        "type": "event_callback",
        "authed_users": ["U123ABC456", "U222222222"],
        "event_id": "Ev123ABC456",
        "event_time": 123456789,
    }
    return {
        "type": "events_api",
        "envelope_id": "e-1",
        "payload": payload,
        "accepts_response_payload": False,
        **envelope,
    }


def seen(event: dict[str, Any], **envelope: Any) -> Message:
    """The event that comes of it."""
    found = normalise(wrapped(event, **envelope), ME, "slack-main")
    assert found is not None
    return dress(found, NAMES)


MESSAGE = {
    "type": "message",
    "channel": "C123ABC456",
    "user": "U123ABC456",
    "text": "Hello world",
    "ts": "1355517523.000005",
    "event_ts": "1355517523.000005",
    "channel_type": "channel",
}


def test_a_message() -> None:
    message = seen(MESSAGE)
    assert message.id == "slack:T123ABC456:C123ABC456:1355517523.000005"
    assert message.timestamp == "2012-12-14T20:38:43.000005+00:00"
    assert (message.sender.username, message.sender.display_name) == ("ada", "Ada")
    assert (message.conversation.name, message.conversation.type) == ("general", "channel")
    assert (message.content.text, message.content.format) == ("Hello world", "native")
    assert message.mentions_me is False


def test_an_app_mention_is_the_same_event_as_its_message() -> None:
    event = {**MESSAGE, "text": "<@UBOT> is it everything a river should be?"}
    mention = {key: value for key, value in event.items() if key != "channel_type"} | {"type": "app_mention"}
    first, second = seen(event), seen(mention)
    assert first.id == second.id
    assert first.mentions_me is second.mentions_me is True
    assert first.content.text == "@Bot is it everything a river should be?"


def test_a_text_that_people_escaped_mentions_nobody() -> None:
    message = seen({**MESSAGE, "text": "type &lt;@UBOT&gt; to call it"})
    assert (message.mentions_me, message.content.text) == (False, "type <@UBOT> to call it")


def test_a_reply_that_is_shown_in_the_channel_too() -> None:
    event = {
        "type": "message",
        "subtype": "thread_broadcast",
        "text": "broadcasting this reply",
        "user": "U123ABC456",
        "ts": "1673464745.620769",
        "thread_ts": "1673464730.703009",
        "root": {"type": "message", "text": "the original", "user": "UBOT", "ts": "1673464730.703009"},
        "channel": "C123ABC456",
        "event_ts": "1673464745.620769",
        "channel_type": "channel",
    }
    found = normalise(wrapped(event), ME, "slack-main")
    assert found is not None
    assert found.message.conversation.thread_id == "1673464730.703009"
    assert (found.mentions_me, found.why) == (True, "reply")


def test_the_first_post_of_a_thread_is_not_in_it() -> None:
    assert seen({**MESSAGE, "thread_ts": MESSAGE["ts"]}).conversation.thread_id is None


def test_a_bot_without_a_user() -> None:
    event = {
        "type": "message",
        "subtype": "bot_message",
        "ts": "1358877455.000010",
        "text": "Pushing is the answer",
        "bot_id": "BB12033",
        "username": "github",
        "icons": {},
        "channel": "C123ABC456",
    }
    message = seen(event)
    assert (message.sender.id, message.sender.username, message.sender.is_bot) == ("BB12033", "github", True)


@pytest.mark.parametrize(
    "own", [{"user": "UBOT"}, {"bot_id": "B0BOT"}, {"app_id": "A123ABC456"}, {"bot_profile": {"app_id": "A123ABC456"}}]
)
def test_own_posts_are_known_by_user_by_bot_and_by_app(own: dict[str, Any]) -> None:
    event = {key: value for key, value in MESSAGE.items() if key != "user"} | own
    changed = {"type": "message", "subtype": "message_changed", "channel": "C1", "message": event, "event_ts": "1.1"}
    assert normalise(wrapped(event), ME, "slack-main") is None
    assert normalise(wrapped(changed), ME, "slack-main") is None


def test_an_edit_as_documented_has_no_text_from_before() -> None:
    event = {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": "C123ABC456",
        "ts": "1358878755.000001",
        "message": {
            "type": "message",
            "user": "U123ABC456",
            "text": "Hello, world!",
            "ts": "1355517523.000005",
            "edited": {"user": "U123ABC456", "ts": "1358878755.000001"},
        },
    }
    message = seen(event)
    assert message.kind == "edit"
    assert message.id == "slack:T123ABC456:C123ABC456:1355517523.000005:edit:1358878755.000001"
    assert "before" not in message.metadata
    assert message.metadata["after"] == "Hello, world!"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"text": "a"}, {"text": "a", "attachments": [{"title": "preview"}]}, False),
        ({"text": "a"}, {"text": "a", "metadata": {"event_type": "locale"}}, False),
        ({"text": "a"}, {"text": "a", "reply_count": 1, "thread_ts": "1355517523.000005"}, False),
        ({"text": "a", "edited": {"ts": "5.0"}}, {"text": "a", "edited": {"ts": "5.0"}, "attachments": [{}]}, False),
        ({"text": "a"}, {"text": "b", "edited": {"ts": "5.0"}}, True),
        ({"text": "a", "edited": {"ts": "5.0"}}, {"text": "a", "edited": {"ts": "6.0"}}, True),
        ({"text": "a", "files": [{"id": "F1"}]}, {"text": "a", "files": []}, True),
    ],
)
def test_only_what_a_person_changed_is_an_edit(before: dict[str, Any], after: dict[str, Any], told: bool) -> None:
    base = {"type": "message", "user": "U123ABC456", "ts": "1355517523.000005"}
    event = {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C123ABC456",
        "event_ts": "7.0",
        "message": {**base, **after},
        "previous_message": {**base, **before},
    }
    assert (normalise(wrapped(event), ME, "slack-main") is not None) is told


def test_a_threads_first_post_that_was_deleted() -> None:
    event = {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C123ABC456",
        "event_ts": "1358878755.000001",
        "message": {"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "ts": "1355517523.000005"},
        "previous_message": {**MESSAGE, "text": "gone now"},
    }
    message = seen(event)
    assert (message.kind, message.metadata["before"]) == ("delete", "gone now")


def test_a_deletion() -> None:
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "channel": "C123ABC456",
        "ts": "1358878755.000001",
        "deleted_ts": "1355517523.000005",
        "event_ts": "1358878755.000002",
        "hidden": True,
    }
    message = seen(event)
    assert message.id == "slack:T123ABC456:C123ABC456:1355517523.000005:delete:1358878755.000002"


def test_a_reaction() -> None:
    event = {
        "type": "reaction_added",
        "user": "U123ABC456",
        "reaction": "thumbsup",
        "item_user": "UBOT",
        "item": {"type": "message", "channel": "C123ABC456", "ts": "1360782400.498405"},
        "event_ts": "1360782804.083113",
    }
    message = seen(event)
    original = "slack:T123ABC456:C123ABC456:1360782400.498405"
    assert message.id == f"{original}:reaction:U123ABC456:thumbsup:1360782804.083113"
    assert (message.content.text, message.conversation.reply_to, message.mentions_me) == (":thumbsup:", original, True)


def test_a_reaction_to_a_file_is_passed_on_as_it_came() -> None:
    item = {"type": "file", "file": "F123ABC456"}
    message = seen({"type": "reaction_added", "user": "U123ABC456", "reaction": "x", "item": item})
    assert message.kind == "event"
    assert message.event is not None
    assert message.event.payload["item"] == item


def test_somebody_joined() -> None:
    event = {
        "type": "member_joined_channel",
        "user": "W123ABC456",
        "channel": "C123ABC456",
        "channel_type": "C",
        "team": "T123ABC456",
        "inviter": "U123456789",
    }
    message = seen(event)
    assert (message.kind, message.metadata["membership"], message.sender.id) == ("membership", "joined", "U123456789")


def test_a_group_of_people() -> None:
    message = seen({**MESSAGE, "channel": "G1", "channel_type": "mpim"})
    assert message.conversation.type == "group"


def test_a_slash_command_in_a_direct_conversation() -> None:
    payload = {
        "token": "gIkuvaNzQIHg97ATvDxqgjtO",
        "team_id": "T0001",
        "team_domain": "example",
        "channel_id": "D2147483705",
        "channel_name": "directmessage",
        "user_id": "U2147483697",
        "user_name": "Steve",
        "command": "/weather",
        "text": "94070",
        "response_url": "https://hooks.slack.com/commands/1234/5678",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        "api_app_id": "A123456",
    }
    envelope = {"type": "slash_commands", "envelope_id": "e-1", "payload": payload}
    found = normalise(envelope, ME, "slack-main")
    assert found is not None
    message = dress(found, NAMES)
    assert message.id == "slack:T123ABC456:command:13345224609.738474920.8088930838d88f008e0"
    assert (message.content.text, message.conversation.type, found.direct) == ("/weather 94070", "dm", True)
    assert "gIkuvaNzQIHg97ATvDxqgjtO" not in message.to_json()


BUTTON = {
    "type": "block_actions",
    "user": {"id": "U123ABC456", "username": "ada", "name": "ada", "team_id": "T123ABC456"},
    "api_app_id": "A123ABC456",
    "token": "xAbCdEfGhIjKlMnOpQrStUvW",
    "container": {
        "type": "message",
        "message_ts": "1767326126.896109",
        "channel_id": "C123ABC456",
        "is_ephemeral": False,
    },
    "trigger_id": "10215325802133.3901254001572.2e2548aa918b35fd85829545c2d4ae2b",
    "channel": {"id": "C123ABC456", "name": "general"},
    "message": {"user": "UBOT", "type": "message", "ts": "1767326126.896109", "thread_ts": "1767326125.870439"},
    "response_url": "https://hooks.slack.com/actions/T1/2/3",
}


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ({"type": "button", "text": {"type": "plain_text", "text": "Show Info"}}, "Show Info"),
        ({"type": "button", "value": "yes"}, "yes"),
        ({"type": "static_select", "selected_option": {"value": "b", "text": {"text": "B"}}}, "b"),
        ({"type": "multi_users_select", "selected_users": ["U1", "U2"]}, "U1, U2"),
        ({"type": "checkboxes", "selected_options": [{"value": "x"}, {"value": "y"}]}, "x, y"),
        ({"type": "datepicker", "selected_date": "2026-01-31"}, "2026-01-31"),
        ({"type": "datetimepicker", "selected_date_time": 1769860000}, "1769860000"),
        ({"type": "conversations_select", "selected_conversation": "C9"}, "C9"),
    ],
)
def test_what_was_clicked_or_chosen(element: dict[str, Any], value: str) -> None:
    action = {"action_id": "info", "block_id": "P0z+f", "action_ts": "1767326130.289415", **element}
    envelope = {"type": "interactive", "envelope_id": "e-1", "payload": {**BUTTON, "actions": [action]}}
    found = normalise(envelope, ME, "slack-main")
    assert found is not None
    message = dress(found, NAMES)
    assert (message.kind, message.content.text, message.conversation.thread_id) == (
        "button",
        value,
        "1767326125.870439",
    )
    assert message.conversation.reply_to == "slack:T123ABC456:C123ABC456:1767326126.896109"
    assert message.metadata["actions"][0]["action_id"] == "info"
    assert message.metadata["response_url"] == BUTTON["response_url"]
    assert "xAbCdEfGhIjKlMnOpQrStUvW" not in message.to_json()


def test_a_modal_that_was_closed_has_an_id_of_its_own() -> None:
    view = {"id": "V1", "hash": "1.abc", "callback_id": "ticket", "type": "modal"}
    payload = {"type": "view_closed", "user": {"id": "U123ABC456"}, "view": view, "is_cleared": False}
    found = normalise({"type": "interactive", "payload": payload}, ME, "slack-main")
    assert found is not None
    assert found.message.id == "slack:T123ABC456:button:V1:view_closed:1.abc"
    assert (found.message.conversation.id, found.direct) == ("U123ABC456", True)


@pytest.mark.parametrize(
    ("ts", "time"),
    [
        ("1355517523.000005", "2012-12-14T20:38:43.000005+00:00"),
        ("1355517523.5", "2012-12-14T20:38:43.500000+00:00"),
        ("0.000001", "1970-01-01T00:00:00.000001+00:00"),
    ],
)
def test_a_ts_is_exact_to_the_microsecond(ts: str, time: str) -> None:
    assert when(ts) == time


@pytest.mark.parametrize("ts", ["", "999999999999.000001", "yesterday", "-1.0"])
def test_a_ts_that_is_none_is_now(ts: str) -> None:
    assert when(ts).startswith("20")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("type", "subtype", "channel", "ts", "user", "text", "message", "previous_message", "files", "blocks"),
    *("attachments", "item", "event_ts", "thread_ts", "deleted_ts", "edited", "bot_profile", "view", "actions"),
    *("state", "container", "root", "reaction", "channel_type", "user_profile", "trigger_id"),
]
KINDS = [
    *("message", "app_mention", "message_changed", "message_deleted", "reaction_added", "member_joined_channel"),
    *("channel_left", "block_actions", "view_submission", "new"),
]


@given(
    st.sampled_from(["events_api", "interactive", "slash_commands", "new", ""]),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8),
    st.sampled_from(KINDS),
    st.sampled_from(KINDS),
)
def test_nothing_that_comes_makes_it_fail(kind: str, fields: dict[str, Any], first: str, second: str) -> None:
    event = {"channel": "C1", "ts": "1.0", "message": {"ts": "1.0"}, "deleted_ts": "1.0", **fields}
    event |= {"type": first, "subtype": second}
    payload = {"event": event, **event}
    envelope = {"type": kind, "envelope_id": "e", "payload": payload}
    twice = [
        [normalise(envelope, ME, "i"), as_it_came(envelope, ME, "i"), occurrence(event, ME, "i")] for _ in range(2)
    ]
    for found, again in zip(*twice, strict=True):
        if found is not None and again is not None:
            message = dress(found, NAMES)
            assert Message.from_json(message.to_bytes()).id == message.id
            assert found.message.id == again.message.id, "a redelivery has the same id"
