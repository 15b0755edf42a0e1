"""What updates become. The objects are those of the Bot API's documentation, https://core.telegram.org/bots/api."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.base.message import Message
from connectors.telegram.ids import Me
from connectors.telegram.normalise import normalise

ME = Me(id=7_000_000_001, username="fake_bot", name="Fake Bot")
ADA: dict[str, Any] = {"id": 501, "is_bot": False, "first_name": "Ada", "last_name": "Lovelace", "username": "ada"}
BOT: dict[str, Any] = {"id": ME.id, "is_bot": True, "first_name": "Fake Bot", "username": "fake_bot"}
PRIVATE: dict[str, Any] = {"id": 501, "type": "private", "first_name": "Ada", "username": "ada"}
GROUP: dict[str, Any] = {"id": -1001, "type": "supergroup", "title": "Engines"}
FORUM: dict[str, Any] = {**GROUP, "is_forum": True}
DATE = 1_700_000_000


def message(**fields: Any) -> dict[str, Any]:
    """A message of Ada's in her private chat, unless `fields` say otherwise."""
    return {"message_id": 42, "from": ADA, "chat": PRIVATE, "date": DATE, **fields}


def read(kind: str = "message", /, **fields: Any) -> Message:
    """The event of a message."""
    found = normalise({"update_id": 900, kind: message(**fields)}, ME, "tg")
    assert found is not None
    return found


def entity(kind: str, offset: int, length: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "length": length, **more}


# ── who, where, when ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_in_a_private_chat() -> None:
    event = read(text="  zwölf 🙂\n")
    assert event.id == "telegram:7000000001:501:42"
    assert event.timestamp == "2023-11-14T22:13:20+00:00"
    assert (event.content.text, event.content.media_type, event.content.format) == ("  zwölf 🙂\n", "text", "plain")
    assert (event.sender.id, event.sender.username, event.sender.display_name) == ("501", "ada", "Ada Lovelace")
    assert (event.conversation.id, event.conversation.type, event.conversation.name) == ("501", "dm", "Ada")
    assert "raw_text" not in event.metadata
    assert event.metadata["update_id"] == 900


def test_a_redelivery_has_the_same_id() -> None:
    first = normalise({"update_id": 1, "message": message(text="x")}, ME, "tg")
    again = normalise({"update_id": 2, "message": message(text="x")}, ME, "tg")
    assert first is not None
    assert again is not None
    assert first.id == again.id


def test_two_edits_of_one_second_are_two_events() -> None:
    edited = message(text="x", edit_date=DATE + 5)
    ids = {found.id for n in (1, 2) if (found := normalise({"update_id": n, "edited_message": edited}, ME, "tg"))}
    assert ids == {f"telegram:{ME.id}:501:42:edit:{DATE + 5}:{n}" for n in (1, 2)}


def test_an_edit_says_what_it_changes() -> None:
    event = read("edited_message", text="better", edit_date=DATE + 60)
    assert (event.kind, event.content.text) == ("edit", "better")
    assert event.metadata["edit_of"] == "telegram:7000000001:501:42"
    assert event.timestamp == "2023-11-14T22:14:20+00:00"


def test_an_edited_service_message_is_not_taken_for_the_first_one() -> None:
    assert read("edited_message", new_kind={"a": 1}, edit_date=5).id != read(new_kind={"a": 1}).id


def test_a_group_has_its_title_and_negative_id() -> None:
    event = read(chat=GROUP, text="x")
    assert (event.conversation.id, event.conversation.type, event.conversation.name) == ("-1001", "group", "Engines")


def test_an_anonymous_admin_is_the_group_itself() -> None:
    stand_in = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    event = read(**{"from": stand_in}, chat=GROUP, sender_chat=GROUP, author_signature="boss", text="x")
    assert (event.sender.id, event.sender.display_name, event.sender.is_bot) == ("-1001", "Engines", False)
    assert (event.metadata["anonymous"], event.metadata["author_signature"]) == ("admin", "boss")


