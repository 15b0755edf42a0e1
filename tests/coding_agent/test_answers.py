"""What is answered to a hook, to the letter, and what becomes of it meanwhile."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.coding_agent.connector import ClaudeCodeConnector, CodingAgentConnector
from connectors.parts.signatures import sign
from connectors.testing import RunningConnector, wait_for
from tests.webhook.live import SECRET, Hook, free_port, signed

STOP = {"session_id": "s1", "exit_status": 0, "summary": "done"}


class Agent(Hook):
    """The connector in a thread of this process."""

    def __init__(self, home: Path, cls: Any = CodingAgentConnector, **options: Any) -> None:
        super().__init__(home, cls, **options)


def test_a_hook_is_one_event_and_the_answer_names_it(home: Path) -> None:
    """Weakness: with a buffer each hook was delivered twice, and without it a restart lost it."""
    with Agent(home) as agent:
        answer = agent.post(STOP)
        [event] = agent.events
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "event_id": event.id})
    assert answer.headers["content-type"] == "application/json"
    assert event.event is not None
    assert event.id == event.event.id
    assert event.event.payload["summary"] == event.content.text == "done"


def test_the_checks_come_in_their_order(home: Path) -> None:
    with Agent(home) as agent:
        client, url = agent.client, agent.url
        body = json.dumps(STOP).encode()
        wrong = {"X-Signature": "sha256=" + "0" * 64}
        said = [
            (client.get(url, headers=wrong), 405, "Method not allowed"),
            (client.put(url, content=body), 405, "Method not allowed"),
            (client.post(url, content=b"no json"), 401, "Missing signature"),
            (client.post(url, content=b"no json", headers=wrong), 401, "Invalid signature"),
            (client.post(url, content=b"no json", headers=signed(b"no json")), 400, "Invalid JSON payload"),
        ]
        assert [(one.status_code, one.json()["error"]) for one, _, _ in said] == [(a, b) for _, a, b in said]
        assert agent.events == []


@pytest.mark.parametrize("header", ["X-Hub-Signature-256", "X-Signature"])
def test_either_header_proves_it_and_the_first_that_is_there_counts(home: Path, header: str) -> None:
    body = json.dumps(STOP).encode()
    good = sign("hmac", SECRET, body, now=0, delivery_id="")["X-Signature"]
    with Agent(home) as agent:
        assert agent.client.post(agent.url, content=body, headers={header: good}).status_code == 200
        for bad in (good.removeprefix("sha256="), good.upper(), "sha256=", "sha1=" + good[7:]):
            assert agent.client.post(agent.url, content=body, headers={header: bad}).status_code == 401
        both = {"X-Hub-Signature-256": "sha256=" + "0" * 64, "X-Signature": good}
        assert agent.client.post(agent.url, content=body, headers=both).status_code == 401


def test_a_signature_of_another_body_is_refused(home: Path) -> None:
    with Agent(home) as agent:
        answer = agent.client.post(agent.url, content=b'{"session_id": "s2"}', headers=signed(b'{"session_id": "s1"}'))
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})
        assert agent.events == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xef\xbb\xbf{}", b'{"a": NaN}', b"\xff"])
def test_what_is_no_json_object_is_refused(home: Path, body: bytes) -> None:
    """Weakness: arrays, numbers and texts became an empty event of a session "undefined"."""
    with Agent(home) as agent:
        answer = agent.post(body)
        assert (answer.status_code, answer.json()["error"]) == (400, "Invalid JSON payload")
        assert agent.events == []


def test_what_is_no_hook_is_refused_with_every_problem(home: Path) -> None:
    with Agent(home) as agent:
        answer = agent.post({"exit_status": "boom", "hook_type": "stopp"})
        assert answer.status_code == 400
        assert [word for word in ("session_id", "exit_status", "hook_type") if word not in answer.json()["error"]] == []
        assert agent.events == []


def test_a_body_that_is_too_large_or_lies_about_its_length_is_refused(home: Path) -> None:
    """Weakness: five million bytes were taken."""
    with Agent(home, max_bytes=1000, request_timeout_s=0.3) as agent:
        assert agent.post({**STOP, "summary": "x" * 2000}).status_code == 413
        body = json.dumps(STOP).encode()
        head = (
            b"POST /webhook/hook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n\r\n"
        )
        proof = b"X-Signature: " + signed(body)["X-Signature"].encode()
        assert b" 408 " in agent.raw(head % (len(body) + 9, proof) + body)
        assert b" 401 " in agent.raw(head % (len(body) - 9, proof) + body)
        assert agent.events == []


def test_a_replay_is_answered_as_the_first_and_is_no_second_event_also_after_a_restart(home: Path) -> None:
    """Weakness: the same signed body was taken again and again."""
    with Agent(home) as agent:
        first = agent.post(STOP).json()
        assert agent.post(STOP).json() == first
    with Agent(home) as agent:
        assert agent.post(STOP).json() == first
        assert len(agent.events) == 1


def test_two_hooks_that_say_the_same_are_two_when_their_sender_tells_them_apart(home: Path) -> None:
    with Agent(home) as agent:
        ids = {agent.post(STOP, delivery).json()["event_id"] for delivery in ("d1", "d2", "d1")}
        assert len(ids) == len(agent.events) == 2


def test_once_a_phase_a_session_ends_once_whatever_its_hooks_say(home: Path) -> None:
    """Weakness: one session told of its end at each turn, and nothing read the dedupe_key."""
    with Agent(home, once_a_phase=True) as agent:
        for turn in range(3):
            agent.post({**STOP, "summary": f"turn {turn}"}, f"d{turn}")
        agent.post({**STOP, "session_id": "s2"})
        assert [event.content.text for event in agent.events] == ["turn 0", "done"]


def test_without_a_secret_this_machine_may_send_and_a_web_page_may_not(home: Path) -> None:
    with Agent(home, secret=None) as agent:
        plain = {"Content-Type": "application/json"}
        body = json.dumps(STOP).encode()
        assert agent.client.post(agent.url, content=body, headers={**plain, "Origin": "http://evil"}).status_code == 401
        assert agent.client.post(agent.url, content=body, headers=plain).status_code == 200


@pytest.mark.parametrize("options", [{"secret": ""}, {"host": "0.0.0.0", "port": 0}])  # noqa: S104 - it must not
def test_a_door_that_would_stand_open_ends_the_process_before_it_listens(home: Path, options: dict[str, Any]) -> None:
    """Weakness: an empty secret switched the check off."""
    with RunningConnector(CodingAgentConnector, home, "agents", options) as running:
        assert running.wait() == 78
        assert "secret" in running.output


def test_a_late_hook_is_marked_as_such(home: Path) -> None:
    with Agent(home) as agent:
        agent.post({**STOP, "timestamp": "2020-01-01T00:00:00Z"})
        [event] = agent.events
    assert event.late


def test_a_type_that_is_named_after_a_tool_names_it_in_its_events(home: Path) -> None:
    with Agent(home, ClaudeCodeConnector) as agent:
        agent.post(STOP)
        [event] = agent.events
    assert event.connector.type == "claude-code"
    assert event.event is not None
    assert event.event.payload["lifecycle"]["dedupe_key"] == "claude-code:s1:completed"
    assert event.event.payload["session"]["harness"] == "claude-code"


def test_a_hook_that_got_its_200_finds_its_event_after_a_kill(home: Path) -> None:
    """Weakness: what was answered with 200 waited in memory, or in a buffer that was emptied before delivery."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhook/agents"
    acked: dict[str, str] = {}
    for round_ in range(3):
        config = {"port": port, "secret": SECRET}
        with RunningConnector(CodingAgentConnector, home, "agents", config) as running:
            running.connected()
            for n in range(20):
                body = json.dumps({"session_id": f"{round_}-{n}"}).encode()
                answer = httpx.post(url, content=body, headers=signed(body), timeout=10)
                acked[answer.json()["event_id"]] = f"{round_}-{n}"
            running.kill()
    events = [Message.from_file(path) for path in Home(home).inbox.glob("*.json")]
    assert {event.id: event.conversation.id for event in events} == acked
    assert len(events) == 60


def test_what_a_killed_connector_was_about_to_answer_comes_once(home: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhook/agents"
    body = json.dumps(STOP).encode()
    for step in ("intake.staged", "intake.recorded", "intake.published"):
        (home / step).mkdir()
        config = {"port": port, "secret": SECRET}
        with RunningConnector(CodingAgentConnector, home / step, "agents", config, kill_at=(step, 1)) as running:
            running.connected()
            with pytest.raises(httpx.HTTPError):
                httpx.post(url, content=body, headers=signed(body), timeout=10)
            running.wait()
        with RunningConnector(CodingAgentConnector, home / step, "agents", config) as again:
            again.connected()
            assert httpx.post(url, content=body, headers=signed(body), timeout=10).status_code == 200
            wait_for(lambda step=step: len(list(Home(home / step).inbox.glob("*.json"))) == 1)  # type: ignore[misc]
