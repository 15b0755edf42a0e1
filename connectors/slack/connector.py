"""Slack, over Socket Mode: no address of this machine has to be reachable from outside.

How events come in: receiving.py. How they go out: sending.py. What is kept open: sockets.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from connectors.base.connector import Connector
from connectors.base.declaration import Capabilities, Limits
from connectors.base.errors import ConfigError, Rejected
from connectors.base.message import OutgoingMessage, Receipt
from connectors.parts.unneeded import give_back
from connectors.slack.options import SlackOptions

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding
    from connectors.slack.parts import Parts

#: As `connectors.parts.mrkdwn` has it, which is loaded when something goes out.
_TEXT_MAX = 4000
_SETUP = """
1. https://api.slack.com/apps, Create New App, From a manifest: paste connectors/slack/manifest.yml.
2. Install App: the Bot User OAuth Token (xoxb-…) is SLACK_BOT_TOKEN.
3. Basic Information, App-Level Tokens, scope connections:write: the token (xapp-…) is SLACK_APP_TOKEN.
4. In Slack: /invite the bot into a channel, and put that channel's id into allow.conversations.
"""


class SlackConnector(Connector):
    """Slack channels, threads and direct messages, over Socket Mode."""

    connector_type = "slack"
    version = "1"
    extra = "slack"
    capabilities = Capabilities(
        edit=True,
        delete=True,
        react=True,
        typing=True,
        threads=True,
        attachments_in=True,
        attachments_out=True,
        fetch=True,
        idempotent_send=True,
    )
    limits = Limits(text_max=_TEXT_MAX, attachment_max_bytes=1_000_000_000)
    setup_help = _SETUP
    Options = SlackOptions
    #: One slow conversation delays no other.
    parallel_sends = 4

    _parts: Parts | None = None
    _failure: Exception | None = None

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Find out who the bot is, and open a socket. Raises AuthError, ConfigError, MissingDependency, RetryLater."""
        from connectors.slack.parts import Parts  # imports the SDK

        self._failure = None
        self._parts = parts = Parts(self, cast(SlackOptions, self.options))
        try:
            parts.connect()
        except Rejected as error:  # at this point it is the configuration's fault, not an outgoing's
            raise ConfigError(str(error), hint=error.hint) from error

    def disconnect(self) -> None:
        """End the socket, and what was fetched in the background."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.close()

    def run_loop(self) -> None:
        """Receive until stopped."""
        parts = self._need()
        parts.start()
        give_back()
        try:
            parts.sockets.run()
        except Rejected as error:  # of apps.connections.open: the app's settings, not an outgoing's fault
            raise ConfigError(str(error), hint=error.hint) from error
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Also out of the wait for the socket."""
        super().stop()
        parts = self._parts
        if parts is not None:
            parts.sockets.wake()

    def fail(self, error: Exception) -> None:
        """End the process with this error."""
        self._failure = self._failure or error
        parts = self._parts
        if parts is not None:
            parts.sockets.wake()

    def is_ending(self) -> bool:
        """Whether nothing more is to be received."""
        return self._failure is not None or not self._running

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def split(self, msg: OutgoingMessage) -> list[str]:
        """Parts of at most 4,000 characters as Slack counts them; files apart."""
        from connectors.slack.rendering import split

        return split(msg)

    def pace(self, msg: OutgoingMessage) -> float:
        """About one post a second in each conversation."""
        return 0.0 if self._parts is None else self._parts.sending.pace(msg)

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Raises Rejected, AuthError and RetryLater as Slack answers."""
        parts = self._need()
        if msg.action == "fetch":
            return parts.downloads.fetch_again(msg.target_id or "")
        return parts.sending.send(msg)

    # ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────

    def diagnose(self) -> Iterable[Finding]:
        """Identity, scopes, the socket, membership."""
        from connectors.slack.diagnosis import examine
        from connectors.slack.parts import web_for

        options = cast(SlackOptions, self.options)
        bot, app = web_for(options, options.bot_token), web_for(options, options.app_token)
        return examine(bot, app, options, f"connectors.yml: {self.name}")

    def _need(self) -> Parts:
        if self._parts is None:
            raise ConfigError("not connected", hint="call connect first")
        return self._parts


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=SlackConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="slack")
    args = parser.parse_args()
    SlackConnector(name=args.name, seed_home=args.seed_home).run()