def test_who_writes_as_a_channel_is_that_channel() -> None:
    stand_in = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
    channel = {"id": -1009, "type": "channel", "title": "News"}
    event = read(**{"from": stand_in}, chat=GROUP, sender_chat=channel, text="x")
    assert (event.sender.id, event.sender.is_bot, event.metadata["anonymous"]) == ("-1009", False, "channel")


def test_a_channel_post_has_no_user() -> None:
    channel = {"id": -1009, "type": "channel", "title": "News", "username": "news"}
    post = {"message_id": 3, "sender_chat": channel, "chat": channel, "date": DATE, "text": "hear"}
    event = normalise({"update_id": 1, "channel_post": post}, ME, "tg")
    assert event is not None
    assert (event.sender.id, event.sender.username, event.conversation.type) == ("-1009", "news", "channel")
    assert (event.metadata["why"], event.mentions_me) == ("channel", False)


def test_another_bot_is_marked() -> None:
    assert read(**{"from": {"id": 9, "is_bot": True, "first_name": "B"}}, text="x").sender.is_bot


# ── topics, replies ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_topic_is_a_thread() -> None:
    assert read(chat=FORUM, message_thread_id=17, is_topic_message=True, text="x").conversation.thread_id == "17"


def test_general_is_topic_1() -> None:
    assert read(chat=FORUM, text="x").conversation.thread_id == "1"


def test_a_chain_of_replies_is_no_topic() -> None:
    assert read(chat=GROUP, message_thread_id=17, text="x").conversation.thread_id is None


def test_private_chats_have_topics_too() -> None:
    assert read(message_thread_id=9, is_topic_message=True, text="x").conversation.thread_id == "9"


def test_direct_messages_of_a_channel_have_topics_of_their_own() -> None:
    chat = {"id": -1005, "type": "supergroup", "title": "Direct", "is_direct_messages": True}
    topic = {"topic_id": 501, "user": ADA}
    assert read(chat=chat, direct_messages_topic=topic, text="x").conversation.thread_id == "direct:501"


def test_a_reply_names_the_event_that_it_answers() -> None:
    event = read(
        text="yes", reply_to_message=message(message_id=40, text="really?"), quote={"text": "real", "position": 0}
    )
    assert event.conversation.reply_to == "telegram:7000000001:501:40"
    assert event.metadata["replied"] == {"message_id": 40, "sender_id": "501", "text": "really?"}
    assert event.metadata["quote"] == "real"


def test_a_message_in_a_topic_that_answers_nobody_is_no_reply() -> None:
    root = {"message_id": 17, "from": BOT, "chat": FORUM, "date": DATE, "forum_topic_created": {"name": "T"}}
    event = read(chat=FORUM, message_thread_id=17, is_topic_message=True, reply_to_message=root, text="x")
    assert (event.conversation.reply_to, event.mentions_me, event.metadata.get("why")) == (None, False, None)


def test_a_reply_to_another_chat_is_kept_as_it_is() -> None:
    external = {"origin": {"type": "hidden_user", "sender_user_name": "X", "date": DATE}, "message_id": 7}
    assert read(text="x", external_reply=external).metadata["external_reply"] == external


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ({"type": "user", "sender_user": ADA, "date": DATE}, "Ada Lovelace"),
        ({"type": "hidden_user", "sender_user_name": "Somebody", "date": DATE}, "Somebody"),
        ({"type": "chat", "sender_chat": GROUP, "date": DATE}, "Engines"),
        ({"type": "channel", "chat": {"id": -1009, "title": "News"}, "message_id": 5, "date": DATE}, "News"),
    ],
)
def test_a_forward_says_where_it_is_from(origin: dict[str, Any], name: str) -> None:
    forward = read(text="x", forward_origin=origin).metadata["forward"]
    assert (forward["type"], forward["name"], forward["sent_at"]) == (origin["type"], name, "2023-11-14T22:13:20+00:00")


# ── what addresses the bot ────────────────────────────────────────────────────────────────────────────────────────


