"""Entities of texts: positions are counted in UTF-16 code units, https://core.telegram.org/bots/api#messageentity.

`detect` finds what the platform marks by itself in a text that people type: mentions, hashtags, cashtags, bot commands,
URLs and e-mail addresses (https://core.telegram.org/api/entities).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_FOUND = (
    (
        "url",
        re.compile(
            r"https?://[^\s<>\"]+[^\s<>\".,;:!?')\]]|(?<![\w@./])(?:[\w-]+\.)+(?:com|org|net|io|example)\b(?:/\S*)?"
        ),
    ),
    ("email", re.compile(r"(?<![\w.])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("mention", re.compile(r"(?<![\w/@])@[A-Za-z]\w{2,31}(?!\w)")),
    ("bot_command", re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{2,31})?(?![\w/])")),
    ("hashtag", re.compile(r"(?<![\w#&])#\w*[^\W\d]\w*")),
    ("cashtag", re.compile(r"(?<!\w)\$[A-Z]{1,8}(?!\w)")),
)


def units(text: str) -> int:
    """The length in UTF-16 code units."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def cut(text: str, offset: int, length: int) -> str:
    """The part of a text that an entity covers."""
    raw = text.encode("utf-16-le", "surrogatepass")
    return raw[2 * offset : 2 * (offset + length)].decode("utf-16-le", "replace")


def entity(text: str, start: int, end: int, kind: str, **more: Any) -> dict[str, Any]:
    """An entity over `text[start:end]`."""
    return {"offset": units(text[:start]), "length": units(text[start:end]), "type": kind, **more}


def detect(text: str, given: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Those that were given, and what the platform finds outside of them, in the order of the text."""
    found = list(given)
    taken = [(e["offset"], e["offset"] + e["length"]) for e in found if e["type"] in _CLOSED]
    for kind, pattern in _FOUND:
        for match in pattern.finditer(text):
            new = entity(text, match.start(), match.end(), kind)
            start, end = new["offset"], new["offset"] + new["length"]
            if all(end <= a or b <= start for a, b in taken):
                taken.append((start, end))
                found.append(new)
    return in_order(found)


def in_order(entities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By position; the longer one of two that begin together comes first."""
    return sorted(entities, key=lambda e: (e["offset"], -e["length"]))


def outside_of_code(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In order, without what is inside of code: pre and code contain nothing."""
    given = list(found)
    closed = [e for e in given if e["type"] in ("code", "pre")]
    return in_order(e for e in given if not any(e is not c and _inside(e, c) for c in closed))


def link(entity: dict[str, Any], url: str) -> dict[str, Any]:
    """A text_link, a text_mention for tg://user?id=…, or nothing when the address is none."""
    place = {"offset": entity["offset"], "length": entity["length"]}
    user = re.fullmatch(r"tg:(?://)?user/?\?id=(\d+)", url)
    if user:
        return {**place, "type": "text_mention", "user": {"id": int(user[1]), "is_bot": False, "first_name": ""}}
    if re.match(r"(?:https?|tg|ton|mailto|tel):\S+", url):
        return {**place, "type": "text_link", "url": _with_path(url)}
    if re.fullmatch(r"[\w-]+(?:\.[\w-]+)+(?:[/?#]\S*)?", url):
        return {**place, "type": "text_link", "url": _with_path(f"http://{url}")}
    return {}


def _with_path(url: str) -> str:
    """The platform writes an address without a path with a slash at its end."""
    return url + "/" if re.fullmatch(r"https?://[^/?#]+", url) else url


def _inside(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    start, end = outer["offset"], outer["offset"] + outer["length"]
    within = bool(start <= inner["offset"] and inner["offset"] + inner["length"] <= end)
    return within and not (inner["type"] == "pre" and outer["type"] == "code")


#: Nothing else is found inside of these.
_CLOSED = frozenset({"code", "pre", "text_link", "text_mention", "mention", "url", "email", "bot_command", "hashtag"})
