"""sendMessage and its refusals."""

from typing import Any

import pytest
import telegram
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters
from telegram.constants import ParseMode

from connectors.testing.telegram import Chat, FakeTelegram, User
from tests.testing.telegram.client import Client


def test_a_message_is_in_the_chat_and_in_sent(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    message = client.do(client.bot.send_message(chat.id, "<b>Hi</b> 😀 <i>you</i>", parse_mode=ParseMode.HTML))
    [sent] = fake.sent
    assert message.parse_entities() == {message.entities[0]: "Hi", message.entities[1]: "you"}
    assert (sent.text, sent.parse_mode, sent.chat_id, sent.message_id) == ("Hi 😀 you", "HTML", chat.id, message.id)
    assert sent.entities[1] == {"offset": 6, "length": 3, "type": "italic"}
    assert [m["text"] for m in fake.messages(chat)] == ["Hi 😀 you"]


def test_calls_may_come_as_query_form_multipart_or_json(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    given = {"chat_id": chat.id, "text": "hi"}
    ways: list[dict[str, Any]] = [
        {"params": given, "verb": "GET"},
        {"data": given},
        {"json": given},
        {"files": {k: (None, str(v)) for k, v in given.items()}},
    ]
    for way in ways:
        assert client.raw("SENDmessage", **way).json()["result"]["text"] == "hi"
    assert [call.method for call in fake.journal] == ["sendMessage"] * 4
    assert [call.outcome for call in fake.journal] == ["ok"] * 4


def test_the_journal_has_objects_as_objects_and_texts_as_texts(client: Client, chat: Chat) -> None:
    client.raw("sendMessage", data={"chat_id": str(chat.id), "text": "[1]", "reply_parameters": '{"message_id": 9}'})
    assert client.fake.journal[-1].params == {
        "chat_id": str(chat.id),
        "text": "[1]",
        "reply_parameters": {"message_id": 9},
    }


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "Bad Request: message text is empty"),
        ("  \n ", "Bad Request: text must be non-empty"),
        ("x" * 4097, "Bad Request: message is too long"),
        ("😀" * 2049, "Bad Request: message is too long"),
        ("x" * 32769, "Bad Request: text is too long"),
    ],
)
def test_a_text_has_1_to_4096_utf16_units(client: Client, chat: Chat, text: str, refusal: str) -> None:
    assert client.refusal("sendMessage", chat_id=chat.id, text=text) == (400, refusal)