def test_a_mention_is_found_by_its_utf16_offset() -> None:
    text = "🙂🙂 @Fake_Bot hi"
    event = read(chat=GROUP, text=text, entities=[entity("mention", 5, 9)])
    assert (event.mentions_me, event.metadata["why"]) == (True, "mention")


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("@fake_bot", []),
        ("mail me@fake_bot.org", [entity("email", 5, 15)]),
        ("@fake_bot2", [entity("mention", 0, 10)]),
        ("Ada", [entity("text_mention", 0, 3, user=ADA)]),
        ("/stop@other_bot", [entity("bot_command", 0, 15)]),
    ],
)
def test_what_only_looks_like_a_mention_is_none(text: str, entities: list[dict[str, Any]]) -> None:
    event = read(chat=GROUP, text=text, entities=entities)
    assert (event.mentions_me, event.metadata.get("why"), event.kind) == (False, None, "message")


def test_a_mention_without_a_username() -> None:
    assert read(chat=GROUP, text="Bot, hi", entities=[entity("text_mention", 0, 3, user=BOT)]).mentions_me


def test_a_mention_in_a_caption_counts() -> None:
    photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
    assert read(chat=GROUP, photo=photo, caption="@fake_bot", caption_entities=[entity("mention", 0, 9)]).mentions_me


def test_a_reply_to_the_bot_addresses_it() -> None:
    answered = {"message_id": 40, "from": BOT, "chat": GROUP, "date": DATE, "text": "?"}
    event = read(chat=GROUP, text="yes", reply_to_message=answered)
    assert (event.mentions_me, event.metadata["why"]) == (True, "reply")


def test_a_mention_in_the_answered_message_does_not_count() -> None:
    answered = message(chat=GROUP, message_id=40, text="@fake_bot", entities=[entity("mention", 0, 9)])
    assert not read(chat=GROUP, text="yes", reply_to_message=answered).mentions_me


def test_a_command_with_its_arguments() -> None:
    event = read(chat=GROUP, text="/start@Fake_bot one two", entities=[entity("bot_command", 0, 15)])
    assert (event.kind, event.mentions_me, event.metadata["why"]) == ("command", True, "command")
    assert event.metadata["command"] == {"name": "start", "arguments": "one two"}


def test_a_command_for_nobody_by_name_is_for_every_bot() -> None:
    event = read(chat=GROUP, text="/help", entities=[entity("bot_command", 0, 5)])
    assert (event.kind, event.mentions_me, event.metadata["why"]) == ("command", False, "command")


def test_a_command_in_the_middle_is_text() -> None:
    assert read(text="say /help", entities=[entity("bot_command", 4, 5)]).kind == "message"


# ── content ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_behind_a_link_is_shown_and_the_raw_text_kept() -> None:
    link = entity("text_link", 3, 4, url="https://example.org/a")
    event = read(text="🙂 here it is", entities=[link])
    assert event.content.text == "🙂 here (https://example.org/a) it is"
    assert event.metadata["raw_text"] == "🙂 here it is"
    assert event.metadata["entities"] == [link]


def test_of_a_photo_the_largest_size_is_taken() -> None:
    sizes = [
        {"file_id": "s", "file_unique_id": "us", "width": 90, "height": 60, "file_size": 1000},
        {"file_id": "l", "file_unique_id": "ul", "width": 1280, "height": 853, "file_size": 90_000},
        {"file_id": "m", "file_unique_id": "um", "width": 320, "height": 213, "file_size": 9000},
    ]
    event = read(photo=sizes, caption="look")
    [file] = event.content.attachments
    assert (event.content.text, event.content.media_type) == ("look", "image")
    assert (file["ref"], file["size"]) == ({"file_id": "l", "file_unique_id": "ul"}, 90_000)


