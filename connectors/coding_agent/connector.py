"""Hooks of coding agents: each that is posted becomes one event in the life of a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, cast

from connectors.base.auth import Keys, NoAuth
from connectors.base.connector import Connector
from connectors.base.errors import Rejected
from connectors.base.message import Message, OutgoingMessage
from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.coding_agent.hooks import Identity, Unclear, event_of
from connectors.coding_agent.tools import CLAUDE_CODE, CODEX, OPENCODE, OTHER, PI, PI_RUST
from connectors.parts import webhook
from connectors.parts.lateness import mark_late
from connectors.parts.signatures import unsigned_id
from connectors.parts.spool import mark_of
from connectors.parts.webhook import Delivery, Refused, Webhook


class CodingAgentOptions(webhook.WebhookOptions):
    """Options of the `coding-agent` type."""

    platform: str | None = option(
        None,
        min_length=1,
        description="What provenance names; by default the instance, or the tool that its type names.",
    )
    harness: str | None = option(
        None, min_length=1, description="What the events' session names; by default the platform."
    )
    once_a_phase: bool = option(
        False, description="One event for each phase of a session, whatever else its hooks say (by dedupe_key)."
    )


class CodingAgentConnector(Connector):
    """Sessions of coding agents: their hooks tell when one starts, ends, fails or is stopped."""

    connector_type = "coding-agent"
    version = "1"
    extra = "webhook"
    setup_help = (
        "Choose a secret, put it into .env, and let the tool's hooks run `connectors hook NAME`, with the name of the "
        "instance: the README says how, for each tool."
    )
    auth = (Keys("secret", description="what hooks are signed with"), NoAuth("programs of this machine may tell"))
    integrations = (OTHER,)
    Options = CodingAgentOptions
    #: The tool, for the types that are named after one.
    harness: ClassVar[str | None] = None

    _webhook: Webhook | None = None
    _up_since: datetime | None = None

    def connect(self) -> None:
        """Bind the port. Raises ConfigError and MissingDependency."""
        self._up_since = datetime.now(UTC)
        self._webhook = Webhook(self, self._given, self._event)
        self._webhook.open()

    def disconnect(self) -> None:
        """Give back the port; safe twice."""
        if self._webhook is not None:
            self._webhook.close()

    def run_loop(self) -> None:
        """Serve until stopped."""
        if self._webhook is not None:
            self._webhook.run()

    def send_message(self, msg: OutgoingMessage) -> bool:
        """Nothing can be sent to a hook."""
        raise Rejected(
            f"{self.connector_type} tells what sessions do, and sends nothing",
            hint="send to the tool by another connector, such as one of the type command",
        )

    @property
    def _given(self) -> CodingAgentOptions:
        return cast(CodingAgentOptions, self.options)

    def _event(self, delivery: Delivery) -> Message:
        given = self._given
        platform = given.platform or self.harness or self.name
        identity = Identity(self.connector_type, self.name, platform, given.harness or platform)
        # The sender's own id of the delivery tells two apart that say the same.
        mark, sender_id = mark_of(delivery.body), unsigned_id(delivery.headers)
        if sender_id is not None and sender_id != mark:
            mark = mark_of(f"{sender_id}\n{mark}".encode("utf-8", "replace"))
        try:
            event = event_of(delivery.payload, identity, mark=mark, once_a_phase=given.once_a_phase)
        except Unclear as error:
            raise Refused(f"Invalid payload: {error}") from error
        return event if self._up_since is None else mark_late(event, self._up_since)


def _secret(variable: str) -> Secret | None:
    """The option of every type that is named after a tool: it reads the tool's own variable."""
    found: Secret | None = option(
        None, description="What the hooks are signed with. Without it only this machine may send.", env=variable
    )
    return found


class _ClaudeCodeOptions(CodingAgentOptions):
    secret: Secret | None = _secret("CLAUDE_CODE_WEBHOOK_SECRET")


class _CodexOptions(CodingAgentOptions):
    secret: Secret | None = _secret("CODEX_WEBHOOK_SECRET")


class _OpencodeOptions(CodingAgentOptions):
    secret: Secret | None = _secret("OPENCODE_WEBHOOK_SECRET")


class _PiOptions(CodingAgentOptions):
    secret: Secret | None = _secret("PI_WEBHOOK_SECRET")


class _PiRustOptions(CodingAgentOptions):
    secret: Secret | None = _secret("PI_RUST_WEBHOOK_SECRET")


class ClaudeCodeConnector(CodingAgentConnector):
    """Sessions of Claude Code: its hooks tell when one starts, ends, fails or is stopped."""

    connector_type = harness = "claude-code"
    integrations = (CLAUDE_CODE,)
    Options = _ClaudeCodeOptions


class CodexConnector(CodingAgentConnector):
    """Sessions of Codex: its hooks tell when one starts, ends, fails or is stopped."""

    connector_type = harness = "codex"
    integrations = (CODEX,)
    Options = _CodexOptions


class OpencodeConnector(CodingAgentConnector):
    """Sessions of opencode: a plugin tells when one starts, ends, fails or is stopped."""

    connector_type = harness = "opencode"
    integrations = (OPENCODE,)
    Options = _OpencodeOptions


class PiConnector(CodingAgentConnector):
    """Sessions of pi: an extension tells when one starts, ends, fails or is stopped."""

    connector_type = harness = "pi"
    integrations = (PI,)
    Options = _PiOptions


class PiRustConnector(CodingAgentConnector):
    """Sessions of pi-rust: an extension tells when one starts, ends, fails or is stopped."""

    connector_type = harness = "pi-rust"
    integrations = (PI_RUST,)
    Options = _PiRustOptions


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=CodingAgentConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="coding-agent")
    args = parser.parse_args()
    CodingAgentConnector(name=args.name, seed_home=args.seed_home).run()
