"""Sources: runs one at a time, with an end that somebody hears of, and a checkpoint that is never ahead of its events.

Each weakness of other connector systems that is beaten here is named in the test that does it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.base import steps
from connectors.base.errors import AuthError, InstanceLocked, RetryLater
from connectors.base.home import Home
from connectors.base.runtime import Settings
from connectors.base.settings import Limits
from connectors.base.store import Store
from connectors.parts.emitting import CHUNK_EVENTS
from connectors.parts.once import MAIN
from connectors.parts.polling import BadBatch, Event, PollResult, SourceConnector
from connectors.parts.runs import NOTE, Note
from connectors.testing.process import RunningConnector
from tests.helpers import wait_for
from tests.parts.sources import ListSource, Place, TwoWays, VersionTwo, many, note, wait_for_file

AB = (("a", "1"), ("b", "2"))


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


def once(place: Place, cls: type[SourceConnector] = ListSource, **config: Any) -> dict[str, Any]:
    """One run in this process, and what it reports."""
    connector = place.here(cls, **config)
    try:
        return connector.sync().to_dict()
    finally:
        connector.close()


def kept(place: Place, name: str = MAIN) -> Any:
    """A checkpoint, as the store has it."""
    connector = place.here()
    try:
        return connector.checkpoint(name)
    finally:
        connector.close()


def polled(running: RunningConnector, place: Place, count: int) -> None:
    """Wait until so many polls began."""
    wait_for(lambda: len(place.polls) >= count or running.process.poll() is not None, what=f"{count} polls")
    assert len(place.polls) >= count, running.output


def state(place: Place, wanted: str) -> dict[str, Any]:
    """The status, once its state is this."""
    wait_for(lambda: place.status.get("state") == wanted, what=f"the state is {wanted}")
    return place.status


def synced(place: Place, file: str) -> dict[str, Any]:
    """The receipt or the reason of an outbox file {"action": "sync"}."""
    place.ask(file)
    found = wait_for(
        lambda: [record for record in (*place.receipts(), *place.reasons()) if record["file"] == file],
        what=f"{file} is answered",
    )
    record: dict[str, Any] = found[0]
    return record


# ── when it runs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_runs_at_once_the_first_time_and_its_events_are_in_the_inbox(place: Place) -> None:
    place.has(*AB)
    with place.run() as running:
        wait_for(lambda: place.texts == ["1", "2"], what="both events")
        wait_for(lambda: place.status.get("source"), what="the status says when")
        source = place.status["source"]
        assert (source["schedule"], source["failures"]) == ("1h", 0)
        assert running.connected().status["state"] == "connected"
    assert [entry["checkpoint"] for entry in place.polls] == [None]


def test_after_a_restart_it_is_due_when_it_would_have_been(place: Place) -> None:
    """Weakness: a source polled at every start, or a whole interval after it."""
    place.has(*AB)
    once(place)
    before = Note.read(kept(place, NOTE)).succeeded_at
    with place.run(TwoWays) as running:
        running.connected()
        (place.home / "messages/outbox/list-main/m.json").write_text('{"conversation_id": "c", "text": "hi"}')
        wait_for((place.folder / "sent.jsonl").exists)
        wait_for(lambda: place.status.get("source"))
        assert len(place.polls) == 1
    assert Note.read(kept(place, NOTE)).succeeded_at == before


def test_it_runs_again_when_the_interval_is_over(place: Place) -> None:
    with place.run(config={"schedule": "1s", "jitter": "0s"}) as running:
        polled(running, place, 3)
    assert [entry["checkpoint"] for entry in place.polls[:3]] == [None, 1, 2]


def test_a_clock_that_was_wrong_does_not_stop_a_source(place: Place) -> None:
    once(place)
    connector = place.here()
    connector.write_all_to_inbox([], (NOTE, {**connector.checkpoint(NOTE), "succeeded_at": 4e9}))
    connector.close()
    with place.run(config={"schedule": "1s", "jitter": "0s"}) as running:
        polled(running, place, 3)
        assert "the clock was set back" in running.output


def test_all_polls_are_in_one_thread_that_is_not_the_mains(place: Place) -> None:
    with place.run(config={"schedule": "1s", "jitter": "0s"}) as running:
        polled(running, place, 2)
    assert len({entry["thread"] for entry in place.polls}) == 1


def test_a_run_that_takes_longer_than_the_interval_is_never_joined_by_another(place: Place) -> None:
    """Weakness: a slow poll on a short interval had ten in flight at once, all from one checkpoint."""
    place.has(*AB, do="wait:go")
    with place.run(config={"schedule": "1s", "jitter": "0s"}) as running:
        polled(running, place, 1)
        place.ask("a.json")
        place.ask("b.json")
        wait_for(lambda: not list((place.home / "messages/outbox/list-main").glob("*.json")), what="both are claimed")
        assert len(place.polls) == 1
        (place.folder / "go").touch()
        wait_for(lambda: len(place.receipts()) == 2)
        assert len(place.polls) >= 2  # who asked while a run was in flight gets one that began after that


def test_who_asks_while_a_run_is_in_flight_gets_one_that_began_later(place: Place) -> None:
    place.has(*AB, do="wait:go")
    with place.run() as running:
        polled(running, place, 1)
        place.ask()
        wait_for(lambda: list((place.home / "messages/.sending/list-main").glob("*.json")), what="it is claimed")
        place.has(*AB, ("c", "3"))
        (place.folder / "go").touch()
        (receipt,) = wait_for(place.receipts)
        assert receipt["metadata"]["new"] == 1
    assert len(place.polls) == 2


def test_two_processes_never_run_one_instance_at_once(place: Place) -> None:
    """Weakness: the server, the command line and cron synced side by side, and lost rows."""
    place.has(do="wait:go")
    with place.run() as running:
        polled(running, place, 1)
        other = place.here()
        other._settings = Settings(lock_wait_s=0.0)
        with pytest.raises(InstanceLocked, match="instance list-main is in use"):
            other.sync()
    assert len(place.polls) == 1


def test_more_runs_again_at_once_as_long_as_the_checkpoint_moves(place: Place) -> None:
    with place.run(Paging) as running:
        wait_for(lambda: len(place.polls) == 4, what="the last page")
        wait_for(lambda: (place.status.get("source") or {}).get("last_run"))
        assert running.process.poll() is None
    assert [entry["checkpoint"] for entry in place.polls] == [None, 1, 2, 3]


class Paging(ListSource):
    """Says that there is more, also where there is none."""

    def poll(self, checkpoint: Any) -> PollResult:
        super().poll(checkpoint)
        return PollResult([], min((checkpoint or 0) + 1, 3), more=True)


def test_the_platform_may_say_when_it_wants_to_be_asked_again(place: Place) -> None:
    once(place, Patient, schedule="1s")
    found = Note.read(kept(place, NOTE))
    assert found.next_s == 3600


class Patient(ListSource):
    """As GitHub's X-Poll-Interval."""

    def poll(self, checkpoint: Any) -> PollResult:
        return PollResult([], 1, next_s=3600)


