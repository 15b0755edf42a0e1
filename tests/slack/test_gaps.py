"""What was said while the connector was away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from connectors.base import dropped
from connectors.base.home import Home
from connectors.slack.bookmarks import Bookmarks
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.slack.live import NAME, Live


def test_the_first_start_ever_reads_no_history(fake: FakeSlack, home: Path) -> None:
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "long ago")
    wait_for(lambda: fake.lost)
    with Live(fake, home) as live:
        fake.post("C1", "U1", "now")
        live.event()
        live.settled()
        assert live.texts() == ["now"]
    with Live(fake, home) as live:
        wait_for(lambda: fake.calls("conversations.history"))
        fake.post("C1", "U1", "again")
        live.event(lambda event: event.content.text == "again")
        assert "long ago" not in live.texts()


def test_what_was_said_during_an_absence_comes_late_and_once(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home) as live:
        fake.post("C1", "U1", "before")
        fake.post("D1", "U1", "before, directly")
        root = fake.post("C1", "U1", "a thread")
        fake.post("C1", "U1", "its first reply", thread_ts=root)
        live.settled()
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "missed in the channel")
    fake.post("C1", "U1", "missed in the thread", thread_ts=root)
    fake.post("D1", "U1", "missed directly")
    fake.post("C1", "U1", "set the topic", subtype="channel_topic")
    wait_for(lambda: len(fake.lost) >= 3)
    with Live(fake, home) as live:
        missed = {"missed in the channel", "missed in the thread", "missed directly"}
        wait_for(lambda: missed <= set(live.texts()))
        fake.post("C1", "U1", "after")
        live.event(lambda event: event.content.text == "after")
        assert sorted(live.texts()) == sorted(
            ["before", "before, directly", "a thread", "its first reply", "after", *missed]
        )
        reply = live.event(lambda event: event.content.text == "missed in the thread")
        assert reply.conversation.thread_id == root
        assert reply.conversation.name == "general"
    with Live(fake, home) as live:
        fake.post("C1", "U1", "the end")
        live.event(lambda event: event.content.text == "the end")
        assert len(live.texts()) == 9


def test_what_is_not_let_in_is_counted_once_though_gap_fill_and_delivery_both_bring_it(
    fake: FakeSlack, home: Path
) -> None:
    with Live(fake, home, groups="mention") as live:
        fake.post("C1", "U1", "to somebody else")
        live.settled()
    fake.post("C1", "U1", "to nobody")  # is delivered again and again until it is acknowledged
    with Live(fake, home, groups="mention") as live:
        live.settled()
        wait_for(lambda: fake.calls("conversations.history"))
        fake.post("C1", "U1", f"{fake.mention} the end")
        live.event()
        wait_for(lambda: live.connector.checkpoint("slack:C1")["gap"] is None)

    (drop,) = dropped.read(Home(home), NAME)
    assert (drop.reason, drop.count) == ("not addressed to this account", 2)


def test_it_is_marked_late(fake: FakeSlack, home: Path) -> None:
    everywhere = {"conversations": ["*"], "users": ["U1"]}
    with Live(fake, home, allow=everywhere) as live:
        fake.post("C1", "U1", "before", at=time.time() - 100)
        live.settled()
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "missed", at=time.time() - 60)
    wait_for(lambda: fake.lost)
    with Live(fake, home, allow=everywhere) as live:
        event = live.event(lambda event: event.content.text == "missed")
        assert event.late is True
        assert event.late_by_s is not None
        assert 50 < event.late_by_s < 100


def test_it_has_a_bound_by_age_and_can_be_off(fake: FakeSlack, home: Path) -> None:
    everywhere = {"conversations": ["*"], "users": ["U1"]}
    with Live(fake, home, allow=everywhere) as live:
        fake.post("C1", "U1", "before", at=time.time() - 10_000)
        live.settled()
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "too old", at=time.time() - 5_000)
    fake.post("C1", "U1", "recent", at=time.time() - 50)
    wait_for(lambda: len(fake.lost) == 2)
    with Live(fake, home, allow=everywhere, gap_fill_max_age_s=0) as live:
        fake.post("D1", "U1", "hello")
        live.event(lambda event: event.content.text == "hello")
        assert fake.calls("conversations.history") == []
    with Live(fake, home, allow=everywhere, gap_fill_max_age_s=1000) as live:
        live.event(lambda event: event.content.text == "recent")
        assert "too old" not in live.texts()


def test_a_disconnection_is_an_absence_too(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, gap_fill_after_s=0) as live:
        fake.post("C1", "U1", "before")
        live.settled()
        fake.fail_next("unavailable", "apps.connections.open")
        fake.timing.retry_waits_s = ()
        fake.abort()
        fake.post("C1", "U1", "missed")
        event = live.event(lambda event: event.content.text == "missed")
        assert event.id.startswith("slack:T1:C1:")


def test_many_pages_and_a_rate_limit(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home) as live:
        fake.post("C1", "U1", "before")
        live.settled()
    fake.timing.retry_waits_s = ()
    for n in range(250):
        fake.post("C1", "U1", str(n))
    wait_for(lambda: len(fake.lost) == 250)
    fake.fail_next("rate_limit", "conversations.history")
    with Live(fake, home) as live:
        wait_for(lambda: len(live.texts()) == 251, deadline_s=20)
        assert live.texts() == ["before", *map(str, range(250))]


def test_what_cannot_be_read_is_said_and_nothing_else_suffers(fake: FakeSlack, home: Path, caplog) -> None:  # type: ignore[no-untyped-def]
    with Live(fake, home) as live:
        fake.post("C1", "U1", "before")
        live.settled()
    fake.scopes.discard("channels:history")
    with Live(fake, home) as live:
        wait_for(lambda: "channels:history" in caplog.text)
        fake.post("D1", "U1", "hello")
        live.event(lambda event: event.content.text == "hello")


def test_policy_and_own_posts_apply_to_what_is_fetched(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, groups="mention") as live:
        fake.post("C1", "U1", f"{fake.mention} before")
        live.settled()
        live.sent(conversation_id="C1", text="my own")
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "among ourselves")
    fake.post("C1", "U1", f"{fake.mention} missed")
    wait_for(lambda: len(fake.lost) >= 2)
    with Live(fake, home, groups="mention") as live:
        live.event(lambda event: event.content.text == "@fakebot missed")
        live.settled()
        assert live.texts() == ["@fakebot before", "@fakebot missed"]


def test_what_the_bot_posts_while_it_hears_nothing_hides_nothing(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, gap_fill_after_s=0) as live:
        root = fake.post("C1", "U1", "before")
        live.settled()
        fake.fail_next("unavailable", "apps.connections.open")
        fake.timing.retry_waits_s = ()
        fake.abort()
        fake.post("C1", "U1", "missed")
        wait_for(lambda: fake.lost)
        live.sent(conversation_id="C1", thread_id=root, text="posted without a socket")
        live.event(lambda event: event.content.text == "missed")


def test_what_is_older_than_the_newest_and_was_lost_is_found(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow={"conversations": ["*"]}) as live:
        fake.post("C1", "U1", "first", at=time.time() - 60)
        live.settled()
        fake.freeze()
        fake.timing.retry_waits_s = ()
        fake.post("C1", "U1", "given up", at=time.time() - 40)
        wait_for(lambda: fake.lost)
        fake.thaw()
        fake.timing.retry_waits_s = (0.0, 0.1)
        fake.post("C1", "U1", "newer")
        live.event(lambda event: event.content.text == "newer")
    with Live(fake, home, allow={"conversations": ["*"]}) as live:
        live.event(lambda event: event.content.text == "given up")
        assert sorted(live.texts()) == ["first", "given up", "newer"]


def test_replies_in_a_thread_that_began_long_ago_are_found(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow={"conversations": ["*"]}) as live:
        root = fake.post("C1", "U1", "root", at=time.time() - 5000)
        fake.post("C1", "U1", "reply", thread_ts=root)
        live.settled()
    fake.timing.retry_waits_s = ()
    fake.post("C1", "U1", "missed reply", thread_ts=root)
    wait_for(lambda: fake.lost)
    with Live(fake, home, allow={"conversations": ["*"]}) as live:
        assert live.event(lambda event: event.content.text == "missed reply").conversation.thread_id == root


def test_a_bookmark_is_never_ahead_of_what_was_received() -> None:
    kept: dict[str, Any] = {}
    marks = Bookmarks(kept.get, kept.__setitem__)
    marks.see("C1", "100.0", None, begin=True)
    marks.wrote("C1", "100.0", "300.0")
    marks.see("C1", "90.0", None, begin=True)
    marks.see("C9", "500.0", None, begin=False)
    marks.away()
    marks.see("C1", "400.0", None, begin=True)
    marks.away()
    marks.flush()
    for again in (marks, Bookmarks(kept.get, kept.__setitem__)):
        [(channel, mark)] = again.gaps()
        assert (channel, mark.gap, mark.ts, mark.threads) == ("C1", "100.0", "400.0", ["100.0"])
    marks.filled("C1")
    assert [mark.gap for _, mark in marks.gaps()] == ["400.0"], "the second absence is still to be looked after"
    marks.filled("C1")
    assert marks.gaps() == []
