"""What a connector says of itself while something is in the way."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.status import StatusFile
from connectors.base.teller import Teller

FULL, REFUSES = "the disk is full: make room", "messages/sent cannot be written: chattr -i messages/sent"


@pytest.fixture
def teller(home: Path) -> Iterator[Teller]:
    made = Teller(logging.getLogger("connector.a"), lambda event, **fields: None)
    made.status = StatusFile(Home(home), "a", min_interval_s=0)
    yield made
    made.status.close()


def shown(teller: Teller) -> tuple[Any, Any]:
    assert teller.status is not None
    found = teller.status.read()
    return found["state"], found["note"]


def test_what_is_paused_is_told_until_each_goes_on(teller: Teller) -> None:
    teller.connected()
    teller.event("pressure", error=FULL, of="receiving")
    teller.event("pressure", error=REFUSES, of="sending")
    assert shown(teller) == ("backpressure", f"receiving paused: {FULL}; sending paused: {REFUSES}")
    teller.event("pressure", error=None, of="sending")
    assert shown(teller) == ("backpressure", f"receiving paused: {FULL}")
    teller.event("pressure", error=None, of="receiving")
    assert shown(teller) == ("connected", None)


def test_one_reason_is_told_once(teller: Teller) -> None:
    teller.event("pressure", error=FULL, of="receiving")
    teller.event("pressure", error=FULL, of="sending")
    assert shown(teller) == ("backpressure", f"receiving, sending paused: {FULL}")


def test_what_the_connector_reports_hides_no_pause_and_is_shown_after_it(teller: Teller) -> None:
    teller.event("pressure", error=REFUSES, of="sending")
    teller.connected()
    teller.state("reconnecting", "the platform is down")
    assert shown(teller) == ("backpressure", f"sending paused: {REFUSES}")
    teller.event("pressure", error=None, of="sending")
    assert shown(teller) == ("reconnecting", "the platform is down")
