"""Long polling: what is confirmed when, and what becomes of conflicts, dead connections and outages."""

from __future__ import annotations

import threading
import time

import pytest

from connectors.base.errors import Exit
from connectors.telegram import polling
from connectors.testing.telegram import FakeTelegram
from connectors.testing.waiting import wait_for
from tests.telegram.bot import NAME, TOKEN, Bot
from tests.telegram.conftest import MakeBot


def with_ada(fake: FakeTelegram, bot: MakeBot, **options: object) -> tuple[Bot, int]:
    """A bot that hears Ada, and her chat."""
    ada = fake.user("Ada", id=501)
    return bot(allow={"users": ["501"]}, **options), fake.private(ada).id


def test_an_update_is_confirmed_by_the_next_request_only(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    one.run()
    posted = fake.post(chat, 501, "x")
    one.event()
    one.wait(lambda: fake.confirmed == (posted.update_id or 0) + 1)
    asked = [call.params.get("offset") for call in fake.calls("getUpdates")]
    assert asked[0] is None


def test_the_offset_survives_a_restart(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    one.run()
    posted = fake.post(chat, 501, "x")
    one.event()
    one.stop()
    before = len(fake.calls("getUpdates"))
    one.run()
    calls = one.wait(lambda: fake.calls("getUpdates")[before:])
    assert int(calls[0].params["offset"]) == (posted.update_id or 0) + 1


def test_who_waits_for_a_token_says_who_has_it(fake: FakeTelegram, bot: MakeBot) -> None:
    holder, waiting = bot(), bot()
    process = holder.start()
    thread = threading.Thread(target=waiting.run)  # waits until it is connected
    thread.start()
    waiting.wait(lambda: waiting.status.get("state") == "waiting")
    note = waiting.status["note"]
    process.terminate()
    thread.join(20)

    assert f"this telegram token is in use by process {process.pid}" in note
    assert waiting.status["state"] == "connected"
    assert "note" not in waiting.status or waiting.status["note"] is None


def test_another_bots_token_begins_anew(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    one.run()
    fake.post(chat, 501, "x")
    one.event()
    one.stop()
    with FakeTelegram(token=TOKEN.replace("7000000001", "7000000002"), username="other_bot") as other:
        one.options |= {"token": other.token, "base_url": other.base_url}
        one.run()
        calls = one.wait(lambda: other.calls("getUpdates"))
        assert "offset" not in calls[0].params
        one.stop()


def test_ids_that_begin_anew_are_followed(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    fake.world.updates.next_id = 900_000
    one.run()
    fake.post(chat, 501, "high")
    one.wait(lambda: one.events() and not fake.pending)
    fake.world.updates.next_id = 500
    fake.post(chat, 501, "low")
    fake.post(chat, 501, "lower still")
    one.wait_events(3)
    one.wait(lambda: not fake.pending)
    assert [event.content.text for event in one.events()] == ["high", "low", "lower still"]


def test_updates_that_come_again_and_again_are_no_hot_loop(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    fake.world.updates.next_id = 900_000
    fake.post(chat, 501, "high")
    fake.world.updates.next_id = 500  # so the server takes no offset for the first one
    fake.post(chat, 501, "low")
    one.run()
    one.wait(lambda: one.status.get("counters", {}).get("duplicates"))
    asked = len(fake.calls("getUpdates"))
    one.wait_events(2)
    one.stop()
    assert len(fake.calls("getUpdates")) <= asked + 2
    assert sorted(event.content.text for event in one.events()) == ["high", "low"]


def test_an_offset_of_last_week_is_not_used(fake: FakeTelegram, bot: MakeBot) -> None:
    one, _ = with_ada(fake, bot)
    connector = one.run()
    week = {"bot": fake.bot.id, "offset": 77, "at": time.time() - polling.OFFSET_VALID_S - 1}
    connector.write_all_to_inbox([], checkpoint=(polling.CHECKPOINT, week))
    one.stop()
    before = len(fake.calls("getUpdates"))
    one.run()
    calls = one.wait(lambda: fake.calls("getUpdates")[before:])
    assert "offset" not in calls[0].params


def test_the_kinds_of_updates_are_asked_for_by_name(fake: FakeTelegram, bot: MakeBot) -> None:
    one, _ = with_ada(fake, bot)
    one.run()
    asked = one.wait(lambda: fake.calls("getUpdates"))[0].params["allowed_updates"]
    for kind in ("message", "edited_message", "channel_post", "callback_query", "message_reaction", "my_chat_member"):
        assert kind in asked


def test_nothing_is_dropped_and_no_commands_are_set_at_the_start(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    fake.post(chat, 501, "while it was down")
    one.run()
    one.event()
    methods = {call.method for call in fake.journal}
    assert methods == {"getMe", "getUpdates"}


def test_a_second_poller_is_a_conflict_that_ends_by_itself(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.fail_next("conflict", "getUpdates")
    one, chat = with_ada(fake, bot)
    one.run()
    wait_for(lambda: one.status.get("state") == "conflict")
    assert "another program" in one.status["note"]
    asked = len(fake.calls("getUpdates"))
    fake.post(chat, 501, "after it")
    assert one.event(deadline_s=40).content.text == "after it"
    wait_for(lambda: one.status.get("state") == "connected")
    assert len(fake.calls("getUpdates")) <= asked + 3
    assert one.status["note"] is None


def test_a_webhook_that_is_set_is_a_conflict_and_left_alone(fake: FakeTelegram, bot: MakeBot) -> None:
    set_webhook(fake)
    one, _ = with_ada(fake, bot)
    one.run()
    wait_for(lambda: one.status.get("state") == "conflict")
    assert "delete_webhook: true" in one.status["note"]
    assert fake.calls("deleteWebhook") == []


def test_a_webhook_is_deleted_when_that_is_wanted_and_what_waited_comes(fake: FakeTelegram, bot: MakeBot) -> None:
    set_webhook(fake)
    one, chat = with_ada(fake, bot, delete_webhook=True)
    fake.post(chat, 501, "waited")
    one.run()
    assert one.event().content.text == "waited"
    assert fake.calls("deleteWebhook")[0].params.get("drop_pending_updates") in ("false", False)


def set_webhook(fake: FakeTelegram) -> None:
    """As an earlier installation of the bot did."""
    import httpx

    answer = httpx.post(f"{fake.base_url}{fake.token}/setWebhook", json={"url": "https://127.0.0.1:9/hook"})
    assert answer.status_code == 200, answer.text


def test_a_half_open_connection_is_survived(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot, stall_s=0.5)
    one.run()
    wait_for(lambda: fake.pollers)
    fake.hang_polls()
    fake.post(chat, 501, "after the stall")
    assert one.event(deadline_s=15).content.text == "after the stall"
    wait_for(lambda: one.status.get("state") == "connected")


def test_connections_are_made_anew_a_few_times_an_hour_only(
    fake: FakeTelegram, bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REBUILDS_PER_HOUR", 1)
    one, _ = with_ada(fake, bot, stall_s=0.2)
    fake.fail_next("timeout", "getUpdates", 2)
    one.run()
    wait_for(lambda: (one.status.get("last_error") or {}).get("class") == "stall")
    wait_for(lambda: "half open" in str(one.status.get("note")))


def test_a_dead_poll_is_renewed_without_cutting_off_a_send(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot, stall_s=0.5)
    one.run()
    wait_for(lambda: fake.pollers)
    fake.fail_next("timeout", "sendMessage")
    one.send(chat, "slow")
    wait_for(lambda: fake.hanging)
    polls = len(fake.calls("getUpdates"))
    fake.hang_polls()
    wait_for(lambda: one.status.get("state") == "reconnecting")
    wait_for(lambda: len(fake.calls("getUpdates")) > polls and one.status.get("state") == "connected")
    assert fake.hanging
    assert one.status.get("last_error") is None
    fake.release()
    [receipt] = one.wait(one.receipts)
    assert receipt.ambiguous


def test_an_outage_of_the_platform_is_survived(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    one.run()
    wait_for(lambda: fake.pollers)
    fake.stop()
    wait_for(lambda: one.status.get("state") == "reconnecting")
    fake.start()
    fake.post(chat, 501, "back again")
    assert one.event(deadline_s=30).content.text == "back again"
    wait_for(lambda: one.status.get("state") == "connected")


def test_a_busy_or_broken_answer_is_waited_out(fake: FakeTelegram, bot: MakeBot) -> None:
    for kind in ("unavailable", "rate_limit", "cut"):
        fake.fail_next(kind, "getUpdates")
    one, chat = with_ada(fake, bot)
    one.run()
    fake.post(chat, 501, "x")
    assert one.event(deadline_s=30).content.text == "x"


def test_a_token_that_is_revoked_ends_the_process(fake: FakeTelegram, bot: MakeBot) -> None:
    one, _ = with_ada(fake, bot)
    one.run()
    wait_for(lambda: fake.pollers)
    fake.fail_next("auth", "getUpdates")
    wait_for(lambda: one.status.get("exit_code") == Exit.AUTH)
    assert "@BotFather" in one.status["last_error"]["hint"]


def test_privacy_mode_is_in_the_status_where_groups_are_listened_to(fake: FakeTelegram, bot: MakeBot) -> None:
    one = bot(allow={"conversations": ["-1001"]}, groups="all")
    one.run()
    wait_for(lambda: "/setprivacy" in str(one.status.get("note")))
    assert (one.status["state"], NAME) == ("connected", "tg")


def test_without_groups_nothing_is_said_of_privacy_mode(fake: FakeTelegram, bot: MakeBot) -> None:
    one, chat = with_ada(fake, bot)
    one.run()
    fake.post(chat, 501, "x")
    one.event()
    assert one.status["note"] is None
