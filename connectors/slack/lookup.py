"""Whether a post was made, by the key in its metadata.

https://docs.slack.dev/reference/methods/conversations.history and …/conversations.replies with `include_all_metadata`;
https://docs.slack.dev/apis/pagination
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.errors import Rejected, RetryLater
from connectors.slack.incoming import listing, mapping, stamp, text

EVENT_TYPE = "mailbox_outgoing"
#: An outgoing is given up before it is this old.
LOOK_BACK_S = 86_400.0
_PAGE = 200
_MAX_PAGES = 5

Call = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Found:
    """`ts` of the post; empty: there is none, if `certain`, and otherwise nobody knows."""

    ts: str = ""
    certain: bool = True


def pages(call: Call, method: str, **arguments: Any) -> Iterator[tuple[list[Mapping[str, Any]], bool]]:
    """The messages page by page, and whether that was the last."""
    cursor = None
    while True:
        answer = call(method, cursor=cursor, **arguments)
        cursor = text(mapping(answer.get("response_metadata")).get("next_cursor")) or None
        yield [item for item in listing(answer.get("messages")) if isinstance(item, Mapping)], cursor is None
        if cursor is None:
            return


def find_post(call: Call, channel: str, thread: str | None, key: str, own_user: str) -> Found:
    """Look through what was said of late. Raises RetryLater, as ambiguous as the post is, when Slack is not there."""
    method = "conversations.replies" if thread else "conversations.history"
    arguments: dict[str, Any] = {"channel": channel, "limit": _PAGE, "include_all_metadata": True}
    arguments |= {"ts": thread} if thread else {}
    arguments["oldest"] = f"{time.time() - LOOK_BACK_S:.6f}"
    try:
        for number, (messages, last) in enumerate(pages(call, method, **arguments), 1):
            for message in messages:
                if _key_of(message) == key and message.get("user") in (own_user, None):
                    return Found(stamp(message.get("ts")))
            if last:
                return Found()
            if number == _MAX_PAGES:
                break
    except RetryLater as error:
        raise RetryLater(str(error), after_s=error.after_s, ambiguous=True) from error
    except Rejected:
        pass  # no scope to read here, say; the post itself says what is wrong with the place
    return Found(certain=False)


def _key_of(message: Mapping[str, Any]) -> str:
    metadata = mapping(message.get("metadata"))
    if metadata.get("event_type") != EVENT_TYPE:
        return ""
    return text(mapping(metadata.get("event_payload")).get("key"))
