"""What goes out: comments, and what the actions do.

GitHub knows no idempotency keys. What is posted ends with a mark that stands for the outgoing (see `own`); when an
attempt was cut off, the mark is looked for first, and what is there is not posted again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base.errors import Rejected, RetryLater
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.problems import did_you_mean, nearest
from connectors.github.arriving import Arrivals
from connectors.github.faults import Nonsense
from connectors.github.normalise import mapping
from connectors.github.own import MARK_CHARACTERS, find, marked

if TYPE_CHECKING:
    from connectors.github.client import Client

#: GitHub refuses more: "body is too long (maximum is 65536 characters)".
BODY_MAX = 65_536
TEXT_MAX = BODY_MAX - MARK_CHARACTERS
_PLACE = re.compile(r"(?P<name>[^/#\s]+/[^/#\s]+)(?:#(?P<number>[1-9]\d{0,17}))?")
_PAGES = 20
#: GFM, 6.1: any ASCII punctuation may be escaped. What has no meaning in the middle of a line is left as it is.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~])|^( *)([#+\-=>]|\d+[.)])(?= |$)", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """`number`: an issue's or a pull request's."""

    name: str
    number: int

    @property
    def path(self) -> str:
        return f"/repos/{self.name}/issues/{self.number}"

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


class Writer:
    """Writes as the token's account. `repositories`: what may be written to, by its names in lower case."""

    def __init__(self, client: Client, arrivals: Arrivals, repositories: Callable[[], Mapping[str, str]]) -> None:
        self._client = client
        self._arrivals = arrivals
        self._repositories = repositories

    # ── where to ──────────────────────────────────────────────────────────────────────────────────────────────

    def repository(self, name: str | None) -> str:
        """The repository of an action: the only one where none is named. Raises Rejected."""
        known = self._repositories()
        names = list(dict.fromkeys(known.values()))
        if name is None:
            if len(names) == 1:
                return names[0]
            raise Rejected("which repository?", hint=f"add repository: {' or '.join(names)}")
        if name.lower() not in known:
            near = did_you_mean(nearest(name, names))
            raise Rejected(f"{name} is none of this instance's repositories{near}", hint=f"it has: {', '.join(names)}")
        return known[name.lower()]

    def target(self, conversation: str) -> Target:
        """Raises Rejected for what is no issue of these repositories."""
        found = _PLACE.fullmatch(conversation.strip())
        if found is None or found["number"] is None:
            raise Rejected(
                f'"{conversation}" is no issue: owner/name#7 is one',
                hint="reply to an event of an issue, name one, or open one with the action create_issue",
            )
        return Target(self.repository(found["name"]), int(found["number"]))

    # ── what is done ──────────────────────────────────────────────────────────────────────────────────────────

    def send(self, msg: OutgoingMessage) -> Receipt:
        """A comment. Raises as GitHub answers."""
        if msg.attachments:
            raise Rejected("GitHub takes no files over its API", hint="send a text, or a link in it")
        body = plain(msg.text) if msg.format == "plain" else msg.text
        key = msg.idempotency_key or msg.id
        made = self.comment(self.target(msg.conversation_id), body, key, ambiguous=msg.ambiguous)
        return Receipt(ids=[str(made.get("id"))], metadata={"url": made.get("html_url")})

    def comment(self, target: Target, body: str, key: str, *, ambiguous: bool) -> Mapping[str, Any]:
        """The comment as it is there."""
        if not body.strip():
            raise Rejected("GitHub takes no empty comment", hint="give it a text")
        there = find(self._listed(f"{target.path}/comments", pages=_PAGES), key) if ambiguous else None
        if there is not None:
            return there
        return self._made(self._client.write("POST", f"{target.path}/comments", {"body": marked(body, key)}).data)

    def create(self, name: str, fields: Mapping[str, Any], key: str, *, ambiguous: bool) -> Mapping[str, Any]:
        """The issue as it is there."""
        if ambiguous:
            by = {} if self._arrivals.login is None else {"creator": self._arrivals.login}
            newest = {"state": "all", "sort": "created", "direction": "desc", **by}
            there = find(self._listed(f"/repos/{name}/issues", pages=3, **newest), key)
            if there is not None:
                return there
        body = marked(str(fields.get("body") or ""), key)
        return self._made(self._client.write("POST", f"/repos/{name}/issues", {**fields, "body": body}).data)

    def assign(self, target: Target, logins: list[str]) -> Mapping[str, Any]:
        """The issue as it is then: GitHub says nothing of whom it did not assign."""
        return mapping(self._client.write("POST", f"{target.path}/assignees", {"assignees": logins}).data, "the issue")

    def close(self, target: Target, reason: str) -> Mapping[str, Any]:
        """The issue as it is then."""
        body = {"state": "closed", "state_reason": reason}
        return mapping(self._client.write("PATCH", target.path, body).data, "the issue")

    def hold_back(self) -> None:
        """For actions, which nobody paces. Raises RetryLater while GitHub is not to be written to."""
        wait_s = self._client.write_wait_s()
        if wait_s > 0:
            raise RetryLater("GitHub is written to once a second, and 80 times a minute", after_s=wait_s)

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────

    def _made(self, data: object) -> Mapping[str, Any]:
        """What a POST made; it also says who we are, where the token could not."""
        try:
            made = mapping(data, "what was made")
        except Nonsense as error:
            raise Nonsense(str(error), ambiguous=True) from error
        user = made.get("user")
        if self._arrivals.login is None and isinstance(user, Mapping) and isinstance(user.get("login"), str):
            self._arrivals.login = user["login"]
        return made

    def _listed(self, path: str, *, pages: int, **query: str) -> Iterator[Mapping[str, Any]]:
        where: str | None = path
        asked = {**query, "per_page": "100"}
        for _ in range(pages):
            if where is None:
                return
            answer = self._client.get(where, **asked)
            for one in answer.data if isinstance(answer.data, list) else []:
                yield mapping(one, "a record of the list")
            where, asked = answer.next, {}


def plain(text: str) -> str:
    """A text whose signs are to be seen as they are."""

    def escaped(found: re.Match[str]) -> str:
        if found[1]:
            return f"\\{found[1]}"
        sign = found[3]
        return f"{found[2]}{sign[:-1]}\\{sign[-1]}"

    return _SPECIAL.sub(escaped, text)
