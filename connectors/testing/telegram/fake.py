"""`FakeTelegram`: the platform in a thread of the test's own process."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Self

from connectors.testing.telegram.api import Api
from connectors.testing.telegram.failures import Failure, Failures, Kind
from connectors.testing.telegram.happenings import Happenings
from connectors.testing.telegram.model import Call, Chat, Sent, User
from connectors.testing.telegram.server import Server
from connectors.testing.telegram.updates import KEPT_S
from connectors.testing.telegram.world import World

BOT_ID = 7_000_000_001


class FakeTelegram(Happenings):
    """One bot, and the people that it talks to. Every method may be called from any thread.

    `token`: by default another one for each fake, since a machine runs one connector a token. `privacy`: the bot has
    privacy mode on, as new bots do. `keep_s`: how long unfetched updates are kept. `enforce_rates`: one message a
    second in a chat and 20 a minute in a group, really refused beyond that. `past`: so many updates and messages there
    were before, for a fake that goes on in the place of another.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        token: str | None = None,
        username: str = "fake_bot",
        name: str = "Fake Bot",
        privacy: bool = True,
        keep_s: float = KEPT_S,
        enforce_rates: bool = False,
        retry_after_s: int = 1,
        clock: Callable[[], float] = time.time,
        past: int = 0,
    ) -> None:
        token = token or f"{BOT_ID}:AA{secrets.token_hex(16)}x"
        bot = User(int(token.partition(":")[0]), name, username=username, is_bot=True)
        super().__init__(World(bot, privacy=privacy, clock=clock, keep_s=keep_s, past=past))
        self.token = token
        self.retry_after_s = retry_after_s
        self._failures = Failures()
        self._api = Api(self.world, token, self._failures)
        self.world.rates.enforced = enforce_rates
        self._server = Server(port, self._api.call, self._api.download, self._api.deliveries.run)
        self.world.changed = lambda: self._server.soon(self._api.wake)

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Listen on 127.0.0.1. Started again after `stop`, it has the same port and remembers everything."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Refuse connections and cut off those that are open; safe twice."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def base_url(self) -> str:
        """What python-telegram-bot calls base_url: the token follows at once."""
        return f"{self.url}/bot"

    @property
    def base_file_url(self) -> str:
        """What python-telegram-bot calls base_file_url."""
        return f"{self.url}/file/bot"

    # ── failures ──────────────────────────────────────────────────────────────────────────────────────────────

    def fail_next(
        self,
        kind: Kind,
        method: str | None = None,
        n: int = 1,
        *,
        retry_after_s: int | None = None,
        code: int | None = None,
        description: str | None = None,
    ) -> None:
        """Fail the next `n` calls of `method` (None: of any but getUpdates; "download": of a file) in this way.

        `code` and `description` replace what the kind would answer.
        """
        wait_s = self.retry_after_s if retry_after_s is None else retry_after_s
        failure = Failure(kind, method.lower() if method else None, wait_s, code, description)
        with self.world.lock:
            self._failures.add(failure, n)

    def clear_failures(self) -> None:
        """Nothing fails any more."""
        with self.world.lock:
            self._failures.clear()

    def hang_polls(self) -> None:
        """Half-open connections: the getUpdates under way never answer, until `release`; new ones are served."""
        with self.world.lock:
            for poller in self._api.polling.pollers:
                poller.frozen = True

    def release(self) -> None:
        """End what `timeout` and `hang_polls` keep hanging."""
        self._server.soon(self._api.release)

    def log_in(self) -> None:
        """The bot may come back after logOut."""
        with self.world.lock:
            self.world.logged_out = False

    # ── views ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def journal(self) -> list[Call]:
        """Every call that arrived, in order, with its outcome; the token is not in it."""
        with self.world.lock:
            return list(self.world.journal)

    def calls(self, method: str) -> list[Call]:
        """Those of one method."""
        return [call for call in self.journal if call.method.lower() == method.lower()]

    @property
    def sent(self) -> list[Sent]:
        """The messages of the bot in order, as people see them now; `deleted` ones too."""
        with self.world.lock:
            return [self._sent(*entry) for entry in self.world.sent]

    def messages(self, chat: Chat | int, *, business: str | None = None) -> list[dict[str, Any]]:
        """Everything that is in the chat, in order, whoever wrote it."""
        with self.world.lock:
            found = self._where(chat, business)
            return [m for i, m in sorted(found.messages.items()) if i not in found.deleted]

    @property
    def confirmed(self) -> int:
        """The highest offset that getUpdates named: all updates below it are forgotten."""
        with self.world.lock:
            return self.world.updates.confirmed

    @property
    def pending(self) -> list[dict[str, Any]]:
        """The updates that the bot has not confirmed."""
        with self.world.lock:
            return self.world.updates.pending

    @property
    def handed(self) -> dict[int, int]:
        """update id → how often a getUpdates answer carried it."""
        with self.world.lock:
            return dict(self.world.updates.handed)

    @property
    def pollers(self) -> int:
        """How many getUpdates are under way."""
        return len(self._api.polling.pollers)

    @property
    def hanging(self) -> int:
        """How many calls wait for an answer because of `timeout`."""
        return len(self._api.hangs)

    def _sent(self, method: str, chat: Chat, message_id: int, parse_mode: str | None) -> Sent:
        message = chat.messages[message_id]
        return Sent(
            method=method,
            chat_id=chat.id,
            message_id=message_id,
            thread_id=message["message_thread_id"] if message.get("is_topic_message") else None,
            text=message.get("text", message.get("caption", "")),
            entities=message.get("entities", message.get("caption_entities", [])),
            parse_mode=parse_mode,
            reply_to=message.get("reply_to_message", {}).get("message_id"),
            message=message,
            deleted=message_id in chat.deleted,
            edits=chat.edits.get(message_id, 0),
            business=chat.business,
        )
