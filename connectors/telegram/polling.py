"""Long polling: an update is confirmed by the next request for updates, so that one waits until it is durable.

https://core.telegram.org/bots/api#getupdates. What ends a request: updates, `poll_timeout_s` without any, an error, or
`stall_s` more without an answer; only then is the connection made anew, a few times an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import RetryLater
from connectors.base.retry import Backoff
from connectors.parts.rebuilds import Rebuilds
from connectors.telegram.client import Client
from connectors.telegram.faults import Conflict, Stalled
from connectors.telegram.ids import Me
from connectors.telegram.options import TelegramOptions
from connectors.telegram.receiving import Receiver, last_id

CHECKPOINT = "offset"
#: After a week without updates the next one has any number (https://core.telegram.org/bots/api#update): an older offset
#: is not used. Nothing comes twice by that: whatever is not confirmed is recognised by its id.
OFFSET_VALID_S = 6 * 86_400.0
REBUILDS_PER_HOUR = 12
#: Two pollers end each other's requests; the one that is here by mistake should not do so every second.
_CONFLICT = Backoff(5.0, 120.0)
_OUTAGE = Backoff(1.0, 60.0)
_LEAST_S = 0.2


class Poller:
    """The loop of one bot; runs in `run_loop`."""

    def __init__(
        self,
        connector: Connector,
        client: Client,
        me: Me,
        receiver: Receiver,
        *,
        note: str | None,
        options: TelegramOptions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connector = connector
        self._client = client
        self._me = me
        self._receiver = receiver
        self._note = note
        self._options = options
        self._clock = clock
        self._rebuilds = Rebuilds(REBUILDS_PER_HOUR)
        self._reported: tuple[str, str | None] = "connected", note
        self._conflicts = 0
        self._failures = 0
        self._seen: list[int] = []
        self._offset: int | None = None
        self._offset_at = 0.0

    def run(self) -> None:
        """Receive until the connector stops. Raises AuthError and ConfigError."""
        self._load()
        while self._connector._running:  # noqa: SLF001 - the public contract's own name
            try:
                updates = self._client.poll(self._current(), self._options.updates, self._options.poll_timeout_s)
                self._completed()
                if updates:
                    self._take(updates)
                else:
                    self._failures = 0
            except Conflict as error:
                self._conflict(error)
            except Stalled as error:
                self._stalled(error)
            except RetryLater as error:
                if self._connector.wait(0):
                    return
                self._outage(error)

    def _take(self, updates: list[dict[str, Any]]) -> None:
        after, now = last_id(updates) + 1, self._clock()
        # The bookmark belongs to this bot: another one's updates have numbers of their own.
        value = {"bot": self._me.id, "offset": after, "at": now}
        self._receiver.take(updates, checkpoint=(CHECKPOINT, value))
        self._offset, self._offset_at = after, now
        seen = [update["update_id"] for update in updates]
        if seen == self._seen:
            # The server ignores an offset that it takes for one of the future. Nothing is doubled, nor would it end.
            self._connector.logger.warning("Telegram brings the same %d updates again", len(seen))
            self._failures += 1
            self._wait(_OUTAGE.wait_s(self._failures), 1.0)
        else:
            self._failures = 0
        self._seen = seen

    def _load(self) -> None:
        found = self._connector.checkpoint(CHECKPOINT)
        if isinstance(found, dict) and found.get("bot") == self._me.id and isinstance(found.get("offset"), int):
            self._offset, self._offset_at = found["offset"], float(found.get("at") or 0.0)

    def _current(self) -> int | None:
        if self._offset is not None and self._clock() - self._offset_at > OFFSET_VALID_S:
            self._offset = None
        return self._offset

    # ── states ────────────────────────────────────────────────────────────────────────────────────────────────

    def _completed(self) -> None:
        self._conflicts = 0
        self._report("connected", self._note)

    def _conflict(self, error: Conflict) -> None:
        if error.webhook and self._options.delete_webhook:
            self._connector.logger.warning("deleting the webhook, as delete_webhook says")
            self._client.call("deleteWebhook", drop_pending_updates=False)
            return
        self._conflicts += 1
        self._report("conflict", WEBHOOK_NOTE if error.webhook else POLLER_NOTE)
        self._wait(_CONFLICT.wait_s(self._conflicts), 2.0)

    def _stalled(self, error: Stalled) -> None:
        if self._rebuilds.allowed():
            self._rebuilds.note()
            self._report("reconnecting", f"{error}: the connection is made anew")
            self._client.renew()
        else:
            self._connector.report_stall(f"{error}, {REBUILDS_PER_HOUR} times in an hour")
            self._report("reconnecting", f"{error}; the network, or a proxy on the way, keeps connections half open")
            self._wait(min(self._rebuilds.wait_s(), 60.0), _LEAST_S)

    def _outage(self, error: RetryLater) -> None:
        self._failures += 1
        self._report("reconnecting", f"{error}")
        self._wait(error.after_s if error.after_s is not None else _OUTAGE.wait_s(self._failures), _LEAST_S)

    def _wait(self, wait_s: float, least_s: float) -> None:
        self._connector.wait(max(wait_s, least_s))

    def _report(self, state: str, note: str | None) -> None:
        """When it changes: what stays as it is is not written again and again."""
        if (state, note) != self._reported:
            self._reported = state, note
            self._connector.report_state(state, note)


WEBHOOK_NOTE = (
    "a webhook is set for this bot, and receives its updates: set delete_webhook: true, or give webhook_url to receive "
    "by webhook"
)
POLLER_NOTE = (
    "another program receives this bot's updates: end it, or give one of the two a bot of its own (@BotFather, /newbot)"
)
