"""The kit itself: the contract suite notices faults, and the fake platform fails as it says."""

import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from connectors.base.connector import Connector
from connectors.base.errors import ConfigError, Exit
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage, Reason, Receipt
from connectors.testing import FakeConnector, FakePlatform, RunningConnector, scripted, wait_for
from connectors.testing.run import find_class

ROOT = Path(__file__).parents[2]
FAULTY = "tests/testing/faulty.py"
NOTICED_BY = {
    "TestEager": ["test_the_constructor_makes_the_folders_and_nothing_else"],
    "TestFragile": ["test_disconnect_is_safe_without_connect_and_twice"],
    "TestLoose": ["test_the_declaration_is_readable_and_says_what_everything_is"],
    "TestSdk": ["test_reading_the_declaration_imports_no_sdk"],
    "TestRandomId": ["test_a_redelivery_has_the_same_id_and_gives_no_second_file"],
    "TestHasty": [
        "test_nothing_is_acknowledged_that_is_not_durable",
        "test_an_event_survives_a_death_while_it_is_received[intake.staged]",
    ],
    "TestFaint": ["test_a_platform_that_is_down_at_the_start_is_waited_for"],
    "TestFinished": ["test_a_platform_that_is_down_at_the_start_is_waited_for"],
    "TestDeaf": ["test_a_stop_is_noticed_at_once"],
    "TestSilent": ["test_a_refusal_is_a_dead_letter"],
    "TestImpatient": [
        "test_a_rate_limit_is_waited_out_and_uses_up_no_attempt",
        "test_an_answer_that_was_cut_off_is_ambiguous_or_exactly_once",
    ],
    "TestBoasting": ["test_an_answer_that_was_cut_off_is_ambiguous_or_exactly_once"],
    "TestDirect": ["test_the_same_id_twice_gives_one_file", "test_a_reader_never_sees_half_an_event"],
    "TestRaising": ["test_process_outbox_never_raises"],
    "TestThick": ["test_a_long_text_is_split_once_and_goes_on_at_the_first_part_that_was_not_sent"],
}


def test_the_contract_notices_each_fault() -> None:
    tests = [f"{FAULTY}::{case}::{name}" for case, names in NOTICED_BY.items() for name in names]
    program = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = set(re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE))
    assert failed == set(tests), done.stdout[-3000:]


# ── the fake platform ─────────────────────────────────────────────────────────────────────────────────────────


def send(platform: FakePlatform, text: str, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = json.dumps({"conversation": "C1", "text": text}).encode()
    request = urllib.request.Request(f"{platform.url}/send", body, headers)  # noqa: S310 - on loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - on loopback
        return json.loads(answer.read())["id"]


def updates(platform: FakePlatform, wait_s: float = 0) -> list[str]:
    address = f"{platform.url}/updates?wait_s={wait_s}"
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - on loopback
        return [event["id"] for event in json.loads(answer.read())["events"]]


def test_an_event_comes_again_until_it_is_acknowledged(fake_platform: FakePlatform) -> None:
    first = fake_platform.post("hello")
    assert updates(fake_platform) == updates(fake_platform) == [first]
    assert fake_platform.ack([first]) is True
    assert updates(fake_platform) == []
    fake_platform.redeliver(first)
    assert updates(fake_platform) == [first]
    assert fake_platform.redeliveries[first] == 3


def test_a_lost_acknowledgement_leaves_the_event(fake_platform: FakePlatform) -> None:
    event = fake_platform.post("hello")
    fake_platform.fail_next("lose_ack")
    assert fake_platform.ack([event]) is False
    assert fake_platform.waiting == [event]


def test_a_request_for_events_waits_for_one(fake_platform: FakePlatform) -> None:
    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(updates(fake_platform, 30)))
    thread.start()
    event = fake_platform.post("hello")
    thread.join(10)
    assert found == [[event]]


def test_a_repeated_key_is_shown_once_and_journalled_twice(fake_platform: FakePlatform) -> None:
    assert send(fake_platform, "hi", "k1") == send(fake_platform, "hi", "k1")
    assert send(fake_platform, "hi") != send(fake_platform, "hi")
    assert [entry.outcome for entry in fake_platform.journal] == ["sent", "repeated", "sent", "sent"]
    assert len(fake_platform.sent) == 3


@pytest.mark.parametrize(
    ("kind", "status"), [("reject", 400), ("auth", 401), ("rate_limit", 429), ("unavailable", 503)]
)
def test_a_refused_send_is_not_shown(fake_platform: FakePlatform, kind: Any, status: int) -> None:
    fake_platform.fail_next(kind, 2)
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as caught:
            send(fake_platform, "hi")
        assert caught.value.code == status
        assert (caught.value.headers["Retry-After"] is not None) == (kind == "rate_limit")
        caught.value.close()
    assert fake_platform.sent == []
    assert send(fake_platform, "hi") == "m3"


@pytest.mark.parametrize(("kind", "shown"), [("drop", 0), ("cut", 1)])
def test_a_connection_that_ends_says_nothing_of_what_was_accepted(
    fake_platform: FakePlatform, kind: Any, shown: int
) -> None:
    fake_platform.fail_next(kind)
    with pytest.raises(OSError, match="closed|reset|disconnected"):
        send(fake_platform, "hi")
    assert len(fake_platform.sent) == shown


