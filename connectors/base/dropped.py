"""What connectors did not let in: `state/<instance>/drops.json`, counted, without a word of what was said.

{"drops": [{conversation_id, conversation_name, sender_id, sender_name, reason, key, count, first, last}, …]}, the least
recent first; `key` says what to edit, `first` and `last` are seconds since 1970. The instance's process writes it, and
`connectors pair approve`. Other keys are the writer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.base.files import read_json
from connectors.base.home import Home

FILE = "drops.json"
#: No more entries than these are kept, nor read.
MAX_ENTRIES = 1000


@dataclass(frozen=True)
class Drop:
    """What one sender wrote in one conversation and was dropped for one reason."""

    conversation_id: str
    sender_id: str
    reason: str
    key: str = ""  #: what to edit so that it comes in; empty where nothing would help
    conversation_name: str = ""
    sender_name: str = ""
    count: int = 1
    first: float = 0.0
    last: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(home: Home, instance: str) -> list[Drop]:
    """The drops of an instance, the least recent first. What is no drop in the file is left out."""
    return list(parse(read_json(home.state_dir(instance) / FILE)))


def instances(home: Home) -> list[str]:
    """The instances that have dropped anything."""
    return sorted(path.parent.name for path in home.state.glob(f"*/{FILE}"))


def parse(data: Mapping[str, Any]) -> Iterator[Drop]:
    """The drops in the file's content, whatever it holds."""
    items = data.get("drops")
    for item in items[-MAX_ENTRIES:] if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        texts = {name: item.get(name, "") for name in _TEXTS}
        count, first, last = (item.get(name, 0) for name in ("count", "first", "last"))
        if all(isinstance(text, str) for text in texts.values()) and all(map(_is_number, (count, first, last))):
            yield Drop(**texts, count=max(1, int(count)), first=float(first), last=float(last))


def summary(drops: Iterable[Drop]) -> dict[str, Any]:
    """{total, last, reasons: {reason: count}}, the commonest reason first, `last` in ISO 8601; empty without drops."""
    reasons: dict[str, int] = {}
    last = 0.0
    for drop in drops:
        reasons[drop.reason] = reasons.get(drop.reason, 0) + drop.count
        last = max(last, drop.last)
    if not reasons:
        return {}
    ordered = dict(sorted(reasons.items(), key=lambda item: -item[1]))
    return {"total": sum(reasons.values()), "last": datetime.fromtimestamp(last, UTC).isoformat(), "reasons": ordered}


def named(id_: str, name: str) -> str:
    """`C0123 (#general)`: the id first, which nobody can choose. To be shown through `logbook.visible`."""
    return f"{id_} ({name})" if name and name != id_ else id_


_TEXTS = ("conversation_id", "sender_id", "reason", "key", "conversation_name", "sender_name")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11
