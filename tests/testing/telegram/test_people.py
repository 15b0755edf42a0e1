"""What people do and the updates of it: read by python-telegram-bot."""

from collections.abc import Callable
from typing import Any

import pytest
import telegram

from connectors.testing.telegram import Chat, FakeTelegram, User, png
from tests.testing.telegram.client import Client

Update = Callable[[], telegram.Update]


@pytest.fixture
def newest(client: Client) -> Update:
    """The newest update; asks for every kind."""
    return lambda: client.do(client.bot.get_updates(allowed_updates=telegram.Update.ALL_TYPES))[-1]


def test_commands_mentions_and_links_are_marked_in_utf16_units(
    fake: FakeTelegram, newest: Update, chat: Chat, ada: User
) -> None:
    eve = fake.user("Eve")
    text = "😀 /start@fake_bot @ada Eve https://example.org/a?b, a@example.org #news $USD"
    fake.post(chat, ada, text, mentions={"Eve": eve})
    message = newest().message
    assert message is not None
    assert [(e.type, message.parse_entity(e)) for e in message.entities] == [
        ("bot_command", "/start@fake_bot"),
        ("mention", "@ada"),
        ("text_mention", "Eve"),
        ("url", "https://example.org/a?b"),
        ("email", "a@example.org"),
        ("hashtag", "#news"),
        ("cashtag", "$USD"),
    ]
    assert message.entities[2].user is not None
    assert message.entities[2].user.id == eve.id


def test_forwards_have_one_of_four_origins(fake: FakeTelegram, newest: Update, chat: Chat, ada: User) -> None:
    group, channel = fake.supergroup("G"), fake.channel("C")
    origins = {
        telegram.MessageOriginUser: fake.user("Eve"),
        telegram.MessageOriginHiddenUser: "Somebody",
        telegram.MessageOriginChat: group,
        telegram.MessageOriginChannel: channel,
    }
    for kind, origin in origins.items():
        fake.post(chat, ada, "hello", origin=origin)
        message = newest().message
        assert message is not None
        assert type(message.forward_origin) is kind


def test_quotes_and_external_replies_name_what_they_answer(
    fake: FakeTelegram, newest: Update, chat: Chat, ada: User
) -> None:
    group = fake.supergroup("G", [ada], bot="administrator")
    there = fake.post(group, ada, "well said 😀 there", photo=png())
    fake.post(chat, ada, "see?", external_reply=there, quote="there")
    message = newest().message
    assert message is not None
    assert message.external_reply is not None
    assert message.quote is not None
    assert (message.quote.text, message.quote.position, bool(message.external_reply.photo)) == ("there", 13, True)
    assert message.external_reply.chat is not None
    assert message.external_reply.chat.id == group.id


def test_topics_channels_and_anonymous_administrators(fake: FakeTelegram, newest: Update, ada: User) -> None:
    forum = fake.supergroup("F", [ada], is_forum=True, bot="administrator")
    topic = fake.topic(forum, "News", ada)
    message = fake.post(forum, ada, "x", topic=topic).message
    assert (message["message_thread_id"], message["is_topic_message"], message["chat"]["is_forum"]) == (
        topic.message_id,
        True,
        True,
    )
    fake.post(forum, None, "x", as_chat=forum)
    anonymous = newest().message
    assert anonymous is not None
    assert anonymous.from_user is not None
    assert (anonymous.from_user.id, anonymous.from_user.username) == (1087968824, "GroupAnonymousBot")
    assert anonymous.sender_chat is not None
    assert anonymous.sender_chat.id == forum.id
    channel = fake.channel("C")
    fake.post(forum, None, "x", as_chat=channel)
    by_channel = newest().message
    assert by_channel is not None
    assert by_channel.sender_chat is not None
    assert (by_channel.from_user and by_channel.from_user.id, by_channel.sender_chat.id) == (136817688, channel.id)
    posted = fake.post(channel, None, "x")
    post = newest().channel_post
    assert post is not None
    assert (post.from_user, post.sender_chat and post.sender_chat.id) == (None, channel.id)
    fake.edit(channel, posted.message_id, "y")
    assert newest().edited_channel_post is not None


def test_members_come_and_go(fake: FakeTelegram, newest: Update, client: Client, chat: Chat, ada: User) -> None:
    eve, group = fake.user("Eve"), fake.supergroup("G", [ada])

    def newest_of() -> dict[str, Any]:
        return newest().to_dict()

    client.raw("getUpdates", json={"allowed_updates": telegram.Update.ALL_TYPES})
    assert fake.join(group, [eve], by=ada).message["new_chat_members"][0]["id"] == eve.id
    assert newest_of()["message"]["new_chat_members"][0]["first_name"] == "Eve"
    assert fake.member(group, eve, "kicked", by=ada) is None  # the bot is no administrator
    fake.member(group, fake.bot, "administrator", by=ada)
    assert newest_of()["my_chat_member"]["new_chat_member"]["status"] == "administrator"
    fake.member(group, eve, "restricted", by=ada)
    change = newest().chat_member
    assert change is not None
    assert (change.old_chat_member.status, change.new_chat_member.status) == ("kicked", "restricted")
    fake.leave(group, eve)
    assert newest_of()["message"]["left_chat_member"]["id"] == eve.id
    fake.member(group, fake.bot, "kicked", by=ada)
    assert newest_of()["my_chat_member"]["new_chat_member"]["status"] == "kicked"
    assert fake.post(group, ada, "/start@fake_bot").update_id is None
    fake.block(ada)
    assert newest_of()["my_chat_member"]["chat"]["id"] == chat.id
    fake.unblock(ada)
    assert newest_of()["my_chat_member"]["new_chat_member"]["status"] == "member"


