"""Text for Slack: Markdown as mrkdwn, and what may not call many people made quiet. Pure: no I/O.

https://docs.slack.dev/messaging/formatting-message-text (formatting, escaping, links, mentions, dates);
https://docs.slack.dev/reference/methods/chat.postMessage ("For best results, limit the number of characters in the text
field to 4,000"; more than 40,000 are cut off).

mrkdwn has no escape for * _ ~ and `. A zero-width space after one, where two of them would format what stands between,
keeps it as it is; one between a mark and a letter makes the mark work inside a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from connectors.base.errors import Rejected
from connectors.base.message import OutgoingMessage
from connectors.parts.markup import Kind, Mark, Piece, Renderer, Run, nested

TEXT_MAX = 4000
_ZERO_WIDTH = "\u200b"
_MARKS: dict[Kind, str] = {"bold": "*", "italic": "_", "strike": "~"}
# Noncharacters stand for marks that are text until the line is complete; the input has none, see `_plain_mark`.
_TEXT_MARKS = dict(zip("*_~`", "\ufdd0\ufdd1\ufdd2\ufdd3", strict=True))
_TO_TEXT_MARK = str.maketrans(_TEXT_MARKS | dict.fromkeys(_TEXT_MARKS.values(), "\ufffd"))
_MENTION = re.compile(r"<(?:@[UW]|#[CDG])[A-Z0-9]+(?:\|[^<>|\n]*)?>")
_CALL = re.compile(rf"{_MENTION.pattern}|<!(?:here|channel|everyone|subteam\^S[A-Z0-9]+)(?:\|[^<>|\n]*)?>")
_ATOM = re.compile(r"<[^>]*>|`[^`]*`")
_BROADCAST = re.compile(r"<!(?:(here|channel|everyone)(?:\|[^<>]*)?|subteam\^(S[A-Z0-9]+)(?:\|([^<>]*))?)>")


def render(msg: OutgoingMessage, *, allow_broadcast: bool) -> dict[str, Any]:
    """`text`, and how Slack is to read it. Raises Rejected for a format that Slack cannot show."""
    if msg.format == "plain":
        return plain(msg.text)
    if msg.format == "native":
        return {"text": msg.text if allow_broadcast else quiet(msg.text)}
    if msg.format == "html":
        raise Rejected("Slack shows no HTML", hint='give the text as "format": "markdown", "plain" or "native"')
    text = to_mrkdwn(msg.text, allow_broadcast=allow_broadcast)
    return {"text": text} if text.strip() else plain(msg.text)


def plain(text: str) -> dict[str, Any]:
    """A text of which every character is shown as it is."""
    return {"text": escaped(text), "mrkdwn": False}


def to_mrkdwn(markdown: str, *, allow_broadcast: bool = False) -> str:
    """The text for Slack's `text` field or for a text object of type mrkdwn.

    `<@U…>` and `<#C…>` mention a user and a channel, except in code. What calls many people, <!here>, <!channel>,
    <!everyone> and <!subteam^S…>, does so only with `allow_broadcast`; otherwise it is shown as it stands.
    """
    return (_Broadcasting if allow_broadcast else _Mrkdwn)().render(markdown)


def escaped(text: str) -> str:
    """The three characters that Slack takes for control characters, as it wants them: the text is shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quiet(text: str) -> str:
    """The text with nothing in it that calls many people."""
    return _BROADCAST.sub(lambda found: f"@{found[1] or (found[3] or found[2]).removeprefix('@')}", text)


def quiet_all(value: Any) -> Any:
    """`quiet` of every text in what Slack takes as JSON, and of the parts of a rich text that call many people."""
    if isinstance(value, str):
        return quiet(value)
    if isinstance(value, list):
        return [quiet_all(item) for item in value]
    if isinstance(value, Mapping):
        if value.get("type") == "broadcast":
            return {"type": "text", "text": f"@{value.get('range', '')}"}
        if value.get("type") == "usergroup":
            return {"type": "text", "text": f"@{value.get('usergroup_id', '')}"}
        return {key: quiet_all(item) for key, item in value.items()}
    return value


