"""Files out: what each is sent as, which of them together, and what becomes of captions, texts and refusals."""

from __future__ import annotations

import struct

import pytest

from connectors.telegram.media import ALBUM_MAX, PHOTO_MAX_BYTES, groups, kind_of
from connectors.telegram.pictures import measures
from connectors.testing.telegram import FakeTelegram, png
from tests.telegram.bot import Bot
from tests.telegram.conftest import MakeBot

MP4 = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 64
OPUS = b"OggS" + b"\x00" * 24 + b"OpusHead" + b"\x00" * 64
VORBIS = b"OggS" + b"\x00" * 24 + b"\x01vorbis" + b"\x00" * 64
GIF = b"GIF89a" + struct.pack("<HH", 10, 20) + b"\x00" * 20
MP3 = b"ID3\x04" + b"\x00" * 64


def jpeg(width: int, height: int) -> bytes:
    """The beginning of a JPEG with a tag before its frame header."""
    frame = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\x03" + b"\x00" * 9
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", 1002) + b"\x00" * 1000 + frame + b"\xff\xd9"


def webp(width: int, height: int, *, animated: bool = False) -> bytes:
    """The beginning of an extended WebP."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x00\x00\x00\x00WEBPVP8X" + struct.pack("<I", 10) + bytes([2 if animated else 0, 0, 0, 0]) + size


@pytest.fixture
def one(fake: FakeTelegram, bot: MakeBot) -> Bot:
    """A bot that runs; 501 is Ada's private chat."""
    fake.private(fake.user("Ada", id=501))
    made = bot()
    made.run()
    return made


# ── what it is sent as ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.png", png(100, 50), "photo"),
        ("a.jpg", jpeg(4000, 3000), "photo"),
        ("a.webp", webp(640, 480), "photo"),
        ("a.webp", webp(640, 480, animated=True), "document"),
        ("wide.jpg", jpeg(2100, 100), "document"),
        ("huge.jpg", jpeg(6000, 4001), "document"),
        ("a.gif", GIF, "animation"),
        ("a.mp4", MP4, "video"),
        ("a.mov", MP4, "document"),
        ("a.ogg", OPUS, "voice"),
        ("a.ogg", VORBIS, "document"),
        ("a.mp3", MP3, "audio"),
        ("a.m4a", b"\x00\x00\x00\x18ftypM4A ", "audio"),
        ("a.pdf", b"%PDF-1.7", "document"),
        ("not-a-photo.jpg", b"plain text", "document"),
        ("cut.png", png(5, 5)[:20], "document"),
    ],
)
def test_a_file_is_sent_as_what_it_is(name: str, head: bytes, kind: str) -> None:
    assert kind_of(name, head, len(head)) == kind


def test_a_photo_of_more_than_10_mb_is_a_document() -> None:
    assert kind_of("a.png", png(9, 9), PHOTO_MAX_BYTES + 1) == "document"


@pytest.mark.parametrize("data", [jpeg(30, 40), webp(30, 40), png(30, 40)])
def test_measures_of_pictures(data: bytes) -> None:
    found = measures(data)
    assert found is not None
    assert found[1:] == (30, 40)


@pytest.mark.parametrize("cut", range(0, 1100, 7))
def test_a_picture_that_is_cut_off_is_no_crash(cut: int) -> None:
    for data in (jpeg(3, 4), webp(3, 4), GIF):
        measures(data[:cut])


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["photo", "video", "photo"], [[0, 1, 2]]),
        (["photo", "document", "document"], [[0], [1, 2]]),
        (["animation", "animation"], [[0], [1]]),
        (["audio", "audio", "photo"], [[0, 1], [2]]),
        (["voice"], [[0]]),
        (["photo"] * 11, [list(range(ALBUM_MAX)), [10]]),
        ([], []),
    ],
)
def test_albums_hold_what_telegram_mixes(kinds: list[str], expected: list[list[int]]) -> None:
    assert list(groups(kinds)) == expected  # type: ignore[arg-type]


# ── how it arrives ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "data", "method"),
    [
        ("a.png", png(9, 9), "sendPhoto"),
        ("n.txt", b"text", "sendDocument"),
        ("v.ogg", OPUS, "sendVoice"),
        ("a.gif", GIF, "sendAnimation"),
        ("a.mp4", MP4, "sendVideo"),
        ("a.mp3", MP3, "sendAudio"),
    ],
)
def test_a_file_goes_with_its_text_as_caption(
    fake: FakeTelegram, one: Bot, name: str, data: bytes, method: str
) -> None:
    receipt = one.sent(501, "**look**", attachments=[one.attach(name, data)])
    [call] = [call for call in fake.journal if call.method.startswith("send")]
    assert call.method == method
    assert [(given, size) for given, size in call.files.values()] == [(name, len(data))]
    assert (fake.sent[0].text, receipt.ids) == ("look", [str(fake.sent[0].message_id)])


