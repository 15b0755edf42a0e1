"""getMe, chats, members, commands, logOut."""

import pytest
import telegram

from connectors.testing.telegram import Chat, FakeTelegram, User
from tests.testing.telegram.client import Client


def test_the_bot_says_what_it_may(client: Client) -> None:
    me = client.do(client.bot.get_me())
    assert (me.username, me.is_bot, me.can_join_groups, me.can_read_all_group_messages) == (
        "fake_bot",
        True,
        True,
        False,
    )
    client.fake.world.privacy = False
    assert client.do(client.bot.get_me()).can_read_all_group_messages


def test_chats_are_described(client: Client, chat: Chat, ada: User) -> None:
    forum = client.fake.supergroup("Forum", [ada], is_forum=True, linked_chat_id=-1)
    info = client.do(client.bot.get_chat(forum.id))
    assert (info.title, info.type, info.is_forum, info.linked_chat_id) == ("Forum", "supergroup", True, -1)
    assert client.do(client.bot.get_chat(chat.id)).username == "ada"
    assert client.refusal("getChat", chat_id=-5) == (400, "Bad Request: chat not found")
    left = client.fake.supergroup(bot="left")
    assert client.refusal("getChat", chat_id=left.id)[0] == 403


@pytest.mark.parametrize("status", ["creator", "administrator", "member", "restricted", "left", "kicked"])
def test_members_have_a_status(client: Client, ada: User, status: str) -> None:
    group = client.fake.supergroup("G")
    client.fake.member(group, ada, status)
    found = client.do(client.bot.get_chat_member(group.id, ada.id))
    assert (found.status, found.user.id) == (status, ada.id)


def test_administrators_are_listed_without_other_bots(client: Client, chat: Chat, ada: User) -> None:
    fake = client.fake
    group = fake.group("G", [ada, fake.user("Eve")], bot="administrator")
    fake.member(group, ada, "creator")
    fake.member(group, fake.user("Other", is_bot=True), "administrator")
    admins = client.do(client.bot.get_chat_administrators(group.id))
    assert {admin.user.id for admin in admins} == {ada.id, fake.bot.id}
    assert client.do(client.bot.get_chat_member_count(group.id)) == 4
    assert client.refusal("getChatAdministrators", chat_id=chat.id)[0] == 400
    assert client.refusal("getChatMember", chat_id=group.id, user_id=4) == (400, "Bad Request: PARTICIPANT_ID_INVALID")


def test_a_bot_that_left_is_told_so_and_sees_nothing(client: Client, ada: User) -> None:
    group = client.fake.supergroup("G", [ada])
    assert client.do(client.bot.leave_chat(group.id))
    [update] = client.do(client.bot.get_updates())
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "left"
    assert client.fake.post(group, ada, "hi @fake_bot").update_id is None
    assert client.refusal("leaveChat", chat_id=group.id)[0] == 403


def test_commands_are_kept_by_scope_and_language(client: Client, chat: Chat) -> None:
    bot, scope = client.bot, telegram.BotCommandScopeChat(chat.id)
    client.do(bot.set_my_commands([("start", "Begin"), ("help", "Say what there is")]))
    client.do(bot.set_my_commands([("hilfe", "Sag es")], scope=scope, language_code="de"))
    assert [c.command for c in client.do(bot.get_my_commands())] == ["start", "help"]
    assert [c.command for c in client.do(bot.get_my_commands(scope=scope, language_code="de"))] == ["hilfe"]
    client.do(bot.delete_my_commands())
    assert client.do(bot.get_my_commands()) == ()
    for wrong, why in (
        ([{"command": "Start!", "description": "x"}], "BOT_COMMAND_INVALID"),
        ([{"command": "start", "description": ""}], "BOT_COMMAND_DESCRIPTION_INVALID"),
        ([{"command": "start", "description": "x"}] * 101, "BOT_COMMANDS_TOO_MUCH"),
        ([{"command": "start"}], "can't parse BotCommand: Can't find field \"description\""),
    ):
        assert client.refusal("setMyCommands", commands=wrong) == (400, f"Bad Request: {why}")


def test_a_bot_that_logged_out_is_refused_until_it_is_let_in(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    fake.post(chat, ada, "x")
    assert client.do(client.bot.close())
    assert client.do(client.bot.log_out())
    assert fake.pending == []
    assert client.refusal("getMe") == (400, "Logged out")
    fake.log_in()
    client.do(client.bot.get_me())
