"""Cut a long text into parts that a platform takes: at paragraphs, else lines, else words; code fences re-opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Unit = Literal["characters", "utf16", "bytes"]

_MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def split_text(text: str, limit: int, unit: Unit = "characters") -> list[str]:
    """Parts of at most `limit` units that together hold the whole text, in order.

    A part that ends inside a ``` fence closes it, and the next one opens it again with the same first line.
    White space is kept; only the line break at which two parts meet goes.
    """
    measure = _MEASURES[unit]
    if measure(text) <= limit:
        return [text]
    parts: list[str] = []
    fence = ""
    rest = text
    while True:
        head = f"{fence}\n" if fence else ""
        if measure(head + rest) <= limit:
            parts.append(head + rest)
            return parts
        room = limit - measure(head) - len("\n```")
        if room < 1:  # a limit so small that fences do not fit into it
            head, fence, room = "", "", limit
        cut = _cut(rest, room, measure)
        piece = rest[:cut]
        opened = _open_fence(fence, piece) if limit - len("\n```") > 0 else ""
        parts.append(head + piece + ("\n```" if opened else ""))
        fence = opened if measure(opened) + 8 < limit // 2 else "```" if opened else ""
        rest = rest[cut:].removeprefix("\n")
        if not rest:
            return parts


def _cut(text: str, room: int, measure: Callable[[str], int]) -> int:
    """Where to cut: the last good place within `room` units, and never at 0."""
    low, high = 1, min(len(text), room)
    while low < high:  # the longest prefix that fits; a unit is never more than one character long
        middle = (low + high + 1) // 2
        if measure(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    for mark in ("\n\n", "\n", " "):
        # Not in the first half: a good place is not worth many tiny parts.
        at = text.rfind(mark, low // 2, low + 1)
        if at > 0:
            return at + (1 if mark == " " and at + 1 <= low else 0)
    return low


def _open_fence(fence: str, piece: str) -> str:
    """The opening line of the fence that is open after `piece`; empty when none is."""
    for line in piece.split("\n"):
        if line.lstrip().startswith("```"):
            fence = "" if fence else line.strip()
    return fence
