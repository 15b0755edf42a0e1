"""SIGKILL while pages are read, or pushes come: nothing is lost, nothing comes twice."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from connectors.testing.github import Request
from tests.github.live import SECRET, Clock, Place, source
from tests.webhook.live import free_port


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_kill_between_pages_loses_and_doubles_nothing(place: Place, clock: Clock, page: int) -> None:
    for number in range(250):
        place.fake.open(place.repository, f"issue {number}")
        clock.tick(0.3)
    asked, stop = 0, threading.Event()

    def hold(request: Request) -> None:
        nonlocal asked
        asked += request.path.endswith("/issues")
        if request.path.endswith("/issues") and asked == page:
            stop.wait()

    place.fake.before = hold
    killed = place.start(schedule="1h")
    place.wait(lambda: asked == page)
    place.wait(lambda: len(place.events) == 100 * (page - 1) or page > 2)
    killed.kill()
    place.fake.before = lambda _: None
    stop.set()
    before = len(place.fake.journal)
    place.start()
    place.wait(lambda: len({source(m).payload["number"] for m in place.events}) == 250)
    assert max(Counter(m.id for m in place.events).values()) == 1
    assert len(place.events) == 250
    lists = [request for request in place.fake.journal[before:] if request.path.endswith("/issues")]
    assert (lists[0].query["since"] > "2027-01-15T07:58") is (page > 1), "it goes on where the last page was"


@pytest.mark.parametrize("step", ["intake.staged", "intake.recorded", "intake.published", "intake.synced"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_kill_in_the_middle_of_a_page_loses_and_doubles_nothing(place: Place, step: str, nth: int) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    for number in range(4):
        place.fake.comment(issue, f"comment {number}")
    assert place.process(kill_at=(step, nth)).wait() == -9
    place.start()
    place.wait(lambda: len(place.events) >= 5)
    place.wait(lambda: place.status.get("source", {}).get("feeds", {}).get("acme.app", {}).get("last_success"))
    assert sorted(place.texts) == sorted(["#1 It crashes", *(f"comment {number}" for number in range(4))])


def test_kills_while_pushes_come_lose_and_double_nothing(place: Place) -> None:
    port = free_port()
    options = {"listen": True, "port": port, "secret": SECRET, "schedule": "1h"}
    hook = place.fake.hook(f"http://127.0.0.1:{port}/webhook/gh", SECRET)
    place.start(**options)
    issue = place.fake.open(place.repository, "It crashes")
    for round_ in range(3):
        for number in range(20):
            place.fake.comment(issue, f"comment {round_}-{number}")
        place.wait(lambda: sum(d.status == 200 for d in place.fake.deliveries) > round_ * 15 + 5)  # noqa: B023
        place._running[-1].kill()
        place.start(**options)
    place.wait(lambda: all(delivery.statuses for delivery in place.fake.deliveries))
    taken = {d.payload["comment"]["body"] for d in place.fake.deliveries if d.status == 200 and "comment" in d.payload}
    assert hook.url
    assert taken <= set(place.texts), "a delivery that was acknowledged is there"
    place.drop({"action": "sync"})
    place.wait(lambda: place.receipts)
    assert sorted(place.texts[1:]) == sorted(f"comment {r}-{n}" for r in range(3) for n in range(20))
