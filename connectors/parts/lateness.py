"""Events that were sent while the connector was down, marked as such: an agent may treat old questions differently."""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.base.message import Message


def mark_late(message: Message, up_since: datetime, *, grace_s: float = 2.0, now: datetime | None = None) -> Message:
    """The message, with `late` and `late_by_s` when the platform says that it was sent more than `grace_s` before
    `up_since`, the moment from which on this connector listens.

    `grace_s` is for the difference between the platform's clock and ours. A time in the future is not late; neither is
    one that is no time. Times without a zone are UTC. `late_by_s` is how old it was when it came: at `received_at`, or
    else `now` (default: this moment).
    """
    sent = _time(message.timestamp)
    if sent is None or (_aware(up_since) - sent).total_seconds() <= grace_s:
        return message
    arrived = _time(message.received_at or "") or _aware(now or datetime.now(UTC))
    late_by_s = max(0.0, round((arrived - sent).total_seconds(), 3))
    return message.model_copy(update={"late": True, "late_by_s": late_by_s})


def _time(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError:
        return None


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