# ── asked for ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outbox_file_runs_it_now_and_its_receipt_counts(place: Place) -> None:
    """Weakness: a second write of a run overwrote the count of the first."""
    place.has(*AB)
    with place.run() as running:
        wait_for(lambda: len(place.events) == 2)
        place.has(("a", "1"), ("b", "changed"), ("c", "3"))
        receipt = synced(place, "now.json")
        assert receipt["action"] == "sync"
        counts = {name: receipt["metadata"][name] for name in ("new", "revised", "unchanged")}
        assert counts == {"new": 1, "revised": 1, "unchanged": 1}
        assert running.status["state"] == "connected"


def test_a_sync_that_waits_for_a_long_run_keeps_no_other_outgoing_waiting(place: Place) -> None:
    place.has(do="wait:go")
    with place.run(TwoWays) as running:
        polled(running, place, 1)
        place.ask()
        (place.home / "messages/outbox/list-main/m.json").write_text('{"conversation_id": "c", "text": "hi"}')
        wait_for((place.folder / "sent.jsonl").exists, what="the message is sent")
        assert not [record for record in place.receipts() if record.get("action") == "sync"]


def test_a_sync_that_fails_says_why_and_is_not_tried_again_behind_ones_back(place: Place) -> None:
    place.has(*AB, do="raise")
    with place.run() as running:
        state(place, "failing")
        reason = synced(place, "now.json")
        assert reason["class"] == "rejected"
        assert "the platform is down" in reason["reason"]
        assert running.process.poll() is None


