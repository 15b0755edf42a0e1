"""The application behind a webhook's listener: one request, from its head to its answer.

Imported by `webhook` when something listens: this module needs Starlette.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from connectors.parts.bodies import BadBody
from connectors.parts.committing import Busy
from connectors.parts.signatures import BadSignature
from connectors.parts.webhook import Answer, Refused

if TYPE_CHECKING:
    from connectors.parts.replies import Replies
    from connectors.parts.webhook import Webhook

#: Of a body that is too large so much is read before the answer: a sender that is cut off may not see it.
_DRAIN_BYTES = 8_000_000
_DRAIN_S = 2.0
#: What a sender should wait when there is no room.
_FULL_S = 30
_BUSY = Answer(503, {"error": "Not accepted: no room, or stopping. Try again later"}, {"Retry-After": str(_FULL_S)})


def make_app(webhook: Webhook) -> Starlette:
    """The paths of one instance."""
    routes = [Route("/healthz", _Health(webhook)), Route(webhook.path, _Receive(webhook))]
    if webhook.replies is not None:
        routes.append(Route(f"{webhook.path}/replies/{{event_id:path}}", _Replies(webhook, webhook.replies)))

    async def fail(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404 and webhook.missing(request.scope["path"]):
            return respond(_BUSY)
        return respond(Answer(status, {"error": "Not found" if status == 404 else "Internal server error"}))

    return Starlette(routes=routes, exception_handlers={HTTPException: fail})


def respond(answer: Answer) -> Response:
    """As JSON; never kept by a cache."""
    return Response(
        json.dumps(answer.body, ensure_ascii=False).encode("utf-8", "replace"),
        answer.status,
        {"Cache-Control": "no-store", **answer.headers},
        "application/json",
    )


class _Endpoint:
    """One path. An answer that is raised is an answer."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self.answer(Request(scope, receive))
        except BadSignature as error:
            self.webhook.refusals.note(str(error), str((scope.get("client") or ("?",))[0]))
            answer = Answer(401, {"error": str(error)})
        except BadBody as error:
            detail = {"detail": error.detail} if error.detail else {}
            answer = Answer(400, {"error": error.error, **detail})
        except Refused as error:
            answer = error.answer
        except Busy:
            answer = _BUSY
        except ClientDisconnect:
            return
        except Exception:  # the sender tries again; the log says why
            self.webhook.connector.logger.exception("a webhook request failed")
            answer = Answer(500, {"error": "Internal server error"})
        await respond(answer)(scope, receive, send)

    async def answer(self, request: Request) -> Answer:
        """What the path is for."""
        raise NotImplementedError


class _Health(_Endpoint):
    """Whether events can be taken in. Says nothing else, and needs no secret."""

    async def answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        if self.webhook.committer.stuck:
            return Answer(503, {"ok": False, "error": "No room for events"}, {"Retry-After": str(_FULL_S)})
        return Answer(200, {"ok": True})


class _Receive(_Endpoint):
    """A delivery."""

    async def answer(self, request: Request) -> Answer:
        webhook = self.webhook
        if request.method != "POST":
            return _not_allowed("POST")
        headers = _headers(request)
        body = await _body(request, headers, webhook.options.max_bytes, webhook.options.request_timeout_s)
        proof = webhook.prove(headers, body)
        wait_s = webhook.wait_s()
        if wait_s:
            return Answer(429, {"error": "Too many requests"}, {"Retry-After": str(math.ceil(wait_s))})
        remote = request.client.host if request.client is not None else ""
        found = webhook.read(headers, body, proof, request.url.query, remote)
        if isinstance(found, Answer):
            return found
        if webhook.replies is not None and len(found) == 1:
            return await webhook.replies.take(found[0], self._commit)
        await self._commit(found)
        return accepted(found)

    async def _commit(self, messages: Sequence[Any]) -> None:
        if messages:
            await self.webhook.committer.commit(messages)


class _Replies(_Endpoint):
    """What was replied to an event, for who asks with the same proof: the path is signed in place of a body."""

    def __init__(self, webhook: Webhook, replies: Replies) -> None:
        super().__init__(webhook)
        self._replies = replies

    async def answer(self, request: Request) -> Answer:
        if request.method != "GET":
            return _not_allowed("GET")
        self.webhook.prove(_headers(request), request.scope["raw_path"])
        return await asyncio.to_thread(self._replies.look_up, request.path_params["event_id"])


def accepted(messages: Sequence[Any], status: int = 200, **more: Any) -> Answer:
    """The events are durable."""
    body: dict[str, Any] = {"ok": True}
    if messages:
        body["event_id"] = messages[0].id
    if len(messages) > 1:
        body["event_ids"] = [message.id for message in messages]
    return Answer(status, {**body, **more})


def _not_allowed(methods: str) -> Answer:
    return Answer(405, {"error": "Method not allowed"}, {"Allow": methods})


def _headers(request: Request) -> dict[str, str]:
    """By their names in lower case. Raises Refused for what two readers could understand in two ways."""
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        text = name.decode("latin-1")
        if text in found and text not in ("accept", "via", "forwarded", "x-forwarded-for", "cookie"):
            raise Refused(f"Header {text} is there twice")
        found[text] = value.decode("latin-1")
    if "content-length" in found and "transfer-encoding" in found:
        raise Refused("Content-Length and Transfer-Encoding exclude each other")
    if found.get("content-encoding", "identity") != "identity":
        raise Refused("Content-Encoding is not supported", 415)
    return found


async def _body(request: Request, headers: dict[str, str], max_bytes: int, timeout_s: float) -> bytes:
    """All of it. Raises Refused: too large (its length is believed only when it says so), too slow."""
    size, chunks = 0, []
    declared = headers.get("content-length", "")
    stream = request.stream()
    too_large = declared.isdigit() and int(declared[:18]) > max_bytes
    try:
        async with asyncio.timeout(timeout_s):
            if not too_large:
                async for chunk in stream:
                    size += len(chunk)
                    if size > max_bytes:
                        too_large = True
                        break
                    chunks.append(chunk)
    except TimeoutError:
        raise Refused("The body did not come in time", 408) from None
    if not too_large:
        return b"".join(chunks)
    if "expect" not in headers:  # who asked first has sent nothing yet
        try:
            async with asyncio.timeout(_DRAIN_S):
                async for chunk in stream:
                    size += len(chunk)
                    if size > _DRAIN_BYTES:
                        break
        except TimeoutError:
            pass
    raise Refused(f"The body is larger than {max_bytes} bytes", 413)
