"""Who may talk to the agent, and where it may write to. Closed unless the operator opens it, by stable ids only.

    direct message   the sender is in allow.users, or paired (connectors pair), or `direct: open`
    group            the conversation is in allow.conversations, and the sender in allow.group_users if that lists any;
                     then `groups`: mention (it must address this account), all, none
    a bot            it is in allow.bots besides, and only 20 events a minute of it come in from one conversation:
                     two bots that answer each other do not end by themselves
    sending          allow.send: not given, anywhere

A connector asks `Access.admit` before anything of an event is kept, and `Access.check_send` before it sends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from connectors.base import options
from connectors.base.dropped import Drop
from connectors.base.errors import Rejected
from connectors.base.logbook import visible
from connectors.base.options import option
from connectors.parts.drops import NAME_SHOWN, NOT_PAIRED, Drops
from connectors.parts.loops import EVENTS, WINDOW_S, LoopCap
from connectors.parts.moves import Moves
from connectors.parts.pairing import EXPIRES_AFTER_S, Pairing

if TYPE_CHECKING:
    from connectors.base.connector import Connector

ANY = "*"
#: For a stranger's code nobody else waits longer, nor the platform, which wants its acknowledgement within seconds.
_LOCK_TIMEOUT_S = 1.0


class Allow(options.Options):
    """The option `allow`. Ids as the platform gives them, never names: names can be taken over. `"*"` is all."""

    users: list[str] = Field([], description="ids of users who may write directly")
    conversations: list[str] = Field([], description="ids of groups and channels that are listened to")
    group_users: list[str] = Field([], description="in groups, only these users; none: everybody there")
    bots: list[str] = Field([], description="ids of bots that are listened to")
    send: list[str] | None = Field(None, description="ids of conversations that may be written to; not given: all")

    @field_validator("*", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) and not isinstance(value, bool) else value


class AccessOptions(options.Options):
    """What every platform with people on it offers; its own `Options` inherits it."""

    allow: Allow = option(
        Allow(),
        description="Who may talk, by id: users, conversations, group_users, bots; send: where may be written to.",
    )
    groups: Literal["mention", "all", "none"] = option(
        "mention", description="In allowed groups: what addresses this account, everything, or nothing."
    )
    direct: Literal["open", "allow", "pair"] = option(
        "pair", description="Direct messages: of everybody, of allow.users, or also of who was paired."
    )


@dataclass(frozen=True)
class Approach:
    """Somebody wrote. `parent_id` is the conversation that a thread with an id of its own belongs to. `mentions_me`
    (a mention, a reply to this account, a command) and `is_bot` (any automated sender) are the platform's to decide;
    `why` is one word for the former. A drop with an `event_id` is counted once, however often the event comes."""

    sender_id: str
    conversation_id: str
    direct: bool
    mentions_me: bool
    is_bot: bool = False
    sender_name: str = ""
    conversation_name: str = ""
    why: str = ""
    parent_id: str | None = None
    event_id: str = ""


@dataclass(frozen=True)
class Verdict:
    """`trust` is for sender.trust: `allowed` (listed by id), `paired`, or `open` (let in by where it was said).
    `why` is for metadata.why; of a drop it is the reason. `say`: send this to the stranger, once, and nothing else."""

    ok: bool
    trust: str = ""
    why: str = ""
    say: str | None = None


class Access:
    """The gate of one instance; threads may share it. `close` it in `disconnect`."""

    def __init__(
        self,
        connector: Connector,
        options: AccessOptions,
        *,
        users: Iterable[str] = (),
        conversations: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`users` and `conversations` are ids that are allowed besides, from a platform's other options."""
        folder = connector.state_dir
        self._where = f"connectors.yml: {connector.name}"
        self._logger = connector.logger
        self._options = options
        allow = options.allow
        self._users = _ids(allow.users, users)
        self._listed = _ids(allow.conversations, conversations)
        self._group_users = _ids(allow.group_users)
        self._bots = _ids(allow.bots)
        self._send = None if allow.send is None else _ids(allow.send)
        self._lock = threading.Lock()
        self._loops = LoopCap(monotonic)
        self.pairing = Pairing(folder, clock=clock, lock_timeout_s=_LOCK_TIMEOUT_S, logger=connector.logger)
        self.drops = Drops(
            folder, settled=self._is_paired_since, clock=clock, monotonic=monotonic, logger=connector.logger
        )
        self._moves = Moves(folder)
        self._follow_moves()
        for old in sorted(self._listed | (self._send or frozenset())):
            self._warn_of_move(old, self._moves.current(old))

    def admit(self, approach: Approach) -> Verdict:
        """Whether this may come in. What may not is counted, and the first of its conversation is logged."""
        if approach.is_bot and not self._knows_bot(approach):
            return self._drop(approach, "bot not allowed", _add("allow.bots", approach.sender_id, approach.sender_name))
        verdict = self._direct(approach) if approach.direct else self._group(approach)
        if verdict.ok and approach.is_bot and not self._loops.take((approach.conversation_id, approach.sender_id)):
            return self._drop(approach, "bot loop", "")
        return verdict

    def check_send(self, conversation_id: str) -> None:
        """Raises Rejected when nothing may be written there."""
        send = self._send_now
        if send is None or ANY in send or conversation_id in send:
            return
        raise Rejected(
            f'allow.send does not list "{conversation_id}"',
            hint=f"{self._where}: {_add('allow.send', conversation_id, '')}",
        )

    def moved(self, old_id: str, new_id: str) -> None:
        """The platform gave a conversation a new id: what is allowed for the old one is allowed for the new one."""
        with self._lock:
            try:
                fresh = self._moves.note(old_id, new_id)
            except OSError as error:
                self._logger.warning("that %s is %s now could not be noted: %s", old_id, new_id, error)
                fresh = True
            self._follow_moves()
        if fresh:
            self._logger.info('conversation "%s" is "%s" now', old_id, new_id)
            self._warn_of_move(old_id, new_id)

    def current(self, conversation_id: str) -> str:
        """The id that the conversation has now."""
        return self._moves.current(conversation_id)

    def close(self) -> None:
        """Write what was counted; safe twice."""
        self.drops.close()

    def _direct(self, a: Approach) -> Verdict:
        trust = self._trust(a.sender_id) or ("allowed" if a.is_bot and a.sender_id in self._bots else "")
        if not trust and self._options.direct == "open":
            trust = "open"
        if trust:
            return Verdict(True, trust, a.why or "direct")
        if self._options.direct == "allow" or a.is_bot or not a.sender_id:
            return self._drop(a, "sender not allowed", _add("allow.users", a.sender_id, a.sender_name))
        return self._drop(a, NOT_PAIRED, "", say=self._code_for(a))

    def _group(self, a: Approach) -> Verdict:
        if self._options.groups == "none":
            return self._drop(a, "groups are off", "groups: mention")
        where = a.parent_id or a.conversation_id
        if ANY not in self._open and not {a.conversation_id, where} & self._open:
            key = _add("allow.conversations", where, a.conversation_name)
            return self._drop(a, "conversation not allowed", key)
        known_bot = a.is_bot and a.sender_id in self._bots
        users = self._group_users
        if users and ANY not in users and a.sender_id not in users and not known_bot:
            key = _add("allow.group_users", a.sender_id, a.sender_name)
            return self._drop(a, "sender not allowed in groups", key)
        if self._options.groups == "mention" and not a.mentions_me:
            return self._drop(a, "not addressed to this account", "groups: all")
        listed = a.sender_id in users or known_bot
        trust = self._trust(a.sender_id, everybody=False) or ("allowed" if listed else "open")
        return Verdict(True, trust, a.why or ("mention" if a.mentions_me else "all"))

    def _trust(self, sender_id: str, *, everybody: bool = True) -> str:
        if not sender_id:
            return ""
        if sender_id in self._users:
            return "allowed"
        if self.pairing.is_paired(sender_id):
            return "paired"
        return "open" if everybody and ANY in self._users else ""

    def _knows_bot(self, a: Approach) -> bool:
        return a.sender_id != "" and (a.sender_id in self._bots or ANY in self._bots)

    def _code_for(self, a: Approach) -> str | None:
        try:
            code = self.pairing.ask(a.sender_id, a.sender_name, a.conversation_id)
        except OSError as error:
            self._logger.warning("no pairing code could be made: %s", error)
            return None
        if code is None:
            return None
        minutes = int(EXPIRES_AFTER_S // 60)
        return (
            f"I may not talk to you yet. Your pairing code is {code}\n"
            f"Ask my operator to run: connectors pair approve {code}\n"
            f"It is valid for {minutes} minutes. What you write before that is not kept."
        )

    def _drop(self, a: Approach, reason: str, key: str, *, say: str | None = None) -> Verdict:
        """Count it. `key` is what to edit in connectors.yml."""
        what = visible(f"{self._where}: {key}" if key else _OTHERWISE.get(reason, ""))
        self.drops.count(
            Drop(
                conversation_id=a.conversation_id,
                sender_id=a.sender_id,
                reason=reason,
                key=what,
                conversation_name=a.conversation_name,
                sender_name=a.sender_name,
            ),
            a.event_id,
        )
        return Verdict(False, "", reason, say)

    def _is_paired_since(self, drop: Drop) -> bool:
        return drop.reason == NOT_PAIRED and self.pairing.is_paired(drop.sender_id)

    def _follow_moves(self) -> None:
        self._open = self._moves.with_current(self._listed)
        self._send_now = None if self._send is None else self._moves.with_current(self._send)

    def _warn_of_move(self, old_id: str, new_id: str) -> None:
        if old_id == new_id:
            return
        for key, ids in (("allow.conversations", self._listed), ("allow.send", self._send or frozenset())):
            if old_id in ids and new_id not in ids:
                text = 'the conversation has a new id; it is still allowed: %s: %s: replace "%s" by "%s"'
                self._logger.warning(text, self._where, key, visible(old_id), visible(new_id))


_OTHERWISE = {
    NOT_PAIRED: "connectors pair list, connectors pair approve CODE",
    "bot loop": f"nothing to edit: at most {EVENTS} events of one bot in {WINDOW_S:g} s",
}


def _ids(*lists: Iterable[str]) -> frozenset[str]:
    return frozenset(stripped for ids in lists for id_ in ids if (stripped := str(id_).strip()))


def _add(key: str, id_: str, name: str) -> str:
    """`allow.conversations: add "C0123" (#general)`; empty without an id: nothing can be listed then."""
    if not id_:
        return ""
    shown = f" ({name[:NAME_SHOWN]})" if name and name != id_ else ""
    return f'{key}: add "{id_}"{shown}'
