"""`connectors fetch`: the files that an event lacks, asked for again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.testing.platform import FakePlatform
from connectors.testing.process import RunningConnector
from tests.commands.program import answer, connectors, done
from tests.helpers import wait_for
from tests.parts.filing import FileServer, FilingConnector, event


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        yield made


def put(home: Path, number: str, files: list[str], instance: str = "files") -> str:
    """An event whose files were not fetched, as a connector left it in the inbox."""
    message = event(number, files, error="not fetched: the connector was stopped")
    message = message.model_copy(update={"connector": message.connector.model_copy(update={"instance": instance})})
    message.write_to(home / "messages/inbox")
    return message.id


def outbox(home: Path, instance: str = "files") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (home / f"messages/outbox/{instance}").glob("*.json")]


def test_it_asks_the_events_own_instance_and_says_what_comes_next(home: Path) -> None:
    event_id = put(home, "1", ["a.png", "b.pdf"])

    text = done("fetch", event_id, home=home)

    (asked,) = outbox(home)
    assert (asked["action"], asked["target_id"]) == ("fetch", event_id)
    assert "files is asked for a.png, b.pdf" in text
    assert f"connectors explain {asked['id']}" in text
    assert answer("fetch", event_id, home=home)["instance"] == "files"


def test_an_event_that_lacks_nothing_or_is_not_known_is_not_asked_for(home: Path) -> None:
    nothing = connectors("fetch", put(home, "1", []), home=home)
    unknown = connectors("fetch", "no-such-event", home=home)

    assert nothing.returncode == unknown.returncode == 1
    assert "has no file that is missing and can be fetched" in nothing.stderr
    assert "no kept event" in unknown.stderr
    assert not outbox(home)


def test_an_event_that_two_instances_have_needs_the_instances_name(home: Path) -> None:
    for instance in ("files", "other"):
        event_id = put(home, "1", ["a"], instance)

    assert "name the instance" in connectors("fetch", event_id, home=home).stderr
    done("fetch", event_id, "--instance", "other", home=home)
    assert outbox(home, "other")
    assert not outbox(home)


def test_with_wait_it_says_how_it_went(home: Path, server: FileServer) -> None:
    with FakePlatform() as platform:
        config = {"url": platform.url, "files": server.url, "limit_s": 0.3}
        with RunningConnector(FilingConnector, home, "files", config) as running:
            running.connected()
            platform.post("later-a gone-b", id="1")
            wait_for(lambda: list((home / "messages/inbox").glob("*.json")))
            server.busy = False

            text = done("fetch", "filing:1", "--wait", 30, home=home)
            assert "1 fetched; the event is in the inbox again" in text
            assert "not fetched: gone-b: 404 from http://127.0.0.1" in text

            again = connectors("fetch", "filing:1", "--wait", 30, home=home)
            assert again.returncode == 1
            assert "nothing of filing:1 can be fetched" in again.stdout
            record = answer("fetch", "filing:1", "--wait", 30, home=home)
            assert (record["state"], record["record"]["class"]) == ("dead", "rejected")


def test_without_a_connector_the_wait_ends_and_the_outgoing_stays(home: Path) -> None:
    result = connectors("fetch", put(home, "1", ["a"]), "--wait", 0, home=home)

    assert result.returncode == 1
    assert "is asked for a" in result.stdout
    assert outbox(home)
