"""Events in: durable before they are acknowledged, never lost, never twice."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import steps
from connectors.base.errors import RetryLater
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.base.names import Names
from connectors.base.settings import Limits
from connectors.base.store import Store
from tests.base.box import NAME, Box, Clocks, event
from tests.helpers import wait_for


def names(box: Box) -> list[str]:
    return sorted(os.listdir(box.home.inbox))


def test_an_event_becomes_one_inbox_file_that_reads_back(home: Path) -> None:
    box = Box(home)
    path = box.intake.accept([event("e1", " text, kept as it is \n", thread_id="T")])[0]
    assert path.parent == box.home.inbox
    message = Message.from_file(path)
    assert (message.id, message.content.text, message.conversation.thread_id) == ("e1", " text, kept as it is \n", "T")
    assert message.received_at
    assert os.listdir(box.home.staging(NAME)) == []


def test_the_name_tells_time_instance_and_id(home: Path) -> None:
    box = Box(home)
    path = box.intake.accept([event("e1")])[0]
    stamp, _, rest = path.name.partition("Z-")
    assert stamp == "20270115T080000.000000"
    digest = rest.removeprefix(f"{NAME}-").removesuffix(".json")
    assert len(digest) == 8
    assert set(digest) <= set("0123456789abcdef")


def test_a_redelivery_is_answered_by_the_first_file_and_not_written_again(home: Path) -> None:
    box = Box(home)
    first = box.intake.accept([event("e1")])[0]
    again = box.intake.accept([event("e1", "changed")])[0]
    assert again == first
    assert [e["content"]["text"] for e in box.events()] == ["hi"]
    assert box.intake.known == {"e1"}


def test_a_redelivery_after_the_agent_deleted_the_file_is_still_a_duplicate_also_after_a_restart(home: Path) -> None:
    box = Box(home)
    box.intake.accept([event("e1")])[0].unlink()
    box.reopen()
    box.intake.accept([event("e1")])
    assert names(box) == []


def test_a_batch_with_the_same_id_twice_gives_one_file(home: Path) -> None:
    box = Box(home)
    paths = box.intake.accept([event("a"), event("b"), event("a")])
    assert paths[0] == paths[2] != paths[1]
    assert len(names(box)) == 2


def test_the_same_id_in_two_instances_is_two_events(home: Path) -> None:
    one, two = Box(home), Box(home, name="other")
    one.intake.accept([event("e1")])
    two.intake.accept([event("e1", instance="other")])
    assert len(names(one)) == 2


def test_the_checkpoint_is_committed_with_the_events(home: Path) -> None:
    box = Box(home)
    box.intake.accept([event("a")], ("main", {"since": 7}))
    assert box.store.checkpoint("main") == {"since": 7}
    box.intake.accept([], ("main", {"since": 8}))
    box.reopen()
    assert box.store.checkpoint("main") == {"since": 8}
    assert box.store.checkpoint("other") is None


def test_hostile_ids_and_texts_are_data(home: Path) -> None:
    box = Box(home)
    ids = ["../../etc/passwd", "a/b", "\0", "x" * 5000, "ü\u202e", "con", ".", "\n"]
    for one in ids:
        box.intake.accept([event(one, "\ud800 lone surrogate", conversation="\ud800")])
    assert sorted(e["id"] for e in box.events()) == sorted(ids)
    assert all(path.parent == box.home.inbox for path in box.home.inbox.iterdir())


def test_a_file_is_json_whatever_numbers_and_half_characters_came(home: Path) -> None:
    """JSON has no infinity, which Python's reader makes of 1e400 and its writer of that what no other reader takes."""
    odd = {"numbers": [float("inf"), float("-inf"), float("nan"), 1.5], "text": "\ud800"}
    box = Box(home)
    box.intake.accept([event("e1", metadata=odd), event("e2", metadata={**odd, "text": "whole"})])

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = [
        json.loads(path.read_bytes(), parse_constant=refuse)["metadata"] for path in sorted(box.home.inbox.iterdir())
    ]
    assert [data["numbers"] for data in found] == [[None, None, None, 1.5]] * 2
    assert [data["text"] for data in found] == ["\ud800", "whole"]


# ── names and order ───────────────────────────────────────────────────────────────────────────────────────────


