"""The three ways of reading: plain files, competing workers, independent readers."""

import logging
import os
import time
from collections import defaultdict
from pathlib import Path

import pytest

from connectors.base.claims import Claims
from connectors.base.cursor import Cursor, Look
from connectors.base.cursors import Cursors
from connectors.base.errors import ConfigError
from connectors.base.holds import ConsumerInUse
from connectors.base.home import Home
from connectors.base.kept import one_event, replay
from connectors.base.message import Reason
from connectors.base.names import Names
from connectors.base.readers import Ambiguous, LostClaim, NotFound, acked_folder, private_folder
from connectors.base.store import EventRow, Store
from tests.base.mail import drop, event, killed, line_of, names, program

DAY_S = 86_400.0
LOG = logging.getLogger("connectors.readers")


class Clock:
    """The wall clock, and by how much a test has moved it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def box(home: Path) -> Home:
    made = Home(home)
    made.make(made.inbox)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def claimed_ids(claims: Claims) -> list[str]:
    """The ids of all that can be claimed, each acknowledged before the next."""
    found = []
    while claimed := claims.claim():
        found.append(claimed.event.id)
        claimed.ack()
    return found


# ── plain agents beside ours ─────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_delete_between_any_two_calls_breaks_nothing(box: Home) -> None:
    paths = drop(box, event("a"), event("b"), event("c"), event("d"))
    claims = Claims(box, "worker")
    look = Look(box).events()
    assert next(look).id == "a"
    paths[1].unlink()
    first = claims.claim()
    assert first is not None
    paths[2].unlink()
    first.path.unlink()
    with pytest.raises(LostClaim, match="does not hold 'a'"):
        first.ack()
    assert [e.id for e in look] == ["d"]
    assert claimed_ids(claims) == ["d"]


def test_a_plain_mv_into_a_folder_of_its_own_is_a_claim_that_is_never_stolen(box: Home, clock: Clock) -> None:
    paths = drop(box, event("a", "C1"), event("b", "C1"), event("c", "C2"))
    box.make(box.claimed / "shell")
    os.rename(paths[0], box.claimed / "shell" / paths[0].name)
    claims = Claims(box, "worker", clock=clock)
    clock.ahead_s = 3 * DAY_S
    assert claimed_ids(claims) == ["c"]
    os.rename(box.claimed / "shell" / paths[0].name, paths[0])
    assert sorted(claimed_ids(claims)) == ["a", "b"]  # a plain mv gets exclusivity, not order


# ── competing workers ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_two_events_of_a_conversation_are_out_at_once_and_the_oldest_comes_first(box: Home) -> None:
    drop(box, event("a1", "A"), event("a2", "A"), event("b1", "B"), event("a1", "A", instance="other"))
    one, two = Claims(box, "one"), Claims(box, "two")
    first, second, third = one.claim(), two.claim(), two.claim()
    assert first is not None
    assert second is not None
    assert third is not None
    assert [c.event.id for c in (first, second, third)] == ["a1", "b1", "a1"]
    assert third.event.instance == "other"
    assert one.claim() is None
    first.ack()
    again = two.claim()
    assert again is not None
    assert again.event.id == "a2"


def test_a_given_back_event_is_not_overtaken_by_a_newer_one_of_its_conversation(box: Home) -> None:
    drop(box, event("a"), event("b"))
    one, two = Claims(box, "one"), Claims(box, "two")
    first = one.claim()
    assert first is not None
    assert two.claim() is None  # two has listed the inbox without it
    first.nack()
    assert claimed_ids(two) == ["a", "b"]


def test_kinds_and_instance_leave_the_rest_where_it_is(box: Home) -> None:
    drop(box, event("a"), event("b", kind="delivery"), event("c", instance="mail"))
    claims = Claims(box, "worker")
    found = claims.claim(kinds={"message"}, instance="mail")
    assert found is not None
    assert found.event.id == "c"
    found.ack()
    assert claims.claim(kinds={"message"}, instance="mail") is None
    assert claimed_ids(claims) == ["a", "b"]


def test_as_a_context_manager_a_claim_ends_acknowledged_or_given_back(box: Home) -> None:
    drop(box, event("a"))
    claims = Claims(box, "worker")
    claimed = claims.claim()
    assert claimed is not None
    with pytest.raises(ZeroDivisionError), claimed as got:
        got.message.content.text.index("a") / 0
    again = claims.claim()
    assert again is not None
    with again:
        pass
    assert names(box.inbox) == names(claims.folder) == []


HOLDER = """
import sys, threading
from connectors import Mailbox
with Mailbox(sys.argv[1]) as mailbox:
    claimed = mailbox.claim(sys.argv[2])
    print(claimed.event.id if claimed else None)
    threading.Event().wait()
