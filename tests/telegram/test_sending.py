"""From the outbox to people: texts, replies, topics, buttons, edits, and what becomes of refusals."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.telegram.markup import units
from connectors.testing.telegram import FakeTelegram
from tests.telegram.bot import Bot
from tests.telegram.conftest import MakeBot


@pytest.fixture
def one(fake: FakeTelegram, bot: MakeBot) -> Bot:
    """A bot that runs, and may hear Ada (501), whose private chat it has."""
    fake.private(fake.user("Ada", id=501))
    made = bot(allow={"users": ["501"]})
    made.run()
    return made


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_is_shown_formatted(fake: FakeTelegram, one: Bot) -> None:
    receipt = one.sent(501, "**bold** & <b>")
    [sent] = fake.sent
    assert (sent.text, sent.parse_mode) == ("bold & <b>", "HTML")
    assert [entity["type"] for entity in sent.entities] == ["bold"]
    assert receipt.ids == [str(sent.message_id)]


@pytest.mark.parametrize(("form", "mode"), [("plain", None), ("html", "HTML")])
def test_other_formats_go_as_they_are(fake: FakeTelegram, one: Bot, form: str, mode: str | None) -> None:
    one.sent(501, "<b>x</b>", format=form)
    assert (fake.sent[0].parse_mode, fake.sent[0].text) == (mode, "x" if mode else "<b>x</b>")


def test_native_is_telegrams_own_markdown(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, "*x* ||y||", format="native")
    (sent,) = fake.sent
    assert (sent.parse_mode, sent.text, [e["type"] for e in sent.entities]) == (
        "MarkdownV2",
        "x y",
        ["bold", "spoiler"],
    )


def test_native_that_does_not_parse_goes_as_it_stands(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, "*x", format="native")
    assert [(sent.parse_mode, sent.text) for sent in fake.sent] == [(None, "*x")]


def test_markup_that_telegram_cannot_parse_goes_as_plain_text_once(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("reject", "sendMessage", description="Bad Request: can't parse entities: Unsupported start tag")
    receipt = one.sent(501, "**bold** text")
    assert [(call.ok, call.params.get("parse_mode")) for call in fake.calls("sendMessage")] == [
        (False, "HTML"),
        (True, None),
    ]
    assert (fake.sent[0].text, receipt.attempts) == ("bold text", 1)


def test_plain_text_that_is_refused_too_is_a_dead_letter(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("reject", "sendMessage", 2, description="Bad Request: can't parse entities: no")
    assert "can't parse" in one.refused(501, "**x**").reason
    assert len(fake.calls("sendMessage")) == 2


def test_a_long_text_goes_in_parts_that_fit(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.private(fake.user("Ada", id=501))
    one = bot()
    one.run()
    text = "\n\n".join(f"**{n}** " + "🙂 & <word> " * 30 for n in range(14))
    receipt = one.sent(501, text)
    assert len(receipt.ids) == len(fake.sent) >= 2
    assert all(units(sent.text) <= 4096 for sent in fake.sent)
    joined = "".join("".join(sent.text for sent in fake.sent).split())
    assert joined == "".join(text.replace("**", "").split())


def test_no_part_has_more_formats_than_telegram_shows(fake: FakeTelegram, bot: MakeBot) -> None:
    """Telegram shows the first 100 and ignores the others, without a word."""
    fake.private(fake.user("Ada", id=501))
    one = bot()
    one.run()
    one.sent(501, " ".join(f"**{n}**" for n in range(150)))
    counts = [len([entity for entity in sent.entities if entity["type"] == "bold"]) for sent in fake.sent]
    assert sum(counts) == 150
    assert max(counts) <= 100


def test_a_web_page_instead_of_an_answer_is_tried_again(fake: FakeTelegram, bot: MakeBot) -> None:
    """As a proxy in between answers, with status 200: nobody knows whether it was sent."""
    fake.private(fake.user("Ada", id=501))
    one = bot()
    one.run()
    fake.fail_next("page", "sendMessage")
    assert one.sent(501, "hello").ambiguous
    assert [sent.text for sent in fake.sent] == ["hello"]


def test_links_have_no_preview_when_that_is_off(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.private(fake.user("Ada", id=501))
    one = bot(link_preview=False)
    one.run()
    one.sent(501, "https://example.org")
    assert "is_disabled" in str(fake.calls("sendMessage")[0].params["link_preview_options"])


def test_a_blank_text_is_refused_with_a_hint(one: Bot) -> None:
    assert "blank" in one.refused(501, " \n").reason


# ── where to ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_names_the_message_and_goes_out_also_when_that_is_gone(fake: FakeTelegram, one: Bot) -> None:
    posted = fake.post(501, 501, "question")
    event = one.event()
    one.sent(501, "answer", reply_to=event.id)
    assert fake.sent[0].reply_to == posted.message_id
    fake.delete(501, posted.message_id)
    one.sent(501, "late answer", reply_to=event.id)
    assert (fake.sent[1].text, fake.sent[1].reply_to) == ("late answer", None)


def test_a_topic_is_answered_in_it_and_general_without_a_number(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    forum = fake.supergroup("Forum", [ada], bot="administrator", is_forum=True)
    topic = fake.topic(forum, "Steam", ada)
    one = bot(allow={"conversations": [str(forum.id)]}, groups="all")
    one.run()
    fake.post(forum, ada, "in the topic", topic=topic)
    fake.post(forum, ada, "in general")
    events = one.wait(lambda: e if len(e := one.events("message")) == 2 else [])
    assert [event.conversation.thread_id for event in events] == [str(topic.message_id), "1"]
    one.sent(forum, "a", reply_to=events[0].id)
    one.sent(forum, "b", reply_to=events[1].id)
    asked = [call.params.get("message_thread_id") for call in fake.calls("sendMessage")]
    assert [None if number is None else int(number) for number in asked] == [topic.message_id, None]


def test_typing_in_general_names_it(fake: FakeTelegram, bot: MakeBot) -> None:
    forum = fake.supergroup("Forum", [], bot="administrator", is_forum=True)
    one = bot()
    one.run()
    one.sent(forum, action="typing", thread_id="1")
    assert int(fake.calls("sendChatAction")[0].params["message_thread_id"]) == 1


def test_a_topic_that_is_gone_is_no_reason_to_write_elsewhere(fake: FakeTelegram, bot: MakeBot) -> None:
    forum = fake.supergroup("Forum", [], bot="administrator", is_forum=True)
    one = bot()
    one.run()
    reason = one.refused(forum, "x", thread_id="4711")
    assert (reason.class_, fake.sent) == ("rejected", [])
    assert "topic" in reason.hint


@pytest.mark.parametrize("conversation", ["Ada", "C1", "", "12x"])
def test_what_is_no_chat_is_refused_at_once(fake: FakeTelegram, one: Bot, conversation: str) -> None:
    if conversation:
        assert "conversation" in one.refused(conversation, "x").hint
    assert fake.calls("sendMessage") == []


def test_only_where_it_may_write(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.private(fake.user("Ada", id=501))
    fake.private(fake.user("Eve", id=666))
    one = bot(allow={"send": ["501"]})
    one.run()
    one.sent(501, "x")
    assert "allow.send" in one.refused(666, "x").reason
    assert [sent.chat_id for sent in fake.sent] == [501]


@pytest.mark.parametrize(
    ("code", "description", "hint"),
    [
        (403, "Forbidden: bot was blocked by the user", "blocked"),
        (403, "Forbidden: user is deactivated", "gone"),
        (403, "Forbidden: bot was kicked from the supergroup chat", "add the bot"),
        (403, "Forbidden: bot can't initiate conversation with a user", "first"),
        (400, "Bad Request: chat not found", "number"),
        (400, "Bad Request: TOPIC_CLOSED", "closed"),
        (400, "Bad Request: TOPIC_DELETED", "topic"),
        (400, "Bad Request: message is too long", "shorten"),
        (400, "Bad Request: not enough rights to send text messages to the chat", "right"),
        (413, "Request Entity Too Large", "50 MB"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_change(
    fake: FakeTelegram, one: Bot, code: int, description: str, hint: str
) -> None:
    fake.fail_next("reject", "sendMessage", code=code, description=description)
    reason = one.refused(501, "x")
    assert (reason.class_, reason.attempts) == ("rejected", 1)
    assert description in reason.reason
    assert hint in reason.hint


def test_a_method_that_the_server_does_not_know_ends_no_process(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("reject", "sendMessage", code=404, description="Not Found: method not found")
    assert "base_url" in one.refused(501, "x").hint
    one.sent(501, "y")


# ── pace ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_flood_control_of_one_chat_delays_no_other(fake: FakeTelegram, one: Bot) -> None:
    fake.private(fake.user("Bob", id=502))
    fake.fail_next("rate_limit", "sendMessage", retry_after_s=30)
    one.send(501, "waits")
    one.wait(lambda: fake.calls("sendMessage"))
    one.sent(502, "goes")
    assert [(sent.chat_id, sent.text) for sent in fake.sent] == [(502, "goes")]
    assert one.reasons() == []


def test_a_chat_gets_one_message_a_second(fake: FakeTelegram, one: Bot) -> None:
    fake.private(fake.user("Bob", id=502))
    for n in range(3):
        one.send(501, f"a{n}")
    one.send(502, "b")
    one.wait(lambda: len(fake.sent) == 4)
    assert [sent.text for sent in fake.sent][:2] in (["a0", "b"], ["b", "a0"])
    assert [sent.text for sent in fake.sent if sent.chat_id == 501] == ["a0", "a1", "a2"]
    one.wait(lambda: len(one.receipts()) == 4)
    assert {receipt.attempts for receipt in one.receipts()} == {1}


def test_typing_yields_to_messages(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, "just said")
    receipt = one.sent(501, action="typing")
    assert receipt.metadata["skipped"]
    assert fake.calls("sendChatAction") == []


def test_typing_is_shown_and_its_flood_control_costs_nothing(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, action="typing")
    assert fake.calls("sendChatAction")[0].params["action"] == "typing"
    fake.fail_next("rate_limit", "sendChatAction")
    assert one.sent(501, action="typing").metadata["skipped"]


# ── ambiguity ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "ambiguous"), [("cut", True), ("reject", False)])
def test_only_what_may_have_arrived_is_ambiguous(fake: FakeTelegram, one: Bot, kind: Any, ambiguous: bool) -> None:
    code = 500 if kind == "reject" else None
    fake.fail_next(kind, "sendMessage", code=code, description=None if code is None else "Internal Server Error")
    receipt = one.sent(501, "x")
    assert (receipt.attempts, receipt.ambiguous) == (2, ambiguous)


@pytest.mark.parametrize("code", [404, 405, 410, 501, 505])
def test_what_the_server_does_not_know_is_a_dead_letter_at_once(fake: FakeTelegram, one: Bot, code: int) -> None:
    fake.fail_next("reject", "sendMessage", code=code, description="Not Implemented")
    reason = one.refused(501, "x")
    assert (reason.attempts, reason.hint) == (1, "the Bot API server at base_url does not know this: update it")


@pytest.mark.parametrize(("code", "ambiguous"), [(302, False), (503, False), (504, True), (524, True)])
def test_what_is_on_the_way_may_let_it_through_later(fake: FakeTelegram, one: Bot, code: int, ambiguous: bool) -> None:
    fake.fail_next("reject", "sendMessage", code=code, description="no")
    receipt = one.sent(501, "x")
    assert (receipt.attempts, receipt.ambiguous) == (2, ambiguous)


def test_a_platform_that_is_not_reachable_is_not_ambiguous(fake: FakeTelegram, one: Bot) -> None:
    one.wait(lambda: fake.pollers)
    fake.stop()
    one.send(501, "x")
    one.wait(lambda: one.status.get("counters", {}).get("retried"))
    fake.start()
    [receipt] = one.wait(one.receipts)
    assert receipt.ambiguous is False


def test_no_answer_is_ambiguous(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.private(fake.user("Ada", id=501))
    one = bot(timeout_s=0.5)
    one.run()
    fake.fail_next("timeout", "sendMessage")
    receipt = one.sent(501, "x")
    assert (receipt.ambiguous, len(fake.sent)) == (True, 2)


# ── buttons ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_buttons_are_below_the_message(fake: FakeTelegram, one: Bot) -> None:
    rows = [
        [{"text": "Yes", "data": "y"}, {"text": "No", "data": "n"}],
        [{"text": "Docs", "url": "https://example.org"}],
    ]
    one.sent(501, "tea?", metadata={"buttons": rows})
    keyboard = fake.sent[0].message["reply_markup"]["inline_keyboard"]
    assert [[button["text"] for button in row] for row in keyboard] == [["Yes", "No"], ["Docs"]]
    assert (keyboard[0][0]["callback_data"], keyboard[1][0]["url"]) == ("y", "https://example.org")


def test_the_buttons_of_a_long_text_are_below_its_last_part(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, "word " * 1200, metadata={"buttons": [[{"text": "Go", "data": "g"}]]})
    assert ["reply_markup" in sent.message for sent in fake.sent] == [False, True]


@pytest.mark.parametrize(
    ("buttons", "named"),
    [
        ([[{"text": "Yes", "data": "y" * 65}]], 'row 1, button 1 ("Yes")'),
        ([[{"text": "Yes", "data": "ü" * 33}]], "64 bytes"),
        ([[{"text": "Yes", "data": "y"}], [{"text": "No", "data": ""}]], 'row 2, button 1 ("No")'),
        ([[{"text": "Yes"}]], "either data or url"),
        ([[{"text": "Yes", "data": "y", "url": "https://x"}]], "either data or url"),
        ([[{"text": "Yes", "url": "javascript:1"}]], "https://"),
        ([[{"text": "Yes", "data": "y", "colour": "red"}]], "colour"),
        ([[{"data": "y"}]], "no text"),
        ([{"text": "Yes", "data": "y"}], "row 1"),
        ([], "no list of rows"),
        ("Yes", "no list of rows"),
    ],
)
def test_a_wrong_button_is_named(fake: FakeTelegram, one: Bot, buttons: Any, named: str) -> None:
    assert named in one.refused(501, "tea?", metadata={"buttons": buttons}).reason
    assert fake.calls("sendMessage") == []


# ── what is there already ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_edit_by_the_receipts_id(fake: FakeTelegram, one: Bot) -> None:
    number = one.sent(501, "frist").ids[0]
    one.sent(501, "**first**", action="edit", target_id=number)
    assert (fake.sent[0].text, fake.sent[0].edits) == ("first", 1)


def test_an_edit_to_the_same_is_a_success(fake: FakeTelegram, one: Bot) -> None:
    number = one.sent(501, "same").ids[0]
    assert one.sent(501, "same", action="edit", target_id=number).ids == [number]
    assert not fake.calls("editMessageText")[0].ok


def test_a_caption_is_edited_where_there_is_no_text(fake: FakeTelegram, one: Bot) -> None:
    number = one.sent(501, "old", attachments=[one.attach("n.txt", b"x")]).ids[0]
    one.sent(501, "new", action="edit", target_id=number)
    assert fake.sent[0].text == "new"


def test_a_deletion_and_one_of_what_is_gone(fake: FakeTelegram, one: Bot) -> None:
    number = one.sent(501, "oops").ids[0]
    one.sent(501, action="delete", target_id=number)
    assert fake.sent[0].deleted
    assert one.sent(501, action="delete", target_id=number).metadata == {"already": True}


def test_a_reaction_by_event_id_and_its_removal(fake: FakeTelegram, one: Bot) -> None:
    posted = fake.post(501, 501, "well done")
    event = one.event()
    one.sent(501, action="react", reply_to=event.id, emoji="👍")
    assert fake.world.reactions[(501, posted.message_id, fake.bot.id)] == ["👍"]
    one.sent(501, action="react", target_id=event.id, emoji="")
    assert not fake.world.reactions.get((501, posted.message_id, fake.bot.id))


def test_a_reaction_that_telegram_does_not_have(fake: FakeTelegram, one: Bot) -> None:
    fake.post(501, 501, "x")
    fake.fail_next("reject", "setMessageReaction", description="Bad Request: REACTION_INVALID")
    assert "emoji" in one.refused(501, action="react", target_id=one.event().id, emoji="🦄").hint


@pytest.mark.parametrize("target", [None, "x:y", "telegram:1:update:5"])
def test_a_target_that_is_no_message_is_refused(one: Bot, target: str | None) -> None:
    reason = one.refused(501, "x", action="edit", target_id=target)
    assert "receipt" in reason.hint
