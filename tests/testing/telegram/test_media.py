"""Files of the bot and of people."""

from typing import Any

import pytest
import telegram
from telegram import InputMediaAudio, InputMediaDocument, InputMediaPhoto, InputMediaVideo

from connectors.testing.telegram import Chat, FakeTelegram, File, User, png
from tests.testing.telegram.client import Client

MIB = 1024 * 1024
KINDS = ("photo", "document", "voice", "audio", "video", "video_note", "animation", "sticker")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_bot_can_be_fetched_again(fake: FakeTelegram, client: Client, chat: Chat, kind: str) -> None:
    data = png(1000, 500)
    sent = client.do(
        getattr(client.bot, f"send_{kind}")(chat.id, data, **{"filename": "a b.png"} if kind != "sticker" else {})
    )
    media = sent[kind][-1] if kind == "photo" else sent[kind]
    assert media.file_size == len(data)
    assert client.do(client.do(media.get_file()).download_as_bytearray()) == data
    again = client.do(getattr(client.bot, f"send_{kind}")(chat.id, media.file_id))
    assert again[kind]
    assert fake.calls(f"send{kind.replace('_', '')}")[0].files != {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_a_person_can_be_fetched(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User, kind: str
) -> None:
    caption = "" if kind in ("video_note", "sticker") else "see @fake_bot"
    fake.post(chat, ada, caption, **{kind: File("a/../ü.bin", b"content", details={"file_size": 7})})
    [update] = client.do(client.bot.get_updates())
    assert update.message is not None
    assert (update.message.caption or "") == caption
    assert len(update.message.caption_entities) == bool(caption)
    media: Any = getattr(update.message, kind)
    media = media[-1] if kind == "photo" else media
    assert bytes(client.do(client.do(media.get_file()).download_as_bytearray())) == b"content"


def test_a_photo_has_several_sizes_of_which_the_last_is_whole(fake: FakeTelegram, chat: Chat, ada: User) -> None:
    data = png(2000, 1000)
    sizes = fake.post(chat, ada, photo=data).message["photo"]
    assert [(size["width"], size["height"]) for size in sizes] == [(90, 45), (320, 160), (800, 400), (2000, 1000)]
    assert sizes[-1]["file_size"] == len(data)
    assert len({size["file_unique_id"] for size in sizes}) == 4


def test_a_document_keeps_its_name(fake: FakeTelegram, chat: Chat, ada: User) -> None:
    document = fake.post(chat, ada, document=File("Ünï \u202eevil.pdf", b"x")).message["document"]
    assert (document["file_name"], document["mime_type"]) == ("Ünï \u202eevil.pdf", "application/pdf")


@pytest.mark.parametrize(
    ("kind", "flags"),
    [("static", (False, False)), ("animated", (True, False)), ("video", (False, True))],
)
def test_stickers_are_static_animated_or_videos(
    fake: FakeTelegram, chat: Chat, ada: User, kind: str, flags: tuple[bool, bool]
) -> None:
    sticker = fake.post(chat, ada, sticker=kind).message["sticker"]
    assert (sticker["is_animated"], sticker["is_video"]) == flags


def test_files_above_20_mb_are_not_for_bots(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    big = fake.post(chat, ada, document=File("big.bin", size=20 * MIB + 1)).message["document"]
    assert client.refusal("getFile", file_id=big["file_id"]) == (400, "Bad Request: file is too big")
    fits = fake.post(chat, ada, document=File("fits.bin", size=20 * MIB)).message["document"]
    assert client.raw("getFile", json={"file_id": fits["file_id"]}).json()["result"]["file_size"] == 20 * MIB
    assert client.refusal("getFile", file_id="nonsense")[0] == 400


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"no picture", "IMAGE_PROCESS_FAILED"),
        (png(6000, 4001), "PHOTO_INVALID_DIMENSIONS"),
        (png(2100, 100), "PHOTO_INVALID_DIMENSIONS"),
        (
            png() + bytes(10 * MIB),
            f"file of size {10 * MIB + len(png())} bytes is too big for a photo; the maximum size is 10485760 bytes",
        ),
        (b"", "file must be non-empty"),
    ],
)
def test_a_photo_that_is_none_is_refused(
    fake: FakeTelegram, client: Client, chat: Chat, data: bytes, refusal: str
) -> None:
    answer = client.raw("sendPhoto", data={"chat_id": str(chat.id)}, files={"photo": ("a.png", data)}).json()
    assert answer == {"ok": False, "error_code": 400, "description": f"Bad Request: {refusal}"}
    assert fake.sent == []


