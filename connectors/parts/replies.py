"""What an agent replies to a webhook's event: in the answer of the request, to a callback, or kept to be fetched.

Every reply is kept first, durable, and the outgoing that brought it has its receipt then. Who waits in a request gets
it at once; who asks later, by GET <path>/replies/<event id>, gets it then.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.files import read_json, replace_private
from connectors.base.message import Message, OutgoingMessage, Receipt, utc_now
from connectors.base.options import option
from connectors.parts.webhook import Answer

#: Kept replies: at most so many events' of them, and no longer than this.
_KEEP = 2000
_KEEP_S = 7 * 86_400.0
_PRUNE_EVERY = 100
#: What to wait before asking again.
_ASK_AGAIN_S = 2

Commit = Callable[[list[Message]], Awaitable[None]]


class ReplyOptions(options.Options):
    """The options of every connector whose senders want a reply."""

    replies: Literal["none", "wait", "poll", "callback"] = option(
        "none",
        description="How the sender gets what is replied to its event: in the answer of its request (wait), by asking "
        "for it (poll), or at an address that its body names (callback).",
    )
    reply_timeout_s: float = option(
        25.0, gt=0, le=600, description="How long a request waits for a reply; then it is answered with 202."
    )
    callback_field: str = option("callback_url", description="Where in the body the address for a callback is.")
    callback_hosts: list[str] = option(
        [], description="The only names and networks that callbacks may go to; by default every public address."
    )


class Replies:
    """The replies of one instance. `take` runs in the event loop, the rest in any thread."""

    def __init__(self, connector: Connector, path: str, options: ReplyOptions) -> None:
        self._connector = connector
        self._path = path
        self._options = options
        self._lock = threading.Lock()
        self._waiting: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]]] = {}
        self._closed = False
        self._writes = 0

    def open(self) -> None:
        """Requests may wait."""
        self._closed = False

    def release(self) -> None:
        """The connector stops: who waits is told that the reply comes later."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            _tell(waiters, None)

    async def take(self, message: Message, commit: Commit) -> Answer:
        """Make the event durable, and wait for its reply as far as that is wanted. Raises what `commit` raises."""
        if self._options.replies != "wait":
            await commit([message])
            return self._later(message.id)
        loop = asyncio.get_running_loop()
        waiter = loop, loop.create_future()
        with self._lock:
            self._waiting.setdefault(message.id, []).append(waiter)
            if self._closed:
                waiter[1].set_result(None)
        try:
            await commit([message])
            # A second delivery of an event that was replied to: nobody replies to it again.
            reply = await asyncio.to_thread(self._newest, message.id)
            if reply is None:
                async with asyncio.timeout(self._options.reply_timeout_s):
                    reply = await waiter[1]
        except TimeoutError:
            reply = None
        finally:
            self._forget(message.id, waiter)
        if reply is None:
            return self._later(message.id)
        return Answer(200, {"ok": True, "event_id": message.id, "reply": reply})

    def keep(self, msg: OutgoingMessage, event_id: str) -> Receipt:
        """The reply is durable when this returns. A second try of the same outgoing changes nothing."""
        key = str(msg.idempotency_key or msg.id)
        path = self._file(event_id)
        with self._lock:
            found = self._read(event_id)
            reply = next((known for known in found if known["key"] == key), None)
            if reply is None:
                reply = {"key": key, "id": msg.id, "text": msg.text, "format": msg.format, "at": utc_now()}
                if msg.metadata:
                    reply["metadata"] = msg.metadata
                path.parent.mkdir(mode=0o700, exist_ok=True)
                data = json.dumps({"event_id": event_id, "replies": [*found, reply]}, default=str)
                replace_private(path, data.encode() + b"\n", durable=True)
                self._prune(path.parent)
            waiters = self._waiting.pop(event_id, [])
        _tell(waiters, _shown(reply))
        return Receipt(ids=[hashlib.sha256(key.encode()).hexdigest()[:16]], metadata={"reply": "kept"})

    def look_up(self, event_id: str) -> Answer:
        """200 with what was replied, 202 while there is nothing, 404 for an event that is not known."""
        found = self._read(event_id)
        body = {"ok": True, "event_id": event_id, "replies": [_shown(reply) for reply in found]}
        if found:
            return Answer(200, body)
        if self._connector.kept(event_id) is not None:
            return Answer(202, body, {"Retry-After": str(_ASK_AGAIN_S)})
        return Answer(404, {"error": "Unknown event, or no longer kept"})

    def _later(self, event_id: str) -> Answer:
        body: dict[str, Any] = {"ok": True, "event_id": event_id}
        body["reply_url"] = f"{self._path}/replies/{quote(event_id, safe=':@')}"
        return Answer(202, body)

    def _newest(self, event_id: str) -> dict[str, Any] | None:
        found = self._read(event_id)
        return _shown(found[-1]) if found else None

    def _forget(self, event_id: str, waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]) -> None:
        with self._lock:
            waiters = self._waiting.get(event_id, [])
            if waiter in waiters:
                waiters.remove(waiter)
            if not waiters:
                self._waiting.pop(event_id, None)

    def _file(self, event_id: str) -> Path:
        name = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._connector.state_dir / "replies" / f"{name}.json"

    def _read(self, event_id: str) -> list[dict[str, Any]]:
        data = read_json(self._file(event_id))
        return list(data.get("replies", [])) if data.get("event_id") == event_id else []

    def _prune(self, folder: Path) -> None:
        self._writes += 1
        if self._writes % _PRUNE_EVERY != 1:
            return
        try:
            files = sorted((path.stat().st_mtime, path) for path in folder.glob("*.json"))
            old = time.time() - _KEEP_S
            for n, (modified, path) in enumerate(files):
                if modified < old or n < len(files) - _KEEP:
                    path.unlink(missing_ok=True)
        except OSError as error:
            logging.getLogger("connectors.replies").debug("not pruned: %s", error)


def _shown(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name != "key"}


def _set(future: asyncio.Future[Any], reply: dict[str, Any] | None) -> None:
    if not future.done():
        future.set_result(reply)


def _tell(waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]], reply: dict[str, Any] | None) -> None:
    for loop, future in waiters:
        try:
            loop.call_soon_threadsafe(_set, future, reply)
        except RuntimeError:
            continue  # the loop ended; the reply is kept
