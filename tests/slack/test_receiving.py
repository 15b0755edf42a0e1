"""What comes in, against the fake: one test for each promise."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.slack.live import Live

BOT = "<@UBOT>"


def test_a_post_has_ids_names_and_the_raw_text(live: Live) -> None:
    ts = live.fake.post("C1", "U1", "hello <@U2> in <#C2> &amp; co")
    event = live.event()
    assert event.id == f"slack:T1:C1:{ts}"
    assert event.content.text == "hello @bob in #random & co"
    assert event.metadata["raw_text"] == "hello <@U2> in <#C2> &amp; co"
    assert (event.sender.id, event.sender.display_name, event.sender.trust) == ("U1", "alice", "allowed")
    assert (event.conversation.id, event.conversation.name, event.conversation.type) == ("C1", "general", "channel")
    assert event.mentions_me is False
    assert event.metadata["why"] == "all"


@pytest.mark.parametrize("mention_first", [False, True])
def test_message_and_app_mention_of_one_post_are_one_event(live: Live, mention_first: bool) -> None:
    live.fake.post("C1", "U1", f"{BOT} are you there?", mention_first=mention_first)
    live.settled()
    [event] = live.events
    assert event.mentions_me is True
    assert event.content.text == "@fakebot are you there?"


def test_in_a_channel_only_what_addresses_the_bot_comes_in_by_default(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, groups="mention") as live:
        fake.post("C1", "U1", "among ourselves")
        root = fake.post("C1", "U2", f"{BOT} hello")
        live.event()
        answer = live.sent(conversation_id="C1", text="yes?", thread_id=root).ids[0]
        own = live.sent(conversation_id="C1", text="a thread of mine").ids[0]
        fake.post("C1", "U2", "in a thread of the bot's", thread_ts=own)
        fake.react("C1", own, "U2", "eyes")
        live.settled()
        assert [(event.content.text, event.metadata["why"]) for event in live.events] == [
            ("@fakebot hello", "mention"),
            ("in a thread of the bot's", "reply"),
            (":eyes:", "reply"),
        ]
        assert answer


def test_a_stranger_gets_a_pairing_code_once_and_is_not_heard(live: Live) -> None:
    live.fake.post("D2", "U2", "let me in")
    live.fake.post("D2", "U2", "please")
    live.settled()
    [said] = wait_for(lambda: live.fake.said("D2"))
    assert "connectors pair approve" in said
    assert live.events == []


def test_a_stranger_who_only_reacts_is_told_nothing(live: Live) -> None:
    own = live.sent(conversation_id="D2", text="good morning").ids[0]
    live.fake.react("D2", own, "U2", "wave")
    live.settled()
    assert (live.fake.said("D2"), live.events) == (["good morning"], [])
    assert not (live.connector.state_dir / "pairing.json").exists(), "no code was made for them"


def test_a_direct_message_and_its_thread(live: Live) -> None:
    root = live.fake.post("D1", "U1", "hello")
    live.fake.post("D1", "U1", "and more", thread_ts=root)
    live.settled()
    first, second = live.events
    assert (first.conversation.type, first.conversation.thread_id, first.mentions_me) == ("dm", None, True)
    assert second.conversation.thread_id == root


def test_the_kinds_of_posts_that_people_make_come_in(live: Live) -> None:
    root = live.fake.post("C1", "U1", "plain")
    live.fake.post("C1", "U1", "me", subtype="me_message")
    live.fake.post("C1", "U1", "to all", thread_ts=root, broadcast=True)
    live.fake.post("C1", "U1", "", blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "in a *block*"}}])
    live.settled()
    assert live.texts() == ["plain", "me", "to all", "in a *block*"]


def test_what_slack_writes_about_a_channel_is_acknowledged_and_no_event(live: Live) -> None:
    live.fake.post("C1", "U1", "set the topic", subtype="channel_topic")
    live.fake.post("C1", "U1", "real")
    live.settled()
    assert live.texts() == ["real"]


def test_an_unknown_subtype_is_an_event_with_its_payload(live: Live) -> None:
    live.fake.post("C1", "U1", "whatever this is", subtype="brand_new_thing")
    event = live.event()
    assert event.kind == "event"
    assert event.event is not None
    assert event.event.platform_event == "message.brand_new_thing"
    assert event.event.payload["text"] == "whatever this is"


def test_own_posts_are_never_events(live: Live) -> None:
    live.sent(conversation_id="C1", text="it was me")
    live.fake.post_as_bot("C1", "me again, by app", bot_id="B7", app_id="A1", user="U7")
    live.settled()
    assert live.events == []


def test_bots_come_in_only_when_they_are_allowed(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow={"conversations": ["C1"], "bots": ["U9"]}) as live:
        fake.post_as_bot("C1", "allowed")
        fake.post_as_bot("C1", "not allowed", bot_id="B8", app_id="A8", user="U8")
        fake.post_as_bot("C1", "no user", bot_id="B7", app_id="A7", user=None)
        live.settled()
        assert [(e.content.text, e.sender.is_bot) for e in live.events] == [("allowed", True)]


def test_two_bots_that_answer_each_other_are_capped(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow={"conversations": ["C1"], "bots": ["*"]}) as live:
        for n in range(25):
            fake.post_as_bot("C1", f"{n}")
        live.settled()
        assert len(live.events) == 20


def test_an_edit_has_before_and_after(live: Live) -> None:
    ts = live.fake.post("C1", "U1", "before")
    at = live.fake.edit("C1", ts, "after <@U2>")
    event = live.event(lambda e: e.kind == "edit")
    assert event.id == f"slack:T1:C1:{ts}:edit:{at}"
    assert (event.metadata["before"], event.metadata["after"], event.content.text) == (
        "before",
        "after @bob",
        "after @bob",
    )
    assert event.conversation.reply_to == f"slack:T1:C1:{ts}"


def test_previews_of_links_are_no_edits(live: Live) -> None:
    ts = live.fake.post("C1", "U1", "https://example.com")
    live.fake.unfurl("C1", ts, [{"title": "Example"}])
    live.settled()
    assert [event.kind for event in live.events] == ["message"]


def test_a_deletion_says_what_was_deleted(live: Live) -> None:
    ts = live.fake.post("C1", "U1", "forget this")
    at = live.fake.delete("C1", ts)
    event = live.event(lambda e: e.kind == "delete")
    assert (event.id, event.metadata["before"], event.sender.id) == (
        f"slack:T1:C1:{ts}:delete:{at}",
        "forget this",
        "U1",
    )


def test_reactions_come_and_go(live: Live) -> None:
    ts = live.fake.post("C1", "U1", "look")
    live.fake.react("C1", ts, "U2", "eyes")
    live.fake.unreact("C1", ts, "U2", "eyes")
    live.fake.react("C1", ts, "U2", "eyes")
    live.settled()
    reactions = [event for event in live.events if event.kind == "reaction"]
    assert [event.metadata.get("removed", False) for event in reactions] == [False, True, False]
    assert {event.conversation.reply_to for event in reactions} == {f"slack:T1:C1:{ts}"}
    assert reactions[0].metadata["reaction"] == "eyes"


def test_who_sees_a_post_sees_its_edit_though_that_addresses_nobody(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, groups="mention") as live:
        known = fake.post("C1", "U1", f"{BOT} do it")
        unknown = fake.post("C1", "U1", "among ourselves")
        live.event()
        fake.edit("C1", unknown, "still among ourselves")
        fake.react("C1", unknown, "U2", "eyes")
        fake.react("C1", known, "U2", "eyes")
        fake.delete("C1", known)
        live.settled()
        assert [(event.kind, event.metadata["why"]) for event in live.events] == [
            ("message", "mention"),
            ("reaction", "known"),
            ("delete", "mention"),
        ]


def test_a_slash_command(live: Live) -> None:
    live.fake.slash_command("C1", "U1", "/ask", "what time is it")
    event = live.event()
    assert (event.kind, event.content.text, event.metadata["why"]) == ("command", "/ask what time is it", "command")
    assert event.metadata["command"] == "/ask"
    assert event.metadata["response_url"]


def test_buttons_shortcuts_and_modals(live: Live) -> None:
    ts = live.sent(conversation_id="C1", text="deploy?").ids[0]
    live.fake.press_button("C1", ts, "U1", "approve", value="yes")
    live.fake.shortcut("U1", "file_ticket", channel="C1", ts=ts)
    live.fake.submit_modal("U1", "ticket", {"b": {"title": {"type": "plain_text_input", "value": "broken"}}})
    live.settled()
    button, shortcut, modal = live.events
    assert {event.kind for event in live.events} == {"button"}
    assert (button.content.text, button.conversation.reply_to) == ("yes", f"slack:T1:C1:{ts}")
    assert button.metadata["actions"][0]["action_id"] == "approve"
    assert (shortcut.metadata["interaction"], shortcut.metadata["callback_id"]) == ("message_action", "file_ticket")
    assert (modal.metadata["interaction"], modal.metadata["values"]) == ("view_submission", {"title": "broken"})
    assert modal.conversation.id == "U1", "answering the person opens the direct conversation"


def test_a_response_url_is_in_no_log(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    live.fake.slash_command("C1", "U1", "/ask", "x")
    url = live.event().metadata["response_url"]
    live.fake.slash_command("C2", "U2", "/ask", "not allowed here")
    live.settled()
    assert url not in caplog.text
    assert "/response/" not in caplog.text


def test_that_the_bot_came_or_went_is_always_told(live: Live) -> None:
    live.fake.invite_bot("C2")
    event = live.event(lambda e: e.kind == "membership")
    assert (event.conversation.id, event.metadata["membership"], event.metadata["me"]) == ("C2", "joined", True)


def test_unknown_envelopes_and_events_are_acknowledged_and_passed_on(live: Live) -> None:
    live.fake.envelope("brand_new", {"some": "thing"}, retries=True)
    live.fake.event({"type": "team_rename", "name": "New", "event_ts": "1700000000.000100"})
    live.settled()
    assert [e.event.platform_event for e in live.events if e.event] == ["brand_new", "team_rename"]


def test_a_payload_that_is_too_long_is_outlined(live: Live) -> None:
    live.fake.event({"type": "brand_new", "blob": "x" * 200_000})
    event = live.event()
    assert event.event is not None
    assert event.event.payload["truncated"] is True
    assert len(json.dumps(event.event.payload)) < 10_000


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "message"},
        {"type": "message", "channel": 5, "ts": None, "text": ["x"]},
        {"type": "message", "channel": "C1", "ts": "not a ts", "text": "x"},
        {"type": "message", "subtype": "message_changed", "channel": "C1", "message": 7, "previous_message": []},
        {
            "type": "message",
            "channel": "C1",
            "ts": "1.0",
            "user": "U1",
            "text": "x",
            "files": [1, None, {}],
            "blocks": 3,
        },
        {"type": "reaction_added", "item": {"type": "message"}, "user": None},
        {"type": "member_joined_channel", "channel": {}, "user": {}},
        {"type": {"a": 1}, "channel": {"id": "C1"}},
        {},
    ],
)
def test_missing_and_odd_fields_are_survived(live: Live, odd: dict[str, object]) -> None:
    live.fake.envelope("events_api", {"event": odd, "event_id": "Ev9"}, retries=True)
    live.fake.envelope("interactive", {"type": 3, "user": "U1", "actions": [None]}, retries=True)
    live.fake.post("C1", "U1", "still here")
    live.event(lambda e: e.content.text == "still here")
    live.settled()


def test_a_text_of_a_megabyte_and_control_characters_are_survived(live: Live) -> None:
    live.fake.add_user("U5", "e\x1b[31mvil\n\u202e", real_name="\ud800 half")
    live.fake.post("C1", "U5", "y" * 1_000_000 + "\x00\ud800")
    event = live.event()
    assert len(event.content.text) == 1_000_002
    assert event.sender.id == "U5"


def test_an_event_waits_only_a_moment_for_a_name(live: Live) -> None:
    live.fake.fail_next("timeout", "users.info", always=True)
    live.fake.post("C1", "U1", "who am I?")
    event = live.event()
    assert (event.sender.id, event.sender.username) == ("U1", "")
    live.settled()
    assert max(ack.took_s for ack in live.fake.acks) < 3, "Slack waits three seconds"
    assert max(ack.attempt for ack in live.fake.acks) <= 1, "what is in the inbox waits for no name"
    live.fake.heal()
    live.fake.release()


def test_without_the_scope_for_names_events_show_ids(
    fake: FakeSlack, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.scopes.discard("users:read")
    with Live(fake, home) as live:
        fake.post("C1", "U1", "hi <@U2>")
        assert live.event().content.text == "hi @U2"
        assert "users:read" in caplog.text


def test_a_redelivery_says_so_and_is_no_second_event(fake: FakeSlack, home: Path) -> None:
    fake.post("C1", "U1", "said while nobody listened", at=time.time() - 60)
    with Live(fake, home) as live:
        event = live.event()
        assert event.metadata["retry"]["attempt"] >= 1
        assert event.late is True
        assert event.late_by_s is not None
        assert event.late_by_s > 50
        fake.redeliver(fake.event_ids(fake.messages("C1")[0]["ts"])[0])
        live.settled()
        assert len(live.events) == 1


def test_no_identity_nothing_received(fake: FakeSlack, home: Path) -> None:
    from connectors.base.errors import AuthError

    fake.fail_next("auth", "auth.test", always=True)
    with pytest.raises(AuthError, match="invalid_auth"), Live(fake, home):
        pass
    assert fake.calls("apps.connections.open") == []
