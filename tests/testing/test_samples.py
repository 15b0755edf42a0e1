"""The kit's made-up events, source and target: each is what a real one would be."""

import gc
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.mailbox import Mailbox
from connectors.base.message import Message, Reason
from connectors.parts.polling import Event
from connectors.parts.templates import render
from connectors.testing import (
    MockSource,
    MockTarget,
    assert_lifecycle_conformance,
    create_lifecycle_event,
    create_test_context,
    create_test_event,
)


def test_an_event_has_the_defaults_of_the_kit_and_takes_others() -> None:
    event = create_test_event()
    assert (event.connector.instance, event.kind) == ("test-source", "event")
    assert event.event is not None
    assert (event.event.type, event.event.payload) == ("resource.changed", {"test": True})
    assert event.event.provenance == {"platform": "test", "author": "test-author", "author_type": "team_member"}
    other = create_test_event(
        source="my-service", type="message.received", provenance={"platform": "my-service"}, metadata={"a": 1}
    )
    assert (other.connector.instance, other.connector.type, other.kind) == ("my-service", "my-service", "message")
    assert other.metadata == {"a": 1}
    assert other.id != event.id


def test_an_event_is_whole(home: Path) -> None:
    event = create_test_event(text="hello")
    assert Message.from_json(event.to_json()) == event
    assert Message.from_file(event.write_to(home)) == event


def test_a_context_is_what_a_template_sees() -> None:
    context = create_test_context(create_test_event(text="hi", payload={"pr": 7}), prompt="Review it.")
    template = {"text": "{{route.name}}: {{content.text}} {{event.payload.pr}}", "p": "{{prompt}}"}
    assert render(template, context) == {"text": "test-route: hi 7", "p": "Review it."}
    assert create_test_context(kind="edit")["kind"] == "edit"


def test_a_failed_session_has_failed() -> None:
    """Weakness: a made-up failure had the outcome success and the exit status 0."""
    event = create_lifecycle_event("failed").event
    assert event is not None
    assert (event.payload["lifecycle"]["outcome"], event.payload["session"]["exit_status"]) == ("failure", 1)
    killed = create_lifecycle_event(exit_status=137).event
    assert killed is not None
    assert (killed.payload["lifecycle"]["phase"], killed.payload["lifecycle"]["reason"]) == ("stopped", "sigkill")


def test_the_assertion_names_every_field() -> None:
    assert_lifecycle_conformance(create_lifecycle_event())
    with pytest.raises(AssertionError, match=r"lifecycle\.outcome.*\n.*session\.id"):
        assert_lifecycle_conformance(
            create_lifecycle_event(lifecycle_fields={"outcome": "x"}, session_fields={"id": ""})
        )


def test_a_source_brings_what_was_added_once(home: Path) -> None:
    source = MockSource("test-source", home)
    try:
        source.add_events(create_test_event(text="one"), Event("r2", "two", platform_event="note"))
        assert source.sync().counts.new == 2
        assert source.sync().counts.new == 0
        texts = [Message.from_file(path).content.text for path in sorted(Home(home).inbox.glob("*.json"))]
        assert texts == ["one", "two"]
        assert source.total_polls == 2
    finally:
        source.close()


def test_a_target_takes_refuses_or_fails(home: Path) -> None:
    target = MockTarget("test-target", home, {})
    (home / "connectors.yml").write_text('{"connectors": [], "delivery": {"initial_delay_s": 0.01}}')
    try:
        with Mailbox(home) as mailbox:
            for text in ("taken", "refused", "failed"):
                target.set_reject(text == "refused")
                target.set_error(text == "failed")
                mailbox.send("test-target", text, text)
                target.process_outbox()
        assert [msg.text for msg in target.delivered] == ["taken"]
        assert [msg.text for msg in target.received][:3] == ["taken", "refused", "failed"]
        [reason] = [Reason.from_file(path) for path in Home(home).failed.glob("*.reason.json")]
        assert reason.class_ == "rejected"
    finally:
        target.close()


def test_without_a_home_they_have_their_own_and_it_goes_with_them() -> None:
    target: Any = MockTarget()
    folder = target.seed_home
    target.connect()
    target.disconnect()
    assert (target.initialized, target.shutdown_called) == (True, True)
    assert folder.is_dir()
    del target
    gc.collect()
    assert not folder.exists()
