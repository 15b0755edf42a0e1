"""From Markdown, which agents write, to the markup of a platform: the walk; a subclass says how each thing looks."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple

from connectors.parts.markdown import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

Kind = Literal["bold", "italic", "strike", "code", "link", "literal", "spoiler"]

_KINDS: dict[str, Kind] = {"strong": "bold", "em": "italic", "s": "strike"}
#: Columns of a table are filled up to this width; a longer cell sticks out. It bounds what a hostile table can grow to.
_WIDEST_COLUMN = 40
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Mark(NamedTuple):
    """One piece of formatting; `value` is the address of a link."""

    kind: Kind
    value: str = ""


@dataclass(frozen=True)
class Run:
    """Text with one formatting, the outermost mark first. A "literal" run is text that the platform knows as it is."""

    text: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A rendered block. `gap` stands between it and the one before; `verbatim` lines are not indented or quoted."""

    text: str
    gap: str = "\n\n"
    verbatim: bool = False


class Renderer(ABC):
    """One platform's markup. `literal` matches text in angle brackets that passes unchanged, a mention say."""

    literal: re.Pattern[str] | None = None
    rule = "──────────"

    def render(self, markdown: str) -> str:
        """The text in the platform's markup; empty only when `markdown` is blank."""
        text = markdown.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = text.replace("\x00", "\ufffd")
        out = joined(self._blocks(parser(self.literal).parse(text)))
        # A lone "#" is an empty heading, but a message with no text is refused everywhere.
        return out if out.strip() else self.inline([Run(text.strip())])

    @abstractmethod
    def inline(self, runs: Sequence[Run]) -> str:
        """Runs of text, line breaks in them."""

    @abstractmethod
    def code(self, content: str, language: str) -> str:
        """A block of code, without its last line break."""

    @abstractmethod
    def quote(self, pieces: list[Piece]) -> list[Piece]:
        """What stands in a block quote. A quote in a quote comes as part of the outer one."""

    def heading(self, runs: Sequence[Run]) -> str:
        return self.inline([with_mark(run, Mark("bold")) for run in runs])

    def _blocks(self, tokens: Sequence[Token], *, quoted: bool = False) -> list[Piece]:
        pieces: list[Piece] = []
        for group in _groups(tokens):
            first, inner = group[0], group[1:-1]
            match first.type:
                case "paragraph_open":
                    gap = "\n" if first.hidden else "\n\n"
                    pieces.append(Piece(self.inline(list(_runs(inner[0].children or []))), gap))
                case "heading_open":
                    pieces.append(Piece(self.heading(list(_runs(inner[0].children or [])))))
                case "fence" | "code_block":
                    language = (first.info.split() or [""])[0]
                    pieces.append(Piece(self.code(first.content.removesuffix("\n"), language), verbatim=True))
                case "hr":
                    pieces.append(Piece(self.rule))
                case "blockquote_open":
                    within = self._blocks(inner, quoted=True)
                    pieces += within if quoted else self.quote(within)
                case "table_open":
                    pieces.append(Piece(self.code(_table(inner), ""), verbatim=True))
                case "bullet_list_open" | "ordered_list_open":
                    pieces += self._list(first, inner, quoted=quoted)
        return [piece for piece in pieces if piece.text]

    def _list(self, opening: Token, inner: Sequence[Token], *, quoted: bool) -> list[Piece]:
        pieces: list[Piece] = []
        number = int(opening.attrs.get("start", 1))
        own = inner[0].level + 1 if inner else 0
        tight = all(token.hidden for token in inner if token.type == "paragraph_open" and token.level == own)
        for item in _groups(inner):
            marker = "• " if opening.type == "bullet_list_open" else f"{number}. "
            number += 1
            content = self._blocks(item[1:-1], quoted=quoted)
            gap = "\n" if pieces and tight else "\n\n"
            if not content or content[0].verbatim:
                content.insert(0, Piece("", gap))
            indent = " " * len(marker)
            for index, piece in enumerate(content):
                before = gap if index == 0 else "\n" if tight or piece.verbatim else piece.gap
                text = piece.text if piece.verbatim else piece.text.replace("\n", f"\n{indent}")
                lead = "" if piece.verbatim else indent if index else marker
                pieces.append(replace(piece, text=lead + text, gap=before))
        return pieces


