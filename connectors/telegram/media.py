"""Which way a file goes: as what, and together with which others.

https://core.telegram.org/bots/api#sendphoto and the methods after it, #sending-files, #sendmediagroup.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import Attachment
from connectors.telegram.pictures import HEAD_BYTES, measures

Kind = Literal["photo", "animation", "video", "audio", "voice", "document"]

PHOTO_MAX_BYTES = 10_000_000
PHOTO_MAX_SIDES = 10_000  #: width and height together
PHOTO_MAX_RATIO = 20
ALBUM_MAX = 10
METHODS: dict[Kind, str] = {
    "photo": "sendPhoto",
    "animation": "sendAnimation",
    "video": "sendVideo",
    "audio": "sendAudio",
    "voice": "sendVoice",
    "document": "sendDocument",
}
#: What may be in one album: photos and videos; or audio only; or documents only. Everything else goes alone.
_ALBUMS: dict[Kind, str] = {"photo": "pictures", "video": "pictures", "audio": "audio", "document": "documents"}


@dataclass(frozen=True)
class Out:
    """A file that goes out."""

    path: Path
    name: str
    kind: Kind
    caption: str | None = None

    def as_document(self) -> Out:
        """The same, shown as any file is."""
        return replace(self, kind="document")


def look(attachment: Attachment, *, max_bytes: int, as_document: bool = False) -> Out:
    """Raises Rejected for a file that Telegram takes in no way."""
    path = Path(attachment.path)
    name = attachment.name or path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise RetryLater(f"attachment {name!r} cannot be read: {error.strerror}") from error
    if not size:
        raise Rejected(f"attachment {name!r} is empty", hint="Telegram takes no empty files")
    if size > max_bytes:
        raise Rejected(
            f"attachment {name!r} has {size} bytes; a bot may send {max_bytes}",
            hint="send a link instead, or run a local Bot API server (local_mode)",
        )
    kind = "document" if as_document else kind_of(name, head, size)
    return Out(path, name, kind, attachment.caption)


def kind_of(name: str, head: bytes, size: int) -> Kind:
    """As what a file is shown. Wrong guesses are refused by Telegram, so only what it documents is taken for it."""
    ending = os.path.splitext(name)[1].lower()
    picture = measures(head)
    if picture is not None:
        form, width, height = picture
        if form == "gif":
            return "animation"
        fits = size <= PHOTO_MAX_BYTES and width + height <= PHOTO_MAX_SIDES
        return "photo" if fits and 0 < max(width, height) <= PHOTO_MAX_RATIO * min(width, height) else "document"
    if head.startswith(b"OggS"):
        return "voice" if b"OpusHead" in head[:128] else "document"
    if head[4:8] == b"ftyp" and ending in (".mp4", ".m4v"):
        return "video"
    if head[4:8] == b"ftyp" and ending == ".m4a":
        return "audio"
    mp3 = head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)
    return "audio" if mp3 and ending == ".mp3" else "document"


def groups(kinds: Sequence[Kind]) -> Iterator[list[int]]:
    """The files by their places, in order: what may be an album together, at most ten."""
    run: list[int] = []
    for n, kind in enumerate(kinds):
        album = _ALBUMS.get(kind)
        if run and (album is None or _ALBUMS.get(kinds[run[-1]]) != album or len(run) == ALBUM_MAX):
            yield run
            run = []
        run.append(n)
    if run:
        yield run