def test_4096_are_counted_after_the_entities_are_parsed(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    client.do(client.bot.send_message(chat.id, "<b>" + "&lt;" * 4096 + "</b>", parse_mode=ParseMode.HTML))
    client.do(client.bot.send_message(chat.id, "😀" * 2048))
    assert [len(sent.text) for sent in fake.sent] == [4096, 2048]


def test_an_answer_carries_the_message(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    posted = fake.post(chat, ada, "how are you?")
    to = ReplyParameters(posted.message_id, quote="are you")
    message = client.do(client.bot.send_message(chat.id, "fine", reply_parameters=to))
    assert message.reply_to_message is not None
    assert message.quote is not None
    assert (message.reply_to_message.text, message.quote.text, message.quote.position) == ("how are you?", "are you", 4)
    assert fake.sent[0].reply_to == posted.message_id


def test_an_answer_to_nothing_is_refused_unless_that_is_allowed(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    posted = fake.post(chat, ada, "gone")
    fake.delete(chat, posted.message_id)
    to = {"message_id": posted.message_id}
    assert client.refusal("sendMessage", chat_id=chat.id, text="x", reply_parameters=to) == (
        400,
        "Bad Request: message to be replied not found",
    )
    allowed = ReplyParameters(posted.message_id, allow_sending_without_reply=True)
    assert client.do(client.bot.send_message(chat.id, "x", reply_parameters=allowed)).reply_to_message is None
    elsewhere = {**to, "chat_id": chat.id, "allow_sending_without_reply": True}
    group = fake.group("G", [ada])
    assert client.refusal("sendMessage", chat_id=group.id, text="x", reply_parameters=elsewhere) == (
        400,
        "Bad Request: message to be replied not found",
    )


def test_topics_take_messages_and_the_general_one_is_not_named(fake: FakeTelegram, client: Client, ada: User) -> None:
    forum = fake.supergroup("Forum", [ada], is_forum=True)
    topic = fake.topic(forum, "News", ada)
    message = client.do(client.bot.send_message(forum.id, "x", message_thread_id=topic.message_id))
    assert (message.message_thread_id, message.is_topic_message) == (topic.message_id, True)
    assert fake.sent[0].thread_id == topic.message_id
    for wrong in (1, 999):
        assert client.refusal("sendMessage", chat_id=forum.id, text="x", message_thread_id=wrong) == (
            400,
            "Bad Request: message thread not found",
        )
    fake.close_topic(forum, topic.message_id)
    refused = client.refusal("sendMessage", chat_id=forum.id, text="x", message_thread_id=topic.message_id)
    assert refused == (400, "Bad Request: TOPIC_CLOSED")
    fake.delete_topic(forum, topic.message_id)
    refused = client.refusal("sendMessage", chat_id=forum.id, text="x", message_thread_id=topic.message_id)
    assert refused == (400, "Bad Request: message thread not found")


def test_an_answer_outside_of_topics_has_a_thread_that_calls_do_not_take(
    fake: FakeTelegram, client: Client, ada: User
) -> None:
    forum = fake.supergroup("Forum", [ada], is_forum=True)
    first = fake.post(forum, ada, "in General")
    answer = fake.post(forum, ada, "again", reply_to=first)
    assert (answer.message["message_thread_id"], "is_topic_message" in answer.message) == (first.message_id, False)
    client.do(client.bot.send_message(forum.id, "yes", reply_parameters=ReplyParameters(answer.message_id)))
    assert fake.sent[0].thread_id is None
    refused = client.refusal("sendMessage", chat_id=forum.id, text="x", message_thread_id=first.message_id)
    assert refused == (400, "Bad Request: message thread not found")


def test_buttons_are_looked_at(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="ä" * 32)]])
    message = client.do(client.bot.send_message(chat.id, "?", reply_markup=keyboard))
    assert message.reply_markup == keyboard
    long = {"inline_keyboard": [[{"text": "Yes", "callback_data": "ä" * 33}]]}
    assert client.refusal("sendMessage", chat_id=chat.id, text="?", reply_markup=long) == (
        400,
        "Bad Request: BUTTON_DATA_INVALID",
    )
    empty = {"inline_keyboard": [[{"text": "Yes", "callback_data": ""}]]}
    assert (
        "Text buttons are unallowed" in client.refusal("sendMessage", chat_id=chat.id, text="?", reply_markup=empty)[1]
    )
    assert len(fake.sent) == 1


def test_where_the_bot_may_not_write_it_is_told_why(fake: FakeTelegram, client: Client, ada: User) -> None:
    stranger, gone, other = fake.user("Eve"), fake.user("Del", deactivated=True), fake.user("Bot", is_bot=True)
    blocker = fake.private(fake.user("Bob"))
    fake.block(blocker.id)
    refused = {
        client.refusal("sendMessage", chat_id=chat, text="x")
        for chat in (
            -1,
            stranger.id,
            gone.id,
            other.id,
            blocker.id,
            fake.group(bot="kicked").id,
            fake.supergroup(bot="kicked").id,
            fake.supergroup(bot="left").id,
            fake.channel(bot="left").id,
            fake.supergroup(bot="restricted").id,
            "",
        )
    }
    assert refused == {
        (400, "Bad Request: chat not found"),
        (403, "Forbidden: bot can't initiate conversation with a user"),
        (403, "Forbidden: user is deactivated"),
        (403, "Forbidden: bots can't send messages to bots"),
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: bot was kicked from the group chat"),
        (403, "Forbidden: bot was kicked from the supergroup chat"),
        (403, "Forbidden: bot is not a member of the supergroup chat"),
        (403, "Forbidden: bot is not a member of the channel chat"),
        (400, "Bad Request: not enough rights to send text messages to the chat"),
        (400, "Bad Request: chat_id is empty"),
    }
    fake.unblock(blocker.id)
    client.do(client.bot.send_message(blocker.id, "welcome back"))


def test_a_public_chat_may_be_named(fake: FakeTelegram, client: Client) -> None:
    channel = fake.channel("News", username="fake_news")
    message = client.do(client.bot.send_message("@Fake_News", "x"))
    assert (message.chat.id, message.sender_chat and message.sender_chat.id, message.from_user) == (
        channel.id,
        channel.id,
        None,
    )


