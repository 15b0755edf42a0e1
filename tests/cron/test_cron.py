"""Schedules as a source: what comes, and that it comes once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.cron.connector import CronConnector
from connectors.testing import ConnectorContract, RunningConnector, wait_for

HOUR = 3600.0


class Clock:
    """Shows what a test says."""

    def __init__(self, text: str) -> None:
        self.now = at(text)

    def __call__(self) -> float:
        return self.now

    def is_at(self, text: str) -> None:
        self.now = at(text)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def daily(name: str = "daily", schedule: str = "0 9 * * *", **more: Any) -> dict[str, Any]:
    return {"name": name, "schedule": schedule, **more}


@contextmanager
def opened(home: Path, clock: Clock, *schedules: dict[str, Any], **options: Any) -> Iterator[CronConnector]:
    """The connector with its own clock, not running."""

    class Clocked(CronConnector):
        """With a clock that a test holds."""

    Clocked.clock = staticmethod(clock)
    connector = Clocked("routines", home, {"schedules": list(schedules) or [daily()], **options})
    try:
        yield connector
    finally:
        connector.close()


def events(home: Path) -> list[Message]:
    return [Message.from_file(path) for path in sorted(Home(home).inbox.glob("*.json"))]


def dues(home: Path) -> list[str]:
    """When the events were due, in order of arrival."""
    return [str(message.event.payload["due"]) for message in events(home) if message.event]


class TestCron(ConnectorContract):
    connector = CronConnector

    def options(self, platform: Any) -> dict[str, Any]:
        return {"schedules": [daily()]}


def test_an_event_says_which_time_of_which_schedule_it_is(home: Path) -> None:
    clock = Clock("2026-03-29T12:00")
    entry = daily("standup", "0 9 * * mon-fri", text="collect", payload={"room": "C1"}, timezone="Europe/Berlin")
    with opened(home, clock, entry) as connector:
        connector.sync()
        clock.is_at("2026-03-30T07:00:01")
        connector.sync()
    [message] = events(home)
    assert message.id == "cron:routines:standup:2026-03-30T07:00:00Z"
    assert (message.kind, message.content.text, message.conversation.id) == ("event", "collect", "standup")
    assert message.event is not None
    assert message.event.platform_event == "schedule.standup"
    assert message.event.provenance["author_type"] == "system"
    assert message.event.payload == {"room": "C1", "schedule": "standup", "due": "2026-03-30T09:00:00+02:00"}
    assert datetime.fromisoformat(str(message.event.occurred_at)).timestamp() == at("2026-03-30T07:00")


def test_the_first_start_tells_of_nothing_that_is_past(home: Path) -> None:
    """Weakness: at the first start every schedule that matched within the last year fired at once."""
    with opened(home, Clock("2026-01-05T12:00"), daily(), daily("often", "5m"), missed="all") as connector:
        assert connector.sync().counts.new == 0


@pytest.mark.parametrize(("missed", "days"), [("last", ["05"]), ("all", ["02", "03", "04", "05"]), ("skip", [])])
def test_what_was_missed_while_nothing_ran_comes_as_the_operator_wants_it(
    home: Path, missed: str, days: list[str]
) -> None:
    clock = Clock("2026-01-01T12:00")
    with opened(home, clock, missed=missed) as connector:
        connector.sync()
    clock.is_at("2026-01-05T12:00")
    with opened(home, clock, missed=missed) as connector:
        connector.sync()
    assert [text[8:10] for text in dues(home)] == days
    for message in events(home):
        assert message.event is not None
        assert message.event.payload["late_by_s"] >= 3 * HOUR
        assert message.event.payload.get("missed", 0) == (3 if missed == "last" else 0)


def test_a_schedule_has_its_own_answer_to_what_was_missed(home: Path) -> None:
    clock = Clock("2026-01-01T12:00")
    schedules = [daily("a", missed="skip"), daily("b"), daily("c", "0 10 * * *", missed="all")]
    with opened(home, clock, *schedules) as connector:
        connector.sync()
        clock.is_at("2026-01-03T12:00")
        connector.sync()
    assert [(message.conversation.id, due[8:13]) for message, due in zip(events(home), dues(home), strict=True)] == [
        ("c", "02T10"),
        ("b", "03T09"),
        ("c", "03T10"),
    ]


def test_a_clock_that_is_set_back_makes_no_time_come_twice(home: Path) -> None:
    clock = Clock("2026-01-01T08:59")
    with opened(home, clock, daily(), daily("often", "10m"), missed="all") as connector:
        connector.sync()
        clock.is_at("2026-01-01T09:30")
        connector.sync()
        before = dues(home)
        clock.is_at("2026-01-01T08:55")
        connector.sync()
        for minute in range(56, 60):
            clock.is_at(f"2026-01-01T08:{minute}")
            connector.sync()
        for minute in range(31):
            clock.is_at(f"2026-01-01T09:{minute:02}")
            connector.sync()
        assert dues(home) == before
        clock.is_at("2026-01-01T09:40")
        connector.sync()
        assert dues(home) == [*before, "2026-01-01T09:40:00Z"]


@pytest.mark.parametrize("back_s", [2 * HOUR, 400 * 24 * HOUR])
def test_a_clock_that_is_set_back_silences_nothing(home: Path, back_s: float) -> None:
    clock = Clock("2026-01-01T12:00:01")
    with opened(home, clock, daily("often", "5s")) as connector:
        [turn] = connector._turns
        connector.sync()
        clock.now += 5
        connector.sync()
        before = dues(home)
        clock.now -= back_s
        assert turn.due_in_s() <= 0
        connector.sync()
        assert 0 < turn.due_in_s() <= 5
        shown = datetime.fromisoformat(turn.in_words(turn.once.note())["next_run"]).timestamp()
        assert clock.now < shown <= clock.now + 5
        clock.now += 5
        assert turn.due_in_s() <= 0
        connector.sync()
        assert len(dues(home)) == len(before) + 1
        assert at(dues(home)[-1].removesuffix("Z")) <= clock.now


def test_after_a_clock_that_was_years_ahead_schedules_go_on(home: Path) -> None:
    clock = Clock("2026-01-01T08:59")
    with opened(home, clock) as connector:
        connector.sync()
        clock.is_at("2031-07-01T12:00")
        connector.sync()
        clock.is_at("2026-01-01T09:01")
        connector.sync()
        clock.is_at("2026-01-02T09:01")
        connector.sync()
    assert dues(home) == ["2031-07-01T09:00:00Z", "2026-01-02T09:00:00Z"]


def test_a_schedule_that_was_changed_or_is_new_begins_now(home: Path) -> None:
    clock = Clock("2026-01-01T12:00")
    with opened(home, clock) as connector:
        connector.sync()
    clock.is_at("2026-01-03T12:00")
    with opened(home, clock, daily(schedule="0 8 * * *"), daily("new"), missed="all") as connector:
        connector.sync()
        assert dues(home) == []
        clock.is_at("2026-01-04T08:00")
        connector.sync()
    assert dues(home) == ["2026-01-04T08:00:00Z"]


def test_a_new_text_makes_no_second_event_of_a_time(home: Path) -> None:
    clock = Clock("2026-01-01T08:00")
    with opened(home, clock) as connector:
        connector.sync()
        clock.is_at("2026-01-01T09:00")
        connector.sync()
        clock.is_at("2026-01-01T08:59")
    with opened(home, clock, daily(text="another", payload={"more": 1})) as connector:
        connector.sync()
        clock.is_at("2026-01-01T09:00")
        connector.sync()
    assert len(events(home)) == 1


@pytest.mark.parametrize("checkpoint", ["nonsense", 7, ["daily"], {"daily": 3}, {"daily": {"seen_until": "noon"}}])
def test_a_checkpoint_that_is_none_of_ours_is_a_fresh_start(home: Path, checkpoint: Any) -> None:
    """Weakness: a checkpoint that was no JSON made every poll fail, for ever."""
    clock = Clock("2026-01-01T08:00")
    with opened(home, clock) as connector:
        connector.write_all_to_inbox([], ("main", checkpoint))
        connector.sync()
        clock.is_at("2026-01-01T09:00")
        assert connector.sync().counts.new == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"schedules": []}, "at least 1 item"),
        ({"schedules": [daily(), daily()]}, "two of the name 'daily'"),
        ({"schedules": [daily(schedule="0 25 * * *")]}, "daily: '0 25 * * *' is no cron expression"),
        ({"schedules": [daily(schedule="5")]}, "lacks a unit"),
        ({"schedules": [daily(timezone="Europe/Berlim")]}, 'did you mean "Europe/Berlin"'),
        ({"schedules": [daily()], "timezone": "Mars"}, "no time zone 'Mars'"),
        ({"schedules": [daily()], "missed": "some"}, "missed"),
        ({"schedules": [daily(payload={"due": 1})]}, "choose another name"),
        ({"schedules": [daily("../x")]}, "schedules.0.name"),
        ({"schedule": "5m"}, "schedules"),
    ],
)
def test_what_is_no_list_of_schedules_is_refused_before_anything_starts(
    home: Path, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        CronConnector("routines", home, options).options  # noqa: B018 - reading them is what raises
    assert why in str(caught.value)


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────


def running(home: Path, **more: Any) -> RunningConnector:
    config = {"schedules": [daily("often", "1s")], "missed": "all"}
    return RunningConnector(CronConnector, home, "routines", config, **more)


def seconds(home: Path) -> list[float]:
    return [datetime.fromisoformat(due).timestamp() for due in dues(home)]


@pytest.mark.parametrize("step", ["source.polled", "intake.recorded", "intake.published", "source.committed"])
def test_a_death_at_any_step_loses_no_time_and_doubles_none(home: Path, step: str) -> None:
    with running(home, kill_at=(step, 2)) as killed:
        killed.wait()
    with running(home) as second:
        wait_for(lambda: len(dues(home)) >= 3, deadline_s=20)
        second.terminate()
        second.wait()
    found = seconds(home)
    assert found == [found[0] + n for n in range(len(found))]


def test_it_wakes_for_the_next_time_and_says_when_that_is(home: Path) -> None:
    with running(home).connected() as alive:
        wait_for(lambda: len(dues(home)) >= 2, deadline_s=20)
        source = alive.status["source"]
    assert source["schedule"] == "often: 1s"
    assert datetime.fromisoformat(source["next_run"]).timestamp() > min(seconds(home))


def test_nothing_can_be_sent_to_a_schedule(home: Path) -> None:
    with running(home).connected():
        outgoing = Home(home).outbox("routines") / "a.json"
        outgoing.with_suffix(".part").write_text(json.dumps({"conversation_id": "often", "text": "now!"}))
        outgoing.with_suffix(".part").rename(outgoing)
        wait_for(lambda: list(Home(home).failed.glob("*.reason.json")))
