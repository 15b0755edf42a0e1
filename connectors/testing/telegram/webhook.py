"""Webhooks: updates are POSTed to the bot.

https://core.telegram.org/bots/api#setwebhook: the secret comes in X-Telegram-Bot-Api-Secret-Token; an answer other
than 2xx makes the platform try again; an answer may carry one call (#making-requests-when-getting-updates). The real
platform takes https only; this one takes http too, and delivers to loopback only. Wordings: Client.cpp and
WebhookActor.cpp of the server.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from connectors.testing.telegram.errors import ApiError, bad
from connectors.testing.telegram.needs import ClientError, ClientSession, ClientTimeout
from connectors.testing.telegram.params import Params
from connectors.testing.telegram.polling import allow
from connectors.testing.telegram.registry import METHODS, method
from connectors.testing.telegram.world import World

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name
FIRST_RETRY_S = 0.05
MAX_RETRY_S = 1.0
TIMEOUT_S = 10.0
_SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@method("setWebhook")
def set_webhook(world: World, params: Params) -> bool:
    """From now on updates are POSTed to `url`; an empty one ends that."""
    url = params.text("url")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise bad("invalid webhook URL specified")
        if parts.hostname not in _LOOPBACK:
            raise bad("bad webhook: the fake delivers to loopback only")
        secret = params.text("secret_token")
        if len(secret) > 256:
            raise bad("secret token is too long")
        if not _SECRET.fullmatch(secret):
            raise bad("secret token contains unallowed characters")
    if params.flag("drop_pending_updates"):
        world.updates.clear()
    allow(world, params)
    world.webhook = {"url": url, "secret": params.text("secret_token")} if url else {}
    if url:
        world.webhook["max_connections"] = min(max(params.integer("max_connections", 40), 1), 100)
    world.changed()
    return True


@method("deleteWebhook")
def delete_webhook(world: World, params: Params) -> bool:
    """Back to getUpdates."""
    if params.flag("drop_pending_updates"):
        world.updates.clear()
    world.webhook = {}
    world.changed()
    return True


@method("getWebhookInfo")
def get_webhook_info(world: World, _params: Params) -> dict[str, Any]:
    """Where updates go, how many wait, and what went wrong last."""
    hook = world.webhook
    found: dict[str, Any] = {
        "url": hook.get("url", ""),
        "has_custom_certificate": False,
        "pending_update_count": len(world.updates.pending),
    }
    for name in ("max_connections", "last_error_date", "last_error_message"):
        if name in hook:
            found[name] = hook[name]
    if world.updates.allowed:
        found["allowed_updates"] = list(world.updates.allowed)
    return found


class Deliveries:
    """Runs in the server's loop as long as the server does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.woken: Callable[[], object] = lambda: None

    async def run(self) -> None:
        """Deliver one update after the other; each one until it is taken."""
        event = asyncio.Event()
        self.woken = event.set
        wait_s = FIRST_RETRY_S
        async with ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session:
            while True:
                with self.world.lock:
                    hook = self.world.webhook
                    update = next(iter(self.world.updates.peek(1)), None) if hook else None
                if update is None:
                    await event.wait()
                    event.clear()
                elif await self._deliver(session, hook, update):
                    wait_s = FIRST_RETRY_S
                else:
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, MAX_RETRY_S)

    async def _deliver(self, session: ClientSession, hook: dict[str, Any], update: dict[str, Any]) -> bool:
        headers = {SECRET_HEADER: hook["secret"]} if hook["secret"] else {}
        try:
            async with session.post(hook["url"], json=update, headers=headers) as response:
                raw = await response.read()
                if not 200 <= response.status < 300:
                    raise _Refused(f"Wrong response from the webhook: {response.status} {response.reason}")
                given = await response.json() if raw.strip() and response.content_type == "application/json" else None
                body = Params(given if isinstance(given, dict) else {})
        except (_Refused, ClientError, TimeoutError, ValueError) as problem:
            with self.world.lock:
                hook["last_error_date"] = self.world.now()
                hook["last_error_message"] = str(problem) if isinstance(problem, _Refused) else "Connection failed"
            return False
        with self.world.lock:
            self.world.updates.confirm(update["update_id"] + 1)
            self._call(body)
        return True

    def _call(self, body: Params) -> None:
        """A call in the answer; nobody is told how it ends."""
        name = str(body.values.pop("method", "")).lower()
        if name in METHODS:
            body.method, body.bot_id = name, self.world.bot.id
            try:
                METHODS[name](self.world, body)
            except ApiError:
                return


class _Refused(Exception):
    """The bot's answer was none of 2xx."""