@given(steps=st.lists(st.floats(-86_400 * 30, 86_400 * 30), max_size=30))
def test_names_sort_in_arrival_order_whatever_the_clock_does(steps: list[float]) -> None:
    clocks = Clocks()
    namer = Names(NAME, lambda: clocks.wall)
    made = []
    for number, step in enumerate(steps):
        clocks.wall += step
        made.append(namer.new(f"e{number}"))
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_names_keep_their_order_when_the_clock_steps_back_over_a_restart(home: Path) -> None:
    box = Box(home)
    first = box.intake.accept([event("a")])[0]
    box.clocks.wall -= 3600
    box.reopen()
    second = box.intake.accept([event("b")])[0]
    assert first.name < second.name


def test_names_keep_their_order_when_the_first_file_is_gone_and_the_clock_steps_back(home: Path) -> None:
    box = Box(home)
    first = box.intake.accept([event("a")])[0]
    first.unlink()
    box.clocks.wall -= 3600
    box.reopen()
    assert first.name < box.intake.accept([event("b")])[0].name


def test_names_keep_their_order_beside_foreign_files(home: Path) -> None:
    """The newest name of all is not one of ours: that must not hide those that are."""
    box = Box(home)
    first = box.intake.accept([event("a")])[0]
    (box.home.inbox / "zzz.json").write_text("{}")
    (box.home.state_dir(NAME) / "store.db").unlink()  # an operator moved the state away
    for rest in box.home.state_dir(NAME).glob("store.db-*"):
        rest.unlink()
    box.clocks.wall -= 3600
    box.reopen()
    assert first.name < box.intake.accept([event("b")])[0].name


def test_a_name_from_the_far_future_does_not_drag_ours_along(home: Path) -> None:
    box = Box(home)
    (box.home.inbox / "99991231T235959.999999Z-x-00000000.json").write_text("{}")
    box.reopen()
    assert box.intake.accept([event("a")])[0].name.startswith("2027")


# ── recovery ──────────────────────────────────────────────────────────────────────────────────────────────────


def stage(box: Box, name: str, data: bytes) -> Path:
    path = box.home.staging(NAME) / name
    path.write_bytes(data)
    return path


def test_a_whole_staged_file_that_was_not_recorded_is_published_and_its_redelivery_is_a_duplicate(home: Path) -> None:
    box = Box(home)
    stage(box, "20270115T070000.000000Z-fake-main-00000000.json", event("e1").to_bytes())
    box.reopen()
    box.intake.accept([event("e1")])
    assert [e["id"] for e in box.events()] == ["e1"]
    assert os.listdir(box.home.staging(NAME)) == []


