"""What somebody said, as Slack delivers it, and as it reads with names for ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connectors.slack.mrkdwn import from_mrkdwn, plain_of_attachments, plain_of_blocks

Name = Callable[[str], str]


@dataclass(frozen=True)
class Said:
    """A text in Slack's dialect, unless it is `literal`; where it is empty, the blocks and attachments that stand for
    it."""

    raw: str = ""
    blocks: Any = None
    attachments: Any = None
    literal: bool = False

    def read(self, user: Name, channel: Name) -> str:
        """With names; `user` and `channel` give "" for those that they do not know."""
        if self.literal:
            return self.raw
        if self.raw:
            return from_mrkdwn(self.raw, user=user, channel=channel)
        parts = (
            plain_of_blocks(self.blocks, user=user, channel=channel),
            plain_of_attachments(self.attachments, user=user, channel=channel),
        )
        return "\n".join(part for part in parts if part)

    @property
    def users(self) -> set[str]:
        """Whom it mentions."""
        return self._named[0]

    @property
    def places(self) -> set[str]:
        """The channels that it names by id alone."""
        return self._named[1]

    @cached_property
    def _named(self) -> tuple[set[str], set[str]]:
        users: set[str] = set()
        places: set[str] = set()
        self.read(_noting(users), _noting(places))
        return users, places


def said_in(post: Mapping[str, Any]) -> Said:
    """What a post says."""
    raw = post.get("text")
    return Said(raw if isinstance(raw, str) else "", post.get("blocks"), post.get("attachments"))


def literally(text: str) -> Said:
    """A text that is no mrkdwn."""
    return Said(text, literal=True)


def _noting(found: set[str]) -> Name:
    def note(name: str) -> str:
        found.add(name)
        return ""

    return note
