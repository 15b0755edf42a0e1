"""Values that must not be seen: the type that prints as `****`, and the redactor of what is written.

The redactor works by value (it knows the secrets) and, as a second net, by shape (what looks like a token).
Importing this module imports no pydantic: the manager process redacts too, and stays small.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

MASK = "****"
#: Shorter values are not redacted: `7` or `on` occurs in every line, and a log of nothing but `****` helps
#: nobody. `validate` reports a declared secret that is shorter.
MIN_LENGTH = 4
#: Words that are values of ordinary settings and never secrets; redacting them would break what reads the
#: text.
_ORDINARY = frozenset({"", "true", "false", "null", "none"})
#: The shortest base64 fragment that is redacted inside a longer base64 text.
_MIN_FRAGMENT = 8
#: Lines of a multi-line secret (a private key) that are redacted by themselves.
_MIN_LINE = 12

_SECRET_NAME = re.compile(
    r"(?:token|secret|password|passwd|passphrase|passcode|(?:api|private|access|signing)_?key)$",
    re.IGNORECASE,
)

#: Shapes of credentials, from the platforms' own documentation of their prefixes. A named group is kept.
_BARE = (
    r"xox[a-z]-[\w-]{8,500}|xoxe\.[\w.-]{8,500}|xapp-[\w-]{8,500}"  # Slack
    r"|(?<!\d)\d{6,12}:[A-Za-z0-9_-]{35}"  # Telegram
    r"|\bgh[pousr]_\w{16,255}|\bgithub_pat_\w{20,255}|\bglpat-[\w-]{20,255}"  # GitHub, GitLab
    r"|\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}"  # Discord
    r"|\bsyt_\w{4,255}_\w{8,64}_\w{4,16}"  # Matrix (Synapse)
    r"|\bsk-[\w-]{20,255}"  # model providers
    r"|\beyJ[\w-]{8,4000}\.[\w-]{8,4000}\.[\w-]{8,4000}"  # JWT
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]{1,20000}-----END [A-Z ]*PRIVATE KEY-----"
)
_SHAPES = re.compile(
    _BARE
    + r"|(?P<scheme>\b(?:[Bb]earer|[Bb]asic)\s+)[\w.~+/-]{16,4000}=*"
    + r"|(?P<header>\b(?:[Aa]uthorization|[Xx]-[Aa]pi-[Kk]ey|[Xx]-[Aa]uth-[Tt]oken|[Pp]rivate-[Tt]oken)"
    r"[\"']?\s*[:=]\s*[\"']?(?:\w+ )?)[^\s\"',}*]{4,4000}"
    + r"|(?P<user>://[^\s/:@]{0,255}:)[^\s/@]{1,4000}(?=@)"
    + r"|(?P<param>[?&](?:access_token|token|api_?key|key|client_secret|secret|password|sig(?:nature)?)=)"
    r"[^\s&#\"']{4,4000}"
    + r"|(?P<hook>hooks\.slack\.com/(?:services|workflows|triggers)/|/api/webhooks/\d{6,25}/)[\w/-]{8,500}"
)
#: One of these is in every text that _SHAPES matches: ordinary lines are done with them, ten times faster.
_HINTS = (
    *("xox", "xapp-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "syt_", "sk-", "eyJ"),
    *("PRIVATE KEY", "earer", "asic", "uthorization", "pi-", "uth-", "rivate-", "://", "?", "&"),
    *("hooks.slack.com", "/api/webhooks/"),
)
_HINT = re.compile(r":[\w-]{35}|\.[\w-]{6}\.[\w-]{27}")


class Secret:
    """A text that prints as `****` in every way there is; `reveal()` gives it.

    Not a subclass of str on purpose: joining, adding and `json.dumps` would then show it. As the type of an
    option it accepts what str accepts, and its JSON Schema is `{"type": "string", "format": "password",
    "writeOnly": true}`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def parse(value: Any, as_text: core_schema.ValidatorFunctionWrapHandler) -> Secret:
            return value if isinstance(value, Secret) else cls(as_text(value))

        def show(value: Any, info: core_schema.SerializationInfo) -> Any:
            return MASK if info.mode == "json" else value

        return core_schema.no_info_wrap_validator_function(
            parse,
            handler.generate_schema(str),
            serialization=core_schema.plain_serializer_function_ser_schema(show, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}


def is_secret_name(name: str) -> bool:
    """Whether an option or a variable of this name probably holds a secret (`SLACK_BOT_TOKEN`)."""
    return _SECRET_NAME.search(name) is not None


def _may_have_shape(text: str) -> bool:
    return any(hint in text for hint in _HINTS) or _HINT.search(text) is not None


def is_token_shaped(text: str) -> bool:
    """Whether the text contains something in the shape of a platform's credential."""
    return _SHAPES.search(text) is not None


class Redactor:
    """Replaces secrets in texts by `****`. Values can be added at any time, from any thread."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: tuple[str, ...] = ()
        self._any: re.Pattern[str] | None = None
        self.add(values)

    def add(self, values: Iterable[str | Secret]) -> None:
        """Know these values too. Those shorter than MIN_LENGTH are ignored."""
        found: set[str] = set()
        for value in values:
            found.update(_forms(value.reveal() if isinstance(value, Secret) else value))
        with self._lock:
            if found <= set(self._forms):
                return
            forms = tuple(sorted(found | set(self._forms), key=lambda form: (-len(form), form)))
            pattern = re.compile("|".join(map(re.escape, forms)))
            # The tuple first: who sees the new pattern finds at least the forms that it matched.
            self._forms, self._any = forms, pattern

    def redact(self, text: str) -> str:
        """The text without any known value, nor what is shaped like a credential."""
        if self._any is not None and self._any.search(text):
            text = _mask(text, self._forms)
        return _SHAPES.sub(_keep_group, text) if _may_have_shape(text) else text

    def redact_data(self, data: Any) -> Any:
        """A copy of JSON-like data (keys of mappings too) without secrets; other values as they are."""
        if isinstance(data, str):
            return self.redact(data)
        if isinstance(data, Secret):
            return MASK
        if isinstance(data, dict):
            return {self.redact_data(key): self.redact_data(value) for key, value in data.items()}
        if isinstance(data, list):
            return [self.redact_data(item) for item in data]
        if isinstance(data, tuple):
            return tuple(self.redact_data(item) for item in data)
        return data


class RedactingFilter(logging.Filter):
    """Put it on every handler: what the handler then formats has no secrets, tracebacks and extras included.

    The record itself is changed (Python 3.11 has no other way), so its `args` and `exc_info` are gone
    afterwards; the formatted traceback is in `exc_text`, which `logging.Formatter` prints.
    """

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
    _tracebacks = logging.Formatter()

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments are anybody's objects, and logging must never raise
            # Handed on, logging would print the arguments in its own complaint on stderr, unredacted.
            said = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
            message = f"{said} (logged with arguments that do not fit)"
        record.msg, record.args = self._redactor.redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._tracebacks.formatException(record.exc_info)
        record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)
        for name, value in list(vars(record).items()):
            if name not in self._STANDARD:
                setattr(record, name, self._redactor.redact_data(value))
        return True


def _forms(value: str) -> Iterator[str]:
    """The ways in which a value gets into a text."""
    for part in {
        value,
        value.strip(),
        *(line.strip() for line in value.splitlines() if len(line) >= _MIN_LINE),
    }:
        if len(part) < MIN_LENGTH or part.strip().lower() in _ORDINARY or set(part) <= {"*", " "}:
            continue
        # A variable can hold bytes that are not UTF-8; Python keeps them as surrogates.
        raw = part.encode("utf-8", "surrogateescape")
        yield part
        yield repr(part)[1:-1]
        yield ascii(part)[1:-1]
        yield repr(raw)[2:-1]
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        for quoted in (
            urllib.parse.quote(raw, safe=""),
            urllib.parse.quote(raw),
            urllib.parse.quote_plus(raw),
        ):
            yield quoted
            yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
        for encoded in _base64_forms(raw):
            yield encoded
            yield encoded.replace("+", "-").replace("/", "_")


def _base64_forms(raw: bytes) -> Iterator[str]:
    whole = base64.b64encode(raw).decode()
    yield whole
    yield whole.rstrip("=")
    # Inside a longer text (`user:password` of HTTP Basic) the value begins at one of three bit offsets, and
    # only the characters that belong to it alone are always the same.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        begin = (0, 2, 3)[offset]
        end = len(encoded) - (0, 3, 2)[(offset + len(raw)) % 3]
        if end - begin >= _MIN_FRAGMENT:
            yield encoded[begin:end]


def _mask(text: str, forms: tuple[str, ...]) -> str:
    """Mask every occurrence of every form, overlapping ones included: one may begin inside another."""
    spans: list[tuple[int, int]] = []
    for form in forms:
        at = text.find(form)
        while at >= 0:
            spans.append((at, at + len(form)))
            at = text.find(form, at + 1)
    pieces: list[str] = []
    done = 0
    for begin, end in sorted(spans):
        if begin >= done:
            pieces += (text[done:begin], MASK)
        done = max(done, end)
    return "".join((*pieces, text[done:]))


def _keep_group(match: re.Match[str]) -> str:
    return (match[match.lastgroup] if match.lastgroup else "") + MASK