class _Mrkdwn(Renderer):
    literal = _MENTION

    def inline(self, runs: Sequence[Run]) -> str:
        out = _Inline()
        for ended, begun, run in nested(list(_by_line(_with_whole_links(runs)))):
            for mark in ended:
                out.close(mark)
            for mark in begun:
                out.open(mark)
            if run:
                out.add(run)
        return out.text()

    def code(self, content: str, language: str) -> str:
        # mrkdwn knows no language. A zero-width space breaks up what would end the block early.
        return f"```\n{re.sub('`(?=``)', f'`{_ZERO_WIDTH}', escaped(content))}\n```"

    def quote(self, pieces: list[Piece]) -> list[Piece]:
        quoted: list[Piece] = []
        for piece in pieces:
            gap = "\n\n" if not quoted else "\n" if piece.verbatim or quoted[-1].text[:1] != ">" else "\n>\n"
            text = piece.text if piece.verbatim else "> " + piece.text.replace("\n", "\n> ")
            quoted.append(Piece(text, gap, verbatim=True))
        return quoted


class _Broadcasting(_Mrkdwn):
    literal = _CALL


def _with_whole_links(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs with each link as one of them; formatting that the whole label has stands around it."""
    for link, group in groupby(runs, lambda run: next((mark for mark in run.marks if mark.kind == "link"), None)):
        if link is None:
            yield from group
            continue
        members = list(group)
        shared = [mark for mark in members[0].marks if all(mark in member.marks for member in members)]
        label = " ".join("".join(member.text for member in members).split())
        yield Run(label, (*(mark for mark in shared if mark.kind in _MARKS), link))


def _by_line(runs: Iterator[Run]) -> Iterator[Run]:
    """The runs cut at line breaks: formatting ends with the line."""
    for run in runs:
        for index, line in enumerate(run.text.split("\n")):
            if index:
                yield Run("\n")
            if line:
                yield Run(line, run.marks)


class _Inline:
    """One paragraph as it is put together, with zero-width spaces where marks need them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._last = "\n"
        self._closed = False  # whether the last thing was the end of some formatting

    def open(self, mark: Mark) -> None:
        if mark.kind in _MARKS:
            self._open(_MARKS[mark.kind])

    def close(self, mark: Mark) -> None:
        if mark.kind in _MARKS:
            self._close(_MARKS[mark.kind])

    def add(self, run: Run) -> None:
        kind = run.marks[-1].kind if run.marks else None
        if kind == "link":
            address = re.sub(r"[<>|\s]", "", run.marks[-1].value)
            self._raw(
                f"<{escaped(address)}>" if run.text in {"", address} else f"<{escaped(address)}|{escaped(run.text)}>"
            )
        elif kind == "literal":
            self._raw(re.sub(r"\|[^>]*", "", run.text))
        elif kind == "code" and "`" not in run.text and run.text.strip():
            self._open("`")
            self._raw(escaped(run.text))
            self._close("`")
        else:
            self._raw(escaped(run.text).translate(_TO_TEXT_MARK))

    def text(self) -> str:
        return "\n".join(map(_kept, "".join(self._parts).split("\n")))

    def _open(self, mark: str) -> None:
        if self._closed or self._last.isalnum():
            self._parts.append(_ZERO_WIDTH)
        self._put(mark)

    def _close(self, mark: str) -> None:
        self._put(mark)
        self._closed = True

    def _raw(self, text: str) -> None:
        # "&gt;" at the beginning of a line would be a quote.
        if (self._closed and text[0].isalnum()) or (self._last == "\n" and text.startswith("&gt;")):
            self._parts.append(_ZERO_WIDTH)
        self._put(text)

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._last, self._closed = text[-1], False


def _kept(line: str) -> str:
    """The line with its marks that are text as such: after one that would format, a zero-width space."""
    for mark, stand_in in _TEXT_MARKS.items():
        if stand_in not in line:
            continue
        closing = [found.start() for found in re.finditer(rf"(?<=\S){stand_in}(?!\w)", line)]
        if mark in (line if mark == "`" else _ATOM.sub("", line)):  # beside real ones
            line = re.sub(rf"(?<!\w){stand_in}(?=\S)|(?<=\S){stand_in}(?!\w)", mark + _ZERO_WIDTH, line)
        elif closing:
            head, tail = line[: closing[-1]], line[closing[-1] :]
            line = re.sub(rf"(?<!\w){stand_in}(?=\S|$)", mark + _ZERO_WIDTH, head) + tail
        line = line.replace(stand_in, mark)
    return line
