"""Actions: what a connector can be asked to do besides sending, declared with its shapes, and done once.

    class IssuesConnector(ActionConnector):
        connector_type = "issues"
        actions = (Action("close_issue", close_issue, input=CloseIssue, output=Closed, requires_approval=True),)

An outbox file `{"action": "close_issue", "input": {"number": 7}, "idempotency_key": "…"}` is validated, waits in
`state/approvals/` where a person must agree, runs once, and is answered by an inbox event of kind `action_result` and
by the receipt; what was not done is a dead letter, too. The same key is answered by the first answer.

An action that waits for a person, or that names no conversation, keeps no order with other outgoings: it waits for
none, and none waits for it. Who needs an order waits for the answer before asking for the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, cast

from pydantic import field_validator

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.errors import ConfigError, Rejected, RetryLater
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.options import option
from connectors.base.problems import did_you_mean, nearest
from connectors.base.runtime import Runtime
from connectors.base.sending import Sending
from connectors.base.watch import Watch
from connectors.parts.approvals import Approvals
from connectors.parts.contract import Action, Call
from connectors.parts.ledger import FILE, Ledger
from connectors.parts.performing import Performer, Policy
from connectors.parts.schedule import parse_interval

__all__ = ["Action", "ActionConnector", "ActionOptions", "Call"]

EXPIRES_AFTER_S = 7 * 86_400.0
#: What waits for a person is looked at this often without any hint: a hint may be lost, and an outgoing taken back.
_LOOK_S = 15.0
#: Without `run()` nobody listens: who delivers by hand looks this often.
_ALONE_S = 1.0
#: A decision that was seen and not taken up yet: its outgoing is in hand at this very moment.
_AGAIN_S = 0.2
#: So often; what is still not taken up then is no decision.
_TRIES = 10


class ActionOptions(options.Options):
    """The options of every connector with actions; its own inherit them."""

    actions: dict[str, Literal["ask", "run", "off"]] = option(
        {}, description="By action's name: ask a person first, run at once, or off. Else as the type declares."
    )
    approval_expires: str | None = option(
        None, description="How long a person has to decide, such as 12h or 3d. The action has a default, else 7d."
    )

    @field_validator("approval_expires")
    @classmethod
    def _is_interval(cls, value: str | None) -> str | None:
        if value is not None:
            parse_interval(value)
        return value


@dataclass(frozen=True)
class ActionSending(Sending):
    """The ledger knows what a cut-off run means; the engine hands it on again."""

    own: frozenset[str] = frozenset()

    def once(self, message: OutgoingMessage) -> bool:
        return message.action in self.own or super().once(message)


class ActionConnector(Connector):
    """Base of connectors with actions; goes together with others: `class X(ActionConnector, SourceConnector)`."""

    actions: ClassVar[Any] = ()
    Options: ClassVar[type[ActionOptions]] = ActionOptions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own_actions = {action.name: action for action in type(self).actions if isinstance(action, Action)}
        self._performer_lock = threading.Lock()
        self._performer: Performer | None = None
        self._ledger: Ledger | None = None
        self._hearing: threading.Thread | None = None
        self._decisions = threading.Event()

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Nothing is acquired, unless by another base."""
        inherited = self._inherited("connect")
        if inherited is not None:
            inherited()

    def disconnect(self) -> None:
        """Nothing was acquired, unless by another base."""
        inherited = self._inherited("disconnect")
        if inherited is not None:
            inherited()

    def send_message(self, msg: OutgoingMessage) -> bool | Receipt:
        """Nothing is sent, unless another base does, or this is overridden."""
        inherited = self._inherited("send_message")
        if inherited is None:
            raise Rejected(f"{self.connector_type} sends nothing", hint=f"it knows: {', '.join(self._own_actions)}")
        sent: bool | Receipt = inherited(msg)
        return sent

    def run_loop(self) -> None:
        """Nothing is received, unless another base does, or this is overridden."""
        (self._inherited("run_loop") or self.wait)()

    def _inherited(self, name: str) -> Callable[..., Any] | None:
        """The method of the base behind this one; None where nobody has implemented it."""
        method: Callable[..., Any] = getattr(super(), name)
        return None if getattr(method, "__isabstractmethod__", False) else method

    def stop(self) -> None:
        """Also hears no more decisions."""
        super().stop()
        self._decisions.set()

    # ── for the part ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def own_home(self) -> Home:
        return self._home

    @property
    def own_runtime(self) -> Runtime:
        return self._open_runtime()

    def _sending(self) -> Sending:
        """The declared actions are the part's own; everything else is the connector's."""
        found = super()._sending()
        inner = found.pace

        def pace(msg: OutgoingMessage) -> float:
            if msg.action in self._own_actions:
                return self._wait_for_action(msg)
            return inner(msg) if inner is not None else 0.0

        def send(msg: OutgoingMessage) -> object:
            return self._performing.perform(msg) if msg.action in self._own_actions else found.send(msg)

        plain = {field.name: getattr(found, field.name) for field in fields(Sending)}
        plain |= {"send": send, "pace": pace, "apart": self._is_apart}
        return ActionSending(**plain, own=frozenset(self._own_actions))

    def _is_apart(self, msg: OutgoingMessage) -> bool:
        action = self._own_actions.get(msg.action)
        if action is None:
            return False
        return self._policy().mode(action) == "ask" or not (msg.conversation_id or msg.reply_to)

    def _wait_for_action(self, msg: OutgoingMessage) -> float:
        try:
            wait_s = self._performing.wait_s(msg)
            return wait_s if self._in_run else min(wait_s, _ALONE_S)
        except ConfigError as error:  # the key of state/approvals is not the operator's alone: nobody may decide
            self.end_with(error)
            return _LOOK_S

    @property
    def _performing(self) -> Performer:
        with self._performer_lock:
            if self._performer is None:
                self._open_runtime()  # holds the instance's lock: no other process has the ledger
                self._ledger = Ledger(self.state_dir)
                self._ledger.prune()
                approvals = Approvals(self._home, logger=self.logger)
                performer = Performer(
                    self, self._own_actions, self._ledger, approvals, self._policy(), on_waiting=self._hear
                )
                performer.reconcile()
                waiting = {str(entry.request["id"]) for entry in performer.waiting() if entry.request}
                approvals.sweep(self.name, waiting)
                self._performer = performer
            return self._performer

    def _policy(self) -> Policy:
        given = self.options
        modes: Mapping[str, str] = getattr(given, "actions", {})
        for name in modes:
            if name not in self._own_actions:
                near = did_you_mean(nearest(name, self._own_actions))
                raise ConfigError(
                    f'{self.name}: option "actions": there is no action "{name}"{near}',
                    hint=f"it knows: {', '.join(sorted(self._own_actions))}",
                )
        expires = getattr(given, "approval_expires", None)
        return Policy(modes, EXPIRES_AFTER_S if expires is None else parse_interval(expires))

    # ── running ───────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        if self._own_actions:
            self._policy()  # a wrong option ends it now, not with the first action
            if (self.state_dir / FILE).exists():
                self._performing.reconcile()
        super()._begin()

    def _on_event(self, what: str, **given: Any) -> None:
        super()._on_event(what, **given)
        if what == "failed" and self._performer is not None:
            self._performer.reconcile()

    def _hear(self) -> None:
        """Somebody waits for a person: listen, until the end of the process."""
        with self._performer_lock:
            if self._hearing is None and self._in_run:
                self._hearing = threading.Thread(target=self._hear_decisions, name="approvals", daemon=True)
                self._hearing.start()

    def _hear_decisions(self) -> None:
        """Wake the outgoings that a person has decided, and those that were taken back."""
        try:
            performer, approvals = self._performing, Approvals(self._home, logger=self.logger)
            watch = Watch([approvals.folder], self._decisions.set, logger=self.logger)
            tries: dict[tuple[str, float], int] = {}
            watch.start()
            try:
                while self._running:
                    again = self._look_for_decisions(performer, approvals, tries)
                    self._decisions.wait(_AGAIN_S if again else _LOOK_S)
                    self._decisions.clear()
                    watch.renew()
            finally:
                watch.stop()
        except RetryLater:
            return  # the process ends
        except Exception as error:  # noqa: BLE001 - a thread that dies silently leaves approvals unheard
            self.end_with(error)

    def _look_for_decisions(
        self, performer: Performer, approvals: Approvals, tries: dict[tuple[str, float], int]
    ) -> bool:
        """Whether there are some that are not taken up yet. `tries`: a file that is none is not looked at for ever."""
        performer.reconcile()
        decided, found = approvals.decided(), False
        folder, delivery = self._home.sending(self.name), self._open_runtime().delivery
        for entry in performer.waiting():
            request_id = str(cast(dict[str, Any], entry.request)["id"])
            gone = not (folder / f"{entry.claim}.json").exists()
            if not gone and request_id not in decided:
                continue
            seen = (request_id, -1.0 if gone else decided[request_id])
            tries[seen] = tries.get(seen, 0) + 1
            if tries[seen] <= _TRIES:
                delivery.hurry(entry.claim)
                found = True
        if found:
            self._wake.set()
        return found

    def _stop_pumps(self) -> None:
        super()._stop_pumps()
        if self._hearing is not None:
            self._hearing.join(timeout=2)
            self._hearing = None

    def _close(self, code: int, asked: bool) -> None:
        super()._close(code, asked)
        self._forget_performer()

    def close(self) -> None:
        super().close()
        self._forget_performer()

    def _forget_performer(self) -> None:
        with self._performer_lock:
            ledger, self._ledger, self._performer = self._ledger, None, None
            if ledger is not None:
                ledger.close()