def test_a_sync_is_answered_also_when_the_run_ends_the_process(place: Place) -> None:
    place.has(*AB)
    with place.run() as running:
        wait_for(lambda: len(place.events) == 2)
        place.has(do="auth")
        place.ask()
        assert running.wait() == 77
    (reason,) = place.reasons()
    assert "the token was refused" in reason["reason"]


def test_a_sync_does_not_go_round_the_platforms_own_wait(place: Place) -> None:
    place.has(do="limit:600")
    with place.run() as running:
        status = state(place, "limited")
        assert "rate limit" in status["note"]
        reason = synced(place, "now.json")
        assert "the platform may be asked again in" in reason["reason"]
        assert len(place.polls) == 1
        assert running.process.poll() is None


def test_a_source_that_does_not_send_says_so(place: Place) -> None:
    with place.run() as running:
        running.connected()
        (place.home / "messages/outbox/list-main/m.json").write_text('{"conversation_id": "c", "text": "hi"}')
        (reason,) = wait_for(place.reasons, what="the dead letter")
        assert "sends nothing" in reason["reason"]


def test_a_sync_killed_before_its_receipt_is_done_again_after_the_restart(place: Place) -> None:
    place.has(*AB)
    once(place)
    place.ask()
    with place.run(kill_at=("outbox.sent", 1)) as running:
        assert running.wait() == -signal.SIGKILL
    with place.run(config={}) as running:
        (receipt,) = wait_for(place.receipts)
        assert receipt["metadata"]["unchanged"] == 2
        assert "ambiguous" not in receipt
    assert len(place.events) == 2


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [0, "", [], {"since": "x", "ids": [1, 2]}, False, 1.5])
def test_a_checkpoint_is_any_json_also_what_is_false(place: Place, value: Any) -> None:
    """Weakness: a checkpoint that counted as false was not stored."""
    place.has(*AB, checkpoint=value)
    once(place)
    once(place)
    assert place.polls[1]["checkpoint"] == value


def test_none_is_a_fresh_start(place: Place) -> None:
    """Weakness: in place of a returned null the old checkpoint stayed."""
    once(place)
    place.has(checkpoint=None)
    once(place)
    once(place)
    assert [entry["checkpoint"] for entry in place.polls] == [None, 1, None]


def test_a_checkpoint_that_would_come_back_as_something_else_is_refused_before_anything_is_written(
    place: Place,
) -> None:
    """Weakness: the rows were written first, and then the state could not be saved, or came back as something else."""
    for value in ({1: "a"}, (1, 2), float("nan"), {"at": object()}):
        Fixed.value = value
        with pytest.raises(BadBatch, match="checkpoint"):
            once(place, Fixed)
    assert place.events == []
    assert kept(place) is None


class Fixed(ListSource):
    """A checkpoint of the test's."""

    value: Any = None

    def poll(self, checkpoint: Any) -> PollResult:
        place_of_events = super().poll(checkpoint)
        return PollResult(place_of_events.events, type(self).value)


@pytest.mark.parametrize("killed_at", [*steps.INTAKE, *steps.SOURCE])
def test_no_event_is_lost_or_doubled_wherever_a_run_is_killed(place: Place, killed_at: str) -> None:
    """Weakness: the checkpoint was stored before the events were delivered, and a crash lost them."""
    place.has(*AB)
    with place.run(kill_at=(killed_at, 1)) as running:
        assert running.wait() == -signal.SIGKILL
        place.has(*AB, ("c", "3"))
    assert once(place)["new"] + len({event.id for event in place.events}) >= 3
    assert sorted(place.texts) == ["1", "2", "3"]
    assert kept(place) == len(place.polls) - (killed_at in ("intake.staged", "source.polled"))