def test_a_send_that_hangs_is_accepted_and_cut_off_at_the_release(fake_platform: FakePlatform) -> None:
    fake_platform.fail_next("timeout")
    errors: list[BaseException] = []

    def hang() -> None:
        try:
            send(fake_platform, "hi")
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    wait_for(lambda: fake_platform.hanging == 1)
    assert len(fake_platform.sent) == 1
    fake_platform.release()
    thread.join(10)
    assert len(errors) == 1


def test_a_stopped_platform_refuses_and_comes_back_at_the_same_place() -> None:
    platform = FakePlatform(token="right").start()
    url = platform.url
    platform.post("hello")
    platform.stop()
    platform.stop()
    with pytest.raises(OSError, match="refused"):
        updates(platform)
    with platform:
        assert platform.url == url
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            updates(platform)
        caught.value.close()


def test_a_failure_that_nobody_knows_is_an_error(fake_platform: FakePlatform) -> None:
    with pytest.raises(ValueError, match="explode"):
        fake_platform.fail_next("explode")  # type: ignore[arg-type]


# ── running and scripting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_connector_whose_platform_is_away_reconnects(home: Path, fake_platform: FakePlatform) -> None:
    with RunningConnector(FakeConnector, home, "f", {"url": fake_platform.url}) as running:
        running.connected()
        fake_platform.stop()
        (Home(home).outbox("f") / "a.json").write_text('{"conversation_id": "C1", "text": "later"}')
        wait_for(lambda: "not reachable" in running.output)
        fake_platform.start()
        fake_platform.post("back again")
        wait_for(lambda: list(Home(home).inbox.glob("*.json")))
        wait_for(lambda: fake_platform.sent)
        running.terminate()
        assert running.wait() == Exit.OK


def test_a_wrong_token_ends_the_process(home: Path) -> None:
    with FakePlatform(token="right") as platform:
        config = {"url": platform.url, "token": "wrong-one"}
        with RunningConnector(FakeConnector, home, "f", config) as running:
            assert running.wait() == Exit.AUTH
            assert "wrong-one" not in running.output


def test_the_parts_of_a_long_text_have_keys_of_their_own(home: Path, fake_platform: FakePlatform) -> None:
    config = {"url": fake_platform.url, "idempotent": True}
    fake_platform.fail_next("cut")
    with RunningConnector(FakeConnector, home, "f", config) as running:
        running.connected()
        text = "x" * 9000  # parts of the same length have the same text
        (Home(home).outbox("f") / "a.json").write_text(json.dumps({"conversation_id": "C1", "text": text}))
        [path] = wait_for(lambda: list(Home(home).sent("f").glob("*.json")), deadline_s=20)
    assert "".join(entry.text for entry in fake_platform.sent) == text
    assert len(Receipt.from_file(path).ids) == 3


def test_a_bug_in_split_costs_an_attempt_and_not_the_process(home: Path) -> None:
    class Splitting(scripted(FakeConnector, "true")):  # type: ignore[misc]
        def split(self, msg: OutgoingMessage) -> list[str]:
            return [str(1 // 0)] if msg.text == "bad" else [msg.text]

    (home / "connectors.yml").write_text("connectors: []\ndelivery: {max_attempts: 2, initial_delay_s: 0}\n")
    connector = Splitting(name="f", seed_home=home, config={"url": "http://127.0.0.1:9"})
    for text in ("bad", "good"):
        (connector.outbox / f"{text}.json").write_text(json.dumps({"conversation_id": text, "text": text}))
    wait_for(lambda: connector.process_outbox() or list(connector.failed.glob("*.reason.json")))
    connector.close()
    assert [call.text for call in connector.script.calls] == ["good"]
    assert Reason.from_file(connector.failed / "bad.json.reason.json").class_ == "exhausted"


def test_a_run_loop_that_does_not_end_is_ended(home: Path) -> None:
    with RunningConnector(FakeConnector, home, "f", {"url": "http://127.0.0.1:9"}, receive="deaf") as running:
        running.connected().terminate()
        assert running.wait(10) == Exit.OK


def test_an_outcome_that_nobody_knows_is_a_bug(home: Path) -> None:
    cls: Any = scripted(FakeConnector, "explode")
    connector = cls(name="f", seed_home=home, config={"url": "http://127.0.0.1:9"})
    with pytest.raises(ValueError, match="explode"):
        connector.send_message(OutgoingMessage(conversation_id="C1", text="x"))


def test_only_connectors_are_run() -> None:
    assert find_class("connectors.testing.fake:FakeConnector") is FakeConnector
    with pytest.raises(TypeError, match="no connector class"):
        find_class("connectors.testing.fake:Client")


def test_the_fake_connector_s_options_are_checked(home: Path) -> None:
    connector: Connector = FakeConnector(name="f", seed_home=home, config={"ulr": "x"})
    with pytest.raises(ConfigError, match='unknown option "ulr"'):
        connector.connect()


def test_the_fixtures_of_the_plugin_are_there(mailbox_home: Path, fake_platform: FakePlatform) -> None:
    assert list(mailbox_home.iterdir()) == []
    assert updates(fake_platform) == []
