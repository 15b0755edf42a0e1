"""Cut a long text into parts that a platform takes: between paragraphs, else lines, else sentences, else words.

A code fence that is open at a cut (https://spec.commonmark.org/0.31.2/#fenced-code-blocks) is closed and re-opened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Literal, NamedTuple

Unit = Literal["characters", "utf16", "bytes"]

_SIZES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
# Where a part may end, in order of preference.
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")
_LINE = re.compile(r"\n")
_SENTENCE = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))[ \t]|(?<=[。！？])")
# A word at the beginning of a part must not become a heading, a list, a quote or a fence there.
_WORD = re.compile(r"[ \t](?![ \t]|[#>+*=|-]|\d{1,9}[.)]|```|~~~)")
_SPACE = re.compile(r"[ \t]")
_WHITE = re.compile(r"(?:[ \t\r]*\n)+|[ \t]*")
_REGIONAL = range(0x1F1E6, 0x1F200)
#: How far a cut is moved back so that what is seen as one character stays whole.
_LONGEST_CLUSTER = 64
#: A rendered text may be this many times as long as what is seen of it, and still be one part.
_MOST_MARKUP = 4
_MOST_TRIES = 6


class _Fence(NamedTuple):
    """A code fence: where its first line stands, its indentation, mark and info string."""

    at: int
    indent: str
    mark: str
    info: str = ""

    @property
    def head(self) -> str:
        return f"{self.indent}{self.mark}{self.info}\n"

    @property
    def tail(self) -> str:
        return f"\n{self.indent}{self.mark}"

    def again(self, room: int, size: Callable[[str], int]) -> _Fence | None:
        """As it is opened once more where `room` is left; None when that is too little for it."""
        # Deeper than three columns it would be indented code there, since the list around it is not re-opened.
        indent = self.indent if len(self.indent.expandtabs(4)) < 4 else ""
        for info in (self.info, ""):
            fence = _Fence(self.at, indent, self.mark, info)
            if 2 * size(fence.head + fence.tail) <= room:
                return fence
        return None


class _Part(NamedTuple):
    text: str
    next_at: int
    fence: _Fence | None  # open where the next part begins


def split_text(
    text: str, limit: int, unit: Unit = "characters", measure: Callable[[str], int] | None = None
) -> list[str]:
    """Parts of at most `limit` units that together hold the whole text, in order.

    With `measure`, which gives the length of a part as it will be rendered, say, that length alone decides. Only white
    space at the cuts goes, and only lines that close a code fence and open it again come in. A code point is never
    cut: one that is larger than the limit is a part all the same.
    """
    size = _SIZES[unit]
    if len(text) <= _MOST_MARKUP * limit and (measure or size)(text) <= limit:
        return [text]
    parts: list[str] = []
    at = 0
    fence: _Fence | None = None
    while at < len(text):
        part = _measured(text, at, fence, limit, size, measure) if measure else _cut(text, at, fence, limit, size)
        if part.text.strip():
            parts.append(part.text)
        at, fence = part.next_at, part.fence
    return parts or [""]


def _measured(
    text: str, at: int, fence: _Fence | None, limit: int, size: Callable[[str], int], measure: Callable[[str], int]
) -> _Part:
    """A part that measures at most `limit`, and at least half of that where a few attempts find one."""
    best: _Part | None = None
    fits, over, room = 0, _MOST_MARKUP * limit, limit
    for _ in range(_MOST_TRIES):
        part = _cut(text, at, fence, room, size)
        length = measure(part.text)
        if length <= limit:
            best, fits = part, room
            if 2 * length >= limit or part.next_at == len(text):
                break
        else:
            over = room
        if over - fits < 2:
            break
        # Proportion tells most; staying away from both ends makes the range smaller in any case.
        away = max((over - fits) // 8, 1)
        room = min(max(room * limit // max(length, 1), fits + away), over - away)
    while best is None:
        room = max(min(room, over) // 2, 1)
        part = _cut(text, at, fence, room, size)
        if room == 1 or measure(part.text) <= limit:
            best = part
    return best


def _cut(text: str, at: int, inherited: _Fence | None, room: int, size: Callable[[str], int]) -> _Part:
    """The part that begins at `at` and has at most `room` units."""
    again = inherited.again(room, size) if inherited else None
    head = again.head if again else ""
    end = _longest(text, at, room - size(head), size)
    if end == len(text):
        return _Part(head + _dedented(text, at, end, inherited, again), end, None)
    for _ in range(_MOST_TRIES):
        stop, next_at, fence = _place(text, at, end, inherited)
        kept = again if fence is inherited else fence
        body = head + _dedented(text, at, stop, inherited, again)
        if not kept:
            return _Part(body if fence else body.rstrip(), next_at, fence)
        if size(body + kept.tail) <= room:
            closing = _FENCE.match(text, next_at)
            if closing and _closes(closing, kept):  # the line that comes now has just been written
                return _Part(body + kept.tail, _after_white(text, closing.end()), None)
            return _Part(body + kept.tail, next_at, fence)
        shorter = _longest(text, at, room - size(head + kept.tail), size)
        end = max(min(shorter, end - 1), at + 1)
        if end == at + 1:
            break
    # No room for fences.
    end = _whole(text, at, _longest(text, at, room, size))
    return _Part(text[at:end], end, _open_at(text, at, end, inherited))


def _longest(text: str, at: int, room: int, size: Callable[[str], int]) -> int:
    """The end of the longest piece from `at` that has at most `room` units; of one code point at least."""
    # A code point is one unit at least.
    low, high = at + 1, min(at + max(room, 1), len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if size(text[at:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _place(text: str, at: int, end: int, inherited: _Fence | None) -> tuple[int, int, _Fence | None]:
    """Where the part ends, at `end` at the latest, where the next one begins, and the fence that is open there."""
    half = at + (end - at) // 2  # a good place is not worth many tiny parts
    for pattern in (_PARAGRAPH, _LINE, _SENTENCE, _WORD, _SPACE):
        found = [match.start() for match in pattern.finditer(text, half, end + 16) if at < match.start() <= end]
        if not found:
            continue
        stop = found[-1]
        fence = _open_at(text, at, stop, inherited)
        if fence and fence is not inherited and fence.at >= half and fence.at > at:
            return fence.at, fence.at, None  # the whole block of code goes to the next part
        if not fence:
            return stop, _after_white(text, stop), None
        if pattern in (_PARAGRAPH, _LINE):
            return stop, stop + 1, fence  # the rest is the code's own white space
        if pattern is _SPACE and stop < end:
            return stop + 1, stop + 1, fence
    stop = _whole(text, at, end)
    return stop, stop, _open_at(text, at, stop, inherited)


def _after_white(text: str, at: int) -> int:
    """Past the line breaks and blank lines at `at`, but not past the indentation of the line after them."""
    found = _WHITE.match(text, at)
    return found.end() if found else at


def _open_at(text: str, at: int, stop: int, fence: _Fence | None) -> _Fence | None:
    """The fence that is open at `stop`, when `fence` is at `at`."""
    for line in _FENCE.finditer(text, at, stop):
        if fence is None:
            fence = _opened(line)
        elif _closes(line, fence):
            fence = None
    return fence


def _opened(line: re.Match[str]) -> _Fence | None:
    if line[2][0] == "`" and "`" in line[3]:
        return None  # inline code
    return _Fence(line.start(), line[1], line[2], line[3].rstrip())


def _closes(line: re.Match[str], fence: _Fence) -> bool:
    return line[2].startswith(fence.mark) and not line[3].strip()


def _dedented(text: str, at: int, stop: int, inherited: _Fence | None, again: _Fence | None) -> str:
    """The piece; the end of a fence that was re-opened further left moves there, too."""
    if inherited and again and inherited.indent != again.indent:
        for line in _FENCE.finditer(text, at, stop):
            if _closes(line, inherited):
                return text[at : line.start()] + text[line.end(1) : stop]
    return text[at:stop]


def _whole(text: str, at: int, end: int) -> int:
    """`end`, or a little before it where that would cut what is seen as one character."""
    for stop in range(end, max(at, end - _LONGEST_CLUSTER), -1):
        if stop >= len(text) or not _joined(text, stop):
            return stop
    return end


def _joined(text: str, at: int) -> bool:
    """Whether the code points before and at `at` are one character (near enough to https://unicode.org/reports/tr29)."""
    before, after = text[at - 1], text[at]
    code = ord(after)
    if before == "\u200d" or after == "\u200d" or before + after == "\r\n":
        return True
    if code in _REGIONAL:
        flags = 0
        while flags < min(at, _LONGEST_CLUSTER) and ord(text[at - 1 - flags]) in _REGIONAL:
            flags += 1
        return flags % 2 == 1
    # Combining marks with variation selectors, skin tones, tags, and the vowels and finals of Hangul.
    return (
        unicodedata.category(after) in {"Mn", "Mc", "Me"}
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
        or 0x1160 <= code <= 0x11FF
    )