@pytest.mark.parametrize(
    ("field", "media_type", "name", "mime"),
    [
        ("document", "file", "n.pdf", "application/pdf"),
        ("voice", "voice", "voice_u.ogg", "audio/ogg"),
        ("audio", "audio", "audio_u.mp3", "audio/mpeg"),
        ("video", "video", "video_u.mp4", "video/mp4"),
        ("video_note", "video_note", "video_note_u.mp4", "video/mp4"),
        ("animation", "animation", "animation_u.mp4", "video/mp4"),
    ],
)
def test_files_are_named_and_referred_to(field: str, media_type: str, name: str, mime: str) -> None:
    file = {"file_id": "f", "file_unique_id": "u", "file_size": 5, "duration": 3}
    if field == "document":
        file = {"file_id": "f", "file_unique_id": "u", "file_size": 5, "file_name": name, "mime_type": mime}
    event = read(**{field: file}, caption="c")
    [entry] = event.content.attachments
    assert (event.content.media_type, event.content.text, event.metadata["content"]) == (media_type, "c", field)
    assert (entry["name"], entry["media_type"], entry["size"]) == (name, mime, 5)
    assert entry["ref"] == {"file_id": "f", "file_unique_id": "u"}


def test_an_animation_is_not_also_a_document() -> None:
    file = {"file_id": "f", "file_unique_id": "u"}
    event = read(animation=file, document=file)
    assert (event.content.media_type, len(event.content.attachments)) == ("animation", 1)


@pytest.mark.parametrize(
    ("flags", "form", "ending"),
    [({}, "static", ".webp"), ({"is_animated": True}, "animated", ".tgs"), ({"is_video": True}, "video", ".webm")],
)
def test_stickers_of_every_form(flags: dict[str, Any], form: str, ending: str) -> None:
    sticker = {"file_id": "f", "file_unique_id": "u", "emoji": "🎲", "set_name": "S", "type": "regular", **flags}
    event = read(sticker=sticker)
    assert (event.content.text, event.content.media_type) == ("🎲", "sticker")
    assert event.metadata["sticker"] == {"form": form, "emoji": "🎲", "set_name": "S", "type": "regular"}
    assert event.content.attachments[0]["name"].endswith(ending)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("location", {"latitude": 52.5, "longitude": 13.4}, "[location: 52.5, 13.4]"),
        ("contact", {"phone_number": "+49", "first_name": "Ada"}, "[contact: Ada, +49]"),
        ("dice", {"emoji": "🎯", "value": 6}, "[dice: 🎯 6]"),
        ("story", {"id": 1, "chat": PRIVATE}, "[story: Ada]"),
        ("poll", {"question": "Tea?", "options": [{"text": "yes"}, {"text": "no"}]}, "[poll: Tea? / yes / no]"),
        ("checklist", {"title": "Buy", "tasks": [{"id": 1, "text": "milk"}]}, "[checklist: Buy / milk]"),
        ("game", {"title": "Chess"}, "[game: Chess]"),
    ],
)
def test_what_is_no_text_is_told_and_kept(field: str, value: dict[str, Any], text: str) -> None:
    event = read(**{field: value})
    assert (event.kind, event.content.text, event.content.media_type) == ("message", text, field)
    assert event.metadata[field] == value
    assert "raw_text" not in event.metadata


def test_a_venue_is_told_once() -> None:
    place = {"latitude": 1.0, "longitude": 2.0}
    event = read(venue={"location": place, "title": "Café", "address": "Road 1"}, location=place)
    assert event.content.text == "[venue: Café, Road 1, 1.0, 2.0]"


