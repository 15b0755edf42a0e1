"""A tool's hook tells a connector of this machine: kept on disk first, then signed and posted; bounded in time.

The hook of a tool holds the tool up while it runs, may be killed at any moment, and must not fail because nobody
listens. So what it says is in the connector's spool before anything else is tried.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from connectors.base import config
from connectors.base.config import Entry
from connectors.base.errors import BadMessage, ConfigError, Rejected, RetryLater
from connectors.base.home import Home
from connectors.base.problems import did_you_mean, nearest
from connectors.parts.spool import Spool, mark_of

if TYPE_CHECKING:
    from connectors.parts.webhook import WebhookOptions

#: What a tool gives a hook is a few thousand bytes.
MAX_BYTES = 10_000_000
_ANSWER_MAX = 65_536
#: What the body itself is the reason for.
_NEVER = frozenset({400, 413, 415})
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to bind there is to be reached at these


@dataclass(frozen=True)
class Listener:
    """The instance that is told, and the variables that its options are read from."""

    home: Home
    entry: Entry
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """How it went: the event's id; or, without one, why not, and whether the connector takes it in later."""

    event_id: str | None
    kept: bool = False
    why: str = ""


def read_within(fd: int, wait_s: float, max_bytes: int = MAX_BYTES) -> bytes:
    """All that comes on a pipe until its end, or until so long has passed. Raises BadMessage for too much."""
    if os.isatty(fd):
        return b""
    end, data = time.monotonic() + wait_s, b""
    while len(data) <= max_bytes:
        if not select.select([fd], [], [], max(end - time.monotonic(), 0))[0]:
            return data
        piece = os.read(fd, 1 << 16)
        if not piece:
            return data
        data += piece
    raise BadMessage(f"the hook's input has more than {max_bytes} bytes", hint="give the tool's JSON only")


def body_of(data: bytes, more: Mapping[str, Any]) -> bytes:
    """The JSON object of the tool with `more` in it, and the time when it has none. Raises BadMessage."""
    if not data.strip():
        raise BadMessage("nothing came on stdin", hint='the tool\'s JSON is needed, at least {"session_id": "…"}')
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"what came on stdin is not JSON: {error}", hint="give the tool's JSON as it is") from None
    if not isinstance(found, dict):
        raise BadMessage("what came on stdin is no JSON object", hint="give the tool's JSON as it is")
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return json.dumps({"timestamp": now, **found, **more}).encode()


def find(home: Home, name: str) -> Listener:
    """The instance of that name, else the only one of that type. Raises ConfigError."""
    loaded = config.load(home)
    entry = loaded.entry(name)
    if entry is None:
        of_type = [one for one in loaded.entries if one.type == name]
        if len(of_type) > 1:
            several = ", ".join(one.name for one in of_type)
            raise ConfigError(f"there are several instances of {name}: {several}", hint="name one of them")
        entry = of_type[0] if of_type else None
    if entry is None:
        problems = [str(problem) for problem in loaded.errors if problem.instance in (None, name)]
        if problems:
            raise ConfigError("; ".join(problems), hint="connectors validate")
        names = [one.name for one in loaded.entries]
        near = did_you_mean(nearest(name, names))
        hint = f"name one of {', '.join(names)}, or add it" if names else "`connectors add TYPE` adds one"
        raise ConfigError(f'there is no instance "{name}" in {loaded.file}{near}', hint=hint)
    if not entry.enabled:
        raise ConfigError(f"{entry.name} is disabled", hint="take `enabled: false` out of connectors.yml")
    return Listener(home, entry, loaded.env)


def tell(listener: Listener, body: bytes, *, timeout_s: float) -> Told:
    """Keep the body, post it, and forget it once the connector has it. Raises ConfigError for who cannot be told."""
    state_dir = listener.home.state_dir(listener.entry.name)
    path, unkept = None, ""
    try:
        listener.home.make(state_dir, private=True)
        path = Spool(state_dir).put(body)
    except (OSError, ConfigError) as error:
        unkept = f" (and it could not be kept: {error})"
    try:
        event_id = _post(listener, _options(listener), body, timeout_s)
    except RetryLater as error:
        return Told(None, path is not None, f"{error}{unkept}")
    except Rejected as error:
        return Told(None, False, str(error))  # the connector sets it aside, with its reason in the log
    except ConfigError:
        if path is not None:
            path.unlink(missing_ok=True)
        raise
    if path is not None:
        path.unlink(missing_ok=True)
    return Told(event_id)


def _options(listener: Listener) -> WebhookOptions:
    """What the connector listens with. Raises ConfigError for one that does not listen, or has wrong options."""
    from connectors.base.options import read_options
    from connectors.base.registry import load_class
    from connectors.parts.webhook import WebhookOptions

    entry = listener.entry
    declared = getattr(load_class(entry.type, listener.home.root), "Options", None)
    if not (isinstance(declared, type) and issubclass(declared, WebhookOptions)):
        raise ConfigError(
            f"{entry.name} is of the type {entry.type}, which does not listen to hooks",
            hint="name an instance of the type webhook, or of a coding agent's",
        )
    found, _, problems = read_options(declared, entry.options, listener.environ)
    if not isinstance(found, WebhookOptions):
        raise ConfigError("; ".join(problem.text for problem in problems), hint="connectors validate")
    return found


def _post(listener: Listener, given: WebhookOptions, body: bytes, timeout_s: float) -> str:
    """In a thread that is left behind when its time is over: no server can hold the tool up, whatever it does."""
    from connectors.parts.signatures import sign

    mark = mark_of(body)
    headers = {"Content-Type": "application/json", "Idempotency-Key": mark}
    if given.secret is not None:
        headers |= sign(given.scheme, given.secret.reveal(), body, now=time.time(), delivery_id=mark)
    host, path = _ANY_ADDRESS.get(given.host, given.host), given.path or f"/webhook/{listener.entry.name}"
    answers: list[tuple[int, bytes] | OSError | HTTPException] = []

    def post() -> None:
        connection = HTTPConnection(host, given.port, timeout=timeout_s)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read(_ANSWER_MAX)))
        except (OSError, HTTPException) as error:
            answers.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=post, name="hook", daemon=True)
    thread.start()
    thread.join(timeout_s)
    where = f"{host}:{given.port}"
    if not answers:
        raise RetryLater(f"no answer from {where} within {timeout_s:g} s")
    answer = answers[0]
    if isinstance(answer, Exception):
        raise RetryLater(f"nobody listens on {where} ({str(answer) or type(answer).__name__})")
    return _event_id(*answer)


def _event_id(status: int, text: bytes) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    said = found if isinstance(found, dict) else {}
    if 200 <= status < 300:
        return str(said.get("event_id", ""))
    why = f"the connector answered {status}: {said.get('error') or 'nothing that is known'}"
    raise Rejected(why) if status in _NEVER else RetryLater(why)
