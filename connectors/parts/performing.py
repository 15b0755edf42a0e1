"""From an outgoing with an action to its answer: asked, decided, begun, run once, answered.

    validate the input → put it to a person, if one must agree → note that it begins → run → note the answer
    → the inbox event of kind `action_result` → the receipt, or the dead letter

Every step is durable before the next one, and repeatable. Only the run is not: found begun and not answered, it is
run again if the action is idempotent, and else answered as `ambiguous`, whatever `on_ambiguous` says of messages.
"""

from __future__ import annotations

import json
import os
import pwd
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from connectors.base.errors import AuthError, ConfigError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.steps import step
from connectors.base.store import UNDER_WAY, OutState
from connectors.parts.answers import cut_off, event_id, event_of, given_up, result
from connectors.parts.approvals import Approvals, Decision, Request, new_id
from connectors.parts.contract import Action, Call, canonical
from connectors.parts.ledger import Entry, Ledger, State

if TYPE_CHECKING:
    from connectors.parts.actions import ActionConnector

#: What waits for a person is looked at this often without any hint.
LOOK_S = 60.0
#: What waits for another outgoing with the same key looks again after this time.
SAME_KEY_S = 1.0
#: After the end of its time a request is open for so long to a decision that was made just before.
GRACE_S = 2.0
_MAX_KEY = 512


@dataclass(frozen=True)
class Policy:
    """What the instance's options say: {action: "ask", "run" or "off"}, and how long a person has."""

    modes: Mapping[str, str]
    expires_after_s: float

    def mode(self, action: Action) -> str:
        return self.modes.get(action.name, "ask" if action.asks else "run")


class Ended(Rejected):
    """The action has its answer, and that is not its success. `reason_class`: how its dead letter is filed."""

    def __init__(self, message: str, *, hint: str = "", reason_class: Any = "rejected") -> None:
        super().__init__(message, hint=hint)
        self.reason_class = reason_class


