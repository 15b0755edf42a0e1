"""`connectors checkpoint`: where a source goes on, looked at and changed without a race."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.program import answer, connectors, done
from tests.helpers import wait_for
from tests.parts.sources import Place, VersionTwo

AB = (("a", "1"), ("b", "2"))


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def once(place: Place, **arguments: Any) -> None:
    connector = place.here(**arguments)
    connector.sync()
    connector.close()


def test_show_prints_it_as_json(place: Place) -> None:
    place.has(*AB, checkpoint={"since": "2026-01-31", "ids": [1, 2]})
    once(place)
    assert json.loads(done("checkpoint", "show", "list-main", home=place.home)) == {
        "since": "2026-01-31",
        "ids": [1, 2],
    }
    found = answer("checkpoint", "show", "list-main", home=place.home)
    assert (found["name"], found["version"]) == ("main", "1")
    assert found["updated_at"].endswith("+00:00")


def test_set_is_where_the_next_run_begins(place: Place) -> None:
    once(place)
    text = done("checkpoint", "set", "list-main", '{"since": 5}', home=place.home)
    assert "connectors sync list-main" in text
    place.has(*AB, checkpoint=6)
    once(place)
    assert [entry["checkpoint"] for entry in place.polls] == [None, {"since": 5}]
    done("checkpoint", "set", "list-main", "-", home=place.home, text="[1]")
    assert json.loads(done("checkpoint", "show", "list-main", home=place.home)) == [1]


def test_reset_is_a_fresh_start_and_what_is_unchanged_does_not_come_again(place: Place) -> None:
    place.has(*AB)
    once(place)
    done("checkpoint", "reset", "list-main", home=place.home)
    once(place)
    assert [entry["checkpoint"] for entry in place.polls] == [None, None]
    assert place.texts == ["1", "2"]


def test_a_source_that_runs_takes_it_up_in_its_next_run(place: Place) -> None:
    place.has(*AB)
    with place.run() as running:
        wait_for(lambda: (place.status.get("source") or {}).get("last_success"))
        done("checkpoint", "set", "list-main", "40", home=place.home)
        done("sync", "list-main", home=place.home)
        assert running.process.poll() is None
    assert [entry["checkpoint"] for entry in place.polls] == [None, 40]
    assert json.loads(done("checkpoint", "show", "list-main", home=place.home)) == 41


def test_while_a_run_is_in_flight_it_is_refused_for_the_run_would_write_its_own_over_it(place: Place) -> None:
    """Weakness: a run in flight wrote the old cursor back over a reset."""
    once(place)
    place.has(*AB, do="wait:go")
    place.ask()
    with place.run() as running:
        wait_for(lambda: len(place.polls) == 2)
        for verb in (["reset", "list-main"], ["set", "list-main", "5"]):
            result = connectors("checkpoint", *verb, home=place.home)
            assert result.returncode == 75
            assert "a run of list-main is in flight" in result.stderr
            assert "connectors stop list-main" in result.stderr
        assert json.loads(done("checkpoint", "show", "list-main", home=place.home)) == 1
        (place.folder / "go").touch()
        wait_for(place.receipts)
        done("checkpoint", "reset", "list-main", home=place.home)
        assert running.process.poll() is None


def test_what_was_set_by_hand_is_meant_for_the_version_that_runs_next(place: Place) -> None:
    once(place)
    done("checkpoint", "set", "list-main", "7", home=place.home)
    once(place, cls=VersionTwo)
    assert place.polls[-1]["checkpoint"] == 7


def test_a_mistake_is_named(place: Place) -> None:
    never = connectors("checkpoint", "show", "list-main", home=place.home.parent)
    assert never.returncode == 78
    once(place)
    for arguments, text in (
        (["show", "other"], "other has never run"),
        (["set", "list-main", "{since: 5}"], "the checkpoint is no JSON"),
        (["set", "list-main", "NaN"], "no plain JSON"),
        (["show", "list-main/mian"], 'there is no checkpoint "mian" (did you mean "main"?)'),
        (["reset", "list-main/.runs"], "there is no checkpoint"),
        (["show", "../list-main"], "name"),
    ):
        result = connectors("checkpoint", *arguments, home=place.home)
        assert result.returncode == 78, arguments
        assert text in result.stderr
