"""Variables: `${VAR}` and `${VAR:-default}` in texts, and the `.env` file beside connectors.yml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base.errors import ConfigError

NOT_SET_HINT = "add it to .env, or export it"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[^$}]+|.", re.DOTALL)
#: `${A:-${B:-…}}`; nobody nests deeper, and a parser without a bound can be made to crash.
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Use:
    """A variable that a text used. `value` is None if it is not set; `default`: its default was taken."""

    name: str
    value: str | None
    default: bool


@dataclass(frozen=True)
class Substitution:
    text: str
    used: tuple[Use, ...]

    @property
    def unset(self) -> tuple[str, ...]:
        return tuple(use.name for use in self.used if use.value is None and not use.default)

    @property
    def empty(self) -> tuple[str, ...]:
        """Variables that are set, but to nothing, and have no default that was taken instead."""
        return tuple(use.name for use in self.used if use.value == "" and not use.default)


def substitute(text: str, environ: Mapping[str, str]) -> Substitution:
    """Expand one text. An unset variable leaves nothing in its place, and is listed in `unset`.

    `${VAR:-default}` takes the default where VAR is not set or empty, as a shell does; the default may use
    variables. `$${` stands for a literal `${`. What a variable holds is not expanded again. Raises
    ConfigError for a `${` that begins no variable.
    """
    if "${" not in text:
        return Substitution(text, ())
    parser = _Parser(text, environ)
    return Substitution(parser.read(nested=False), tuple(parser.used))


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """Expand every text inside JSON-like data (values, not keys). Other values come back as they are.

    Raises ConfigError naming the first variable that is not set and has no default.
    """
    if isinstance(value, str):
        result = substitute(value, environ)
        if result.unset:
            raise ConfigError(f"variable {result.unset[0]} is not set", hint=NOT_SET_HINT)
        return result.text
    if isinstance(value, Mapping):
        return {key: expand(item, environ) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [expand(item, environ) for item in value]
    return value


@dataclass
class _Parser:
    text: str
    environ: Mapping[str, str]
    used: list[Use] = field(default_factory=list)
    at: int = 0
    depth: int = 0

    def read(self, *, nested: bool, live: bool = True) -> str:
        """Read to the end, or, nested, to the closing brace. Not live: a default that is not taken."""
        pieces = []
        while self.at < len(self.text):
            if self.text.startswith("$${", self.at):
                self.at += 3
                pieces.append("${")
            elif self.text.startswith("${", self.at):
                pieces.append(self.reference(live=live))
            elif nested and self.text[self.at] == "}":
                self.at += 1
                return "".join(pieces)
            else:
                plain = _PLAIN.match(self.text, self.at)
                end = plain.end() if plain is not None else self.at + 1
                pieces.append(self.text[self.at : end])
                self.at = end
        if nested:
            raise ConfigError('"${" is never closed by "}"', hint='write "$${" for a literal "${"')
        return "".join(pieces)

    def reference(self, *, live: bool) -> str:
        name = _NAME.match(self.text, self.at + 2)
        end = name.end() if name is not None else self.at + 2
        closes, has_default = self.text.startswith("}", end), self.text.startswith(":-", end)
        if name is None or not (closes or has_default):
            hint = 'write ${NAME} or ${NAME:-default}, and "$${" for a literal "${"'
            raise ConfigError('"${" begins no variable', hint=hint)
        value = self.environ.get(name[0])
        if closes:
            self.at = end + 1
            self._use(Use(name[0], value, default=False), live=live)
            return value or ""
        self.at = end + 2
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ConfigError(f"variables are nested more than {_MAX_DEPTH} deep", hint="use fewer defaults")
        self._use(Use(name[0], value, default=not value), live=live)
        default = self.read(nested=True, live=live and not value)
        self.depth -= 1
        return value or default

    def _use(self, use: Use, *, live: bool) -> None:
        if live:
            self.used.append(use)


@dataclass(frozen=True)
class EnvFile:
    """What a `.env` file says. `faults` are (line, text) of lines that set nothing, `repeats` (line, key)."""

    values: dict[str, str]
    faults: tuple[tuple[int, str], ...]
    repeats: tuple[tuple[int, str], ...]


_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_BLANK = re.compile(r"[ \t]*(?:#.*)?")
_QUOTED = {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
_SPACES = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"[ \t]+#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env(text: str) -> EnvFile:
    """Read `KEY=value` lines, with `export`, `# comments` and quotes (which may span lines); expands nothing.

    In double quotes `\\n`, `\\r`, `\\t` are those characters, and a backslash before any other character is
    that character. In single quotes everything is literal. Without quotes a comment begins at ` #`. Of a key
    that is set twice the last value counts, as in a shell.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    values: dict[str, str] = {}
    faults: list[tuple[int, str]] = []
    repeats: list[tuple[int, str]] = []
    at, line = 0, 1
    while at < len(text):
        end, key, value, fault = _env_line(text, at)
        if fault is None and "\0" in value:
            fault = f"{key} holds a NUL character, which no variable can"
        if fault is not None:
            faults.append((line, fault))
        elif key:
            if key in values:
                repeats.append((line, key))
            values[key] = value
        line += text.count("\n", at, end) + 1
        at = end + 1
    return EnvFile(values, tuple(faults), tuple(repeats))


def _env_line(text: str, at: int) -> tuple[int, str, str, str | None]:
    """Where the line ends, and the key, value and fault in it. A blank line has an empty key."""
    line_end = _end_of_line(text, at)
    if _BLANK.fullmatch(text, at, line_end):
        return line_end, "", "", None
    assignment = _ASSIGNMENT.match(text, at, line_end)
    if assignment is None:
        return line_end, "", "", "is not KEY=value: begin a comment with #"
    key, begin = assignment[1], assignment.end()
    spaces = _SPACES.match(text, begin, line_end)
    quote = spaces.end() if spaces is not None else begin
    if quote == line_end or text[quote] not in _QUOTED:
        return line_end, key, _COMMENT.sub("", text[begin:line_end]).strip(), None
    quoted = _QUOTED[text[quote]].match(text, quote)
    if quoted is None:
        return line_end, key, "", f"the quote after {key}= is never closed"
    line_end = _end_of_line(text, quoted.end())
    if not _BLANK.fullmatch(text, quoted.end(), line_end):
        return line_end, key, "", f"there is text after the closing quote of {key}"
    value = quoted[1]
    if text[quote] == '"':
        value = _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), value)
    return line_end, key, value, None


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)