"""


def test_what_a_killed_process_held_comes_again_at_once(box: Home, caplog: pytest.LogCaptureFixture) -> None:
    drop(box, event("a"))
    survivor = Claims(box, "survivor")
    with program(HOLDER, box.root, "victim") as process:
        assert line_of(process) == "a"
        assert survivor.claim() is None
        with pytest.raises(ConsumerInUse, match="another process reads as 'victim'"):
            Claims(box, "victim").claim()
        killed(process)
        again = survivor.claim()
    assert again is not None
    assert again.event.id == "a"
    assert "victim: its process died" in caplog.text


def test_a_consumer_that_starts_again_gives_back_what_it_left(box: Home) -> None:
    drop(box, event("a"))
    with program(HOLDER, box.root, "worker") as process:
        assert line_of(process) == "a"
        killed(process)
    claims = Claims(box, "worker")
    claims.hold()
    assert len(names(box.inbox)) == 1
    claims.close()
    assert Claims(box, "worker").claim() is not None


RACER = """
import os, sys
from connectors import Mailbox
mailbox, log = Mailbox(sys.argv[1]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
while claimed := mailbox.claim(sys.argv[2], wait_s=2):
    event = claimed.event
    os.write(log, f"{sys.argv[2]} {event.conversation_id} {event.id}\\n".encode())
    claimed.ack()
print("done")
"""


def test_two_racing_workers_get_each_event_once_and_in_order_within_a_conversation(box: Home, tmp_path: Path) -> None:
    drop(box, *(event(f"{number:04d}", f"C{number % 7}") for number in range(500)))
    log = tmp_path / "log"
    log.touch()
    with program(RACER, box.root, "one", log) as one, program(RACER, box.root, "two", log) as two:
        assert line_of(one) == line_of(two) == "done"
    order = defaultdict(list)
    workers = set()
    for line in log.read_text().splitlines():
        worker, conversation, event_id = line.split(" ")
        workers.add(worker)
        order[conversation].append(event_id)
    assert sum(map(len, order.values())) == 500
    assert all(ids == sorted(set(ids)) for ids in order.values())
    assert workers == {"one", "two"}


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_survives_its_process_and_ends_by_time(box: Home, clock: Clock) -> None:
    drop(box, event("a"))
    first = Claims(box, "shell", clock=clock)
    held = first.claim(lease_s=60)
    assert held is not None
    first.close()
    other = Claims(box, "other", clock=clock)
    clock.ahead_s = 59
    assert other.claim() is None
    clock.ahead_s = 61
    again = other.claim()
    assert again is not None
    with pytest.raises(LostClaim, match="'shell' does not hold 'a'"):
        held.ack()
    with pytest.raises(LostClaim):
        Claims(box, "shell").nack("a")
    with pytest.raises(LostClaim):
        Claims(box, "shell").touch("a")


def test_a_touch_begins_the_lease_anew(box: Home, clock: Clock) -> None:
    drop(box, event("a"))
    held = Claims(box, "shell", clock=clock).claim(lease_s=60)
    assert held is not None
    later = time.time() + 50
    os.utime(held.path, (later, later))  # what `touch` does, 50 s from now
    other = Claims(box, "other", clock=clock)
    clock.ahead_s = 100
    assert other.claim() is None
    clock.ahead_s = 111
    assert other.claim() is not None


def test_a_clock_that_was_set_back_makes_no_lease_last_for_ever(box: Home, clock: Clock) -> None:
    drop(box, event("a"))
    held = Claims(box, "shell", clock=clock).claim(lease_s=60)
    assert held is not None
    tomorrow = time.time() + DAY_S
    os.utime(held.path, (tomorrow, tomorrow))
    other = Claims(box, "other", clock=clock)
    assert other.claim() is None
    assert held.path.stat().st_mtime < time.time() + 1
    clock.ahead_s = 61
    assert other.claim() is not None


def test_a_claim_that_was_lost_and_taken_again_under_the_same_name_belongs_to_the_second(
    box: Home, clock: Clock
) -> None:
    drop(box, event("a"))
    claims = Claims(box, "shell", clock=clock)
    first = claims.claim(lease_s=60)
    clock.ahead_s = 61
    second = claims.claim(lease_s=60)
    assert first is not None
    assert second is not None
    with pytest.raises(LostClaim):
        first.ack()
    second.ack()


def test_a_delayed_event_waits_with_its_conversation_only(box: Home, clock: Clock) -> None:
    drop(box, event("a1", "A"), event("a2", "A"), event("b1", "B"))
    claims = Claims(box, "worker", clock=clock)
    held = claims.claim()
    assert held is not None
    held.nack(delay_s=30)
    with pytest.raises(LostClaim):
        claims.ack("a1")
    assert claimed_ids(claims) == ["b1"]
    claims.close()
    other = Claims(box, "other", clock=clock)
    assert other.claim() is None  # the wait outlives the process
    clock.ahead_s = 31
    assert claimed_ids(other) == ["a1", "a2"]


# ── independent readers ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_cursor_reads_again_what_it_did_not_acknowledge(box: Home) -> None:
    drop(box, event("a"), event("b"))
    reader = Cursor(box, "log")
    assert [e.id for e in reader.events()] == ["a", "b"]
    assert list(reader.events()) == []
    reader.ack("a")
    with pytest.raises(LostClaim, match="no event 'a' to acknowledge"):
        reader.ack("a")
    assert [e.id for e in Cursor(box, "log").events()] == ["b"]


def test_a_name_that_becomes_visible_late_is_not_lost(box: Home) -> None:
    early, late = drop(box, event("early"), event("late"))
    hidden = box.messages / "hidden"
    os.rename(early, hidden)
    reader = Cursor(box, "log")
    for got in reader.events():
        reader.ack(got)
    os.rename(hidden, early)
    assert early.name < late.name
    assert [e.id for e in reader.events()] == ["early"]


def test_an_event_stays_until_workers_and_cursors_are_done_with_it(box: Home) -> None:
    drop(box, event("a"))
    one, two, claims = Cursor(box, "one"), Cursor(box, "two"), Claims(box, "worker")
    held = claims.claim()
    assert held is not None
    got = next(one.events())  # a claimed file is seen
    one.ack(got)
    held.ack()
    assert names(claims.folder) == names(box.inbox) == []
    assert names(acked_folder(box)) == [held.name]
    assert [e.id for e in two.events()] == ["a"]
    two.ack("a")
    assert names(acked_folder(box)) == []


def test_with_cursors_alone_the_file_goes_when_the_last_has_acknowledged_it(box: Home) -> None:
    drop(box, event("a"))
    one, two = Cursor(box, "one"), Cursor(box, "two")
    one.ack("a")
    assert len(names(box.inbox)) == 1
    two.ack("a")
    assert names(box.inbox) == []


def test_while_workers_read_here_a_cursor_deletes_nothing_they_have_not_had(box: Home, clock: Clock) -> None:
    drop(box, event("a"))
    claims = Claims(box, "worker", clock=clock)
    claims.close()
    reader = Cursor(box, "log", clock=clock)
    reader.ack("a")
    assert len(names(box.inbox)) == 1
    clock.ahead_s = 6 * DAY_S
    assert list(reader.events()) == []
    assert len(names(box.inbox)) == 1
    clock.ahead_s = 8 * DAY_S  # nobody has worked here for a week
    assert list(reader.events()) == []
    assert names(box.inbox) == []


def test_a_new_cursor_gets_what_nobody_has_acknowledged(box: Home) -> None:
    drop(box, event("a"), event("b"))
    Cursor(box, "old")
    held = Claims(box, "worker").claim()
    assert held is not None
    held.ack()
    assert [e.id for e in Cursor(box, "new").events()] == ["b"]


def test_an_unused_cursor_expires_after_seven_days_with_a_line_in_the_log(
    box: Home, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    drop(box, event("a"))
    Cursor(box, "gone", clock=clock)
    held = Claims(box, "worker", clock=clock).claim()
    assert held is not None
    held.ack()
    clock.ahead_s = 6.9 * DAY_S
    assert Cursors(box, logger=LOG, clock=clock).expire() == []
    clock.ahead_s = 7.1 * DAY_S
    assert Cursors(box, logger=LOG, clock=clock).expire() == ["gone"]
    assert "'gone' was not used for 7 days" in caplog.text
    assert names(acked_folder(box)) == []


def test_a_cursor_that_is_read_does_not_expire(box: Home, clock: Clock) -> None:
    reader = Cursor(box, "log", clock=clock)
    for day in range(20):
        clock.ahead_s = day * DAY_S
        assert list(reader.events()) == []
    assert Cursors(box, logger=LOG, clock=clock).names() == ["log"]


def test_a_cursor_forgets_files_that_are_gone(box: Home, clock: Clock) -> None:
    (path,) = drop(box, event("a"))
    box.make(box.claimed / "shell")
    reader = Cursor(box, "log", clock=clock)
    reader.ack("a")
    path.unlink()
    cursors = Cursors(box, logger=LOG, clock=clock)
    for minutes in (2, 9):
        clock.ahead_s = minutes * 60.0
        assert list(reader.events()) == []
        assert cursors.acked("log") == {path.name}  # it might be on its way between two folders
    clock.ahead_s = 30 * 60.0
    assert list(reader.events()) == []
    assert cursors.acked("log") == set()


def test_a_reader_that_is_killed_between_reading_and_acknowledging_reads_again(box: Home) -> None:
    drop(box, event("a"))
    source = """
import sys, threading
from connectors import Mailbox
print(next(Mailbox(sys.argv[1]).tail(as_="log")).id)
threading.Event().wait()
"""
    with program(source, box.root) as process:
        assert line_of(process) == "a"
        killed(process)
    assert [e.id for e in Cursor(box, "log").events()] == ["a"]


# ── giving up, and bringing back ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_given_up_lies_in_failed_with_its_reason_and_comes_back_by_replay(box: Home) -> None:
    drop(box, event("a", text="hello"))
    reader, claims = Cursor(box, "log"), Claims(box, "worker")
    held = claims.claim()
    assert held is not None
    path = claims.fail(held, "it always crashes", attempts=5)
    reason = Reason.from_file(path.with_name(path.name + ".reason.json"))
    assert (reason.class_, reason.reason, reason.attempts, reason.id) == ("agent", "it always crashes", 5, "a")
    assert "connectors replay a" in reason.hint
    assert [e.id for e in reader.events()] == ["a"]  # an independent reader still gets it
    back = replay(box, "a")
    assert names(box.failed) == []
    assert back.parent == box.inbox
    again = claims.claim()
    assert again is not None
    assert again.event.text == "hello"


def test_giving_up_twice_after_a_death_in_between_leaves_one_reason(box: Home) -> None:
    drop(box, event("a"))
    claims = Claims(box, "worker")
    held = claims.claim()
    assert held is not None
    box.make(box.failed)
    (box.failed / f"{held.name}.reason.json").write_text("{}")  # what a death after the first step leaves
    path = claims.fail(held, "because")
    assert names(box.failed) == [path.name, f"{path.name}.reason.json"]
    assert Reason.from_file(box.failed / f"{path.name}.reason.json").reason == "because"


def test_replay_finds_acknowledged_events_in_the_folder_and_in_the_store(box: Home) -> None:
    stored = event("s1", text="from the store")
    name = Names("chat", time.time).new("s1")
    store = Store.open(box, "chat")
    store.record_events([EventRow("s1", name, "message", "C1", None, False, time.time(), stored.to_bytes())])
    store.close()
    drop(box, event("k1"))
    Cursor(box, "log")
    claims = Claims(box, "worker")
    assert claimed_ids(claims) == ["k1"]
    assert replay(box, "k1").parent == box.inbox
    assert replay(box, "s1").parent == box.inbox
    assert claimed_ids(claims) == ["k1", "s1"]
    with pytest.raises(NotFound, match="no kept event has the id 'nothing'"):
        replay(box, "nothing")


def test_an_id_that_two_instances_have_is_ambiguous(box: Home) -> None:
    drop(box, event("a"), event("a", instance="other"))
    with pytest.raises(Ambiguous, match="2 instances have an event 'a': chat, other"):
        one_event(box, "a")
    assert one_event(box, "a", "other").instance == "other"


def test_sweep_acknowledges_only_what_no_other_worker_takes(box: Home) -> None:
    drop(box, event("m"), event("d", "C2", kind="delivery"), event("r", kind="reaction"))
    reader = Cursor(box, "log")
    agent, audit = Claims(box, "agent"), Claims(box, "audit")
    assert audit.claim(kinds={"delivery"}, instance="nobody") is None
    held = agent.claim(kinds={"message"})
    assert held is not None
    assert agent.claim(kinds={"message"}) is None
    assert agent.sweep() == 1
    assert [e.id for e in reader.events()] == ["m", "d", "r"]
    found = audit.claim(kinds={"delivery"})
    assert found is not None
    assert found.event.id == "d"


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_no_event_is_left_alone_with_one_warning(box: Home, caplog: pytest.LogCaptureFixture) -> None:
    rubbish = {
        "list.json": b"[]",
        "torn.json": b'{"id": "x", ',
        "deep.json": b"[" * 100_000,
        "bytes.json": b"\xff\xfe\xfa",
        "outgoing.json": b'{"conversation_id": "C1", "text": "wrong folder"}',
    }
    for name, data in rubbish.items():
        (box.inbox / name).write_bytes(data)
    (box.inbox / "folder.json").mkdir()
    (box.inbox / "link.json").symlink_to("/etc/hostname")
    os.mkfifo(box.inbox / "pipe.json")
    for name in names(box.inbox):
        os.utime(box.inbox / name, (0, 0), follow_symlinks=False)
    (box.inbox / ".hidden.json").write_bytes(event("hidden").to_bytes())
    (box.inbox / "temporary.json.tmp").write_bytes(event("tmp").to_bytes())
    drop(box, event("a"))
    before = names(box.inbox)
    claims, reader = Claims(box, "worker"), Cursor(box, "log")
    assert [e.id for e in reader.events()] == ["a"]
    assert list(reader.events()) == []
    assert claimed_ids(claims) == ["a"]
    assert claims.claim() is None
    assert [n for n in before if n not in names(box.inbox)] == [n for n in before if n.startswith("2026")]
    assert caplog.text.count("'link.json' is no event") == 2  # once a reader


def test_events_under_strange_names_are_events(box: Home) -> None:
    strange = [b"new\nline.json", b"\xff\xfe.json", b"-rf *.json", b"x" * 250 + b".json", "é☃.json".encode()]
    for number, name in enumerate(strange):
        with open(os.path.join(os.fsencode(box.inbox), name), "wb") as file:
            file.write(event(f"e{number}", f"C{number}").to_bytes())
    reader, claims = Cursor(box, "log"), Claims(box, "worker")
    ids = {f"e{number}" for number in range(len(strange))}
    assert {e.id for e in reader.events()} == ids
    held = claims.claim()
    assert held is not None
    ids.remove(held.event.id)
    claims.fail(held, "because")
    assert len(names(box.failed)) == 2
    assert set(claimed_ids(claims)) == ids
    for got in list(Cursor(box, "log").events()):
        reader.ack(got)
    assert names(acked_folder(box)) == names(box.inbox) == []


def test_a_file_that_a_careless_program_was_still_writing_is_read_when_it_is_whole(box: Home) -> None:
    data = event("a").to_bytes()
    (box.inbox / "slow.json").write_bytes(data[:20])
    claims, reader = Claims(box, "worker"), Cursor(box, "log")
    assert claims.claim() is None
    assert list(reader.events()) == []
    (box.inbox / "slow.json").write_bytes(data)
    assert [e.id for e in reader.events()] == ["a"]
    assert claimed_ids(claims) == ["a"]


def test_a_torn_record_of_a_consumer_costs_no_event(box: Home) -> None:
    drop(box, event("a"))
    claims = Claims(box, "worker")
    claims.close()
    (private_folder(box) / "claims" / "worker.json").write_text('{"holds": {"x": 3')
    (private_folder(box) / "returns").write_text("")
    assert claimed_ids(Claims(box, "worker")) == ["a"]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "a\n"])
def test_a_reader_with_a_name_that_is_no_folder_name_is_refused(box: Home, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a reader's name"):
        Claims(box, name)
    with pytest.raises(ConfigError, match="cannot be a reader's name"):
        Cursor(box, name)


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_100_000_files_a_claim_and_the_first_line_of_tail_open_a_handful(box: Home) -> None:
    bases = drop(box, *(event(f"base{number}", f"C{number}") for number in range(4)))
    for number in range(100_000):
        # Hard links: as many names, without 400 MB of blocks.
        os.link(bases[number % 4], box.inbox / f"20270101T000000.{number:06d}Z-chat-00000000.json")
    claims, look, reader = Claims(box, "worker"), Look(box), Cursor(box, "log")
    next(look.events())
    next(reader.events())
    assert (look.parsed, reader.parsed) == (1, 1)
    for _ in range(20):
        claimed = claims.claim()
        assert claimed is not None
        claimed.ack()
    assert claims.index.parsed <= 21
    held = [claims.claim() for _ in range(4)]
    assert all(held)
    assert claims.index.parsed <= 30
    assert claims.claim() is None  # every conversation is held: all have to be looked at, once
    parsed = claims.index.parsed
    assert claims.claim() is None
    assert claims.index.parsed == parsed
