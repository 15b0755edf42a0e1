"""`connectors sync`: sources poll now, and whoever asked hears how it went."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from connectors.base.home import Home
from tests.commands.program import DEADLINE_S, PROGRAM, answer, connectors, done, on_terminal
from tests.helpers import wait_for
from tests.parts.sources import Place

AB = (("a", "1"), ("b", "2"))


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def configure(place: Place, *others: Place, extra: str = "") -> None:
    """connectors.yml with these sources."""
    entries = [
        f"  - name: {one.name}\n    type: tests.parts.sources:ListSource\n    folder: {one.folder}\n"
        for one in (place, *others)
    ]
    (place.home / "connectors.yml").write_text("connectors:\n" + "".join(entries) + extra)


def test_it_polls_now_and_prints_what_came(place: Place) -> None:
    place.has(*AB)
    with place.run() as running:
        running.connected()
        wait_for(lambda: len(place.events) == 2)
        place.has(("a", "1"), ("b", "changed"), ("c", "3"))
        text = done("sync", place.name, home=place.home)
        assert text.startswith("list-main: 1 new, 1 revised, 1 unchanged, in ")
        (found,) = answer("sync", place.name, home=place.home)
        assert (found["ok"], found["result"]["unchanged"]) == (True, 3)


def test_a_source_that_does_not_run_is_named_with_what_to_do_and_nothing_is_left_behind(place: Place) -> None:
    configure(place)
    result = connectors("sync", place.name, home=place.home)
    assert result.returncode == 1
    assert "list-main does not run" in result.stderr
    assert "connectors run" in result.stderr
    assert not list((place.home / "messages").glob("outbox/*/*"))


def test_without_a_name_all_sources_are_asked_and_one_that_fails_is_enough_for_exit_code_1(home: Path) -> None:
    """Weakness: one source that failed ended the command, or a name was taken for a folder."""
    good, bad, down = Place(home, "good"), Place(home, "bad"), Place(home, "down")
    configure(good, bad, down, extra="  - name: cli\n    type: cli\n")
    good.has(*AB)
    bad.has(*AB, do="raise")
    with good.run() as one, bad.run() as two:
        one.connected()
        wait_for(lambda: bad.status.get("state") == "failing")
        result = connectors("sync", home=home)
        assert result.returncode == 1
        assert result.stdout.startswith("good: 0 new, 0 revised, 2 unchanged")
        assert "bad: the run failed: the platform is down" in result.stderr
        assert "down does not run" in result.stderr
        assert "cli" not in result.stdout + result.stderr
        bad.has(*AB)
        assert [found["ok"] for found in answer("sync", home=home)] == [True, True, False]
        assert two.process.poll() is None


def test_what_is_no_source_is_refused(place: Place) -> None:
    configure(place, extra="  - name: cli\n    type: cli\n")
    refused = connectors("sync", "cli", home=place.home)
    unknown = connectors("sync", "list-mian", home=place.home)
    assert (refused.returncode, unknown.returncode) == (78, 78)
    assert "cli is no source" in refused.stderr
    assert 'there is no instance "list-mian" (did you mean "list-main"?)' in unknown.stderr


def test_the_wait_has_a_bound_and_the_run_goes_on(place: Place) -> None:
    place.has(*AB, do="wait:go")
    with place.run() as running:
        wait_for(lambda: place.polls)
        result = connectors("sync", place.name, "--wait", 0.2, home=place.home)
        assert result.returncode == 1
        assert "list-main: no answer within 0.2 s" in result.stderr
        assert "connectors explain" in result.stderr
        (place.folder / "go").touch()
        wait_for(place.receipts, what="the run is done all the same")
        assert running.process.poll() is None


def test_a_source_that_dies_meanwhile_is_told_at_once_with_its_error(place: Place) -> None:
    place.has(*AB, do="wait:go")
    with place.run() as running:
        wait_for(lambda: place.polls)
        program = [*PROGRAM, "sync", place.name, "--json"]
        with subprocess.Popen(program, cwd=place.home, stdout=subprocess.PIPE) as asking:
            wait_for(lambda: list((place.home / "messages/.sending/list-main").glob("*.json")), what="it is asked")
            running.kill()
            (found,) = json.loads(asking.communicate(timeout=DEADLINE_S)[0])
        assert asking.returncode == 1
    assert "list-main ended before the run did" in found["error"]
    assert "connectors run" in found["hint"]
    assert not list((place.home / "messages/.sending/list-main").glob("*.json")), "what nobody waits for is taken back"


def test_it_works_where_connectors_yml_names_none(home: Path) -> None:
    Home(home).make_common()
    assert done("sync", home=home) == ""
    assert answer("sync", home=home) == []


# ── what status says of sources ───────────────────────────────────────────────────────────────────────────────


def test_status_says_when_each_source_ran_when_it_runs_again_and_how_old_its_checkpoint_is(place: Place) -> None:
    configure(place)
    place.has(*AB)
    with place.run() as running:
        running.connected()
        wait_for(lambda: place.status.get("source", {}).get("last_success"))
        row = next(line for line in connectors("status", home=place.home).stdout.splitlines() if "2 new" in line)
        name, last, following, moved, result = row.split("\t")
        assert (name, result) == ("list-main", "2 new")
        assert last.endswith(" s")
        assert moved.endswith(" s")
        assert following.startswith("in ")
        lines = on_terminal("status", home=place.home).splitlines()
        assert any(line.split() == ["SOURCE", "LAST", "RUN", "NEXT", "RUN", "CHECKPOINT", "RESULT"] for line in lines)
        assert all(len(line) <= 80 for line in lines)
        place.has(*AB, do="raise")
        connectors("sync", place.name, home=place.home)
        row = next(line for line in connectors("status", home=place.home).stdout.splitlines() if "1 failure" in line)
        assert row.split("\t")[4] == "1 failure: the platform is down"
        (view,) = answer("status", home=place.home)["instances"]
        assert (view["source"]["schedule"], view["source"]["failures"]) == ("1h", 1)
    gone = next(line for line in connectors("status", home=place.home).stdout.splitlines() if "1 failure" in line)
    assert gone.split("\t")[2] == "-"


def test_status_says_of_a_source_that_the_platform_lets_wait_what_it_waits_for(place: Place) -> None:
    configure(place)
    place.has(do="limit:3600")
    with place.run() as running:
        wait_for(lambda: place.status.get("state") == "limited" or running.process.poll() is not None)
        rows = [line.split("\t") for line in connectors("status", home=place.home).stdout.splitlines()]
    assert [row[4] for row in rows if row[0] == "list-main" and len(row) == 5] == ["waits: rate limit"]