@pytest.mark.parametrize("killed_at", [*steps.INTAKE, *steps.SOURCE])
def test_revisions_are_remembered_with_their_events_wherever_a_run_is_killed(place: Place, killed_at: str) -> None:
    place.has(*AB)
    once(place)
    place.has(("a", "changed"), ("b", "2"))
    place.ask()
    with place.run(kill_at=(killed_at, 1)) as running:
        assert running.wait() == -signal.SIGKILL
    place.has(("a", "changed again"), ("b", "2"))
    once(place)
    texts, ids = place.texts, [event.id for event in place.events]
    assert [text for text in texts if text != "2"] in (["1", "changed again"], ["1", "changed", "changed again"])
    assert len(set(ids)) == len(ids)
    newest = place.events[-1]
    assert newest.event is not None
    assert newest.event.supersedes == ids[-2 if texts[-2] != "2" else 0]
    assert once(place)["unchanged"] == 2


def test_a_long_run_says_how_far_it_is_and_a_crash_loses_nothing_of_it(place: Place) -> None:
    """Weakness: progress was saved ahead of events that still waited in a buffer."""
    place.has(*AB, ("c", "3"), do="pages")
    with place.run(kill_at=("intake.recorded", 2)) as running:
        assert running.wait() == -signal.SIGKILL
    connector = place.here()
    assert connector.checkpoint() == 2
    connector.close()
    assert place.texts == ["1", "2"]


def test_pages_of_a_run_that_fails_stay_and_their_checkpoint_too(place: Place) -> None:
    """Weakness: a sync that wrote and then threw wrote the same again in the next one."""
    place.has(*AB, do="pages")
    with pytest.raises(ConnectionError):
        once(place)
    assert (place.texts, kept(place)) == (["1", "2"], 2)
    place.has(*AB)
    assert once(place)["unchanged"] == 2