@settings(max_examples=25)
@given(share=st.floats(0, 0.999))
def test_a_torn_staged_file_is_deleted_and_comes_again(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    box = Box(tmp_path_factory.mktemp("home"))
    data = event("e1").to_bytes().rstrip()
    stage(box, "20270115T070000.000000Z-fake-main-00000000.json", data[: int(len(data) * share)])
    box.reopen()
    assert names(box) == []
    assert os.listdir(box.home.staging(NAME)) == []
    box.intake.accept([event("e1")])
    assert [e["id"] for e in box.events()] == ["e1"]
    box.close()


def test_what_others_leave_in_staging_is_no_obstacle(home: Path) -> None:
    box = Box(home)
    staging = box.home.staging(NAME)
    (staging / "folder").mkdir()
    (staging / "folder.json").mkdir()
    os.mkfifo(staging / "fifo.json")
    os.mkfifo(staging / "fifo")
    (staging / "link.json").symlink_to("nowhere")
    (staging / "key.tmp").write_text("a writer died")
    box.reopen()
    box.intake.accept([event("e1")])
    assert [e["id"] for e in box.events()] == ["e1"]
    assert not (staging / "key.tmp").exists()


# ── held events ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_held_event_is_durable_and_not_visible_until_it_is_released(home: Path) -> None:
    box = Box(home)
    assert box.intake.hold(event("e1", "without its file"))
    assert names(box) == []
    path = box.intake.release(event("e1", "with its file"))
    assert [e["content"]["text"] for e in box.events()] == ["with its file"]
    assert path == box.home.inbox / names(box)[0]
    assert not box.intake.hold(event("e1"))
    assert os.listdir(box.home.staging(NAME)) == []


def test_a_held_event_keeps_its_place_in_the_order_of_arrival(home: Path) -> None:
    box = Box(home)
    box.intake.hold(event("first"))
    box.intake.accept([event("second")])
    box.intake.release(event("first"))
    assert [e["id"] for e in box.events()] == ["first", "second"]


def test_a_redelivery_of_a_held_event_is_a_duplicate(home: Path) -> None:
    box = Box(home)
    box.intake.hold(event("e1"))
    assert not box.intake.hold(event("e1"))
    box.intake.accept([event("e1")])
    assert names(box) == []
    box.intake.release(event("e1"))
    assert len(names(box)) == 1


def test_held_events_are_handed_back_after_a_restart(home: Path) -> None:
    box = Box(home)
    box.intake.hold(event("e1"))
    box.intake.hold(event("e2"))
    box.intake.release(event("e2"))
    box.reopen()
    assert [m.id for m in box.held] == ["e1"]
    assert [e["id"] for e in box.events()] == ["e2"]
    box.intake.release(box.held[0])
    box.reopen()
    assert box.held == []
    assert [e["id"] for e in box.events()] == ["e1", "e2"]


def test_only_a_held_event_can_be_released(home: Path) -> None:
    box = Box(home)
    box.intake.accept([event("e1")])
    with pytest.raises(ValueError, match="not held"):
        box.intake.release(event("e1"))
    with pytest.raises(ValueError, match="not held"):
        box.intake.release(event("never seen"))


# ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────────


class Receiving:
    """`accept` in a thread, as a connector's run_loop calls it."""

    def __init__(self, box: Box, *ids: str) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self.box = box
        self.ids = ids
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.box.intake.accept([event(one) for one in self.ids])
        except RetryLater as error:
            self.error = error
        self.done.set()


def test_above_the_inbox_limit_nothing_is_accepted_until_somebody_takes_events_away(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=3))
    for number in range(3):
        box.intake.accept([event(f"e{number}")])
    receiving = Receiving(box, "late")
    wait_for(lambda: box.pressure)
    assert not receiving.done.is_set()
    assert "limits.inbox_max_files is 3" in str(box.pressure[0])
    assert box.store.event("late") is None
    for path in list(box.home.inbox.iterdir())[:2]:
        path.unlink()
    assert receiving.done.wait(10)
    assert box.pressure[-1] is None
    assert receiving.error is None
    assert "late" in [e["id"] for e in box.events()]


def test_events_that_a_consumer_has_claimed_count_too(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=2))
    worker = box.home.claimed / "worker"
    worker.mkdir()
    for number in range(2):
        path = box.intake.accept([event(f"e{number}")])[0]
        path.rename(worker / path.name)
    receiving = Receiving(box, "late")
    wait_for(lambda: box.pressure)
    assert not receiving.done.is_set()
    box.stop.set()
    assert receiving.done.wait(10)


def test_a_stop_ends_the_wait_and_says_that_nothing_was_accepted(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=1))
    box.intake.accept([event("e0")])
    receiving = Receiving(box, "late")
    wait_for(lambda: box.pressure)
    box.stop.set()
    assert receiving.done.wait(10)
    assert isinstance(receiving.error, RetryLater)
    assert box.store.event("late") is None
    assert len(names(box)) == 1


def test_below_the_free_space_limit_nothing_is_accepted_and_the_reason_has_the_figures(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=1 << 60))
    receiving = Receiving(box, "e1")
    wait_for(lambda: box.pressure)
    assert f"limits.min_free_bytes is {1 << 60}" in str(box.pressure[0])
    box.stop.set()
    assert receiving.done.wait(10)
    assert names(box) == []


def test_a_batch_larger_than_the_limit_gets_into_an_empty_inbox(home: Path) -> None:
    """Otherwise it would wait for ever."""
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=2))
    box.intake.accept([event(f"e{number}") for number in range(5)])
    assert len(names(box)) == 5


def test_a_duplicate_is_answered_also_while_the_inbox_is_full(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=1))
    first = box.intake.accept([event("e1")])
    assert box.intake.accept([event("e1")]) == first
    assert box.pressure == []


