"""Promises of events: whole files, once, in order, under names that nobody can choose."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.testing.basis import ContractBasis


class Receiving(ContractBasis):
    """Design section 4, In: an event is durable, whole, and there once."""

    def test_a_written_event_is_one_whole_json_file(self, home: Home) -> None:
        connector = self.open(home)
        path = connector.write_to_inbox(self.event("e1", text="  zwölf 🙂\n"))
        assert [path] == list(home.inbox.iterdir())
        found = json.loads(path.read_bytes())
        assert found["id"] == "e1"
        assert found["content"]["text"] == "  zwölf 🙂\n"
        assert found["connector"] == {"type": self.connector.connector_type, "instance": self.instance}

    def test_an_event_is_private(self, home: Home) -> None:
        connector = self.open(home)
        path = connector.write_to_inbox(self.event("e1"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(home.inbox.stat().st_mode) == 0o700

    def test_the_same_id_twice_gives_one_file(self, home: Home) -> None:
        connector = self.open(home)
        first = connector.write_to_inbox(self.event("e1"))
        second = connector.write_to_inbox(self.event("e1", text="a redelivery"))
        assert first == second
        assert [message.content.text for message in self.events(home)] == ["hello"]

    def test_an_event_that_was_handled_does_not_come_again(self, home: Home) -> None:
        connector = self.open(home)
        connector.write_to_inbox(self.event("e1")).unlink()
        connector.write_to_inbox(self.event("e1"))
        connector.close()
        self.open(home).write_to_inbox(self.event("e1"))
        assert self.events(home) == []

    def test_the_same_id_twice_in_one_batch_gives_one_file(self, home: Home) -> None:
        connector = self.open(home)
        paths = connector.write_all_to_inbox([self.event("e1"), self.event("e2"), self.event("e1")])
        assert paths[0] == paths[2] != paths[1]
        assert [message.id for message in self.events(home)] == ["e1", "e2"]

    def test_names_sort_in_order_of_arrival(self, home: Home) -> None:
        connector = self.open(home)
        ids = [f"{n * 7919 % 101}" for n in range(40)]
        for event_id in ids[:20]:
            connector.write_to_inbox(self.event(event_id))
        connector.write_all_to_inbox([self.event(event_id) for event_id in ids[20:]])
        connector.close()
        self.open(home).write_to_inbox(self.event("the last"))
        assert [message.id for message in self.events(home)] == [*ids, "the last"]

    def test_a_reader_never_sees_half_an_event(self, home: Home) -> None:
        connector = self.open(home)
        done = threading.Event()
        torn: list[Path] = []

        def read() -> None:
            while not done.is_set():
                for path in home.inbox.glob("*.json"):
                    try:
                        Message.from_file(path)
                    except Exception:  # noqa: BLE001 - whatever it is, it is what a reader must never see
                        torn.append(path)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for n in range(15):
                connector.write_to_inbox(self.event(f"e{n}", text="x" * 300_000))
        finally:
            done.set()
            reader.join()
        assert torn == []

    def test_threads_that_write_at_once_lose_and_double_nothing(self, home: Home) -> None:
        connector = self.open(home)
        ids = [f"e{n}" for n in range(30)]

        def write() -> None:
            for event_id in ids:
                connector.write_to_inbox(self.event(event_id))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(message.id for message in self.events(home)) == sorted(ids)

    @pytest.mark.parametrize("event_id", ["../../escaped", "/absolute", "a\x00b", "e" * 5000, "new\nline", ".."])
    def test_an_id_is_data_and_never_a_path(self, home: Home, event_id: str) -> None:
        connector = self.open(home)
        before = {path for path in home.root.rglob("*") if path.is_file() and home.state not in path.parents}
        path = connector.write_to_inbox(self.event(event_id))
        after = {path for path in home.root.rglob("*") if path.is_file() and home.state not in path.parents}
        assert after - before == {path}
        assert path.parent == home.inbox
        assert self.events(home)[0].id == event_id

    def test_a_checkpoint_is_there_after_a_restart(self, home: Home) -> None:
        connector = self.open(home)
        assert connector.checkpoint() is None
        connector.write_all_to_inbox([self.event("e1")], checkpoint=("main", {"offset": 17}))
        connector.close()
        assert self.open(home).checkpoint() == {"offset": 17}

    def test_a_held_event_is_published_when_it_is_released(self, home: Home) -> None:
        connector = self.open(home)
        assert connector.hold(self.event("e1")) is True
        assert connector.hold(self.event("e1")) is False
        assert self.events(home) == []
        connector.release(self.event("e1", text="with its files"))
        assert [message.content.text for message in self.events(home)] == ["with its files"]

    def test_the_name_of_a_file_that_came_in_is_data_and_never_a_path(self, home: Home) -> None:
        connector = self.open(home)
        entry = connector.save_incoming([b"abc", b"def"], "../../../.ssh/authorized_keys")
        assert (home.root / entry["path"]).read_bytes() == b"abcdef"
        assert home.attachments in (home.root / entry["path"]).parents
        assert "/" not in entry["name"]
        assert entry["size"] == 6
