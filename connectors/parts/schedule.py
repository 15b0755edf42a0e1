"""When something is due: an interval after the last success, or the times of a cron expression in a time zone.

    schedule = parse("6 hours")
    schedule = parse("0 9 * * mon-fri", "Europe/Berlin")
    schedule.next_after(last_success)       # seconds since 1970

All functions are pure: times come in and go out as seconds since 1970, and nobody looks at a clock.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from connectors.base.errors import ConfigError
from connectors.base.problems import did_you_mean, nearest

MIN_INTERVAL_S = 1.0
MAX_INTERVAL_S = 366 * 86_400.0

_UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hr": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
    "w": 604_800,
    "week": 604_800,
}
_PIECE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+)", re.IGNORECASE)
_INTERVAL = re.compile(rf"(every\s)?({_PIECE.pattern})+", re.IGNORECASE)
_NICKNAMES = {  # crontab(5), "Extensions"
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ALLOWED = (
    "write an interval from 1s to 366d (30s, 5m, 1.5h, 6 hours, 1d), or five cron fields"
    " (minute hour day-of-month month day-of-week: 0 9 * * mon-fri)"
)


class ScheduleError(ConfigError, ValueError):
    """It is no schedule, interval or time zone. The text says what is allowed.

    Also a ValueError, so that a validator of an option may let it through.
    """

    def __init__(self, text: str) -> None:
        super().__init__(f"{text}: {_ALLOWED}", hint=_ALLOWED)


@dataclass(frozen=True)
class Interval:
    """So many seconds after the last time."""

    seconds: float

    def next_after(self, at: float) -> float:
        """The next time after `at`."""
        return at + self.seconds


@dataclass(frozen=True)
class Cron:
    """The times of a cron expression, as Debian's cron takes it: where neither day field begins with `*`, one of them
    is enough. A time that a change to summer time skips comes right after it; one that comes twice counts once.
    """

    text: str
    zone: tzinfo

    def next_after(self, at: float) -> float:
        """The next time after `at`."""
        for moment in CronSim(self.text, datetime.fromtimestamp(at, UTC).astimezone(self.zone)):
            # In the hour that the clocks repeat, what CronSim gives first may lie before `at`.
            if moment.timestamp() > at:
                return moment.timestamp()
        raise ScheduleError(f"{self.text!r} never comes")


Schedule: TypeAlias = Interval | Cron


def parse(text: str, timezone: str = "UTC") -> Schedule:
    """Raises ScheduleError, which says what is allowed."""
    stripped = text.strip()
    if stripped.startswith("@"):
        stripped = _NICKNAMES.get(stripped.lower(), stripped)
    fields = len(stripped.split()) >= 4 or stripped.startswith("@") or "*" in stripped
    if fields and not _INTERVAL.fullmatch(stripped):
        return _cron(stripped, timezone)
    zone(timezone)
    return Interval(parse_interval(stripped))


def parse_interval(text: str, *, least_s: float = MIN_INTERVAL_S) -> float:
    """`30s`, `5m`, `1.5h`, `6 hours`, `1h30m`, `every 5m` in seconds. Raises ScheduleError."""
    rest = text.strip()
    rest = rest[5:] if rest.lower().startswith("every ") else rest
    if not rest:
        raise ScheduleError("a schedule is empty")
    total, place = 0.0, 0
    while place < len(rest):
        piece = _PIECE.match(rest, place)
        if piece is None:
            lacks_unit = re.fullmatch(r"\s*[\d.]+\s*", rest[place:]) is not None
            raise ScheduleError(f"{text!r} lacks a unit" if lacks_unit else f"{text!r} is no schedule")
        total += float(piece[1]) * _unit(piece[2], text)
        place = piece.end()
    if not least_s <= total <= MAX_INTERVAL_S:
        raise ScheduleError(f"{text!r} is too {'short' if total < least_s else 'long'}")
    return total


def _unit(word: str, text: str) -> int:
    lowered = word.lower()
    singular = lowered.removesuffix("s") if len(lowered) > 3 or lowered == "hrs" else lowered  # 5ms are no 5 minutes
    if singular in _UNITS:
        return _UNITS[singular]
    near = did_you_mean(nearest(word, [name for unit in _UNITS for name in (unit, f"{unit}s") if len(unit) > 1]))
    raise ScheduleError(f"{text!r} has no unit that is known{near}")


def _cron(text: str, timezone: str) -> Cron:
    if len(text.split()) != 5:
        raise ScheduleError(f"{text!r} has {len(text.split())} cron fields, not five")
    cron = Cron(text, zone(timezone))
    try:
        cron.next_after(0.0)
    except CronSimError as error:
        reason = str(error)
        raise ScheduleError(f"{text!r} is no cron expression ({reason[:1].lower()}{reason[1:]})") from None
    return cron


def zone(name: str) -> tzinfo:
    """The time zone of this IANA name. Raises ScheduleError."""
    if name.upper() == "UTC":
        return UTC  # also where the machine has no time zone data
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        near = did_you_mean(nearest(name, available_timezones()))
        raise ScheduleError(f"there is no time zone {name!r}{near} (an IANA name: Europe/Berlin)") from None


def jitter_s(key: str, due: float, most_s: float) -> float:
    """How much later than `due`, from 0 to `most_s`: always the same for one key and one time.

    So a restart changes nothing, and instances with the same schedule do not come all at once.
    """
    digest = hashlib.sha256(f"{key} {due:.0f}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48 * most_s


def usual_jitter_s(schedule: Schedule) -> float:
    """A tenth of an interval, at most 30 s. None for cron: who names a minute means it."""
    return min(schedule.seconds / 10, 30.0) if isinstance(schedule, Interval) else 0.0