def test_a_webhook_and_a_poll_that_tell_of_one_change_at_once_make_one_event(place: Place) -> None:
    connector = place.here()
    together = threading.Barrier(2)

    def tell(text: str) -> None:
        together.wait()
        for number in range(50):
            connector.emit([note(f"n{number}", text), note("same", "same")])

    threads = [threading.Thread(target=tell, args=(text,)) for text in ("pushed", "polled")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connector.close()
    assert place.texts.count("same") == 1
    assert sorted(place.texts) == sorted(["same", *["polled"] * 50, *["pushed"] * 50])
    assert len({event.id for event in place.events}) == 101


def test_a_checkpoint_moves_in_a_poll_only(place: Place) -> None:
    connector = place.here()
    with pytest.raises(ValueError, match="in a poll only"):
        connector.emit([], checkpoint=5)
    connector.close()


def test_another_version_starts_afresh_once_and_what_it_knows_does_not_come_again(place: Place) -> None:
    """Weakness: the documented reset by a raised version happened nowhere."""
    place.has(*AB)
    once(place)
    once(place)
    with place.run(VersionTwo) as running:
        polled(running, place, 3)  # at once, though the schedule says in an hour
        wait_for(lambda: Note.read(reading(place)).version == "2")
        synced(place, "now.json")
    assert [entry["checkpoint"] for entry in place.polls] == [None, 1, None, 1]
    assert place.texts == ["1", "2"]


def reading(place: Place) -> Any:
    """The note, while the source runs."""
    store = Store.open_readonly(Home(place.home), place.name)
    assert store is not None
    try:
        return store.checkpoint(NOTE)
    finally:
        store.close()


def test_a_run_of_the_old_version_cannot_write_its_checkpoint_back(place: Place) -> None:
    """Weakness: a run in flight wrote the old cursor after the reset."""
    once(place)
    place.has(do="wait:go")
    place.ask()
    with place.run() as old:
        polled(old, place, 2)
        new = place.here(VersionTwo)
        new._settings = Settings(lock_wait_s=0.0)
        with pytest.raises(InstanceLocked):
            new.sync()
        old.kill()
    (place.folder / "go").touch()
    once(place, VersionTwo)
    assert [entry["checkpoint"] for entry in place.polls] == [None, 1, None]


def test_a_reset_that_is_killed_halfway_is_done_again(place: Place) -> None:
    once(place)
    with place.run(VersionTwo, kill_at=("source.polled", 1)) as running:
        assert running.wait() == -signal.SIGKILL
    assert once(place, VersionTwo)["new"] == 0
    assert [entry["checkpoint"] for entry in place.polls] == [None, None, None]


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_thousand_events_stream_through_in_chunks(place: Place) -> None:
    connector = place.here(Flood)
    try:
        report = connector.sync()
    finally:
        connector.close()
    assert report.counts.new == 10_000
    # What was read and not yet written: one chunk is being checked, one is next, one is at hand, and no more.
    assert 0 < Flood.most_ahead <= 3 * CHUNK_EVENTS
    assert len(list((place.home / "messages/inbox").glob("*.json"))) == 10_000
    assert kept(place) == 10_000


class Flood(ListSource):
    """10,000 new records, from an iterator; the checkpoint is known when it is read to its end."""

    most_ahead = 0

    def poll(self, checkpoint: Any) -> PollResult:
        self.read = 0
        return PollResult(self.records(), lambda: self.read)

    def records(self) -> Iterator[Event]:
        for event in many(10_000):
            self.read += 1
            if self.read % CHUNK_EVENTS == 0:
                ahead = self.read - len(os.listdir(self.inbox))
                type(self).most_ahead = max(self.most_ahead, ahead)
            yield event


@pytest.mark.parametrize("killed_at", [("intake.recorded", 2), ("intake.published", 1), ("intake.staged", 3)])
def test_a_stream_that_is_killed_between_its_chunks_comes_whole(place: Place, killed_at: tuple[str, int]) -> None:
    place.has(*((f"r{number}", str(number)) for number in range(2 * CHUNK_EVENTS + 1)), do="stream")
    with place.run(kill_at=killed_at) as running:
        assert running.wait() == -signal.SIGKILL
    assert kept(place) is None
    once(place)
    assert sorted(map(int, place.texts)) == list(range(2 * CHUNK_EVENTS + 1))
    assert kept(place) == 1


def test_a_bad_event_at_the_end_of_a_list_keeps_all_of_it_out(place: Place) -> None:
    """Weakness: rejected items were skipped and the checkpoint moved past them: lost without a word."""
    place.has(*((f"r{number}", str(number)) for number in range(3 * CHUNK_EVENTS)), do="bad")
    with pytest.raises(BadBatch) as caught:
        once(place)
    assert len(caught.value.problems) == 4
    assert "Invalid kind 'coment'. Valid kinds: note, comment. Did you mean 'comment'?" in str(caught.value)
    assert "origin_id must be" in str(caught.value)
    assert "text must be a text" in str(caught.value)
    assert (place.events, kept(place)) == ([], None)


def test_a_bad_event_at_the_end_of_a_stream_keeps_its_chunk_out_and_the_checkpoint_where_it_was(place: Place) -> None:
    records = [(f"r{number}", str(number)) for number in range(2 * CHUNK_EVENTS)]
    place.has(*records, do="stream-bad")
    with pytest.raises(BadBatch):
        once(place)
    assert kept(place) is None
    place.has(*records)
    report = once(place)
    assert report["new"] + report["unchanged"] == len(records)
    assert len(place.events) == len(records)


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("do", ["raise", "bug", "nonsense", "generator", "bad", "exit", "stream-bad"])
def test_a_run_that_fails_shows_leaves_the_checkpoint_and_never_ends_the_process(place: Place, do: str) -> None:
    """Weakness: a failing source looked healthy, logged nothing, and was asked on at full rate."""
    place.has(*AB)
    once(place)
    place.has(("a", "changed"), do=do)
    place.ask()
    with place.run(config={"schedule": "1s"}) as running:
        status = state(place, "failing")
        assert "1 in a row; the next run is at" in status["note"]
        assert status["last_error"]["text"]
        assert "Traceback" in running.output or do in ("raise", "bad", "stream-bad")
        place.has(("a", "changed"))
        assert synced(place, "again.json")["metadata"]["revised"] == 1
        state(place, "connected")
        assert running.process.poll() is None
    assert place.polls[1]["checkpoint"] == place.polls[2]["checkpoint"] == 1


def test_a_run_that_failed_comes_again_by_itself(place: Place) -> None:
    place.has(*AB, do="raise")
    with place.run() as running:  # every hour, but after a failure sooner
        state(place, "failing")
        place.has(*AB)
        wait_for(lambda: len(place.events) == 2, deadline_s=30, what="the next run")
        assert running.process.poll() is None


def test_failures_wait_longer_and_longer_also_across_restarts(place: Place) -> None:
    """Weakness: a failing source was overdue at every restart, so a crash loop asked at once each time."""
    place.has(do="raise")
    for _ in range(3):
        with pytest.raises(ConnectionError):
            once(place)
    found = Note.read(kept(place, NOTE))
    assert (found.failures, "the platform is down" in found.error) == (3, True)
    with place.run(TwoWays):
        status = state(place, "failing")
        assert "3 in a row before this start" in status["note"]
        (place.home / "messages/outbox/list-main/m.json").write_text('{"conversation_id": "c", "text": "hi"}')
        wait_for((place.folder / "sent.jsonl").exists)
        assert len(place.polls) == 3


@pytest.mark.parametrize(("do", "code"), [("auth", 77), ("config", 78)])
def test_what_a_person_must_mend_ends_the_process_with_its_code(place: Place, do: str, code: int) -> None:
    place.has(*AB)
    once(place)
    place.has(do=do)
    place.ask()
    with place.run() as running:
        assert running.wait() == code
    place.has(*AB)
    found = Note.read(kept(place, NOTE))
    assert (found.wait_s, kept(place)) == (0.0, 1)  # mended, it runs at once


def test_a_poll_that_hangs_is_an_alert_and_the_process_starts_anew(place: Place) -> None:
    """Weakness: there was no time limit, and a hung poll hung for ever."""
    place.has(*AB, do="deaf")
    with place.run(config={"poll_limit_s": 0.3}) as running:
        running.connected()
        place.ask()
        assert running.wait() == 1
        assert "stalled: poll has brought nothing for 0.3 s" in running.output
    status = place.status
    assert (status["state"], status["last_error"]["class"]) == ("failed", "Hung")
    assert "time limit of its own" in status["last_error"]["hint"]
    assert Note.read(kept(place, NOTE)).failures == 1
    assert kept(place) is None


def test_a_poll_that_brings_something_now_and_then_does_not_hang(place: Place) -> None:
    with place.run(Slow, config={"poll_limit_s": 1.0}) as running:
        wait_for(lambda: len(place.events) == 12, deadline_s=30)
        wait_for(lambda: (place.status.get("source") or {}).get("last_success"))
        assert running.process.poll() is None


class Slow(ListSource):
    """Takes longer than the limit, one event at a time."""

    def poll(self, checkpoint: Any) -> PollResult:
        for number in range(12):
            self.wait(0.15)
            self.emit([note(str(number), "x")])
        return PollResult(checkpoint=1)


@pytest.mark.parametrize("do", ["hang", "cut", "deaf"])
def test_a_stop_is_noticed_at_once_also_in_a_poll_that_hangs(place: Place, do: str) -> None:
    place.has(*AB, do=do)
    with place.run() as running:
        polled(running, place, 1)
        running.terminate()
        assert running.wait(deadline_s=5) == 0  # the guard of the base would need 8 s
    assert Note.read(kept(place, NOTE)).failures == 0
    place.has(*AB)
    once(place)
    assert place.texts == ["1", "2"]


def test_what_is_left_behind_by_a_stop_writes_nothing_more(place: Place) -> None:
    place.has(*AB)
    connector = place.here(Stubborn)
    thread = threading.Thread(target=connector.run, daemon=True)
    thread.start()
    wait_for((place.folder / "polling").exists)
    connector.stop()
    thread.join(10)
    (place.folder / "go").touch()
    assert "stopped" in wait_for(lambda: Stubborn.heard)
    assert place.events == []


class Stubborn(ListSource):
    """Does not look whether it should stop."""

    heard = ""

    def poll(self, checkpoint: Any) -> PollResult:
        (self.folder / "polling").touch()
        while not (self.folder / "go").exists():
            threading.Event().wait(0.01)
        try:
            self.emit(super().poll(checkpoint).events)
        except RetryLater as error:
            type(self).heard = str(error)
            raise
        return PollResult()


def test_a_full_inbox_is_no_poll_that_hangs(place: Place) -> None:
    place.has(*AB, ("c", "3"))
    connector = place.here(poll_limit_s=0.2)
    connector._settings = Settings(limits=Limits(inbox_max_files=1))
    other = place.home / "messages/inbox/other.json"
    other.write_text("{}")
    thread = threading.Thread(target=connector.run, daemon=True)
    thread.start()
    state(place, "backpressure")
    began = time.monotonic()
    wait_for(
        lambda: connector._turns[0].once.progress_at > began + 0.6, what="the wait for room is three times the limit"
    )
    assert thread.is_alive()
    other.unlink()
    wait_for(lambda: len(place.events) == 3)
    connector.stop()
    thread.join(10)


def test_partial_failures_are_shown_and_are_no_failure(place: Place) -> None:
    place.has(*AB, problems=["feed x: 404"])
    with place.run():
        status = state(place, "partial")
        assert status["note"] == "1 could not be read: feed x: 404"
        receipt = synced(place, "now.json")
        assert receipt["metadata"]["problems"] == ["feed x: 404"]
        place.has(*AB)
        synced(place, "again.json")
        state(place, "connected")


@pytest.mark.parametrize(
    "nonsense", [{"next_s": "soon"}, {"next_s": float("nan")}, {"next_s": -1}, {"problems": "one"}]
)
def test_a_result_that_makes_no_sense_writes_nothing_and_poisons_no_later_run(
    place: Place, nonsense: dict[str, Any]
) -> None:
    """Weakness: what a run returned was looked at after its rows were written, and then in every later start."""
    place.has(*AB)
    Odd.fields = nonsense
    with pytest.raises(TypeError, match=next(iter(nonsense))):
        once(place, Odd)
    assert (place.events, kept(place)) == ([], None)
    assert once(place)["new"] == 2


class Odd(ListSource):
    """Says of its result what the test wants."""

    fields: ClassVar[dict[str, Any]] = {}

    def poll(self, checkpoint: Any) -> PollResult:
        found = super().poll(checkpoint)
        return PollResult(found.events, found.checkpoint, **self.fields)


@pytest.mark.parametrize("after_s", ["soon", float("nan"), float("inf"), 10**400])
def test_a_wait_that_is_none_is_a_failure_like_any_other_and_no_wait_without_end(place: Place, after_s: Any) -> None:
    """Weakness: a failing source was asked on at full rate, or by a header of nonsense never again."""
    Limited.after_s = after_s
    with pytest.raises(RetryLater):
        once(place, Limited)
    found = Note.read(kept(place, NOTE))
    assert (found.failures, found.held) == (1, False)
    assert 1 <= found.wait_s <= 900


@pytest.mark.parametrize(("after_s", "wait_s"), [("7", 7), (1e12, 366 * 86_400), (0, 1), (-5, 1)])
def test_a_wait_of_the_platforms_is_a_number_of_seconds_with_a_bound(place: Place, after_s: Any, wait_s: float) -> None:
    Limited.after_s = after_s
    with pytest.raises(RetryLater):
        once(place, Limited)
    found = Note.read(kept(place, NOTE))
    assert (found.failures, found.held, found.wait_s) == (0, True, wait_s)


class Limited(ListSource):
    """Lets itself be asked again after whatever the test says."""

    after_s: Any = None

    def poll(self, checkpoint: Any) -> PollResult:
        raise RetryLater("rate limit", after_s=self.after_s)


def test_five_failures_in_a_row_are_an_alert(place: Place) -> None:
    place.has(do="raise")
    for _ in range(4):
        with pytest.raises(ConnectionError):
            once(place)
    place.home.joinpath("messages/outbox/list-main").mkdir(exist_ok=True)
    place.ask()
    with place.run() as running:
        wait_for(lambda: "5 runs in a row have failed" in running.output)


def test_a_bad_schedule_ends_the_process_and_says_what_is_allowed(place: Place) -> None:
    """Weakness: an invalid schedule was skipped silently, and the source never ran."""
    with place.run(config={"schedule": "every now and then"}) as running:
        assert running.wait() == 78
        assert "write an interval from 1s to 366d" in running.output


def test_the_errors_of_a_run_are_those_of_a_direct_call(place: Place) -> None:
    place.has(do="auth")
    with pytest.raises(AuthError):
        once(place)


def test_waiting_in_a_poll_ends_with_the_stop(place: Place) -> None:
    connector = place.here()
    connector.stop()
    wait_for_file(connector, place.folder / "never")