def test_an_album_is_one_call_with_every_caption(fake: FakeTelegram, one: Bot) -> None:
    files = [one.attach(f"{n}.png", png(9, 9 + n)) | {"caption": f"c{n}"} for n in range(3)]
    receipt = one.sent(501, "about them", attachments=files)
    assert [call.method for call in fake.journal if call.method.startswith("send")] == ["sendMessage", "sendMediaGroup"]
    assert [sent.text for sent in fake.sent] == ["about them", "c0", "c1", "c2"]
    assert receipt.ids == [str(sent.message_id) for sent in fake.sent]


def test_a_short_text_is_the_albums_caption(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, "both", attachments=[one.attach(f"{n}.png", png(9, 9 + n)) for n in range(2)])
    assert [sent.text for sent in fake.sent] == ["both", ""]


def test_what_does_not_mix_goes_in_several_calls(fake: FakeTelegram, one: Bot) -> None:
    files = [one.attach("a.png", png(9, 9)), one.attach("n.txt", b"t"), one.attach("m.txt", b"t")]
    one.sent(501, attachments=files)
    methods = [call.method for call in fake.journal if call.method.startswith("send")]
    assert methods == ["sendPhoto", "sendMediaGroup"]


def test_a_long_text_goes_first_and_a_failed_upload_does_not_send_it_again(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("unavailable", "sendDocument")
    receipt = one.sent(501, "word " * 400, attachments=[one.attach("n.txt", b"t")])
    methods = [call.method for call in fake.journal if call.method.startswith("send")]
    assert methods == ["sendMessage", "sendDocument", "sendDocument"]
    assert (len(fake.sent), len(receipt.ids)) == (2, 2)


def test_a_picture_that_telegram_refuses_as_a_photo_goes_as_a_document(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("reject", "sendPhoto", description="Bad Request: PHOTO_INVALID_DIMENSIONS")
    one.sent(501, "x", attachments=[one.attach("a.png", png(9, 9))])
    assert fake.sent[0].method == "sendDocument"


def test_everything_can_go_as_a_document(fake: FakeTelegram, one: Bot) -> None:
    one.sent(501, attachments=[one.attach("a.png", png(9, 9))], metadata={"as_document": True})
    assert fake.sent[0].method == "sendDocument"


def test_a_caption_that_telegram_cannot_parse_goes_as_plain_text(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("reject", "sendDocument", description="Bad Request: can't parse entities: no")
    one.sent(501, "**x**", attachments=[one.attach("n.txt", b"t")])
    assert (fake.sent[0].text, fake.sent[0].parse_mode) == ("x", None)


def test_a_caption_that_is_too_long_is_refused_before_anything_is_sent(fake: FakeTelegram, one: Bot) -> None:
    file = one.attach("n.txt", b"t") | {"caption": "c" * 1025}
    assert "caption" in one.refused(501, "text", attachments=[file]).reason
    assert fake.sent == []


def test_an_empty_file_is_refused_before_anything_is_sent(fake: FakeTelegram, one: Bot) -> None:
    assert "empty" in one.refused(501, "text", attachments=[one.attach("n.txt", b"")]).reason
    assert fake.sent == []


def test_an_album_without_a_text_has_no_place_for_buttons(one: Bot) -> None:
    files = [one.attach(f"{n}.png", png(9, 9 + n)) for n in range(2)]
    assert "buttons" in one.refused(501, attachments=files, metadata={"buttons": [[{"text": "a", "data": "a"}]]}).reason


def test_the_buttons_of_an_album_are_below_its_text(fake: FakeTelegram, one: Bot) -> None:
    files = [one.attach(f"{n}.png", png(9, 9 + n)) for n in range(2)]
    one.sent(501, "which?", attachments=files, metadata={"buttons": [[{"text": "a", "data": "a"}]]})
    assert ["reply_markup" in sent.message for sent in fake.sent] == [True, False, False]


def test_an_upload_that_is_cut_off_is_ambiguous(fake: FakeTelegram, one: Bot) -> None:
    fake.fail_next("cut", "sendDocument")
    receipt = one.sent(501, "x", attachments=[one.attach("n.txt", b"t")])
    assert receipt.ambiguous
