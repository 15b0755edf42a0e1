"""Schedules: each of their times comes as one event, once, whatever happens to the process or the clock in between."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import field_validator, model_validator

from connectors.base import options
from connectors.base.options import option
from connectors.cron.ticks import Missed, Tick, due, iso, times_of
from connectors.parts.polling import Event, PollResult, SourceConnector
from connectors.parts.schedule import Schedule, zone
from connectors.parts.turns import Plan

#: What an event's payload says of the tick itself; the operator's own payload cannot.
_OWN = frozenset({"schedule", "due", "missed", "late_by_s"})


class ScheduleOptions(options.Options):
    """One schedule."""

    name: str = option(description="Its name, by which its events are known.", pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")
    schedule: str = option(description="When: five cron fields (0 9 * * mon-fri), @daily, or an interval (5m).")
    timezone: str | None = option(None, description="The time zone of cron fields; by default that of all schedules.")
    missed: Missed | None = option(None, description="As the option of all schedules, for this one.")
    text: str = option("", description="The text of its events, such as what an agent shall do; by default the name.")
    payload: dict[str, Any] = option({}, description="More for the event's payload.")

    @field_validator("payload")
    @classmethod
    def _is_its_own(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(_OWN.intersection(value)):
            raise ValueError(f"{', '.join(taken)}: what the connector itself says there; choose another name")
        return value


class CronOptions(options.Options):
    """Options of the `cron` type."""

    schedules: list[ScheduleOptions] = option(
        description="The schedules: mappings with name, schedule and, if wanted, timezone, missed, text, payload.",
        min_length=1,
    )
    timezone: str = option("UTC", description="The time zone of cron fields: an IANA name, such as Europe/Berlin.")
    missed: Missed = option(
        "last",
        description="What comes of times at which nothing ran: skip, the last one of each schedule, or all of them.",
    )

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        zone(self.timezone)
        names = [entry.name for entry in self.schedules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"schedules: there are two of the name {doubled[0]!r}")
        for entry in self.schedules:
            try:
                times_of(entry.schedule, entry.timezone or self.timezone)
            except ValueError as error:
                raise ValueError(f"schedules: {entry.name}: {error}") from None
        return self


class CronConnector(SourceConnector):
    """Schedules that emit events: cron expressions and intervals, each with its time zone, text and payload."""

    connector_type = "cron"
    version = "1"
    setup_help = "Nothing is needed but a list of schedules in connectors.yml."
    # Each of its schedules has what a source has one of; so they are no SourceOptions, which the base class promises.
    Options: ClassVar[type[options.Options]] = CronOptions  # type: ignore[assignment]  # see above

    #: When the next tick of any schedule is due; None until the checkpoint was looked at.
    upcoming: float | None = None
    #: When the schedules were looked at last, by the clock; and by the one that nobody sets.
    looked_at: float | None = None
    _looked_mono: float = 0.0

    def poll(self, checkpoint: Any) -> PollResult:
        """Tell of what has come due since the last time. `checkpoint`: {name: {"schedule", "seen_until"}}."""
        given, now = self._given, type(self).clock()
        # After a clock that was set back: what has come due, by the new time, since the last look.
        back_to = now - (time.monotonic() - self._looked_mono if self.was_set_back(now) else 0.0)
        seen: dict[str, dict[str, Any]] = {}
        found: list[tuple[Tick, ScheduleOptions]] = []
        next_ones: list[float] = []
        for entry in given.schedules:
            timezone = entry.timezone or given.timezone
            times = times_of(entry.schedule, timezone)
            written = f"{entry.schedule} {timezone}"
            after = self._seen_until(checkpoint, entry.name, written, now, back_to)
            found += [(tick, entry) for tick in due(times, after=after, now=now, missed=entry.missed or given.missed)]
            seen[entry.name] = {"schedule": written, "seen_until": now}
            next_ones.append(times.next_after(now))
        self.upcoming = min(next_ones)
        self.looked_at, self._looked_mono = now, time.monotonic()
        found.sort(key=lambda pair: pair[0].due)
        return PollResult([self._event(tick, entry) for tick, entry in found], seen)

    def was_set_back(self, now: float) -> bool:
        """The clock, since the last look: what was reckoned then is of another time."""
        return self.looked_at is not None and now < self.looked_at

    def _seen_until(self, checkpoint: Any, name: str, written: str, now: float, back_to: float) -> float:
        """From when on ticks are to be told of. A schedule that is new, or another one than before, begins now."""
        before = checkpoint.get(name) if isinstance(checkpoint, Mapping) else None
        if not isinstance(before, Mapping) or before.get("schedule") != written:
            return now
        until = before.get("seen_until")
        if not isinstance(until, int | float) or isinstance(until, bool):
            return now
        # What was told of before the clock was set back is known by its id, and does not come again.
        return float(until) if until <= now else back_to

    def _event(self, tick: Tick, entry: ScheduleOptions) -> Event:
        moment = iso(tick.due)
        said = {"missed": tick.missed, "late_by_s": tick.late_by_s}
        where = zone(entry.timezone or self._given.timezone)
        return Event(
            f"{entry.name}:{moment}",
            entry.text or entry.name,
            platform_event=f"schedule.{entry.name}",
            title=entry.name,
            author=entry.name,
            author_type="system",
            occurred_at=moment,
            # Whatever else is said of it: a time that was told of is not told of again.
            revision="tick",
            conversation=entry.name,
            payload={
                **entry.payload,
                "schedule": entry.name,
                "due": iso(tick.due, where),
                **{name: value for name, value in said.items() if value},
            },
        )

    def _plan(self) -> Plan:
        """The next tick of all schedules; until a first look at the checkpoint, at once."""
        text = ", ".join(f"{entry.name}: {entry.schedule}" for entry in self._given.schedules)
        return Plan(cast("Schedule", _Next(self)), text, 0.0, self.poll_limit_s)

    @property
    def _given(self) -> CronOptions:
        return cast(CronOptions, self.options)


class _Next:
    """All schedules of a connector, as one."""

    def __init__(self, connector: CronConnector) -> None:
        self._connector = connector

    def next_after(self, at: float) -> float:
        """Not after the end of the last run, but after what it has looked at: nothing falls in between.

        At once where a first look is needed, or another one, since the clock was set back.
        """
        upcoming = self._connector.upcoming
        if upcoming is None or self._connector.was_set_back(type(self._connector).clock()):
            return at
        return upcoming


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=CronConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="cron")
    args = parser.parse_args()
    CronConnector(name=args.name, seed_home=args.seed_home).run()
