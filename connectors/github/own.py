"""What this connector posts is marked, so that it is known again: invisible in what people read, and not signed.

    <!-- mailbox-connectors 0123456789abcdef -->

The number stands for the outgoing. A comment counts as ours only when the token's own account wrote it: with the mark
alone, others could keep the agent from hearing of what they write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_MARK = re.compile(r"<!-- mailbox-connectors ([0-9a-f]{16}) -->\s*\Z")


def mark_of(key: str) -> str:
    """For the end of a body."""
    return f"<!-- mailbox-connectors {hashlib.sha256(key.encode()).hexdigest()[:16]} -->"


#: How many characters it takes, with the empty line before it.
MARK_CHARACTERS = len(mark_of("")) + 2


def marked(text: str, key: str) -> str:
    return f"{text}\n\n{mark_of(key)}" if text else mark_of(key)


def without_mark(text: str) -> str:
    """As it was given."""
    found = _MARK.search(text)
    return text if found is None else text[: found.start()].removesuffix("\n\n")


def is_marked(text: str) -> bool:
    return _MARK.search(text) is not None


def find(records: Iterable[Mapping[str, Any]], key: str) -> Mapping[str, Any] | None:
    """What was posted for that outgoing."""
    wanted = mark_of(key)
    return next((one for one in records if str(one.get("body") or "").rstrip().endswith(wanted)), None)
