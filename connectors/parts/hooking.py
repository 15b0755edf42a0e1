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
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from connectors.base import config
from connectors.base.config import Entry
from connectors.base.errors import BadMessage, ConfigError, ConnectorError, Rejected, RetryLater
from connectors.base.home import Home, check_new_name
from connectors.base.problems import did_you_mean, nearest
from connectors.parts.bodies import strict_json
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


class NotForHooks(ConfigError):
    """The configuration is in order, and whoever was named cannot be told: there is nothing to keep."""


@dataclass(frozen=True)
class Told:
    """How it went: the event's id; or, without one, why not, and whether the connector takes it in later."""

    instance: str
    event_id: str | None = None
    kept: bool = False
    why: str = ""


def read_within(fd: int, wait_s: float, max_bytes: int = MAX_BYTES) -> bytes:
    """All that comes on a pipe until its end, or until so long has passed. Raises BadMessage for too much."""
    if os.isatty(fd):
        return b""
    end, data = time.monotonic() + wait_s, b""
    with suppress(OSError):  # it is closed, or a folder: nothing more comes
        while len(data) <= max_bytes:
            if not select.select([fd], [], [], max(end - time.monotonic(), 0))[0]:
                return data
            piece = os.read(fd, 1 << 16)
            if not piece:
                return data
            data += piece
        raise BadMessage(f"the hook's input has more than {max_bytes} bytes", hint="give the tool's JSON only")
    return data


def body_of(data: bytes, more: Mapping[str, Any]) -> bytes:
    """The JSON object of the tool with `more` in it, and the time when it has none. Raises BadMessage."""
    if not data.strip():
        raise BadMessage("nothing came on stdin", hint='the tool\'s JSON is needed, at least {"session_id": "…"}')
    try:
        found = strict_json(data)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"what came on stdin is not JSON: {error}", hint="give the tool's JSON as it is") from None
    if not isinstance(found, dict):
        raise BadMessage("what came on stdin is no JSON object", hint="give the tool's JSON as it is")
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return json.dumps({"timestamp": now, **found, **more}).encode()


def find(home: Home, name: str) -> Listener:
    """The instance of that name, else the only one of that type. Raises ConfigError, and NotForHooks."""
    loaded = config.load(home)
    entry = loaded.entry(name)
    if entry is None:
        of_type = [one for one in loaded.entries if one.type == name]
        if len(of_type) > 1:
            several = ", ".join(one.name for one in of_type)
            raise NotForHooks(f"there are several instances of {name}: {several}", hint="name one of them")
        entry = of_type[0] if of_type else None
    if entry is None:
        if loaded.errors:  # it may be what an error is in
            raise ConfigError("; ".join(str(problem) for problem in loaded.errors), hint="connectors validate")
        names = [one.name for one in loaded.entries]
        near = did_you_mean(nearest(name, names))
        hint = f"name one of {', '.join(names)}, or add it" if names else "`connectors add TYPE` adds one"
        raise NotForHooks(f'there is no instance "{name}" in {loaded.file}{near}', hint=hint)
    if not entry.enabled:
        raise NotForHooks(f"{entry.name} is disabled", hint="take `enabled: false` out of connectors.yml")
    return Listener(home, entry, loaded.env)


def tell(home: Home, name: str, body: bytes, *, timeout_s: float) -> Told:
    """Keep the body, post it, and forget it once the connector has it. What is wrong with the configuration does not
    keep it from being kept. Raises NotForHooks for who cannot be told, and ConfigError for a name that is none.
    """
    check_new_name(name)
    found = _found(home, name)
    instance = found.entry.name if isinstance(found, Listener) else name
    path, unkept = None, ""
    try:
        path = _spool(home, instance).put(body)
        if instance != name:
            _spool(home, instance).adopt(Spool(home.state_dir(name)))
    except (OSError, ConfigError) as error:
        unkept = f" (and it could not be kept: {error})" if path is None else ""
    try:
        if not isinstance(found, Listener):
            raise RetryLater(str(found))
        given = _options(found)
        if len(body) > given.max_bytes:
            raise Rejected(f"what the tool says is larger than {given.max_bytes} bytes, {instance}'s max_bytes")
        event_id = _post(found, given, body, timeout_s)
    except NotForHooks:
        if path is not None:
            path.unlink(missing_ok=True)
        raise
    except Rejected as error:
        return Told(instance, why=str(error))  # the connector sets it aside, with its reason in the log
    except Exception as error:  # noqa: BLE001 - broken options, or a connector's own code: it is kept all the same
        return Told(instance, kept=path is not None, why=f"{_text(error)}{unkept}")
    if path is not None:
        path.unlink(missing_ok=True)
    return Told(instance, event_id)


def _found(home: Home, name: str) -> Listener | str:
    """Or why it is not known whom the name means. Raises NotForHooks."""
    try:
        return find(home, name)
    except NotForHooks:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with connectors.yml, the event is to be kept
        return _text(error)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ConnectorError) else f"{type(error).__name__}: {error}"


def _spool(home: Home, instance: str) -> Spool:
    """Raises OSError and ConfigError."""
    home.make(home.state_dir(instance), private=True)
    return Spool(home.state_dir(instance))


def _options(listener: Listener) -> WebhookOptions:
    """What the connector listens with. Raises NotForHooks for one that does not listen; ConfigError."""
    from connectors.base.options import read_options
    from connectors.base.registry import load_class
    from connectors.parts.webhook import WebhookOptions

    entry = listener.entry
    declared = getattr(load_class(entry.type, listener.home.root), "Options", None)
    if not (isinstance(declared, type) and issubclass(declared, WebhookOptions)):
        raise NotForHooks(
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