def test_reactions_are_told_to_administrators_that_asked_for_them(
    fake: FakeTelegram, newest: Update, client: Client, ada: User
) -> None:
    group = fake.supergroup("G", [ada])
    posted = fake.post(group, ada, "x")
    client.raw("getUpdates", json={"allowed_updates": ["message_reaction", "message_reaction_count"]})
    assert fake.react(group, posted.message_id, ada, ["👍"]) is None
    fake.member(group, fake.bot, "administrator")
    assert fake.react(group, posted.message_id, ada, []) is not None
    fake.react(group, posted.message_id, None, ["👎"], as_chat=group)
    reaction = newest().message_reaction
    assert reaction is not None
    assert (reaction.user, reaction.actor_chat and reaction.actor_chat.id) == (None, group.id)
    fake.reaction_count(group, posted.message_id, {"👍": 3})
    count = newest().message_reaction_count
    assert count is not None
    assert [r.total_count for r in count.reactions] == [3]


def test_business_accounts_hand_their_messages_on(fake: FakeTelegram, newest: Update, ada: User) -> None:
    customer = fake.user("Eve")
    connection = fake.business(ada)
    assert newest().business_connection is not None
    posted = fake.post(fake.private(customer, started=False), customer, "hi", business=connection)
    message = newest().business_message
    assert message is not None
    assert message.business_connection_id == connection
    fake.edit(customer.id, posted.message_id, "hello", business=connection)
    assert newest().edited_business_message is not None
    fake.delete(customer.id, posted.message_id, business=connection)
    deleted = newest().deleted_business_messages
    assert deleted is not None
    assert deleted.message_ids == (posted.message_id,)


def test_the_bot_writes_in_the_name_of_a_business_account(fake: FakeTelegram, client: Client, ada: User) -> None:
    customer = fake.user("Eve")
    connection = fake.business(ada)
    fake.post(fake.private(customer, started=False), customer, "hi", business=connection)
    sent = client.do(client.bot.send_message(customer.id, "hello", business_connection_id=connection))
    assert sent.from_user is not None
    assert sent.sender_business_bot is not None
    assert (sent.from_user.id, sent.sender_business_bot.id) == (ada.id, fake.bot.id)
    client.do(client.bot.edit_message_text("Hello", customer.id, sent.id, business_connection_id=connection))
    assert [m["text"] for m in fake.messages(customer.id, business=connection)] == ["hi", "Hello"]
    assert fake.messages(customer.id) == []
    assert fake.sent[0].business == connection
    client.do(client.bot.delete_business_messages(connection, [sent.id]))
    assert fake.sent[0].deleted
    refused = client.refusal("sendMessage", chat_id=customer.id, text="x", business_connection_id="nonsense")
    assert refused == (400, "Bad Request: business connection not found")
    assert client.refusal("sendMessage", chat_id=customer.id, text="x")[0] == 403


def test_an_update_stays_as_it_was_when_it_was_made(fake: FakeTelegram, chat: Chat, ada: User) -> None:
    posted = fake.post(chat, ada, "x")
    posted.message["text"] = "y"
    assert [update["message"]["text"] for update in fake.pending] == ["x"]


def test_any_update_can_be_injected(fake: FakeTelegram, newest: Update, client: Client) -> None:
    update: dict[str, Any] = {"something_of_tomorrow": {"x": 1}}
    found = fake.inject(update)
    assert newest().api_kwargs["something_of_tomorrow"] == {"x": 1}
    assert fake.inject({"message": None}, update_id=found + 50) == found + 50
    assert fake.inject(update) == found + 51


@pytest.mark.parametrize(
    ("privacy", "status", "seen"),
    [
        (True, "member", {"to the bot", "mention", "reply", "via", "service"}),
        (True, "administrator", {"plain", "general", "other's", "to the bot", "mention", "reply", "via", "service"}),
        (False, "member", {"plain", "general", "other's", "to the bot", "mention", "reply", "via", "service"}),
        (False, "left", set()),
    ],
)
def test_privacy_mode_hides_what_is_not_for_the_bot(privacy: bool, status: str, seen: set[str]) -> None:
    with FakeTelegram(privacy=privacy) as fake:
        ada, other = fake.user("Ada"), fake.user("Other", username="other_bot", is_bot=True)
        group = fake.group("G", [ada, other], bot=status)
        own = fake.post(group, fake.bot, "I said")
        fake.post(group, other, "I said too")
        posts = {
            "plain": fake.post(group, ada, "hello"),
            "general": fake.post(group, ada, "/start"),
            "other's": fake.post(group, ada, "/start@other_bot"),
            "to the bot": fake.post(group, ada, "/start@FAKE_bot now"),
            "mention": fake.post(group, ada, "hi @fake_bot"),
            "reply": fake.post(group, ada, "no", reply_to=own),
            "via": fake.post(group, ada, "sent", via_bot=fake.bot),
            "bot": fake.post(group, other, "@fake_bot"),
            "service": fake.service(group, ada, new_chat_title="H"),
        }
        assert {name for name, post in posts.items() if post.update_id is not None} == seen


def test_a_command_without_a_name_is_for_the_bot_that_wrote_last(fake: FakeTelegram, client: Client, ada: User) -> None:
    group = fake.group("G", [ada])
    assert fake.post(group, ada, "/start").update_id is None
    client.do(client.bot.send_message(group.id, "me"))
    assert fake.post(group, ada, "/start").update_id is not None
    fake.post(group, fake.user("Other", is_bot=True), "no, me")
    assert fake.post(group, ada, "/start").update_id is None
