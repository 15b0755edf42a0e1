"""The private memory of one instance."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.store import VERSION, Claim, EventRow, OutState, Store


def row(event_id: str, received_at: float = 0.0, *, held: bool = False) -> EventRow:
    return EventRow(event_id, f"{event_id}.json", "message", "C", None, held, received_at or time.time(), b"{}")


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open(Home(home), "a")
    yield opened
    opened.close()


def test_events_and_the_bookmark_are_one_transaction(store: Store) -> None:
    store.record_events([row("a")], ("main", 1))
    with pytest.raises(TypeError):
        store.record_events([row("b")], ("main", object()))
    assert store.event("b") is None
    assert store.checkpoint("main") == 1


def test_an_event_is_recorded_once(store: Store) -> None:
    store.record_events([row("a")])
    store.record_events([EventRow("a", "other.json", "message", "C", None, False, 1.0, None)])
    found = store.event("a")
    assert found is not None
    assert found.file == "a.json"


def test_more_ids_than_sqlite_takes_at_once(store: Store) -> None:
    store.record_events([row(str(number)) for number in range(3000)])
    assert len(store.known([str(number) for number in range(5000)])) == 3000


def test_pruning_keeps_ids_longer_than_bodies_and_what_is_held_for_ever(store: Store) -> None:
    old = time.time() - 100
    store.record_events([row("held", old, held=True), *[row(str(number), old) for number in range(10)]])
    assert store.prune_events(keep_bodies=3, keep_ids=6, before=time.time() - 1000) == 0
    assert [store.event(str(n)).body is None for n in range(10)] == [True] * 7 + [False] * 3  # type: ignore[union-attr]
    assert store.prune_events(keep_bodies=3, keep_ids=6, before=time.time() - 50) == 4
    assert store.event("0") is None
    held = store.event("held")
    assert held is not None
    assert held.body is not None


def test_outgoings_that_are_under_way_are_never_pruned(store: Store) -> None:
    store.insert_claims([Claim("k1", "a.json"), Claim("k2", "b.json")])
    store.update_outgoing("k2", state=OutState.SENT)
    store.split("k2", ["a", "b"])
    assert store.prune_outgoings(keep=0, before=time.time() + 10) == 1
    assert [r.key for r in store.under_way()] == ["k1"]
    assert store.parts("k2") == []


def test_rows_read_back_as_they_were_written_whatever_the_name(store: Store) -> None:
    name = "\udcff é.json"
    store.insert_claims([Claim("k1", name, "id", True, "C\ud800", "e\ud800")])
    found = store.outgoing("k1")
    assert found is not None
    assert (found.file, found.id, found.given, found.state) == (name, "id", True, OutState.CLAIMED)
    assert [r.key for r in store.find_file(name)] == ["k1"]
    store.update_outgoing("k1", durable=True, error="odd \ud800", note="odd \ud800", result=name)
    again = store.outgoing("id")
    assert again is not None
    assert again.result == name
    assert "odd" in again.error
    assert "odd" in store.history("k1")[0][1]


def test_the_newest_claim_of_an_id_is_found(store: Store) -> None:
    store.insert_claims([Claim("k1", "a.json", "id"), Claim("k2", "b.json", "id")])
    assert [r.key for r in store.by_id("id")] == ["k1", "k2"]
    found = store.outgoing("id")
    assert found is not None
    assert found.key == "k2"
    assert store.by_id("") == []


def test_parts_are_split_once_and_end_one_by_one(store: Store) -> None:
    store.insert_claims([Claim("k1", "a.json")])
    store.split("k1", ["a", "b"])
    store.split("k1", ["other", "boundaries", "later"])
    store.update_outgoing("k1", begin_part=0)
    store.update_outgoing("k1", end_part=(0, ["id-a"]))
    parts = store.parts("k1")
    assert [(p.text, p.state, p.ids) for p in parts[:2]] == [("a", "sent", ["id-a"]), ("b", "waiting", [])]


def test_reviving_starts_the_attempts_anew_and_is_remembered_until_the_claim(store: Store) -> None:
    store.insert_claims([Claim("k1", "a.json")])
    store.update_outgoing("k1", state=OutState.DEAD, attempts=8, deaths=2, next_at=1e12, wait_s=300.0)
    store.revive("a~k1.json", "k1")
    found = store.outgoing("k1")
    assert found is not None
    assert (found.state, found.attempts, found.deaths, found.next_at) == (OutState.CLAIMED, 0, 0, 0.0)
    assert store.revived("a~k1.json") == "k1"
    assert store.revived_keys() == {"k1": "a~k1.json"}
    store.forget_revived("a~k1.json")
    assert store.revived("a~k1.json") is None


def test_a_reader_of_its_own_sees_what_is_committed_and_cannot_write(home: Path, store: Store) -> None:
    assert Store.open_readonly(Home(home), "never ran") is None
    store.record_events([row("a")])
    reader = Store.open_readonly(Home(home), "a")
    assert reader is not None
    assert reader.event("a") is not None
    with pytest.raises(sqlite3.OperationalError):
        reader.record_events([row("b")])
    reader.close()


def test_a_store_of_a_newer_program_is_not_touched(home: Path, store: Store) -> None:
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = store.path.read_bytes()
    with pytest.raises(ConfigError, match="newer version"):
        Store.open(Home(home), "a")
    assert store.path.read_bytes() == before


def test_it_is_private(home: Path, store: Store) -> None:
    store.record_events([row("a")])
    for path in store.path.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def downgrade(store: Store) -> None:
    """Make it what the first version of this program made."""
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("DROP INDEX events_by_origin")
        connection.execute("ALTER TABLE events DROP COLUMN origin")
        connection.execute("ALTER TABLE events DROP COLUMN digest")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def schema_of(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        columns = {f"{row[1]} {row[2]}" for row in connection.execute("PRAGMA table_info(events)")}
        found = columns | {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    return found


def test_a_store_of_an_older_program_is_upgraded_in_place_with_all_that_it_knows(home: Path, store: Store) -> None:
    new = schema_of(store.path)
    store.record_events([row("a")], ("main", {"since": 5}))
    downgrade(store)
    assert schema_of(store.path) != new

    again = Store.open(Home(home), "a")

    assert schema_of(store.path) == new
    assert again.known(["a"]) == {"a": "a.json"}
    assert again.checkpoint("main") == {"since": 5}
    again.record_events([EventRow("b", "b.json", "event", "C", None, False, 1.0, None, "origin", "digest")])
    assert again.newest_of(["origin", "other"]) == {"origin": ("b", "digest")}
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_a_reader_understands_a_store_that_nobody_has_upgraded_yet(home: Path, store: Store) -> None:
    store.record_events([row("a")], ("main", 1))
    downgrade(store)
    reader = Store.open_readonly(Home(home), "a")
    assert reader is not None
    found = reader.event("a")
    assert found is not None
    assert (found.file, reader.checkpoint("main"), list(reader.checkpoints())) == ("a.json", 1, ["main"])
    reader.close()


def test_of_each_origin_the_newest_event_is_known(store: Store) -> None:
    for number in range(3):
        store.record_events(
            [
                EventRow(f"{origin}{number}", "f", "event", "C", None, False, 1.0, None, origin, f"d{number}")
                for origin in ("x", "y\ud800")
            ]
        )
    assert store.newest_of(["x", "y\ud800", "z"]) == {"x": ("x2", "d2"), "y\ud800": ("y\\ud8002", "d2")}
    assert len(store.newest_of([str(number) for number in range(3000)])) == 0