def test_an_album_is_an_event_each_with_its_group_and_caption() -> None:
    photo = [{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]
    events = [read(message_id=n, photo=photo, caption=f"c{n}", media_group_id="138") for n in (1, 2)]
    assert [event.content.text for event in events] == ["c1", "c2"]
    assert {event.metadata["media_group_id"] for event in events} == {"138"}
    assert events[0].id != events[1].id


def test_paid_media_that_was_not_bought_is_a_placeholder() -> None:
    paid = {"star_count": 5, "paid_media": [{"type": "preview", "width": 1}]}
    [entry] = read(paid_media=paid).content.attachments
    assert entry["error"]


def test_a_reply_to_a_story_is_kept() -> None:
    story = {"id": 3, "chat": PRIVATE}
    assert read(text="nice", reply_to_story=story).metadata["reply_to_story"] == story


# ── what is no message ────────────────────────────────────────────────────────────────────────────────────────────


def update(**kinds: Any) -> Message:
    found = normalise({"update_id": 900, **kinds}, ME, "tg")
    assert found is not None
    return found


def test_a_pressed_button() -> None:
    query = {
        "id": "4382bfdwdsb323b2d9",
        "from": ADA,
        "message": {
            "message_id": 40,
            "from": BOT,
            "chat": FORUM,
            "date": DATE,
            "message_thread_id": 5,
            "is_topic_message": True,
        },
        "chat_instance": "1",
        "data": "yes",
    }
    event = update(callback_query=query)
    assert (event.id, event.kind) == ("telegram:7000000001:callback:4382bfdwdsb323b2d9", "button")
    assert (event.content.text, event.sender.id) == ("yes", "501")
    assert (event.conversation.id, event.conversation.thread_id) == ("-1001", "5")
    assert event.conversation.reply_to == "telegram:7000000001:-1001:40"
    assert event.metadata["why"] == "button"


def test_a_button_below_a_message_that_cannot_be_read_any_more() -> None:
    query = {"id": "1", "from": ADA, "message": {"chat": PRIVATE, "message_id": 4, "date": 0}, "data": "x"}
    assert update(callback_query=query).conversation.id == "501"


def test_a_button_below_an_inline_message_belongs_to_who_pressed_it() -> None:
    event = update(callback_query={"id": "1", "from": ADA, "inline_message_id": "abc", "data": "x"})
    assert (event.conversation.id, event.conversation.type) == ("501", "dm")


def test_a_reaction_says_what_came_and_what_went() -> None:
    reaction = {
        "chat": GROUP,
        "message_id": 42,
        "user": ADA,
        "date": DATE,
        "old_reaction": [{"type": "emoji", "emoji": "👎"}],
        "new_reaction": [{"type": "emoji", "emoji": "👍"}, {"type": "custom_emoji", "custom_emoji_id": "77"}],
    }
    event = update(message_reaction=reaction)
    assert (event.kind, event.content.text, event.sender.id) == ("reaction", "👍 custom:77", "501")
    assert event.metadata["reaction"] == {"added": ["👍", "custom:77"], "removed": ["👎"], "now": ["👍", "custom:77"]}
    assert event.conversation.reply_to == "telegram:7000000001:-1001:42"


def test_an_anonymous_reaction_is_the_chats() -> None:
    reaction = {
        "chat": GROUP,
        "message_id": 42,
        "actor_chat": GROUP,
        "date": DATE,
        "old_reaction": [],
        "new_reaction": [],
    }
    assert update(message_reaction=reaction).sender.id == "-1001"


def test_counted_reactions() -> None:
    counts = {
        "chat": {"id": -1009, "type": "channel", "title": "News"},
        "message_id": 3,
        "date": DATE,
        "reactions": [
            {"type": {"type": "emoji", "emoji": "👍"}, "total_count": 3},
            {"type": {"type": "paid"}, "total_count": 1},
        ],
    }
    event = update(message_reaction_count=counts)
    assert (event.kind, event.content.text) == ("reaction", "👍 3 ⭐ 1")
    assert event.metadata["reaction"] == {"counts": {"👍": 3, "⭐": 1}}


@pytest.mark.parametrize(
    ("chat", "old", "new", "words"),
    [
        (GROUP, "left", "member", "joined"),
        (GROUP, "member", "kicked", "was removed"),
        (GROUP, "member", "left", "left"),
        (GROUP, "member", "administrator", "is now administrator"),
        (PRIVATE, "member", "kicked", "was blocked"),
        (PRIVATE, "kicked", "member", "was started again"),
    ],
)
def test_the_bots_own_membership(chat: dict[str, Any], old: str, new: str, words: str) -> None:
    change = {
        "chat": chat,
        "from": ADA,
        "date": DATE,
        "old_chat_member": {"user": BOT, "status": old},
        "new_chat_member": {"user": BOT, "status": new},
    }
    event = update(my_chat_member=change)
    assert (event.kind, event.content.text) == ("membership", f"[Fake Bot {words}]")
    assert event.metadata["membership"] == {"user_id": str(ME.id), "name": "Fake Bot", "old": old, "new": new}
    assert event.metadata["why"] == "membership"


def test_members_who_come_and_go() -> None:
    joined = read(chat=GROUP, new_chat_members=[ADA, {"id": 7, "is_bot": False, "first_name": "Bob"}])
    left = read(chat=GROUP, message_id=43, left_chat_member=ADA)
    assert (joined.kind, joined.content.text) == ("membership", "[Ada Lovelace, Bob joined]")
    assert joined.metadata["members"] == [{"user_id": "501", "name": "Ada Lovelace"}, {"user_id": "7", "name": "Bob"}]
    assert (left.kind, left.content.text, left.metadata.get("why")) == ("membership", "[Ada Lovelace left]", None)
    assert read(chat=GROUP, new_chat_members=[BOT]).metadata["why"] == "membership"


@pytest.mark.parametrize(
    "field", ["new_chat_title", "pinned_message", "forum_topic_created", "giveaway", "from_the_future"]
)
def test_service_messages_and_content_of_the_future_are_events(field: str) -> None:
    value: Any = "T" if field == "new_chat_title" else {"name": "T"}
    event = read(chat=GROUP, **{field: value})
    assert (event.kind, event.content.text) == ("event", f"[{field}: T]")
    assert event.event is not None
    assert (event.event.platform_event, event.event.payload) == (field, {field: value})


def test_an_unknown_kind_of_update_is_an_event_with_its_object() -> None:
    value = {"id": "x", "from": ADA, "novelty": [1, 2]}
    event = update(hologram=value)
    assert (event.id, event.kind, event.content.text) == ("telegram:7000000001:update:900", "event", "[hologram]")
    assert (event.sender.id, event.conversation.id, event.conversation.type) == ("501", "501", "dm")
    assert event.event is not None
    assert event.event.payload == value


def test_an_unknown_object_is_kept_up_to_a_size() -> None:
    event = update(hologram={"chat": GROUP, "blob": "x" * 1_000_000})
    assert len(event.to_bytes()) < 20_000


@pytest.mark.parametrize(
    "value", [None, 5, "text", [], [1], {}, {"chat": None}, {"chat": 5, "from": "x"}, {"message": 1}]
)
@pytest.mark.parametrize("kind", ["message", "callback_query", "message_reaction", "my_chat_member", "poll", "future"])
def test_no_shape_of_an_update_is_a_crash(kind: str, value: Any) -> None:
    found = normalise({"update_id": 1, kind: value}, ME, "tg")
    assert found is None or json.loads(found.to_json())["id"]


def test_a_join_request_is_about_membership() -> None:
    event = update(chat_join_request={"chat": GROUP, "from": ADA, "user_chat_id": 501, "date": DATE, "bio": "hi"})
    assert (event.kind, event.conversation.id, event.sender.id) == ("membership", "-1001", "501")


# ── business accounts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_business_message_is_of_another_conversation_than_the_bots_own() -> None:
    event = read("business_message", business_connection_id="BC1", text="x")
    assert (event.conversation.id, event.conversation.type) == ("business:BC1:501", "dm")
    assert event.id == "telegram:7000000001:business:BC1:501:42"


def test_what_the_bot_said_for_the_account_does_not_come_back() -> None:
    value = message(business_connection_id="BC1", sender_business_bot=BOT, text="x")
    assert normalise({"update_id": 1, "business_message": value}, ME, "tg") is None


def test_deleted_business_messages() -> None:
    event = update(deleted_business_messages={"business_connection_id": "BC1", "chat": PRIVATE, "message_ids": [4, 5]})
    assert (event.kind, event.conversation.id) == ("delete", "business:BC1:501")
    assert event.metadata["targets"] == [f"telegram:{ME.id}:business:BC1:501:{n}" for n in (4, 5)]


def test_the_raw_object_comes_along_when_asked_for() -> None:
    value = message(text="x")
    found = normalise({"update_id": 1, "message": value}, ME, "tg", raw=True)
    assert found is not None
    assert found.metadata["raw"] == value
