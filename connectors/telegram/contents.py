"""What a message says: its text, its files, and what else it carries, by kind of content.

https://core.telegram.org/bots/api#message lists the kinds. Pure functions on the platform's objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.telegram.entities import Entity, readable

Object = Mapping[str, Any]

#: A raw object that is kept is at most so long, as JSON.
RAW_MAX_BYTES = 16_000

#: field → (media_type, ending of the name, MIME type where the platform gives none)
_FILES = {
    "animation": ("animation", ".mp4", "video/mp4"),  # before document, which repeats it
    "document": ("file", "", ""),
    "voice": ("voice", ".ogg", "audio/ogg"),
    "audio": ("audio", ".mp3", "audio/mpeg"),
    "video": ("video", ".mp4", "video/mp4"),
    "video_note": ("video_note", ".mp4", "video/mp4"),
    "live_photo": ("video", ".mp4", "video/mp4"),
}
_DETAILS = ("width", "height", "duration", "performer", "title", "mime_type")


@dataclass(frozen=True)
class Found:
    """`kind` is the platform's word for the content; `raw_text` is None where it has no text of its own."""

    kind: str
    text: str
    media_type: str = "text"
    raw_text: str | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def content_of(message: Object) -> Found | None:
    """None: nothing of it is known content; it is a service message, or newer than this."""
    if isinstance(message.get("text"), str):
        return _with_text(message, "text", "text", message["text"])
    if message.get("photo"):
        return _captioned(message, "photo", "image", [_photo(message["photo"])])
    for name, (media_type, ending, mime) in _FILES.items():
        if isinstance(message.get(name), Mapping):
            return _captioned(message, name, media_type, [_file(message[name], name, ending, mime)])
    if isinstance(message.get("sticker"), Mapping):
        return _sticker(message["sticker"])
    if isinstance(message.get("paid_media"), Mapping):
        return _captioned(message, "paid_media", "image", _paid(message["paid_media"]))
    for name, describe in _TOLD.items():
        if isinstance(message.get(name), Mapping):
            said = describe(message[name])
            return Found(name, f"[{name}{': ' if said else ''}{said}]", name, metadata={name: capped(message[name])})
    return None


def entities_of(message: Object) -> Sequence[Entity]:
    """Of the text or the caption."""
    found = message.get("entities") or message.get("caption_entities") or []
    return [entity for entity in found if isinstance(entity, Mapping)] if isinstance(found, list) else []


def said_in(message: Object) -> str:
    """The text or the caption, as the platform has it."""
    return str(message.get("text") or message.get("caption") or "")


