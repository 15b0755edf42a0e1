"""Sending while a folder refuses: what cannot be recorded is not sent, and what cannot be buried delays nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import steps
from connectors.base.errors import RetryLater
from connectors.base.message import OutgoingMessage
from connectors.base.settings import DeliveryPolicy
from tests.base.box import Box, event
from tests.folders import refusing


class Death(BaseException):
    """The process ends here."""


def die(message: OutgoingMessage) -> object:
    raise Death


@pytest.fixture(autouse=True)
def no_listener() -> Iterator[None]:
    yield
    steps.listener = None


def out(text: str, conversation: str = "C1", **fields: Any) -> dict[str, Any]:
    return {"conversation_id": conversation, "text": text, **fields}


def paused(box: Box) -> list[tuple[str, bool]]:
    """What was told: of what, and whether something was in its way."""
    told = [(str(fields["of"]), fields["error"] is not None) for what, fields in box.said if what == "pressure"]
    return [one for n, one in enumerate(told) if n == 0 or told[n - 1] != one]


def later(box: Box) -> int:
    box.clocks.tick(2)
    return box.deliver()


@pytest.fixture
def killed_in_send(home: Path) -> Box:
    """One outgoing whose send was cut off."""
    box = Box(home, answer=die, policy=DeliveryPolicy(on_ambiguous="hold"))
    box.drop("m.json", out("hi"))
    with pytest.raises(Death):
        box.deliver()
    box.answer = lambda message: True
    return box


@pytest.mark.parametrize("name", ["sent", "staging", "sending"])
def test_nothing_is_sent_that_could_not_be_recorded(home: Path, name: str) -> None:
    box = Box(home)
    box.drop("m.json", out("hi"))
    folder = getattr(box.home, name)(box.name)
    with refusing(folder):
        assert (box.deliver(), later(box)) == (0, 0)
        box.reopen()
        assert later(box) == 0
        assert box.sent == []
        assert str(folder) in str(box.said[-1][1]["error"])
    assert later(box) == 1
    assert "ambiguous" not in box.receipts()["m.json"]
    of = "claiming" if name == "sending" else "sending"
    assert paused(box) == [(of, True), (of, False)]


@pytest.mark.parametrize("name", ["failed", "inbox"])
def test_a_dead_letter_that_cannot_be_written_waits_and_delays_no_other(home: Path, name: str) -> None:
    box = Box(home)
    for number in range(3):
        box.drop_later(f"bad-{number}.json", [])
        box.drop_later(f"good-{number}.json", out(str(number), f"C{number}"))
    with refusing(getattr(box.home, name)):
        assert box.deliver() == 3
        assert later(box) == 0
        box.reopen()
        box.drop("more.json", out("more"))
        assert later(box) == 1
        assert box.dead() == {}
    later(box)
    assert set(box.dead()) == {f"bad-{number}.json" for number in range(3)}
    assert len(box.events("delivery")) == 3
    assert box.texts() == ["0", "1", "2", "more"]
    assert box.waiting() == []
    assert paused(box)[-1] == ("dead letters", False)


def test_what_waits_to_be_a_dead_letter_keeps_its_place_in_its_conversation(home: Path) -> None:
    box = Box(home, actions=frozenset({"send"}))
    box.drop_later("a.json", out("x", action="dance"))
    box.drop_later("b.json", out("after it"))
    with refusing(box.home.failed):
        assert (box.deliver(), later(box)) == (0, 0)
    assert later(box) == 1
    assert set(box.dead()) == {"a.json"}


def test_what_is_to_be_held_is_never_sent_while_it_waits_for_its_dead_letter(killed_in_send: Box) -> None:
    box = killed_in_send
    with refusing(box.home.failed):
        for _ in range(3):
            box.reopen()
            later(box)
    assert len(box.sent) == 1
    later(box)
    (reason,) = box.dead().values()
    assert (reason["class"], reason["ambiguous"]) == ("ambiguous", True)


def test_a_process_that_dies_before_it_has_held_an_outgoing_leaves_it_to_be_held(home: Path) -> None:
    """The death in the send is counted, the dead letter is not begun: nobody may take it for one that is to be sent."""
    dies = [False]

    def redact(data: Any) -> Any:
        if dies.pop() if dies else False:
            raise Death
        return data

    box = Box(home, answer=die, policy=DeliveryPolicy(on_ambiguous="hold"), redact=redact)
    box.drop("m.json", out("hi"))
    with pytest.raises(Death):
        box.deliver()
    box.answer = lambda message: True
    dies[:] = [True]
    with pytest.raises(Death):
        box.reopen()
    box.reopen()
    later(box)
    assert len(box.sent) == 1
    assert [reason["class"] for reason in box.dead().values()] == ["ambiguous"]


def test_three_deaths_make_a_dead_letter_also_when_that_has_to_wait(home: Path) -> None:
    box = Box(home, answer=die)
    box.drop("m.json", out("hi"))
    for number in range(3):
        with pytest.raises(Death):
            box.deliver()
        if number < 2:
            box.reopen()
    box.answer = lambda message: True
    with refusing(box.home.failed):
        box.reopen()
        later(box)
        box.reopen()
        later(box)
    later(box)
    assert len(box.sent) == 3
    assert [reason["class"] for reason in box.dead().values()] == ["crashed"]


def test_a_start_with_a_claim_that_cannot_be_cleared_away_receives_and_sends_later(home: Path) -> None:
    box = Box(home)
    box.drop("m.json", out("sent"))
    steps.listener = dying_at("outbox.recorded")
    with pytest.raises(Death):
        box.deliver()
    steps.listener = None
    box.drop("n.json", out("waits"))
    with refusing(box.sending_folder):
        box.reopen()
        box.intake.accept([event("e1")])
        assert later(box) == 0
    assert later(box) == 1
    assert box.texts() == ["sent", "waits"]
    assert [one["id"] for one in box.events()] == ["e1"]
    assert box.waiting() == []


def dying_at(name: str) -> Callable[[str], None]:
    def listener(step: str) -> None:
        if step == name:
            raise Death

    return listener


def test_the_end_of_a_pause_is_told_when_the_platform_is_down_then(home: Path) -> None:
    def refuse(message: OutgoingMessage) -> object:
        raise RetryLater("not now")

    box = Box(home, answer=refuse)
    box.drop("m.json", out("hi"))
    with refusing(box.home.sent(box.name)):
        box.deliver()
    later(box)
    assert paused(box) == [("sending", True), ("sending", False)]
    assert len(box.sent) == 1