def test_a_full_inbox_delays_no_outgoing_and_no_dead_letter(home: Path) -> None:
    """The event of kind `delivery` is exempt from back-pressure, also while a receiver waits for room."""
    box = Box(home, limits=Limits(min_free_bytes=0, inbox_max_files=1))
    box.intake.accept([event("e0")])
    receiving = Receiving(box, "late")
    wait_for(lambda: box.pressure)
    box.drop("bad.json", b"[]")
    box.drop("good.json", {"conversation_id": "C", "text": "good"})
    delivering = threading.Thread(target=box.deliver, daemon=True)
    delivering.start()
    delivering.join(10)
    stuck = delivering.is_alive()
    box.stop.set()
    assert receiving.done.wait(10)
    assert not stuck
    assert box.texts() == ["good"]
    assert list(box.dead()) == ["bad.json"]
    assert len(box.events("delivery")) == 1


def test_other_instances_fill_the_same_inbox_and_the_limit_holds(home: Path) -> None:
    limits = Limits(min_free_bytes=0, inbox_max_files=40)
    boxes = [Box(home, name=f"n{n}", limits=limits) for n in range(2)]
    for number in range(200):
        box = boxes[number % 2]
        box.stop.set()  # so that a wait ends at once
        try:
            box.intake.accept([event(f"e{number}", instance=box.name)])
        except RetryLater:
            break
    assert 30 <= len(names(boxes[0])) <= 41


def test_a_disk_that_is_full_is_waited_out_and_nothing_half_done_stays(home: Path) -> None:
    """The store's own limit on its size plays the full disk."""
    box = Box(home)
    box.intake.accept([event("e0")])
    pages = box.store._in.execute("PRAGMA page_count").fetchone()[0]
    box.store._in.execute(f"PRAGMA max_page_count = {pages}")
    receiving = Receiving(box, *[f"{number}-{'x' * 3000}" for number in range(10)])
    wait_for(lambda: box.pressure)
    assert "full" in str(box.pressure[0])
    assert os.listdir(box.home.staging(NAME)) == []
    with box.store._in_lock:
        box.store._in.execute("PRAGMA max_page_count = 1000000")
    assert receiving.done.wait(10)
    assert receiving.error is None
    assert len(names(box)) == 11