def joined(pieces: Sequence[Piece]) -> str:
    """The pieces with the gaps between them."""
    return "".join((piece.gap if index else "") + piece.text for index, piece in enumerate(pieces))


def with_mark(run: Run, mark: Mark) -> Run:
    """The run with one more mark around it."""
    return run if any(own.kind == mark.kind for own in run.marks) else replace(run, marks=(mark, *run.marks))


def nested(runs: Sequence[Run]) -> Iterator[tuple[tuple[Mark, ...], tuple[Mark, ...], Run | None]]:
    """For each run: the marks that end before it (innermost first), those that begin (outermost first), and itself.

    The last has no run: it ends what is open. Marks are therefore always balanced and properly nested.
    """
    open_marks: tuple[Mark, ...] = ()
    for run in (*runs, None):
        marks = run.marks if run else ()
        common = 0
        for own, other in zip(open_marks, marks, strict=False):
            if own != other:
                break
            common += 1
        yield tuple(reversed(open_marks[common:])), marks[common:], run
        open_marks = marks


def _groups(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens block by block, each from its opening to its closing token."""
    start = depth = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[start : index + 1]
            start = index + 1


def _runs(tokens: Sequence[Token]) -> Iterator[Run]:
    """The runs of one paragraph; neighbours with the same formatting come as one."""
    last = Run("")
    for run in _each_run(tokens):
        if run.marks == last.marks:
            last = replace(last, text=last.text + run.text) if run.text else last
            continue
        if last.text:
            yield last
        last = run
    if last.text:
        yield last


def _each_run(tokens: Sequence[Token]) -> Iterator[Run]:
    marks: list[Mark] = []
    label = ""
    for token in tokens:
        name = token.type.removesuffix("_open").removesuffix("_close")
        if token.type == "link_open":
            href = str(token.attrs.get("href", ""))
            marks.append(Mark("link", href))
            label = ""
        elif token.type == "link_close":
            href = marks[-1].value
            if not label:
                yield Run(href, _distinct(marks))
            marks.pop()
            if label and href not in {"", label} and not _ABSOLUTE.match(href) and not href.startswith("#"):
                yield Run(f" ({href})", _distinct(marks))
        elif name in _KINDS:
            if token.nesting > 0:
                marks.append(Mark(_KINDS[name]))
            else:
                marks.pop()
        else:
            run = _leaf(token, _distinct(marks))
            label += run.text
            yield run


def _leaf(token: Token, marks: tuple[Mark, ...]) -> Run:
    match token.type:
        case "softbreak" | "hardbreak":
            return Run("\n", marks)
        case "code_inline":
            return Run(token.content, (*marks, Mark("code")))
        case "literal":
            return Run(token.content, (*marks, Mark("literal")))
        case "image":
            source = str(token.attrs.get("src", ""))
            linked = _distinct([*marks, Mark("link", source)])
            return Run(token.content or source, linked)
        case _:
            return Run(token.content, marks)


def _distinct(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Without a mark inside one of its kind, and without a link that leads nowhere outside of the text."""
    kept: dict[Kind, Mark] = {}
    for mark in marks:
        if mark.kind != "link" or _ABSOLUTE.match(mark.value):
            kept.setdefault(mark.kind, mark)
    return tuple(kept.values())


def _table(tokens: Sequence[Token]) -> str:
    """Columns side by side, for a font in which all characters are equally wide."""
    rows: list[list[str]] = []
    right: list[bool] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"} and len(rows) == 1:
            right.append("right" in str(token.attrs.get("style", "")))
        elif token.type == "inline":
            rows[-1].append("".join(run.text for run in _runs(token.children or [])).replace("\n", " "))
    widths = [min(max(_width(cell) for cell in column), _WIDEST_COLUMN) for column in zip_longest(*rows, fillvalue="")]
    lines = [" | ".join(map(_padded, row, widths, right)).rstrip() for row in rows]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(lines)


def _padded(cell: str, width: int, right: bool) -> str:
    room = " " * (width - _width(cell))
    return room + cell if right else cell + room


def _width(text: str) -> int:
    """In columns of such a font: East Asian characters and most emoji take two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.category(char) in {"Mn", "Me", "Cf"} for char in text)
