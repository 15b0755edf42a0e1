"""sendPhoto, sendDocument … and sendMediaGroup: files of the bot.

https://core.telegram.org/bots/api#sending-files: a file_id, a URL, or an upload of up to 10 MB for photos and 50 MB
for others; #sendphoto: width and height together at most 10000, their ratio at most 20; #sendmediagroup: documents and
audio files only among their own kind. Wordings: Client.cpp, and check_full_local_location of tdlib/td.
"""

from __future__ import annotations

from typing import Any

from connectors.testing.telegram.content import CAPTIONED, FILES, build, dimensions
from connectors.testing.telegram.errors import bad
from connectors.testing.telegram.model import Chat, File, StoredFile
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.registry import Method, method
from connectors.testing.telegram.sending import envelope, place, say
from connectors.testing.telegram.texts import caption
from connectors.testing.telegram.world import World

MAX_PHOTO_BYTES = 10 * 1024 * 1024
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_ALBUM = 10
_IN_ALBUMS = ("photo", "video", "document", "audio")
_DETAILS = ("duration", "width", "height", "length", "performer", "title")


def _sender(kind: str) -> Method:
    def send(world: World, params: Params) -> dict[str, Any]:
        given = params.file(kind)
        if given is None:
            raise bad(f"there is no {kind.replace('_', ' ')} in the request")
        content = media_content(world, kind, given, params)
        return say(world, params, content)

    return send


for _kind in FILES:
    method("send" + _kind.title().replace("_", ""))(_sender(_kind))


def media_content(world: World, kind: str, given: File | str, params: Params) -> dict[str, Any]:
    """The file and its caption, as fields of a message; kept only when nothing is wrong with it."""
    content = usable(world, kind, given)
    said = caption(params) if kind in CAPTIONED else None
    details = {name: params.values[name] for name in _DETAILS if name in params}
    if isinstance(content, File):
        details = {name: int(v) if str(v).isdecimal() else v for name, v in details.items()}
        content = File(content.name, content.data, content.media_type, content.size, {**content.details, **details})
    found = build(world, kind, content, Chat(0, "private"))
    if said is not None:
        found.update(said.content("caption"))
    for flag in ("has_spoiler", "show_caption_above_media"):
        if params.flag(flag):
            found["has_media_spoiler" if flag == "has_spoiler" else flag] = True
    return found


def usable(world: World, kind: str, given: File | str) -> File | StoredFile:
    """The file, if the platform takes it for this kind."""
    if isinstance(given, str):
        if given.startswith(("http://", "https://")):
            raise bad("failed to get HTTP URL content")  # the fake stays off the network
        if given not in world.files:
            raise bad("wrong file identifier/HTTP URL specified")
        return world.files[given]
    if not given.length:
        raise bad("file must be non-empty")
    if given.length > MAX_UPLOAD_BYTES:
        raise bad("file is too big")
    if kind == "photo":
        _look_at_photo(given)
    return given


def _look_at_photo(given: File) -> None:
    if given.length > MAX_PHOTO_BYTES:
        raise bad(
            f"file of size {given.length} bytes is too big for a photo; the maximum size is {MAX_PHOTO_BYTES} bytes"
        )
    size = dimensions(given.data)
    if size is None:
        raise bad("IMAGE_PROCESS_FAILED")
    if sum(size) > 10_000 or min(size) < 1 or max(size) > 20 * min(size):
        raise bad("PHOTO_INVALID_DIMENSIONS")


@method("sendMediaGroup")
def send_media_group(world: World, params: Params) -> list[dict[str, Any]]:
    """An album: one message an item, with a media_group_id in common when there are several."""
    items = params.decoded("media", "media")
    if items is None:
        raise bad('parameter "media" is required')
    if not isinstance(items, list):
        raise bad("expected an Array of InputMedia")
    if not items:
        raise bad("there are no messages to send")
    if len(items) > MAX_ALBUM:
        raise bad("too many messages to send as an album")
    parsed = [_item(item, params) for item in items]
    kinds = {kind for kind, _, _ in parsed}
    for alone in ("document", "audio"):
        if alone in kinds and len(kinds) > 1:
            raise bad(f"{alone} can't be mixed with other media types")
    around, chat = envelope(world, params, len(parsed))
    contents = [media_content(world, kind, given, one) for kind, given, one in parsed]
    if len(contents) > 1:
        around = {**around, "media_group_id": str(world.number("album", 13_700_000_000_000_001))}
    return [place(world, one, chat, around, content) for (_, _, one), content in zip(parsed, contents, strict=True)]


def _item(item: Any, params: Params) -> tuple[str, File | str, Params]:
    """Kind, file, and the item as parameters of a call of its own."""
    if not isinstance(item, dict):
        raise bad("can't parse InputMedia: expected an Object")
    kind = str(item.get("type", ""))
    given = params.attached(str(item.get("media", "")))
    if not given:
        raise bad("can't parse InputMedia: media not found")
    if kind == "animation":
        raise bad("can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup")
    if kind not in _IN_ALBUMS:
        raise bad(f'can\'t parse InputMedia: type "{kind}" is unsupported')
    one = Params(dict(item), params.files, method=params.method, bot_id=params.bot_id)
    return kind, given, one
