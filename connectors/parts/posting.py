"""Webhooks out: an outgoing is posted to an address, and the answer becomes an error that says what happens next."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from connectors.base import options
from connectors.base.errors import AuthError, ConnectorError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts.egress import Guard
from connectors.parts.retry_after import wait_of
from connectors.parts.signatures import Scheme, check_secret, sign
from connectors.parts.templates import render

if TYPE_CHECKING:
    import httpx

#: Of an answer so much is read: for the id of what was made, or for the reason of a refusal.
_ANSWER_MAX = 65_536
_MAX_REDIRECTS = 3
#: What a Retry-After may ask for at most; who says more is believed up to here.
_MAX_WAIT_S = 3600.0
#: Not the outgoing's fault (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4).
_LATER = frozenset({408, 425, 429})


class TargetOptions(options.Options):
    """The options of every connector that posts to an address."""

    url: Secret | None = option(None, description="Where outgoings are posted to.", env="WEBHOOK_URL")
    method: Literal["POST", "PUT", "PATCH"] = option("POST", description="How.")
    headers: dict[str, str] = option({}, description="Headers to send; never over what bearer and basic set.")
    bearer: Secret | None = option(None, description="A token for the header Authorization: Bearer.")
    basic: Secret | None = option(None, description="user:password for the header Authorization: Basic.")
    body: Any = option(
        None, description="The body: texts, lists and mappings with {{places}}; by default the outgoing's own fields."
    )
    sign_secret: Secret | None = option(None, description="What outgoing bodies are signed with.")
    sign_scheme: Scheme = option("standard", description="How outgoing bodies are signed.")
    idempotency_header: str | None = option(
        None,
        description="The header by which the receiver knows a repetition (such as Idempotency-Key): nothing is "
        "ambiguous then.",
    )
    send_timeout_s: float = option(10.0, gt=0, le=120, description="How long a request may take, all in all.")

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.url is not None and urlsplit(self.url.reveal()).scheme not in ("http", "https"):
            raise ValueError("url must begin with https:// or http://")
        if self.bearer is not None and self.basic is not None:
            raise ValueError("bearer and basic exclude each other")
        if self.basic is not None and ":" not in self.basic.reveal():
            raise ValueError("basic must be user:password")
        return self


class Poster:
    """Sends over connections that it keeps. Thread-safe; the event loop is its own.

    `explain(status, text)` is asked first what an answer means, by who knows the receiver's own words.
    """

    def __init__(
        self,
        options: TargetOptions,
        *,
        explain: Callable[[int, str], ConnectorError | None] = lambda status, text: None,
    ) -> None:
        self._options = options
        self._explain = explain
        if options.sign_secret is not None:
            check_secret(options.sign_scheme, options.sign_secret.reveal())
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[bool, httpx.AsyncClient] = {}

    def close(self) -> None:
        """End the connections; safe twice."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)

    def send(self, msg: OutgoingMessage) -> Receipt:
        """Post to the configured address. Raises Rejected, RetryLater, AuthError."""
        if self._options.url is None:
            raise Rejected("there is nowhere to post to", hint="set url in connectors.yml")
        return self._post(self._options.url.reveal(), self._body(msg), msg)

    def call_back(self, url: str, body: Mapping[str, Any], msg: OutgoingMessage, guard: Guard) -> Receipt:
        """Post to an address that somebody else chose: signed, without the configured credentials, and guarded."""
        return self._post(url, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), msg, guard)

    # ── one request ───────────────────────────────────────────────────────────────────────────────────────────

    def _body(self, msg: OutgoingMessage) -> bytes:
        if msg.action == "post":
            return json.dumps(msg.input or {}, ensure_ascii=False).encode("utf-8", "replace")
        fields = msg.to_dict()
        fields.pop("connector_instance", None)
        body = fields if self._options.body is None else render(self._options.body, fields)
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return text.encode("utf-8", "replace")

    def _headers(self, body: bytes, msg: OutgoingMessage, *, own: bool) -> dict[str, str]:
        """`own`: the address is the configured one, and may see the configured credentials."""
        given, key = self._options, str(msg.idempotency_key or msg.id)
        text = isinstance(given.body, str) and own and msg.action != "post"
        headers = {"Content-Type": "text/plain; charset=utf-8" if text else "application/json"}
        if own:
            headers = {name.title(): value for name, value in {**headers, **given.headers}.items()}
            if given.bearer is not None:
                headers["Authorization"] = f"Bearer {given.bearer.reveal()}"
            if given.basic is not None:
                headers["Authorization"] = f"Basic {base64.b64encode(given.basic.reveal().encode()).decode()}"
        if given.idempotency_header is not None or not own:
            headers[given.idempotency_header or "Idempotency-Key"] = key
        if given.sign_secret is not None:
            secret = given.sign_secret.reveal()
            headers.update(sign(given.sign_scheme, secret, body, now=time.time(), delivery_id=key))
        return headers

    def _post(self, url: str, body: bytes, msg: OutgoingMessage, guard: Guard | None = None) -> Receipt:
        headers = self._headers(body, msg, own=guard is None)
        future = asyncio.run_coroutine_threadsafe(self._request(url, body, headers, guard), self._started())
        return future.result()

    async def _request(self, url: str, body: bytes, headers: dict[str, str], guard: Guard | None) -> Receipt:
        import httpx

        sent = False
        try:
            async with asyncio.timeout(self._options.send_timeout_s):
                where = httpx.URL(url)
                for _ in range(_MAX_REDIRECTS + 1):
                    request = await self._build(where, body, headers, guard)
                    sent = True
                    answer = await self._client(guarded=guard is not None).send(request, stream=True)
                    try:
                        text = await _read(answer)
                    finally:
                        await answer.aclose()
                    if guard is None or answer.status_code not in (307, 308):
                        return self._judge(answer, text, own=guard is None)
                    where, sent = where.join(answer.headers.get("Location", "")), False
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise Rejected(f"the address cannot be used: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryLater(f"not reachable: {str(error) or type(error).__name__}") from error
        except (httpx.TransportError, TimeoutError) as error:
            why = str(error) or f"no answer within {self._options.send_timeout_s:g} s"
            raise RetryLater(why, ambiguous=sent) from error
        raise Rejected("the callback was redirected too often")

    async def _build(self, url: httpx.URL, body: bytes, headers: dict[str, str], guard: Guard | None) -> httpx.Request:
        client = self._client(guarded=guard is not None)
        if guard is None:
            return client.build_request(self._options.method, url, content=body, headers=headers)
        target = await guard.check(url)
        request = client.build_request("POST", target.url, content=body, headers={**headers, "Host": target.host})
        request.extensions["sni_hostname"] = target.name
        return request

    def _judge(self, answer: httpx.Response, text: str, *, own: bool) -> Receipt:
        status = answer.status_code
        known = self._explain(status, text) if own else None
        if known is not None:
            raise known
        if status < 300:
            return Receipt(ids=_ids(text), metadata={"status": status})
        what = f"{status} {answer.reason_phrase}: {text[:200]}".rstrip(": ")
        if status in _LATER:
            raise RetryLater(what, after_s=_retry_after(answer) if status == 429 or _asks(answer) else None)
        if status >= 500:
            raise RetryLater(what, after_s=_retry_after(answer) if _asks(answer) else None)
        if status == 401 and own and (self._options.bearer or self._options.basic):
            raise AuthError(what, hint="renew bearer or basic in connectors.yml or .env")
        if status < 400:
            raise Rejected(f"{what}: redirects are not followed", hint="give the address that it leads to")
        raise Rejected(what, hint="see what the receiver says, then `connectors failed retry`")

    # ── the event loop ────────────────────────────────────────────────────────────────────────────────────────

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="poster", daemon=True).start()
            return self._loop

    def _client(self, *, guarded: bool) -> httpx.AsyncClient:
        """The guarded one uses no proxy: it would do the resolving. It keeps no connection: it belongs to an address,
        not to a name."""
        import httpx

        if guarded not in self._clients:
            limits = httpx.Limits(max_keepalive_connections=0 if guarded else 10)
            self._clients[guarded] = httpx.AsyncClient(timeout=None, trust_env=not guarded, limits=limits)  # noqa: S113 - one limit for all of it, in _request
        return self._clients[guarded]

    async def _end(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _read(answer: httpx.Response) -> str:
    data = b""
    async for piece in answer.aiter_bytes():
        data += piece
        if len(data) >= _ANSWER_MAX:
            break
    return data[:_ANSWER_MAX].decode("utf-8", "replace")


def _ids(text: str) -> list[str]:
    """The `id` of what was made, when the answer is an object that has one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    made = found.get("id") if isinstance(found, dict) else None
    return [str(made)] if isinstance(made, str | int) and not isinstance(made, bool) else []


def _asks(answer: httpx.Response) -> bool:
    return "Retry-After" in answer.headers


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "1")
    return wait_of(text, datetime.now(UTC), least_s=0.0, most_s=_MAX_WAIT_S, otherwise_s=1.0)
