"""Editing, deleting, forwarding, copying, reacting, answering buttons."""

import pytest
import telegram
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from connectors.testing.telegram import Chat, FakeTelegram, User
from connectors.testing.waiting import wait_for
from tests.testing.telegram.client import Client

#: what the server says, Client.cpp
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)
KEYBOARD = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="yes")]])


def test_an_edited_message_has_the_new_text_and_a_date(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    message = client.do(client.bot.send_message(chat.id, "old", reply_markup=KEYBOARD))
    edited = client.do(client.bot.edit_message_text("<b>new</b>", chat.id, message.id, parse_mode="HTML"))
    assert isinstance(edited, telegram.Message)
    assert (edited.text, edited.edit_date is not None, edited.reply_markup) == ("new", True, None)
    assert [(s.text, s.edits) for s in fake.sent] == [("new", 1)]


def test_an_edit_that_changes_nothing_is_refused(client: Client, chat: Chat) -> None:
    message = client.do(client.bot.send_message(chat.id, "text", reply_markup=KEYBOARD))
    same = {"chat_id": chat.id, "message_id": message.id, "text": "text", "reply_markup": KEYBOARD.to_dict()}
    code, why = client.refusal("editMessageText", **same)
    assert code == 400
    assert why == f"Bad Request: {NOT_MODIFIED}"
    assert client.raw("editMessageText", json={**same, "reply_markup": None}).json()["ok"]


def test_only_own_messages_that_are_there_can_be_edited(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    theirs = fake.post(chat, ada, "mine")
    for method in ("editMessageText", "editMessageReplyMarkup"):
        refused = client.refusal(method, chat_id=chat.id, message_id=theirs.message_id, text="x")
        assert refused == (400, "Bad Request: message can't be edited")
        refused = client.refusal(method, chat_id=chat.id, message_id=999, text="x")
        assert refused == (400, "Bad Request: message to edit not found")


def test_captions_and_keyboards_are_edited_on_their_own(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    message = client.do(client.bot.send_document(chat.id, b"x", caption="old"))
    client.do(client.bot.edit_message_caption(chat.id, message.id, caption="new"))
    edited = client.do(client.bot.edit_message_reply_markup(chat.id, message.id, reply_markup=KEYBOARD))
    assert isinstance(edited, telegram.Message)
    assert (edited.caption, edited.reply_markup) == ("new", KEYBOARD)
    assert client.refusal("editMessageText", chat_id=chat.id, message_id=message.id, text="x") == (
        400,
        "Bad Request: there is no text in the message to edit",
    )
    text = client.do(client.bot.send_message(chat.id, "text"))
    assert client.refusal("editMessageCaption", chat_id=chat.id, message_id=text.id, caption="x") == (
        400,
        "Bad Request: there is no caption in the message to edit",
    )


def test_deleted_messages_are_gone(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    theirs = fake.post(chat, ada, "one")
    own = client.do(client.bot.send_message(chat.id, "two"))
    assert client.do(client.bot.delete_message(chat.id, theirs.message_id))  # allowed in private chats
    assert client.do(client.bot.delete_messages(chat.id, [own.id, 999]))
    assert fake.messages(chat) == []
    assert fake.sent[0].deleted
    refused = client.refusal("deleteMessage", chat_id=chat.id, message_id=own.id)
    assert refused == (400, "Bad Request: message to delete not found")
    assert client.refusal("editMessageText", chat_id=chat.id, message_id=own.id, text="x")[1].endswith("not found")


def test_messages_of_others_and_old_ones_cannot_be_deleted() -> None:
    now = [1_700_000_000.0]
    with FakeTelegram(clock=lambda: now[0]) as fake, Client(fake) as client:
        ada = fake.user()
        group = fake.group("G", [ada])
        theirs = fake.post(group, ada, "mine")
        own = client.do(client.bot.send_message(group.id, "x"))
        refused = client.refusal("deleteMessage", chat_id=group.id, message_id=theirs.message_id)
        assert refused == (400, "Bad Request: message can't be deleted")
        fake.member(group, fake.bot, "administrator")
        assert client.do(client.bot.delete_message(group.id, theirs.message_id))
        now[0] += 48 * 3600 + 1
        refused = client.refusal("deleteMessage", chat_id=group.id, message_id=own.id)
        assert refused == (400, "Bad Request: message can't be deleted")


def test_forwards_name_their_origin_and_copies_do_not(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    posted, group = fake.post(chat, ada, "hello"), fake.group("G", [ada])
    forwarded = client.do(client.bot.forward_message(group.id, chat.id, posted.message_id))
    assert isinstance(forwarded.forward_origin, telegram.MessageOriginUser)
    assert (forwarded.text, forwarded.forward_origin.sender_user.id) == ("hello", ada.id)
    copied = client.do(client.bot.copy_message(group.id, chat.id, posted.message_id))
    assert fake.messages(group)[-1]["message_id"] == copied.message_id
    assert "forward_origin" not in fake.messages(group)[-1]
    refused = client.refusal("forwardMessage", chat_id=group.id, from_chat_id=chat.id, message_id=999)
    assert refused == (400, "Bad Request: message to forward not found")
    refused = client.refusal("copyMessage", chat_id=group.id, from_chat_id=chat.id, message_id=999)
    assert refused == (400, "Bad Request: message to copy not found")


def test_reactions_are_those_that_the_platform_has(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    posted = fake.post(chat, ada, "hello")
    where = (chat.id, posted.message_id, fake.bot.id)
    for emoji in telegram.constants.ReactionEmoji:
        assert client.do(client.bot.set_message_reaction(chat.id, posted.message_id, emoji))
        assert fake.world.reactions[where] == [emoji.value]
    assert client.do(client.bot.set_message_reaction(chat.id, posted.message_id))
    assert fake.world.reactions[where] == []
    for wanted, refusal in (("🫠", "Reaction_invalid"), (["👍", "👎"], "Reactions_too_many")):
        with pytest.raises(telegram.error.BadRequest, match=refusal):
            client.do(client.bot.set_message_reaction(chat.id, posted.message_id, wanted))
    with pytest.raises(telegram.error.BadRequest, match="Message to react not found"):
        client.do(client.bot.set_message_reaction(chat.id, 999, "👍"))


def test_a_pressed_button_is_a_query_that_can_be_answered_in_time(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    message = client.do(client.bot.send_message(chat.id, "?", reply_markup=KEYBOARD))
    query_id = fake.press(chat, message.id, ada, "yes")
    [update] = client.do(client.bot.get_updates())
    query = update.callback_query
    assert query is not None
    assert (query.id, query.data, query.from_user.id) == (query_id, "yes", ada.id)
    assert client.do(query.answer("thanks"))
    assert fake.answers[query_id]["text"] == "thanks"
    late = fake.press(chat, message.id, ada)
    fake.expire_callbacks()
    for wrong in (late, "999"):
        assert client.refusal("answerCallbackQuery", callback_query_id=wrong) == (
            400,
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        )
    with pytest.raises(ValueError, match="no button 'no'"):
        fake.press(chat, message.id, ada, "no")


def test_an_edit_of_a_person_is_an_update_and_leaves_the_first_one_as_it_was(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    posted = fake.post(chat, ada, "old")
    fake.edit(chat, posted.message_id, "new @fake_bot")
    first, second = client.do(client.bot.get_updates())
    assert first.message is not None
    assert second.edited_message is not None
    assert (first.message.text, second.edited_message.text) == ("old", "new @fake_bot")
    assert second.edited_message.edit_date is not None
    assert [entity.type for entity in second.edited_message.entities] == ["mention"]
    wait_for(lambda: fake.messages(chat)[0]["text"] == "new @fake_bot")