def test_an_upload_above_50_mb_is_refused(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    data = bytes(52 * MIB)
    answer = client.raw("sendDocument", data={"chat_id": str(chat.id)}, files={"document": ("a.bin", data)}).json()
    assert answer == {"ok": False, "error_code": 413, "description": "Request Entity Too Large"}
    assert fake.sent == []


def test_what_is_no_file_is_refused(client: Client, chat: Chat) -> None:
    assert client.refusal("sendDocument", chat_id=chat.id) == (400, "Bad Request: there is no document in the request")
    assert client.refusal("sendDocument", chat_id=chat.id, document="nonsense") == (
        400,
        "Bad Request: wrong file identifier/HTTP URL specified",
    )
    assert client.refusal("sendDocument", chat_id=chat.id, document="https://example.org/a") == (
        400,
        "Bad Request: failed to get HTTP URL content",
    )


def test_a_caption_has_1024_utf16_units(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    client.do(client.bot.send_document(chat.id, b"x", caption="😀" * 512))
    with pytest.raises(telegram.error.BadRequest, match="Message caption is too long"):
        client.do(client.bot.send_document(chat.id, b"x", caption="😀" * 512 + "x"))
    assert len(fake.sent) == 1


def test_an_album_of_the_bot_is_one_message_a_file(fake: FakeTelegram, client: Client, chat: Chat) -> None:
    items: list[Any] = [InputMediaPhoto(png(), caption="<b>one</b>", parse_mode="HTML"), InputMediaVideo(b"two")]
    sent = client.do(client.bot.send_media_group(chat.id, items))
    assert len({message.media_group_id for message in sent}) == 1
    assert [(s.text, s.parse_mode) for s in fake.sent] == [("one", "HTML"), ("", None)]
    [alone] = client.do(client.bot.send_media_group(chat.id, [InputMediaDocument(b"x")]))
    assert alone.media_group_id is None


@pytest.mark.parametrize(
    ("items", "refusal"),
    [
        ([InputMediaPhoto(png())] * 11, "Too many messages to send as an album"),
        ([InputMediaPhoto(png()), InputMediaDocument(b"x")], "Document can't be mixed with other media types"),
        ([InputMediaVideo(b"x"), InputMediaAudio(b"x")], "Audio can't be mixed with other media types"),
        ([InputMediaPhoto(png()), InputMediaPhoto(b"no picture")], "Image_process_failed"),
        ([InputMediaPhoto(png(), caption="x" * 1025)] * 2, "Message caption is too long"),
    ],
)
def test_an_album_with_something_wrong_is_refused_as_a_whole(
    fake: FakeTelegram, client: Client, chat: Chat, items: Any, refusal: str
) -> None:
    with pytest.raises(telegram.error.BadRequest, match=refusal):
        client.do(client.bot.send_media_group(chat.id, items))
    assert fake.sent == []


def test_an_album_of_a_person_is_an_update_an_item(fake: FakeTelegram, client: Client, chat: Chat, ada: User) -> None:
    fake.album(chat, ada, [{"photo": png()}, {"video": b"x"}, {"photo": png(), "text": "last"}], "first", gap_s=0.01)
    updates = client.do(client.bot.get_updates())
    messages = [update.message for update in updates if update.message]
    assert [m.caption for m in messages] == ["first", None, "last"]
    assert len({m.media_group_id for m in messages}) == 1


def test_other_contents_of_people_are_what_the_sdk_expects(
    fake: FakeTelegram, client: Client, chat: Chat, ada: User
) -> None:
    given: dict[str, Any] = {
        "location": (52.5, 13.4),
        "venue": (52.5, 13.4, "Café", "Here 1"),
        "contact": ("+4930123", "Eve"),
        "poll": ("Tea?", ["yes", "no"]),
        "dice": "🎲",
        "story": True,
    }
    for kind, value in given.items():
        fake.post(chat, ada, **{kind: value})
    found = [update.message for update in client.do(client.bot.get_updates())]
    assert [message is not None and bool(message[kind]) for message, kind in zip(found, given, strict=True)] == [
        True
    ] * 6


def test_a_post_of_an_unknown_kind_is_a_mistake_of_the_test(fake: FakeTelegram, chat: Chat, ada: User) -> None:
    with pytest.raises(TypeError, match="unknown: fotos"):
        fake.post(chat, ada, fotos=b"x")
    with pytest.raises(TypeError, match="one of photo, document, not several"):
        fake.post(chat, ada, photo=b"x", document=b"x")
