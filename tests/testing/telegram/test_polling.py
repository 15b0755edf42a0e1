"""getUpdates, as core.telegram.org/bots/api#getupdates and the server's source have it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import telegram

from connectors.testing.telegram import Chat, FakeTelegram, User
from connectors.testing.waiting import wait_for
from tests.testing.telegram.client import Client

REACTIONS = ["message", "message_reaction"]


def texts(updates: tuple[telegram.Update, ...]) -> list[str | None]:
    return [u.effective_message.text if u.effective_message else None for u in updates]


def test_updates_are_given_again_until_an_offset_confirms_them(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    first, second = fake.post(chat, ada, "one"), fake.post(chat, ada, "two")
    assert texts(client.do(client.bot.get_updates())) == ["one", "two"]
    assert texts(client.do(client.bot.get_updates())) == ["one", "two"]
    assert second.update_id == (first.update_id or 0) + 1
    assert texts(client.do(client.bot.get_updates(offset=second.update_id))) == ["two"]
    assert fake.confirmed == second.update_id
    assert client.do(client.bot.get_updates(offset=fake.confirmed + 1)) == ()
    assert fake.pending == []
    assert fake.handed == {first.update_id: 2, second.update_id: 3}


def test_a_negative_offset_keeps_only_the_end_of_the_queue(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    for text in ("one", "two", "three"):
        fake.post(chat, ada, text)
    assert texts(client.do(client.bot.get_updates(offset=-2))) == ["two", "three"]
    assert len(fake.pending) == 2


def test_an_offset_far_ahead_is_ignored(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    posted = fake.post(chat, ada, "one")
    assert posted.update_id is not None
    assert texts(client.do(client.bot.get_updates(offset=posted.update_id + 12))) == ["one"]
    assert client.do(client.bot.get_updates(offset=posted.update_id + 11)) == ()


def test_a_limit_is_kept_between_1_and_100(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    for n in range(103):
        fake.post(chat, ada, f"{n}")
    assert [len(client.do(client.bot.get_updates(limit=n))) for n in (0, 1, 7, 500)] == [1, 1, 7, 100]


def test_a_long_poll_ends_when_something_comes(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    poll = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    fake.post(chat, ada, "now")
    assert texts(poll.result(10)) == ["now"]
    wait_for(lambda: fake.pollers == 0)


def test_a_long_poll_ends_with_nothing_after_its_time(client: Client) -> None:
    assert client.do(client.bot.get_updates(timeout=1)) == ()


def test_the_older_of_two_pollers_is_ended_with_a_conflict(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    older = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    newer = client.later(client.bot.get_updates(timeout=50))
    with pytest.raises(telegram.error.Conflict, match="terminated by other getUpdates request; make sure that only"):
        older.result(10)
    fake.post(chat, ada, "for the newer one")
    assert len(newer.result(10)) == 1


def test_a_poll_that_is_answered_at_once_is_no_conflict(fake: FakeTelegram, client: Client) -> None:
    older = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    assert client.do(client.bot.get_updates(timeout=0)) == ()
    assert not older.done()
    older.cancel()
    wait_for(lambda: fake.pollers == 0)


def test_allowed_updates_are_remembered_and_touch_only_later_updates(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    posted = fake.post(chat, ada, "one")
    assert fake.react(chat, posted.message_id, ada, ["👍"]) is None  # not by default
    client.do(client.bot.get_updates(allowed_updates=["message_reaction"]))
    assert fake.post(chat, ada, "two").update_id is None
    client.do(client.bot.get_updates())
    assert fake.react(chat, posted.message_id, ada, ["🔥"]) is not None
    [message, reaction] = client.do(client.bot.get_updates(allowed_updates=[]))
    assert message.message is not None
    assert reaction.message_reaction is not None
    assert [r.emoji for r in reaction.message_reaction.old_reaction] == ["👍"]  # type: ignore[attr-defined]  # an emoji
    assert [r.emoji for r in reaction.message_reaction.new_reaction] == ["🔥"]  # type: ignore[attr-defined]  # as above
    assert fake.post(chat, ada, "three").update_id is not None


def test_updates_are_kept_as_long_as_asked(ada: User) -> None:
    now = [1_700_000_000.0]
    with FakeTelegram(keep_s=3600, clock=lambda: now[0]) as fake:
        user = fake.user("Eve")
        fake.post(fake.private(user), user, "old")
        now[0] += 3000
        fake.post(fake.private(user), user, "new")
        now[0] += 1000
        assert [u["message"]["text"] for u in fake.pending] == ["new"]


def test_a_caller_that_goes_away_polls_no_longer(fake: FakeTelegram, client: Client) -> None:
    poll = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    poll.cancel()
    wait_for(lambda: fake.pollers == 0)
    assert wait_for(lambda: fake.calls("getUpdates")[-1].outcome == "the caller went away")


def test_a_half_open_poll_never_answers_and_the_next_one_is_served(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    frozen = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 1)
    fake.hang_polls()
    newer = client.later(client.bot.get_updates(timeout=50))
    wait_for(lambda: fake.pollers == 2)
    fake.post(chat, ada, "lost on the wire")
    assert texts(newer.result(10)) == ["lost on the wire"]
    assert not frozen.done()
    fake.release()
    assert texts(frozen.result(10)) == ["lost on the wire"]


def test_ids_may_jump_after_a_silence(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    fake.world.updates.next_id = 900
    assert fake.post(chat, ada, "one").update_id == 900
    assert client.do(client.bot.get_updates())[0].update_id == 900


def test_posts_from_many_threads_all_arrive_in_the_order_of_their_ids(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    got: list[int] = []
    with ThreadPoolExecutor(8) as threads:
        posted = [threads.submit(fake.post, chat, ada, f"{n}") for n in range(200)]
        while len(got) < 200:
            offset = got[-1] + 1 if got else None
            got += [update.update_id for update in client.do(client.bot.get_updates(offset=offset, timeout=10))]
    assert got == sorted(one.result().update_id or 0 for one in posted)
