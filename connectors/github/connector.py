"""The GitHub connector: what `connectors.base.connector.Connector` asks of it, put together from this folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from connectors.base.auth import Bearer, NoAuth
from connectors.base.credentials import Validator
from connectors.base.declaration import Capabilities, Limits
from connectors.base.errors import Rejected, RetryLater
from connectors.base.feeds import feeds_of
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.registration import Integration
from connectors.github.actions import ACTIONS
from connectors.github.arriving import Arrivals
from connectors.github.diagnosis import Diagnosis, check_token
from connectors.github.options import POLLED, GithubOptions, RepositoryOptions, check_repository
from connectors.github.writing import TEXT_MAX, Writer
from connectors.parts.actions import ActionConnector
from connectors.parts.emitting import Counts
from connectors.parts.events import Event
from connectors.parts.feeds import Feed, FeedsConnector, FeedType
from connectors.parts.polling import PollResult
from connectors.parts.webhook import Webhook

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding
    from connectors.github.client import Client
    from connectors.github.pushing import Pushes


class GithubConnector(ActionConnector, FeedsConnector):
    """Issues, pull requests and comments of GitHub repositories, polled and pushed."""

    connector_type = "github"
    version = "1"
    capabilities = Capabilities(idempotent_send=True)
    limits = Limits(text_max=TEXT_MAX)
    schedule = "5m"
    actions = ACTIONS
    feeds = (
        FeedType(
            "repository",
            RepositoryOptions,
            description="The issues, pull requests and comments of one repository.",
            kinds=POLLED,
            shared_ids=True,
        ),
    )
    auth = (Bearer("token"), NoAuth("public repositories only; 60 requests an hour, and nothing can be sent"))
    validators: ClassVar[Mapping[str, Validator]] = {"token": check_token}
    integrations = (
        Integration(
            "webhook",
            "only with listen: GitHub's webhook for http://…/webhook/<instance>, as application/json",
            platform="github",
            command="gh api repos/OWNER/NAME/hooks -f name=web -f config[url]=URL -f config[content_type]=json "
            "-f config[secret]=SECRET -f events[]=issues -f events[]=issue_comment",
            help_url="https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks",
        ),
    )
    setup_help = (
        "A personal access token with the scope repo (for public repositories none is needed to read): "
        "https://github.com/settings/tokens/new?scopes=repo, into .env as GITHUB_TOKEN."
    )
    Options = GithubOptions

    _client: Client | None = None
    _webhook: Webhook | None = None
    _pushes: Pushes | None = None

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def feeds_given(cls, given: Mapping[str, Any]) -> list[Any]:
        """`repositories` is the short form: each is a feed, called owner.name."""
        listed = given.get("repositories", [])
        names = listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []
        return [*map(_short, filter(None, map(str, names))), *super().feeds_given(given)]

    def connect(self) -> None:
        """Ask GitHub whose token it is, and bind the port if webhooks are wanted. Raises AuthError and ConfigError.

        When GitHub is not reachable, or its limit is used up, that is a matter of the polls.
        """
        from connectors.github.client import Client

        self._client = Client(self._given)
        self._learn_login()
        if self._given.listen:
            from connectors.github.pushing import Pushes

            self._pushes = Pushes(self, self._given, self._arrivals, self._emit_pushed, self._may_tell)
            self._webhook = Webhook(self, self._given, self._pushes.read, write=self._pushes.write)
            self._webhook.open()

    def disconnect(self) -> None:
        """Give back the port and the connections; safe twice."""
        if self._webhook is not None:
            self._webhook.close()
        if self._pushes is not None:
            self._pushes.close()
        if self._client is not None:
            self._client.close()

    def run_loop(self) -> None:
        """Poll when it is due, and take in what is pushed, until stopped."""
        if self._webhook is None:
            super().run_loop()
            return
        listening = threading.Thread(target=self._listen, args=(self._webhook,), name="webhook", daemon=True)
        listening.start()
        try:
            super().run_loop()
        finally:
            self.stop()
            listening.join()

    def poll_feed(self, feed: Feed, checkpoint: Any) -> PollResult:
        """Raises as GitHub answers."""
        from connectors.github.polling import Poll

        if self._arrivals.login is None:
            self._learn_login()
        return Poll(self, self._open_client(), self._arrivals, self._given, feed).run(checkpoint, len(self._turns))

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """A comment on the issue that the conversation is. Raises as GitHub answers."""
        if self._client is None:
            raise RetryLater("not connected")
        return self.writer.send(msg)

    def pace(self, msg: OutgoingMessage) -> float:
        """GitHub asks for a second between writes, and allows for 80 a minute and 500 an hour."""
        return 0.0 if self._client is None else self._client.write_wait_s()

    def diagnose(self) -> Iterable[Finding]:
        """The rate limit, and whether each repository can be read."""
        from connectors.github.client import Client

        client = Client(self._given)
        try:
            yield from Diagnosis(client, self.name, self._given, list(self._configured)).findings()
        finally:
            client.close()

    # ── its parts ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def writer(self) -> Writer:
        """Raises Rejected without a token: nobody may write anonymously."""
        if self._given.token is None:
            raise Rejected("without a token nothing can be written", hint="put GITHUB_TOKEN into .env, and restart")
        return Writer(self._open_client(), self._arrivals, self._names)

    @property
    def _given(self) -> GithubOptions:
        return cast(GithubOptions, self.options)

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(self, self._given)

    @cached_property
    def _configured(self) -> dict[str, str]:
        """{repository: the name of its feed}"""
        found, _ = feeds_of(type(self), dict(self.options))
        return {cast(RepositoryOptions, feed.options).repository: feed.name for feed in found}

    def _open_client(self) -> Client:
        if self._client is None:
            from connectors.github.client import Client

            self._client = Client(self._given)
        return self._client

    def _learn_login(self) -> None:
        """Whose posts are ours. An app's token belongs to no account; then what we post will tell."""
        from connectors.github.faults import Refused

        if self._given.token is None:
            return
        try:
            data = self._open_client().get("/user").data
        except (Refused, RetryLater) as error:
            self.logger.info("whose token it is could not be learned: %s", error)
            return
        login = data.get("login") if isinstance(data, Mapping) else None
        self._arrivals.login = login if isinstance(login, str) else None

    def _places(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each repository as it is configured, and what polls have learned of it: {id, name, …}."""
        for repository, feed in self._configured.items():
            checkpoint = self.checkpoint(feed)
            found = checkpoint.get("repository") if isinstance(checkpoint, dict) else None
            yield repository, found if isinstance(found, dict) else {}

    def _names(self) -> dict[str, str]:
        """The repositories that may be written to, by the names they have and had, in lower case."""
        names: dict[str, str] = {}
        for repository, learned in self._places():
            now = str(learned.get("name") or repository)
            names |= {repository.lower(): now, now.lower(): now}
        return names

    def _may_tell(self) -> frozenset[str | int]:
        """Of which repositories a push is let in."""
        numbers = [learned["id"] for _, learned in self._places() if "id" in learned]
        return frozenset([*self._names(), *numbers])

    def _emit_pushed(self, events: list[Event], *, seen: list[str], repeated: int) -> Counts:
        from connectors.github.pushing import SEEN

        if repeated:
            self._open_runtime().status.count("duplicates", repeated)
        return self._common.emit(events, seen, name=SEEN)

    def _listen(self, webhook: Webhook) -> None:
        try:
            webhook.run()
        except Exception as error:  # noqa: BLE001 - a thread that dies silently leaves a connector deaf that looks well
            self.end_with(error)


def feed_name(repository: str) -> str:
    """What a repository's feed is called: `owner.name`, which no two have, in at most 64 characters."""
    name = repository.strip().replace("/", ".")
    return name if len(name) <= 64 else f"{name[:47]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _short(repository: str) -> dict[str, str]:
    with suppress(ValueError):  # of one that is none, the option itself says so
        repository = check_repository(repository)
    return {"name": feed_name(repository), "repository": repository}


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=GithubConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="github")
    args = parser.parse_args()
    GithubConnector(name=args.name, seed_home=args.seed_home).run()