def test_a_migrated_group_names_its_supergroup(fake: FakeTelegram, client: Client, ada: User) -> None:
    group = fake.group("Old", [ada])
    new = fake.migrate(group, ada)
    with pytest.raises(telegram.error.ChatMigrated) as caught:
        client.do(client.bot.send_message(group.id, "x"))
    assert caught.value.new_chat_id == new.id
    kinds = [set(u["message"]) & {"migrate_to_chat_id", "migrate_from_chat_id"} for u in fake.pending]
    assert kinds == [{"migrate_to_chat_id"}, {"migrate_from_chat_id"}]
    client.do(client.bot.send_message(new.id, "x"))


def test_private_chats_and_groups_count_messages_together_and_supergroups_for_themselves(
    fake: FakeTelegram, chat: Chat, ada: User
) -> None:
    group, one, two = fake.group("G", [ada]), fake.supergroup("S", [ada]), fake.supergroup("T", [ada])
    assert [fake.post(where, ada, "x").message_id for where in (chat, group, one, two, chat)] == [1, 2, 1, 1, 3]


def test_entities_may_be_given_beside_the_text(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    bold = telegram.MessageEntity(telegram.MessageEntity.BOLD, 3, 2)
    message = client.do(client.bot.send_message(chat.id, "😀 ab see https://example.org", entities=[bold]))
    assert [(e.type, message.parse_entity(e)) for e in message.entities] == [
        ("bold", "ab"),
        ("url", "https://example.org"),
    ]


def test_link_previews_are_as_asked(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    options = telegram.LinkPreviewOptions(is_disabled=True)
    message = client.do(client.bot.send_message(chat.id, "https://example.org", link_preview_options=options))
    assert message.link_preview_options == options


def test_rates_are_enforced_when_asked() -> None:
    now = [1_700_000_000.0]
    with FakeTelegram(enforce_rates=True, clock=lambda: now[0]) as fake, Client(fake) as client:
        group, user = fake.group(), fake.user()
        private = fake.private(user)
        client.do(client.bot.send_message(group.id, "1"))
        client.do(client.bot.send_message(private.id, "1"))
        assert client.refusal("sendMessage", chat_id=private.id, text="2") == (429, "Too Many Requests: retry after 1")
        for n in range(2, 21):
            now[0] += 1
            if n == 10:
                client.do(client.bot.send_message(group.id, "10"))
                assert client.refusal("sendMessage", chat_id=group.id, text="x")[1].endswith("retry after 1")
                continue
            client.do(client.bot.send_message(group.id, str(n)))
        assert client.refusal("sendMessage", chat_id=group.id, text="x")[0] == 429
        now[0] += 1
        assert client.raw("sendMessage", json={"chat_id": group.id, "text": "21"}).json() == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 40",
            "parameters": {"retry_after": 40},
        }
        assert len(fake.sent) == 21


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("sendLocation", {"latitude": 1.5, "longitude": 2.5}, "location"),
        ("sendVenue", {"latitude": 1.5, "longitude": 2.5, "title": "Café", "address": "Here 1"}, "venue"),
        ("sendContact", {"phone_number": "+49301", "first_name": "Ada"}, "contact"),
        ("sendPoll", {"question": "?", "options": ["a", {"text": "b"}]}, "poll"),
        ("sendDice", {}, "dice"),
    ],
)
def test_what_needs_no_file_is_sent_too(
    fake: FakeTelegram, client: Client, chat: Chat, method: str, params: dict[str, object], name: str
) -> None:
    result = client.raw(method, json={"chat_id": chat.id, **params}).json()["result"]
    assert telegram.Message.de_json(result, client.bot)[name]
    for missing in params:
        code, why = client.refusal(method, chat_id=chat.id, **{k: v for k, v in params.items() if k != missing})
        assert (code, why.startswith("Bad Request: ")) == (400, True)


def test_chat_actions_are_known_ones(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    assert client.do(client.bot.send_chat_action(chat.id, "typing"))
    assert client.refusal("sendChatAction", chat_id=chat.id, action="dancing") == (
        400,
        "Bad Request: wrong parameter action in request",
    )
    assert [call.params["action"] for call in fake.calls("sendChatAction")] == ["typing", "dancing"]


def test_chat_actions_take_the_general_topic_that_messages_do_not(fake: FakeTelegram, client: Client) -> None:
    forum = fake.supergroup("Forum", is_forum=True)
    assert client.do(client.bot.send_chat_action(forum.id, "typing", message_thread_id=1))
    params = {"chat_id": forum.id, "action": "typing"}
    assert client.refusal("sendChatAction", message_thread_id=99, **params)[0] == 400
    group = fake.supergroup("Group")
    assert client.refusal("sendChatAction", message_thread_id=1, **{**params, "chat_id": group.id})[0] == 400
