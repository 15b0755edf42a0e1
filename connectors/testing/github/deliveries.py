"""Webhooks: what happened is posted to who wants to know, once, in order.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers,
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries,
https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks: a redelivery has the
X-GitHub-Delivery of the first one; https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries:
what fails is not delivered again by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

#: Who takes longer is cut off.
_PATIENCE_S = 10.0


@dataclass(eq=False)
class Hook:
    """Where to post, and what. `paused`: deliveries are made, and wait for `redeliver`."""

    id: int
    url: str
    secret: str | None
    events: tuple[str, ...] = ("*",)
    form: bool = False
    paused: bool = False

    def wants(self, event: str) -> bool:
        return "*" in self.events or event in self.events or event == "ping"


@dataclass(eq=False)
class Delivery:
    """One happening for one hook; `statuses`: of each attempt, 0 for none."""

    guid: str
    hook: Hook
    event: str
    payload: dict[str, Any]
    statuses: list[int] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def action(self) -> str:
        return str(self.payload.get("action", ""))

    @property
    def status(self) -> int:
        """Of the last attempt; 0: none, or no answer."""
        return self.statuses[-1] if self.statuses else 0


class Deliveries:
    """Posts in a thread of its own, one after the other."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.made: list[Delivery] = []
        self._queue: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="fake-github-hooks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """After what is queued; safe twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def make(self, hook: Hook, event: str, payload: dict[str, Any]) -> Delivery:
        """A delivery, posted soon unless the hook is paused."""
        delivery = Delivery(str(uuid.uuid4()), hook, event, payload)
        self.made.append(delivery)
        if not hook.paused:
            self._queue.put(delivery)
        return delivery

    def again(self, delivery: Delivery) -> None:
        """Post it (again), with the same id and body."""
        self._queue.put(delivery)

    def _loop(self) -> None:
        while (delivery := self._queue.get()) is not None:
            self._post(delivery)

    def _post(self, delivery: Delivery) -> None:
        body, headers = signed(delivery)
        request = urllib.request.Request(delivery.hook.url, body, headers)  # noqa: S310 - a test's own address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_PATIENCE_S) as answer:
                status, text = answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode("utf-8", "replace")
        except OSError as error:
            status, text = 0, str(error)
        delivery.answers.append(text)
        delivery.statuses.append(status)


def signed(delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a delivery."""
    hook = delivery.hook
    text = json.dumps(delivery.payload)
    body = (urlencode({"payload": text}) if hook.form else text).encode()
    headers = {
        "Accept": "*/*",
        "User-Agent": "GitHub-Hookshot/f4ke",
        "Content-Type": "application/x-www-form-urlencoded" if hook.form else "application/json",
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if hook.secret is not None:
        for name, digest in (("X-Hub-Signature", "sha1"), ("X-Hub-Signature-256", "sha256")):
            mac = hmac.new(hook.secret.encode(), body, getattr(hashlib, digest)).hexdigest()
            headers[name] = f"{digest}={mac}"
    return body, headers
