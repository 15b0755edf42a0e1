"""Media, polls, places …: what a message carries besides text, for people and bot alike.

https://core.telegram.org/bots/api#available-types: PhotoSize, Document, Voice, Audio, Video, VideoNote, Animation,
Sticker, Location, Venue, Contact, Poll, Dice, Story.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from connectors.testing.telegram.model import Chat, File, StoredFile
from connectors.testing.telegram.world import World

#: kinds that carry a file, with the folder in a file's path and the fields that the documentation says are always there
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "photo": ("photos", {}),
    "document": ("documents", {}),
    "voice": ("voice", {"duration": 3}),
    "audio": ("music", {"duration": 60}),
    "video": ("videos", {"width": 640, "height": 360, "duration": 5}),
    "video_note": ("video_notes", {"length": 240, "duration": 5}),
    "animation": ("animations", {"width": 320, "height": 240, "duration": 2}),
    "sticker": ("stickers", {"width": 512, "height": 512, "type": "regular", "is_animated": False, "is_video": False}),
}
OTHERS = ("location", "venue", "contact", "poll", "dice", "story")
KINDS = (*FILES, *OTHERS)
#: kinds whose text is a caption (the others have none)
CAPTIONED = frozenset({"photo", "document", "voice", "audio", "video", "animation"})
_NAMED = frozenset({"document", "audio", "video", "animation"})
_TYPES = {"voice": "audio/ogg", "audio": "audio/mpeg", "video": "video/mp4", "animation": "video/mp4"}
_THUMB_WIDTHS = (90, 320, 800)
_DICE = {"🎲": 6, "🎯": 6, "🎳": 6, "🏀": 5, "⚽": 5, "🎰": 64}
_STICKERS = {"static": ("sticker.webp", {}), "animated": ("sticker.tgs", {"is_animated": True}),
             "video": ("sticker.webm", {"is_video": True})}  # fmt: skip


def build(world: World, kind: str, value: Any, chat: Chat) -> dict[str, Any]:
    """The fields of a message for a kind: a file (File, bytes, a StoredFile), or a simple value for the others."""
    if kind == "photo":
        return {"photo": photo(world, value)}
    if kind in FILES:
        return with_file(world, kind, value)
    if kind == "location":
        return {"location": place(value)}
    if kind == "venue":
        latitude, longitude, title, address = value
        return {"venue": {"location": place((latitude, longitude)), "title": title, "address": address},
                "location": place((latitude, longitude))}  # fmt: skip
    if kind == "contact":
        phone, name = value
        return {"contact": {"phone_number": phone, "first_name": name}}
    if kind == "poll":
        return {"poll": poll(world, *value)}
    if kind == "dice":
        emoji = value if isinstance(value, str) else "🎲"
        return {"dice": {"emoji": emoji, "value": 1 + world.number("dice") % _DICE.get(emoji, 6)}}
    if kind == "story":
        return {"story": {"chat": chat.json(), "id": world.number("story")}}
    raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")


def stored(world: World, kind: str, value: Any) -> StoredFile:
    """The file of a value, kept."""
    if isinstance(value, StoredFile):
        return value
    file = File(data=bytes(value)) if isinstance(value, bytes | bytearray) else value
    if not isinstance(file, File):
        raise TypeError(f"{kind}: a File or bytes is expected, not {type(value).__name__}")
    return world.store(file, FILES[kind][0])


def with_file(world: World, kind: str, value: Any) -> dict[str, Any]:
    """Everything that has one file."""
    more: dict[str, Any] = {}
    if kind == "sticker" and isinstance(value, str):
        name, more = _STICKERS[value]
        value = File(name, b"sticker")
    kept = stored(world, kind, value)
    content = kept.content
    found = {"file_id": kept.file_id, "file_unique_id": kept.unique_id, "file_size": content.length}
    found.update(FILES[kind][1])
    if kind in _NAMED and content.name:
        found["file_name"] = content.name
    mime = content.mime or _TYPES.get(kind)
    if mime and kind not in ("sticker", "video_note"):
        found["mime_type"] = mime
    found.update(more)
    found.update(content.details)
    # Programs of before 2018 look for an animation in `document`: the platform fills both.
    return {kind: found, "document": dict(found)} if kind == "animation" else {kind: found}


def photo(world: World, value: Any) -> list[dict[str, Any]]:
    """Several sizes, the biggest last; only that one has the whole content."""
    big = stored(world, "photo", value)
    details = big.content.details
    width, height = dimensions(big.content.data) or (1280, 960)
    width, height = details.get("width", width), details.get("height", height)
    found = []
    for small in [w for w in _THUMB_WIDTHS if w < width]:
        data = big.content.data[: max(1, big.content.length * small // (2 * width))]
        found.append(_size(world.store(File(data=data or b"."), "thumbnails"), small, max(1, height * small // width)))
    return [*found, _size(big, width, height)]


def _size(file: StoredFile, width: int, height: int) -> dict[str, Any]:
    return {
        "file_id": file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": file.content.length,
        "width": width,
        "height": height,
    }


def place(value: Any) -> dict[str, Any]:
    """A location from (latitude, longitude)."""
    latitude, longitude = value
    return {"latitude": float(latitude), "longitude": float(longitude)}


def poll(world: World, question: str, options: list[str], **more: Any) -> dict[str, Any]:
    """An open poll that nobody voted in."""
    return {
        "id": str(world.number("poll", 5_300_000_001)),
        "question": question,
        "options": [{"text": option, "voter_count": 0, "persistent_id": str(n)} for n, option in enumerate(options, 1)],
        "total_voter_count": 0,
        "is_closed": False,
        "is_anonymous": True,
        "type": "regular",
        "allows_multiple_answers": False,
        "allows_revoting": True,
        "members_only": False,
        **more,
    }


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, GIF or JPEG; None when it is none."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """From the frame header: markers C0-CF but C4, C8 and CC."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def png(width: int = 64, height: int = 48) -> bytes:
    """A grey picture of this size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel: black and white
    rows = zlib.compress((b"\0" + b"\xaa" * ((width + 7) // 8)) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
