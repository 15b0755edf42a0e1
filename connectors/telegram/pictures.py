"""How large a picture is, from the first bytes of its file: the platform refuses some as photos by that alone."""

from __future__ import annotations

import struct

#: So many bytes are looked at; a JPEG may have its measures behind large tags.
HEAD_BYTES = 256 * 1024


def measures(head: bytes) -> tuple[str, int, int] | None:
    """(kind, width, height) of a PNG, JPEG, GIF or WebP; None for anything else, and for what is cut off before."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return ("png", *struct.unpack(">II", head[16:24]))
        if head.startswith((b"GIF87a", b"GIF89a")):
            return ("gif", *struct.unpack("<HH", head[6:10]))
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(head)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg(head: bytes) -> tuple[str, int, int] | None:
    """The frame header, behind any number of segments (ITU T.81, B.2)."""
    at = 2
    while at + 9 < len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return "jpeg", width, height
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return None


def _webp(head: bytes) -> tuple[str, int, int] | None:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    form = head[12:16]
    if form == b"VP8X":
        if head[20] & 0x02:
            return None  # animated: not a photo
        width, height = (int.from_bytes(head[n : n + 3], "little") + 1 for n in (24, 27))
        return "webp", width, height
    if form == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return "webp", (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if form == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return "webp", width & 0x3FFF, height & 0x3FFF
    return None
