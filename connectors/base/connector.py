"""The contract that every connector fulfils, and what it gets for it.

A connector says how to reach its platform: `connect`, `run_loop`, `send_message`, `disconnect`. The base owns the
rest: folders, the delivery of the outbox while `run_loop` blocks, signals, locks, state, exit codes. How it does that
is in `running.py`.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from connectors.base.declaration import Capabilities, Limits, declaration_of
from connectors.base.errors import Exit, RetryLater
from connectors.base.held import LIMIT_S, Held
from connectors.base.home import Home
from connectors.base.message import Attachment, Message, OutgoingMessage, Receipt
from connectors.base.running import Running
from connectors.base.sending import Sending
from connectors.base.split import split_text

if TYPE_CHECKING:
    from connectors.base.checks.finding import Finding


class Connector(Running):
    """Base of all connectors. Construction is cheap: it makes the folders and nothing else.

    Required of a subclass: `connector_type` and the four abstract methods. Optional are the class attributes that
    `declaration.declaration_of` names, which validation, `env`, `doctor`, `types` and the documentation read.

    Besides what is below it has `logger`; `_running`, false once it is to end; `wait(timeout_s)`, to be used instead of
    sleeping; `stop()` and, for threads of its own, `end_with(error)`; `report_state(state, note)` and
    `report_stall(text)`; and `state_dir`, a private folder.
    """

    connector_type: str = ""
    version: str = "1"
    capabilities: ClassVar[Capabilities] = Capabilities()
    limits: ClassVar[Limits] = Limits()
    actions: ClassVar[Sequence[Any]] = ()
    #: How many threads may be in `send_message` at once (each in another conversation).
    parallel_sends: ClassVar[int] = 1
    #: A call of `send_message` that takes longer is reported (it holds up its conversation), and so is a
    #: platform that is down for longer at the start.
    send_stall_s: ClassVar[float] = 300.0

    def __init__(self, name: str, seed_home: str | os.PathLike[str], config: dict[str, Any] | None = None) -> None:
        super().__init__(name, Home(seed_home), config or {})
        self.seed_home = Path(seed_home)
        self.inbox = self._home.inbox
        self.outbox = self._home.outbox(name)
        self.failed = self._home.failed
        self.log_dir = self._home.logs
        self._home.make(self.inbox, self.outbox, self.failed)
        self._home.make(self.log_dir, private=True)

    # ── what a connector implements ───────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def connect(self) -> None:
        """Acquire: check the credential, open the connection. Raises AuthError, ConfigError, MissingDependency.

        RetryLater says that the platform is down: `disconnect`, a wait (`after_s`, or up to 30 s), and `connect` again.
        """

    @abstractmethod
    def disconnect(self) -> None:
        """Release what `connect` acquired. Called also after a failed `connect`; safe twice."""

    @abstractmethod
    def send_message(self, msg: OutgoingMessage) -> bool | Receipt:
        """Send one outgoing, or one part of a long one.

        Returns a Receipt with the platform's ids, or True. False means "try again later"; better, raise
        RetryLater, Rejected, AuthError or ConfigError. Anything else that is returned is a bug: dead letter.
        """

    @abstractmethod
    def run_loop(self) -> None:
        """Receive until `self._running` is false; call `write_to_inbox` for each event. Must block.

        Returning while running is a clean end of the process (exit 0, final).
        """

    def split(self, msg: OutgoingMessage) -> list[str]:
        """The parts of `msg.text` that are sent one by one; by default as `limits.text_max` wants."""
        if self.limits.text_max is None:
            return [msg.text]
        return split_text(msg.text, self.limits.text_max, self.limits.text_unit)

    def files(self, msg: OutgoingMessage) -> list[list[Attachment]]:
        """`msg.attachments` in groups: each goes out in one call of `send_message`, the first with the last text.

        Where the files must be a call of their own, so that a failed one never sends the text again, `split` ends with
        an empty part.
        """
        return [list(msg.attachments)]

    def pace(self, msg: OutgoingMessage) -> float:
        """In how many seconds `msg`, or this part of it, may be sent; asked before every call of `send_message`.

        The wait uses up no attempt, is no error, and delays no other conversation.
        """
        return 0.0

    def diagnose(self) -> Iterable[Finding]:
        """What the platform says about this configuration, for `connectors doctor`: identity, scopes, conflicts.

        Runs in a process of its own, without the instance's lock and without `connect`; may raise ConnectorErrors.
        """
        return ()

    def sends_once(self) -> bool:
        """Whether a repeated send, with the same `idempotency_key`, is exactly once. To override where it depends."""
        return self.capabilities.idempotent_send

    # ── what it gets ──────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Connect, receive and deliver until asked to stop or `run_loop` returns, disconnect.

        Returns normally after a clean end. Otherwise raises SystemExit with the code of `errors.Exit`.
        """
        code = self._run()
        if code != Exit.OK:
            raise SystemExit(int(code))

    @cached_property
    def options(self) -> BaseModel:
        """The options as the class's `Options` declares them. Raises ConfigError that names every problem."""
        return self._lookup.read(type(self), self.config, expanded=self._expanded)

    def get_config(self, key: str, default: Any = None, env_key: str | None = None) -> Any:
        """An option: from `config` (`${VAR}` is expanded now), else from the variable `env_key`, else `default`."""
        return self._lookup.get(self.config, key, default, env_key, expanded=self._expanded)

    # ── events in ─────────────────────────────────────────────────────────────────────────────────────────────

    def write_to_inbox(self, msg: Message) -> Path:
        """Make an event durable; when this returns it may be acknowledged.

        Returns its path, also for one that came before (it is then not written again, and its file may be gone).
        Waits while the disk or the inbox is full; raises RetryLater when stopped meanwhile: do not acknowledge.
        """
        return self.write_all_to_inbox([msg])[0]

    def write_all_to_inbox(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None = None) -> list[Path]:
        """`write_to_inbox` of several at once, and of a source's bookmark (name, value) in the same transaction."""
        intake = self._open_runtime().intake
        paths = intake.accept(messages, checkpoint)
        known = intake.known
        fresh = [message for message in messages if message.id not in known]
        self._teller.received(fresh, len(messages) - len(fresh))
        return paths

    def checkpoint(self, name: str = "main") -> Any:
        """The bookmark that `write_all_to_inbox` committed last; None at first."""
        return self._open_runtime().store.checkpoint(name)

    def hold(self, msg: Message, limit_s: float = LIMIT_S) -> bool:
        """Make an event durable whose files are yet to be fetched; it may be acknowledged now, and is not in the inbox.

        False: it came before. Otherwise call `release` when the files are there, or when `limit_s` is over.
        """
        fresh = self._open_runtime().intake.hold(msg, limit_s)
        self._teller.received([msg] if fresh else [], int(not fresh))
        return fresh

    def held(self) -> list[Held]:
        """What an earlier process, or connection, held and did not release, in order of arrival.

        Who asks in `connect` is to go on with them, in what is left of their time, and to `release` each. Those of a
        connector that does not ask are published then, each file that is not there as a placeholder with its reason.
        """
        self._keeps_held = True
        return self._open_runtime().intake.held()

    def release(self, msg: Message) -> Path:
        """Publish a held event with the content that it has now; returns its path in the inbox."""
        return self._open_runtime().intake.release(msg)

    def renew(self, msg: Message) -> Path:
        """Put an event into the inbox again, with the content that it has now: its files came later.

        Every reader gets it again, under the same id. Raises ValueError for one that was never received.
        """
        return self._open_runtime().intake.renew(msg)

    def kept(self, event_id: str) -> Message | None:
        """The event as it was published last, or is held; None when it is not known, or no longer kept."""
        row = self._open_runtime().store.event(event_id)
        return None if row is None or row.body is None else Message.from_json(row.body)

    def newest_of(self, origins: Sequence[str]) -> dict[str, tuple[str, str]]:
        """{origin id: (event id, digest)} of the newest event of each of these records of a source that had one."""
        return self._open_runtime().store.newest_of(origins)

    def save_incoming(self, chunks: Iterable[bytes], name: str, *, wait: bool = True) -> dict[str, Any]:
        """Store a file that came in; returns its entry for `content.attachments`: path, name, size, sha256.

        `name` is what the platform calls it: data, never a path. Raises Rejected above limits.attachment_max_bytes.
        While there is no room it waits before it takes the first chunk, as `write_to_inbox` does, unless `wait` is
        false: then OSError.
        """
        from connectors.base.attachments import save_incoming

        runtime, staging = self._open_runtime(), self._home.staging(self.name)
        if wait:
            runtime.intake.await_room(self._home.attachments, staging)
        return save_incoming(self._home, chunks, name, runtime.settings.limits.attachment_max_bytes, staging)

    # ── outgoings ─────────────────────────────────────────────────────────────────────────────────────────────

    def process_outbox(self) -> int:
        """Deliver what is due in the outbox; returns how many were sent. Never raises."""
        try:
            return self._open_runtime().delivery.deliver_ready()
        except RetryLater as error:
            self.logger.info("the outbox is left alone: %s", error)
            return 0
        except Exception as error:  # promised to the seed's poller threads, which would die silently
            self.logger.exception("the outbox could not be processed")
            self.end_with(error)
            return 0

    def poll_outbox(self) -> list[OutgoingMessage]:
        """Hand all that is due to the caller and delete the files (each gets a receipt that says `handed_over`).

        From the first call on the base delivers nothing by itself. What the caller then fails to send is lost.
        """
        self._pumping = False
        return self._open_runtime().delivery.hand_over()

    def _delivers_by_itself(self) -> bool:
        """Not when the class took the outbox into its own hands."""
        cls = type(self)
        own = cls.process_outbox is not Connector.process_outbox or cls.poll_outbox is not Connector.poll_outbox
        return self._pumping and not own

    def _sending(self) -> Sending:
        able = self.capabilities
        actions = {"send"} | {name for name in ("edit", "delete", "react", "typing", "fetch") if getattr(able, name)}
        actions |= {str(action["name"]) for action in declaration_of(type(self)).actions}
        return Sending(
            send=self.send_message,
            split=self.split,
            files=self.files,
            pace=self.pace if type(self).pace is not Connector.pace else None,
            idempotent=self.sends_once(),
            actions=frozenset(actions),
            parallel=self.parallel_sends,
        )