def capped(raw: Any, max_bytes: int = RAW_MAX_BYTES) -> Any:
    """The object itself, or what fits of its JSON text."""
    data = json.dumps(raw, ensure_ascii=False)
    if len(data.encode("utf-8", "replace")) <= max_bytes:
        return raw
    return {"truncated": data.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")}


def _with_text(message: Object, kind: str, media_type: str, text: str, **more: Any) -> Found:
    marks = entities_of(message)
    shown = readable(text, marks)
    metadata: dict[str, Any] = {"entities": capped(list(marks))} if marks else {}
    return Found(kind, shown, media_type, text if shown != text else None, metadata=metadata, **more)


def _captioned(message: Object, kind: str, media_type: str, files: list[dict[str, Any]]) -> Found:
    return _with_text(message, kind, media_type, str(message.get("caption") or ""), attachments=files)


def _photo(sizes: Any) -> dict[str, Any]:
    """The largest of the sizes (https://core.telegram.org/bots/api#photosize)."""
    known = [size for size in sizes if isinstance(size, Mapping)]
    largest = max(known, key=lambda size: int(size.get("width") or 0) * int(size.get("height") or 0), default={})
    return _file(largest, "photo", ".jpg", "image/jpeg")


def _file(found: Object, kind: str, ending: str, mime: str) -> dict[str, Any]:
    name = str(found.get("file_name") or f"{kind}_{found.get('file_unique_id', '')}{ending}")
    entry: dict[str, Any] = {"name": name}
    if isinstance(found.get("file_size"), int):
        entry["size"] = found["file_size"]
    media_type = str(found.get("mime_type") or mime)
    if media_type:
        entry["media_type"] = media_type
    entry |= {key: found[key] for key in _DETAILS[:-1] if key in found}
    if found.get("file_id"):
        entry["ref"] = {"file_id": str(found["file_id"]), "file_unique_id": str(found.get("file_unique_id") or "")}
    else:
        entry["error"] = "the platform gave no file id"
    return entry


def _sticker(sticker: Object) -> Found:
    """Static (WebP), animated (TGS) or video (WebM): https://core.telegram.org/bots/api#sticker."""
    form, ending, mime = "static", ".webp", "image/webp"
    if sticker.get("is_animated"):
        form, ending, mime = "animated", ".tgs", "application/x-tgsticker"
    elif sticker.get("is_video"):
        form, ending, mime = "video", ".webm", "video/webm"
    about = {key: sticker[key] for key in ("emoji", "set_name", "type", "custom_emoji_id") if key in sticker}
    text = str(sticker.get("emoji") or "[sticker]")
    return Found(
        "sticker", text, "sticker", None, [_file(sticker, "sticker", ending, mime)], {"sticker": {"form": form} | about}
    )


def _paid(paid: Object) -> list[dict[str, Any]]:
    """https://core.telegram.org/bots/api#paidmedia: photos, videos, or previews that only tell their size."""
    files = []
    for item in paid.get("paid_media") or []:
        if isinstance(item, Mapping) and item.get("photo"):
            files.append(_photo(item["photo"]))
        elif isinstance(item, Mapping) and isinstance(item.get("video"), Mapping):
            files.append(_file(item["video"], "video", ".mp4", "video/mp4"))
        else:
            files.append({"name": "preview", "error": "paid media that was not bought"})
    return files


def _place(found: Object) -> str:
    return f"{found.get('latitude')}, {found.get('longitude')}"


def _venue(venue: Object) -> str:
    where = venue.get("location")
    place = _place(where) if isinstance(where, Mapping) else ""
    return ", ".join(str(part) for part in (venue.get("title"), venue.get("address"), place) if part)


def _contact(contact: Object) -> str:
    name = " ".join(str(contact[key]) for key in ("first_name", "last_name") if contact.get(key))
    return ", ".join(part for part in (name, str(contact.get("phone_number") or "")) if part)


def _poll(poll: Object) -> str:
    options = [str(option.get("text", "")) for option in poll.get("options") or [] if isinstance(option, Mapping)]
    return " / ".join([str(poll.get("question") or ""), *options])


def _checklist(checklist: Object) -> str:
    tasks = [str(task.get("text", "")) for task in checklist.get("tasks") or [] if isinstance(task, Mapping)]
    return " / ".join([str(checklist.get("title") or ""), *tasks])


def _story(story: Object) -> str:
    chat = story.get("chat")
    return name_of(chat) if isinstance(chat, Mapping) else ""


def name_of(chat: Object) -> str:
    """How people see a chat or a user."""
    title = chat.get("title")
    if title:
        return str(title)
    return " ".join(str(chat[key]) for key in ("first_name", "last_name") if chat.get(key))


#: Content that is no text and no file, and how it is told in one line. A venue repeats its location: venue first.
_TOLD: dict[str, Callable[[Object], str]] = {
    "venue": _venue,
    "location": _place,
    "contact": _contact,
    "poll": _poll,
    "dice": lambda dice: f"{dice.get('emoji', '')} {dice.get('value', '')}".strip(),
    "story": _story,
    "checklist": _checklist,
    "game": lambda game: str(game.get("title") or ""),
    "invoice": lambda invoice: str(invoice.get("title") or ""),
}
