"""Text for Telegram and from it: Markdown to the HTML of the Bot API, plain text, and offsets in UTF-16 units.

Rules of formatting: https://core.telegram.org/bots/api#formatting-options and #html-style there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import unescape
from typing import Any

from connectors.parts.markup import Kind, Mark, Piece, Renderer, Run, joined, nested, with_mark

_TAGS: dict[Kind, str] = {"bold": "b", "italic": "i", "strike": "s", "spoiler": "tg-spoiler", "code": "code"}
_TAG = re.compile(r"<[^>]*>")
_LANGUAGE = re.compile(r"[\w+#.-]{1,50}")
_SPOILER = re.compile(r"(?P<open>(?<![\w|])\|\|(?=[^\s|]))|(?P<close>(?<=[^\s|])\|\|(?![\w|]))")


def to_html(markdown: str) -> str:
    """The text for parse_mode HTML. ||text|| is a spoiler, as in Telegram's own MarkdownV2."""
    return _Html().render(markdown)


def plain(markdown: str) -> str:
    """The text with no markup, for when Telegram refuses the HTML. Longer than that in places: addresses are shown."""
    return _Plain().render(markdown)


def rendered_units(markdown: str) -> int:
    """How long `to_html` is after entities parsing, in UTF-16 units: what the limit of 4096 is about."""
    return shown_units(to_html(markdown))


def shown_units(html: str) -> int:
    """The same for what `to_html` gave."""
    return units(unescape(_TAG.sub("", html)))


def units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_slice(text: str, offset: int, length: int) -> str:
    """The part that an entity of this offset and length marks; what lies outside of the text is left out."""
    return _slice(text.encode("utf-16-le", "surrogatepass"), offset, length)


def entity_texts(text: str, entities: Iterable[object]) -> list[tuple[Mapping[str, Any], str]]:
    """Each entity with the text that it marks (https://core.telegram.org/bots/api#messageentity).

    One without a usable offset or length is left out.
    """
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [
        (entity, _slice(encoded, entity["offset"], entity["length"]))
        for entity in entities
        if isinstance(entity, Mapping) and all(type(entity.get(key)) is int for key in ("offset", "length"))
    ]


def _slice(encoded: bytes, offset: int, length: int) -> str:
    begin, end = max(offset, 0), max(offset + length, 0)
    return encoded[2 * begin : 2 * end].decode("utf-16-le", "replace")


class _Html(Renderer):
    def inline(self, runs: Sequence[Run]) -> str:
        out: list[str] = []
        for ended, begun, run in nested([_allowed(run) for run in _with_spoilers(runs)]):
            out += ["</a>" if mark.kind == "link" else f"</{_TAGS[mark.kind]}>" for mark in ended]
            out += [f'<a href="{_escaped(m.value)}">' if m.kind == "link" else f"<{_TAGS[m.kind]}>" for m in begun]
            out.append(_escaped(run.text) if run else "")
        return "".join(out)

    def code(self, content: str, language: str) -> str:
        if _LANGUAGE.fullmatch(language):
            return f'<pre><code class="language-{language}">{_escaped(content)}</code></pre>'
        return f"<pre>{_escaped(content)}</pre>"

    def quote(self, pieces: list[Piece]) -> list[Piece]:
        return [Piece(f"<blockquote>{joined(pieces)}</blockquote>", verbatim=True)] if pieces else []


class _Plain(Renderer):
    def inline(self, runs: Sequence[Run]) -> str:
        out: list[str] = []
        label = ""
        for ended, begun, run in nested(list(_with_spoilers(runs))):
            for mark in ended:
                address = mark.value.removeprefix("mailto:")
                if mark.kind == "link" and label not in {mark.value, address} and not _same(label, address):
                    out.append(f" ({address})")
            if any(mark.kind == "link" for mark in begun):
                label = ""
            if run:
                label += run.text
                out.append(run.text)
        return "".join(out)

    def code(self, content: str, language: str) -> str:
        return content

    def quote(self, pieces: list[Piece]) -> list[Piece]:
        return [Piece("> " + joined(pieces).replace("\n", "\n> "), verbatim=True)] if pieces else []


def _same(label: str, address: str) -> bool:
    """Whether the label is the address, as one reads it."""
    return re.sub(r"^\w+://|/$", "", label) == re.sub(r"^\w+://|/$", "", address)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _allowed(run: Run) -> Run:
    """With the marks that Telegram lets nest: code neither holds nor is part of anything; in a link it is text."""
    kinds = {mark.kind for mark in run.marks}
    if "code" not in kinds:
        return run
    if "link" in kinds:
        return Run(run.text, tuple(mark for mark in run.marks if mark.kind != "code"))
    return Run(run.text, (Mark("code"),))


def _with_spoilers(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs with what stands between || and || marked as a spoiler; a || without its other half is text."""
    cuts: dict[int, list[int]] = {}  # where in which run the delimiters stand that have another half
    opened: tuple[int, int] | None = None
    for index, run in enumerate(runs):
        if "||" not in run.text or any(mark.kind in {"code", "link"} for mark in run.marks):
            continue
        for found in _SPOILER.finditer(run.text):
            if opened and found["close"]:
                for place_run, place in (opened, (index, found.start())):
                    cuts.setdefault(place_run, []).append(place)
                opened = None
            elif found["open"]:
                opened = opened or (index, found.start())
    hidden = False
    for index, run in enumerate(runs):
        at = 0
        for position in cuts.get(index, []):
            yield _hidden_if(hidden, Run(run.text[at:position], run.marks))
            hidden, at = not hidden, position + 2
        yield _hidden_if(hidden, Run(run.text[at:], run.marks))


def _hidden_if(hidden: bool, run: Run) -> Run:
    return with_mark(run, Mark("spoiler")) if hidden else run