class Performer:
    """One connector's actions, for the threads that send. `on_waiting` is told that a person is to be heard."""

    def __init__(
        self,
        connector: ActionConnector,
        actions: Mapping[str, Action],
        ledger: Ledger,
        approvals: Approvals,
        policy: Policy,
        *,
        on_waiting: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connector = connector
        self._actions = actions
        self._ledger = ledger
        self._approvals = approvals
        self._policy = policy
        self._on_waiting = on_waiting
        self._clock = clock
        self._logger = connector.logger
        self._one = threading.RLock()

    # ── what the engine calls ─────────────────────────────────────────────────────────────────────────────────

    def wait_s(self, msg: OutgoingMessage) -> float:
        """In how many seconds it may be worth looking again; 0: it can run, or is answered. Raises Rejected."""
        with self._one:
            claim, entry = self._find(msg)
            if entry is not None and entry.state is State.DONE:
                return 0.0
            action = self._actions[msg.action]
            mode = self._mode(action)
            if entry is None:
                given = self._check(action, msg)
                if mode != "ask":
                    return 0.0
                entry = self._ask(action, msg, claim, given)
            if entry.claim != claim:
                self.reconcile()  # the other one may have ended without an answer
                return SAME_KEY_S
            if entry.state is State.WAITING:
                return self._look(entry, msg)
            return 0.0

    def perform(self, msg: OutgoingMessage) -> Receipt:
        """Run it, or give the answer that is there. Raises Ended, and what the handler raises when nothing was done."""
        with self._one:
            claim, entry = self._find(msg)
            action = self._actions[msg.action]
            if entry is None:
                if self._mode(action) == "ask":
                    raise RetryLater("a person has to agree first", after_s=0.0)
                entry = self._new(action, msg, claim, canonical(self._check(action, msg)))
            elif entry.state is State.DONE:
                return self._answer(entry)
            elif entry.state is State.WAITING or entry.claim != claim:
                raise RetryLater("it waits for a person, or for its like", after_s=SAME_KEY_S)
            elif entry.request is not None and entry.contract != self._contract(action):
                return self._finish(entry, self._changed(entry))
            elif entry.state is State.RUNNING and not action.idempotent:
                return self._finish(entry, cut_off("the process ended while it ran"))
            ambiguous = entry.state is State.RUNNING
            entry = self._put(replace(entry, state=State.RUNNING))
        step("action.begun")
        return self._run(action, entry, ambiguous=ambiguous)

    def reconcile(self) -> None:
        """Answer those whose outgoing ended without them: cancelled, expired by itself, or given up by the engine."""
        store = self._connector.own_runtime.store
        for seen in self._ledger.open():
            row = store.outgoing(seen.claim)
            if row is not None and row.key == seen.claim and row.state in UNDER_WAY:
                continue
            with self._one:
                entry = self._ledger.get(seen.key)
                if entry is None or entry.state is State.DONE or entry.claim != seen.claim:
                    continue
                entry = self._put(replace(entry, state=State.DONE, result=given_up(entry, row)))
                self._tell(entry)

    def waiting(self) -> list[Entry]:
        """Those that a person is to decide."""
        return self._ledger.open(State.WAITING)

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────────

    def _mode(self, action: Action) -> str:
        mode = self._policy.mode(action)
        if mode == "off":
            raise Rejected(
                f"the operator has switched {action.name} off",
                hint=f"connectors.yml: {self._connector.name}: actions: {action.name}",
            )
        return mode

    def _find(self, msg: OutgoingMessage) -> tuple[str, Entry | None]:
        """The outgoing's claim, and what is known under its key; None when it is to begin."""
        claim, key = self._claim(msg), _key(msg)
        entry = self._ledger.get(key)
        if entry is None:
            return claim, None
        if entry.claim == claim:
            if self._round(claim) > entry.round:
                return claim, None  # a person put it back from failed/: it begins anew
            if entry.action != msg.action:
                raise Rejected(f"its file was changed: it asked for {entry.action}", hint="ask anew in a new file")
            return claim, entry
        if entry.state is State.DONE and not entry.spent:
            return claim, None  # nothing happened under this key
        if entry.action != msg.action or entry.given != canonical(msg.input or {}):
            raise Rejected(
                f"the idempotency_key {key!r} stands for another {entry.action}, or another input of it",
                hint="use a new key for what is to be done anew; the same key for the same again",
            )
        return claim, entry

    def _check(self, action: Action, msg: OutgoingMessage) -> dict[str, Any]:
        if msg.text or msg.attachments:
            raise Rejected(f"{action.name}: text and attachments are no part of an action", hint="say it in its input")
        given = msg.input or {}
        action.read_input(given)
        try:
            canonical(given)
        except ValueError as error:
            raise Rejected(f"{action.name}: input: {error}", hint="NaN and Infinity are no JSON") from error
        return given

    def _ask(self, action: Action, msg: OutgoingMessage, claim: str, given: dict[str, Any]) -> Entry:
        now = self._clock()
        for other in self._ledger.of_claim(claim):
            if other.state is not State.DONE and other.key != _key(msg):  # its file got another key while it waited
                self._put(replace(other, state=State.DONE, result=result("cancelled", "its file was changed")))
                self._drop(other)
        connector = self._connector
        request = Request(
            id=new_id(),
            instance=connector.name,
            type=connector.connector_type,
            version=connector.version,
            action=action.name,
            description=action.description,
            input=given,
            input_schema=action.to_dict()["input_schema"],
            hints=action.hints,
            contract=self._contract(action),
            outgoing=msg.id,
            claim=claim,
            key=_key(msg),
            conversation_id=msg.conversation_id,
            reply_to=msg.reply_to,
            asked_by=self._writer(claim),
            asked_at=now,
            expires_at=now + (action.expires_after_s or self._policy.expires_after_s),
        )
        entry = self._new(action, msg, claim, canonical(given))
        entry = self._put(replace(entry, state=State.WAITING, request=request.to_dict()))
        connector.own_runtime.store.update_outgoing(
            claim, state=OutState.QUEUED, note=f"waits for a person: connectors approve {request.id}"
        )
        step("action.asked")
        self._logger.info("%s waits for a person: connectors approve %s", action.name, request.id)
        return entry

    def _look(self, entry: Entry, msg: OutgoingMessage) -> float:
        """Whether a person has decided. Raises Ended when that, or the lack of it, is the answer."""
        action = self._actions[entry.action]
        request = Request.from_dict(entry.request)
        if entry.contract != self._contract(action):
            self._finish(entry, self._changed(entry))
        decision = self._approvals.decision(request)
        now = self._clock()
        if decision is not None:
            return self._decided(action, entry, decision, now)
        if now >= request.expires_at + GRACE_S:
            days = (request.expires_at - request.asked_at) / 86_400
            self._finish(
                entry,
                result("expired", f"nobody decided within {days:g} days", "ask again", reason_class="expired"),
            )
        self._approvals.publish(request)
        self._on_waiting()
        ends = request.expires_at + GRACE_S
        if msg.expires_at is not None:
            ends = min(ends, msg.expires_at.timestamp())
        return max(min(LOOK_S, ends - now), 0.01)

    def _decided(self, action: Action, entry: Entry, decision: Decision, now: float) -> float:
        entry = replace(entry, decision=asdict(decision))
        if decision.verdict == "deny":
            why = f": {decision.why}" if decision.why else ""
            self._finish(entry, result("denied", f"{decision.by} denied it{why}", spent=True))
        given = json.loads(entry.input)
        if decision.input is not None:
            given = decision.input
            try:
                action.read_input(given)
            except Rejected as error:
                text = f"{decision.by} agreed to another input, and that is wrong: {error}"
                self._finish(entry, result("refused", text, "ask again"))
        self._put(replace(entry, state=State.READY, input=canonical(given)))
        # The engine gives up what is too old; this one begins only now.
        edited = ", with another input" if decision.input is not None else ""
        note = f"{decision.by} approved it{edited}"
        self._connector.own_runtime.store.update_outgoing(entry.claim, durable=True, claimed_at=now, note=note)
        self._logger.info("%s %s: %s", entry.action, decision.id, note)
        step("action.decided")
        return 0.0

    # ── running and answering ─────────────────────────────────────────────────────────────────────────────────

    def _run(self, action: Action, entry: Entry, *, ambiguous: bool) -> Receipt:
        by = entry.decision["by"] if entry.decision else None
        try:
            # What was written down runs, never what the file says now: others can write there.
            given = action.read_input(json.loads(entry.input))
            answer = action.handler(self._connector, given, Call(action.name, entry.key, ambiguous, by))
        except RetryLater as error:
            if error.ambiguous and not action.idempotent:
                return self._finish(entry, cut_off(str(error)))
            if not (error.ambiguous or ambiguous):
                self._put(replace(entry, state=State.READY))
            raise
        except (AuthError, ConfigError):
            if not ambiguous:
                self._put(replace(entry, state=State.READY))
            raise
        except Rejected as error:
            return self._finish(entry, result("failed", str(error), error.hint, spent=True))
        except Exception as error:  # a bug in the handler: what it did before is not known
            if action.idempotent:
                raise
            self._logger.exception("%s failed", action.name)
            return self._finish(entry, cut_off(f"{type(error).__name__}: {error}"))
        step("action.ran")
        try:
            output = action.read_output(answer)
        except ValueError as error:
            text = f"it was done, and its answer is not what {action.name} declares: {error}"
            hint = "do not ask again before you have looked; the connector has to be mended"
            return self._finish(entry, result("failed", text, hint, spent=True, reason_class="bug"))
        return self._finish(entry, {**result("ok", spent=True), "output": output})

    def _finish(self, entry: Entry, answer: dict[str, Any]) -> Receipt:
        """Note the answer, and give it. Raises Ended unless it is a success."""
        redacted = self._connector.redactor.redact_data(answer)
        entry = self._put(replace(entry, state=State.DONE, result=redacted))
        step("action.recorded")
        return self._answer(entry)

    def _answer(self, entry: Entry) -> Receipt:
        self._tell(entry)
        step("action.told")
        answer = entry.result or {}
        if answer["status"] != "ok":
            raise Ended(f"{entry.action}: {answer['error']}", hint=answer["hint"], reason_class=answer["reason_class"])
        told = {"status": "ok", "output": answer.get("output"), "event": event_id(entry, self._connector.name)}
        return Receipt(metadata={"action_result": told})

    def _tell(self, entry: Entry) -> None:
        """The inbox event. Repeatable: its id is derived from the claim. Nobody is asked any more."""
        event = event_of(entry, self._connector.name, self._connector.connector_type)
        self._connector.own_runtime.intake.accept([event], exempt=True)
        self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        if entry.request is not None:
            self._approvals.drop(entry.request["id"])

    # ── small things ──────────────────────────────────────────────────────────────────────────────────────────

    def _new(self, action: Action, msg: OutgoingMessage, claim: str, given: str) -> Entry:
        origin = {
            "outgoing": msg.id,
            "conversation_id": msg.conversation_id,
            "thread_id": msg.thread_id,
            "reply_to": msg.reply_to,
        }
        contract = self._contract(action)
        state = State.READY
        return Entry(_key(msg), claim, self._round(claim), action.name, given, given, contract, state, origin)

    def _put(self, entry: Entry) -> Entry:
        self._ledger.put(entry)
        return entry

    def _contract(self, action: Action) -> str:
        return action.contract(f"{self._connector.connector_type} {self._connector.version}")

    def _changed(self, entry: Entry) -> dict[str, Any]:
        if entry.state is State.RUNNING:
            return cut_off("the process ended while it ran, and the connector is another since")
        text = "the connector's version or the action's declaration changed since it was asked for"
        return result("refused", text, "ask again: what a person agrees to must be what runs")

    def _claim(self, msg: OutgoingMessage) -> str:
        """The key of the claim in hand: of several with one id the first, for which the others wait."""
        rows = self._connector.own_runtime.store.by_id(msg.id)
        return next((row.key for row in rows if row.state in UNDER_WAY), msg.id)

    def _round(self, claim: str) -> int:
        history = self._connector.own_runtime.store.history(claim)
        return sum(1 for _, what in history if what.startswith("dead letter"))

    def _writer(self, claim: str) -> str:
        """Who owns the outgoing's file: on a machine with a user for the agent, who asked."""
        try:
            uid = os.stat(self._connector.own_home.sending(self._connector.name) / f"{claim}.json").st_uid
        except OSError:
            return ""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)


def _key(msg: OutgoingMessage) -> str:
    key = msg.idempotency_key or msg.id
    if not key.strip() or key != key.strip() or len(key) > _MAX_KEY or not key.isprintable():
        raise Rejected(
            f"idempotency_key {key[:40]!r} is none", hint=f"1 to {_MAX_KEY} printable characters, no blank at its ends"
        )
    return key