# ── who may read ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_private_whatever_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        box = Box(home)
        path = box.intake.accept([event("e1")])[0]
        box.intake.hold(event("e2"))
        other = box.intake.release(event("e2"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == other.stat().st_mode & 0o777 == 0o600
    for folder in (box.home.messages, box.home.inbox, box.home.staging(NAME), box.home.state, box.home.logs):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    for private in (box.home.state_dir(NAME)).iterdir():
        assert private.stat().st_mode & 0o777 == 0o600, private


def test_the_store_holds_the_body_and_the_conversation_for_later_questions(home: Path) -> None:
    box = Box(home)
    path = box.intake.accept([event("e1", "text", conversation="C9", thread_id="T9")])[0]
    box.close()
    store = Store.open_readonly(Home(home), NAME)
    assert store is not None
    row = store.event("e1")
    store.close()
    assert row is not None
    assert (row.file, row.kind, row.conversation_id, row.thread_id) == (path.name, "message", "C9", "T9")
    assert json.loads(row.body or b"") == json.loads(path.read_bytes())


# ── content that came later ───────────────────────────────────────────────────────────────────────────────────


def with_text(text: str) -> Message:
    return event("e1", text)


def test_a_renewed_event_replaces_its_unread_file_under_a_later_name(home: Path) -> None:
    box = Box(home)
    first = box.intake.accept([with_text("without its file")])[0]
    box.intake.accept([event("e2")])
    path = box.intake.renew(with_text("with its file"))
    assert names(box)[-1] == path.name > first.name
    assert [e["content"]["text"] for e in box.events() if e["id"] == "e1"] == ["with its file"]
    assert box.intake.accept([with_text("redelivered")]) == [path]


def test_a_renewed_event_is_read_again_by_who_has_read_it(home: Path) -> None:
    box = Box(home)
    box.intake.accept([with_text("without its file")])[0].unlink()
    assert Message.from_file(box.intake.renew(with_text("with its file"))).content.text == "with its file"


def test_a_held_event_says_when_it_was_received_not_when_its_files_came(home: Path) -> None:
    box = Box(home)
    box.intake.hold(event("e1"))
    at = box.clocks.wall
    box.clocks.tick(60)
    received = Message.from_file(box.intake.release(event("e1"))).received_at
    assert received is not None
    assert datetime.fromisoformat(received).timestamp() == at


def test_only_a_published_event_is_renewed(home: Path) -> None:
    box = Box(home)
    with pytest.raises(ValueError, match="e1 was not published"):
        box.intake.renew(with_text("never received"))
    box.intake.hold(with_text("held"))
    with pytest.raises(ValueError, match="e1 was not published"):
        box.intake.renew(with_text("held"))


@pytest.mark.parametrize("where", ["intake.staged", "intake.recorded", "intake.published"])
def test_a_death_while_renewing_leaves_the_event_once(home: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    box = Box(home)
    box.intake.accept([with_text("without its file")])

    def die(name: str) -> None:
        if name == where:
            raise KeyboardInterrupt

    monkeypatch.setattr(steps, "listener", die)
    with pytest.raises(KeyboardInterrupt):
        box.intake.renew(with_text("with its file"))
    monkeypatch.setattr(steps, "listener", None)
    box.reopen()
    found = [e["content"]["text"] for e in box.events()]
    assert len(found) == 1
    if where != "intake.staged":
        assert found == ["with its file"]


# ── after a reboot ────────────────────────────────────────────────────────────────────────────────────────────


def rebooted(box: Box) -> None:
    """The power went and came back: the kernel has another boot id."""
    (box.home.state_dir(NAME) / "boot").write_text("another\n")
    box.reopen()


def test_after_a_reboot_the_newest_event_whose_file_is_nowhere_comes_again(home: Path) -> None:
    box = Box(home)
    for path in box.intake.accept([event("e1")]) + box.intake.accept([event("e2")]):
        path.unlink()
    rebooted(box)
    box.intake.accept([event("e1")])
    box.intake.accept([event("e2")])
    assert [e["id"] for e in box.events()] == ["e2"]


@pytest.mark.parametrize("what", ["bytes", "a folder", "a pipe"])
def test_a_boot_that_cannot_be_read_is_another_one(home: Path, what: str) -> None:
    box = Box(home)
    for path in box.intake.accept([event("e1")]):
        path.unlink()
    noted = box.home.state_dir(NAME) / "boot"
    noted.unlink()
    if what == "bytes":
        noted.write_bytes(b"\xff\xfe")
    elif what == "a folder":
        noted.mkdir()
    else:
        os.mkfifo(noted)
    box.reopen()
    box.intake.accept([event("e1")])
    assert [e["id"] for e in box.events()] == ["e1"]


@pytest.mark.parametrize("where", ["inbox", "claimed", "failed"])
def test_after_a_reboot_an_event_that_is_somewhere_stays_known(home: Path, where: str) -> None:
    box = Box(home)
    path = box.intake.accept([event("e1")])[0]
    folder = {"inbox": box.home.inbox, "claimed": box.home.claimed / "worker", "failed": box.home.failed}[where]
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name)
    rebooted(box)
    box.intake.accept([event("e1")])
    assert [e["id"] for e in box.events()] == (["e1"] if where == "inbox" else [])


def test_a_mere_restart_forgets_nothing(home: Path) -> None:
    box = Box(home)
    box.intake.accept([event("e1")])[0].unlink()
    box.reopen()
    box.intake.accept([event("e1")])
    assert box.events() == []


def test_a_held_event_is_never_forgotten(home: Path) -> None:
    box = Box(home)
    box.intake.hold(event("e1"))
    rebooted(box)
    assert [message.id for message in box.held] == ["e1"]


def test_a_file_from_another_year_does_not_hide_the_order_of_the_others(home: Path) -> None:
    box = Box(home)
    for event_id, days in (("a month ahead", 30), ("from the far future", 370), ("now", -400)):
        box.clocks.wall += days * 86_400
        box.reopen()
        box.intake.accept([event(event_id)])
    assert [e["id"] for e in box.events()] == ["a month ahead", "now", "from the far future"]
