"""Webhooks in: what is answered to whom, that 2xx means durable, and that nothing gets in without proof."""

import concurrent.futures
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from connectors.base.errors import ConfigError, Exit
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.parts.signatures import sign
from connectors.parts.webhook import Answer, Delivery
from connectors.testing import wait_for
from connectors.webhook.connector import WebhookConnector
from tests.webhook.live import SECRET, Hook, free_port, read_all, signed


def head(body: bytes, *, length: object = None, **headers: str) -> bytes:
    """A signed request's head; `length` is what it claims."""
    fields = {"Host": "127.0.0.1", **signed(body), "Content-Length": str(len(body) if length is None else length)}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join(["POST /webhook/hook HTTP/1.1", *lines, "", ""]).encode()


def test_a_signed_delivery_is_an_event_before_it_is_acknowledged(home: Path) -> None:
    with Hook(home) as hook:
        answer = hook.post({"type": "build.failed", "text": "red", "sender": "ci", "n": 1}, "d1")
        [event] = hook.events
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "event_id": event.id}
    assert (event.id, event.content.text, event.sender.id, event.kind) == ("webhook:hook:d1", "red", "ci", "message")
    assert event.event is not None
    assert event.event.payload["n"] == 1
    assert event.event.provenance["platform_event"] == "build.failed"


def test_a_body_without_a_text_is_an_event_and_no_message(home: Path) -> None:
    with Hook(home) as hook:
        hook.post({"action": "opened"}, X_GitHub_Event="issues")
        [event] = hook.events
    assert (event.kind, event.content.text) == ("event", "")
    assert event.event is not None
    assert (event.event.type, event.event.platform_event) == ("resource.changed", "issues")


def test_a_redelivery_and_a_replay_are_acknowledged_and_no_second_event_even_after_a_restart(home: Path) -> None:
    for _ in range(2):
        with Hook(home) as hook:
            ids = {hook.post({"n": 1}, "d1").json()["event_id"] for _ in range(3)}
            assert ids == {"webhook:hook:d1"}
    assert len(hook.events) == 1


def test_two_deliveries_without_an_id_are_two_events(home: Path) -> None:
    with Hook(home) as hook:
        assert hook.post({"n": 1}).json() != hook.post({"n": 1}).json()
        assert len(hook.events) == 2


@pytest.mark.parametrize("scheme", ["slack", "stripe"])
def test_a_replay_within_the_window_under_another_key_is_the_same_event(home: Path, scheme: str) -> None:
    body = b'{"text": "pay"}'
    with Hook(home, scheme=scheme) as hook:
        headers = sign(scheme, SECRET, body, now=time.time(), delivery_id="")  # type: ignore[arg-type]
        for n in range(3):
            answer = hook.client.post(hook.url, content=body, headers={**headers, "Idempotency-Key": f"k{n}"})
            assert answer.status_code == 200
        assert len(hook.events) == 1


def test_slack_s_retry_has_the_id_of_its_event_and_its_handshake_is_answered(home: Path) -> None:
    with Hook(home, scheme="slack") as hook:
        for n in range(2):
            body = json.dumps({"event_id": "Ev1", "retry": n}).encode()
            hook.client.post(hook.url, content=body, headers=signed(body, scheme="slack"))
        body = b'{"type": "url_verification", "challenge": "abc"}'
        answer = hook.client.post(hook.url, content=body, headers=signed(body, scheme="slack"))
        assert answer.json() == {"challenge": "abc"}
        assert [event.id for event in hook.events] == ["webhook:hook:Ev1"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405_before_any_signature(home: Path, method: str) -> None:
    with Hook(home) as hook:
        answer = hook.client.request(method, hook.url)
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
    assert answer.headers["allow"] == "POST"


def test_without_or_with_a_wrong_signature_it_is_401(home: Path) -> None:
    with Hook(home) as hook:
        answer = hook.client.post(hook.url, json={})
        assert (answer.status_code, answer.json()) == (401, {"error": "Missing signature"})
        answer = hook.client.post(hook.url, content=b"{}", headers=signed(b"[]"))
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})
        assert hook.events == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'{"a": "\xff"}', b'{"a":' * 900 + b"1" + b"}" * 900])
def test_what_is_no_json_object_is_400_although_it_is_signed(home: Path, body: bytes) -> None:
    with Hook(home) as hook:
        answer = hook.post(body)
        assert answer.status_code == 400
        assert answer.json()["error"] == "Invalid JSON payload"
        assert hook.events == []


def test_a_body_that_is_too_large_is_413_declared_or_not(home: Path) -> None:
    body = b'{"a": "' + b"x" * 50_000 + b'"}'
    with Hook(home, max_bytes=10_000) as hook:
        declared = hook.post(body)
        chunked = hook.client.post(hook.url, content=iter([body[:20_000], body[20_000:]]), headers=signed(body))
        asked = hook.raw(head(body, length=10**12, Expect="100-continue", Connection="close"))
        assert hook.post({"small": True}).status_code == 200
    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert declared.json() == {"error": "The body is larger than 10000 bytes"}
    assert asked.startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_as_good_as_any(home: Path) -> None:
    with Hook(home) as hook:
        answer = hook.client.post(hook.url, content=iter([b'{"te', b'xt": "hi"}']), headers=signed(b'{"text": "hi"}'))
        assert answer.status_code == 200
        assert hook.events[0].content.text == "hi"


def test_a_length_that_lies_never_makes_an_event(home: Path) -> None:
    body = b'{"text": "whole"}'
    with Hook(home, request_timeout_s=0.3) as hook:
        too_short = hook.raw(head(body, length=len(body) - 3, Connection="close") + body)
        too_long = hook.raw(head(body, length=len(body) + 3, Connection="close") + body)
        both = hook.raw(head(body, Transfer_Encoding="chunked", Connection="close") + b"0\r\n\r\n")
        negative = hook.raw(head(body, length=-5) + body)
        no_number = hook.raw(head(body, length="ten") + body)
        assert hook.events == []
    assert too_short.startswith(b"HTTP/1.1 401")
    assert too_long.startswith(b"HTTP/1.1 408")
    assert all(answer.startswith(b"HTTP/1.1 400") for answer in (both, negative, no_number))


def test_a_header_that_is_there_twice_is_refused(home: Path) -> None:
    with Hook(home) as hook:
        request = head(b"{}", Connection="close").replace(b"\r\n\r\n", b"\r\nX-Signature: sha256=0\r\n\r\n", 1) + b"{}"
        answer = hook.raw(request)
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_slow_head_and_a_slow_body_are_cut_off_and_delay_nobody(home: Path) -> None:
    with Hook(home, request_timeout_s=0.5) as hook:
        slow_head = socket.create_connection(hook.address, timeout=20)
        slow_head.sendall(b"POST /webhook/hook HTTP/1.1\r\nHost: x\r\n")
        slow_body = socket.create_connection(hook.address, timeout=20)
        slow_body.sendall(head(b"{}", length=100) + b"{")
        assert hook.post({}).status_code == 200
        with slow_head, slow_body:
            assert read_all(slow_head) == b""
            assert slow_body.recv(100).startswith(b"HTTP/1.1 408")


def test_a_slow_head_that_drips_is_cut_off_all_the_same(home: Path) -> None:
    with Hook(home, request_timeout_s=0.5) as hook, socket.create_connection(hook.address, timeout=20) as sock:
        sock.sendall(b"POST /webhook/hook HTTP/1.1\r\n")

        def drip() -> bool:
            try:
                sock.sendall(b"X-A: b\r\n")
            except OSError:
                return True
            return False

        wait_for(drip, what="the connection is closed")


def test_more_connections_than_allowed_are_told_so(home: Path) -> None:
    with Hook(home, max_connections=3) as hook:
        idle = [socket.create_connection(hook.address, timeout=20) for _ in range(3)]
        answer = hook.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After" in answer
        for sock in idle:
            sock.close()
        wait_for(lambda: httpx.get(httpx.URL(hook.url).join("/healthz")).status_code == 200)


def test_too_many_good_requests_are_429_and_bad_ones_use_nothing_up(home: Path) -> None:
    with Hook(home, max_per_minute=2) as hook:
        for _ in range(5):
            assert hook.client.post(hook.url, json={}).status_code == 401
        answers = [hook.post({"n": n}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].json() == {"error": "Too many requests"}


def test_a_full_inbox_is_503_and_the_second_try_is_the_same_event(home: Path) -> None:
    limits = {"limits": {"inbox_max_files": 1}}
    Home(home).config_file.write_text(json.dumps({"connectors": [], **limits}))
    with Hook(home) as hook:
        assert hook.post({"n": 1}, "d1").status_code == 200
        assert hook.connector._webhook is not None
        hook.connector._webhook.committer._patience_s = 0.3
        full = hook.post({"n": 2}, "d2")
        assert full.status_code == 503
        assert int(full.headers["retry-after"]) > 0
        healthz = httpx.URL(hook.url).join("/healthz")
        wait_for(lambda: hook.client.get(healthz).status_code == 503)
        for path in hook.home.inbox.glob("*.json"):
            path.unlink()
        wait_for(lambda: hook.post({"n": 2}, "d2").status_code == 200)
        assert [event.id for event in hook.events] == ["webhook:hook:d2"]


def test_healthz_says_that_it_is_well_and_nothing_else(home: Path) -> None:
    with Hook(home) as hook:
        answer = hook.client.get(httpx.URL(hook.url).join("/healthz"))
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        unknown = hook.client.post(httpx.URL(hook.url).join("/webhook/other"), json={})
        assert (unknown.status_code, unknown.json()) == (404, {"error": "Not found"})


def test_headers_that_matter_are_kept_and_what_proves_is_not(home: Path) -> None:
    with Hook(home, keep_headers=["X-Custom"]) as hook:
        hook.post(
            {}, "d1", X_Custom="c", X_GitHub_Event="push", Authorization="Bearer canary", Cookie="canary", X_Other="o"
        )
        [path] = hook.home.inbox.glob("*.json")
        text = path.read_text()
        headers = hook.events[0].metadata["headers"]
    assert headers["x-custom"] == "c"
    assert headers["x-github-event"] == "push"
    assert "x-other" not in headers
    logs = "".join(file.read_text() for file in home.glob("logs/*"))
    for secret in ("canary", "sha256=", SECRET):
        assert secret not in text
        assert secret not in logs


def test_a_header_that_may_hold_a_secret_can_not_be_kept(home: Path) -> None:
    for name in ("Authorization", "X-Hub-Signature-256", "X-Api-Key", "Set-Cookie"):
        with pytest.raises(ConfigError, match="never kept"):
            _ = WebhookConnector("hook", home, {"keep_headers": [name]}).options


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - that is what is refused
        "::",
        "192.0.2.1",
        "example.org",
    ],
)
def test_an_open_address_without_a_secret_does_not_start(home: Path, host: str) -> None:
    connector = WebhookConnector("hook", home, {"host": host, "port": 0})
    with pytest.raises(ConfigError, match="no secret") as caught:
        connector.connect()
    connector.disconnect()
    assert "set secret" in caught.value.hint


def test_an_empty_secret_is_an_error_and_never_means_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="secret and empty"):
        WebhookConnector("hook", home, {"secret": ""}).connect()
    monkeypatch.setenv("WEBHOOK_SECRET", "")
    with pytest.raises(ConfigError, match="set but empty"):
        WebhookConnector("hook", home, {}).connect()


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"Content-Type": "application/json"}, True),
        ({"Content-Type": "application/cloudevents+json"}, True),
        ({"Content-Type": "text/plain"}, False),
        ({"Content-Type": "application/x-www-form-urlencoded"}, False),
        ({"Content-Type": "application/json", "Origin": "https://evil.example"}, False),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Content-Type": "application/json", "Host": "evil.example:4800"}, False),
        ({"Content-Type": "application/json", "Host": "localhost:4800"}, True),
    ],
)
def test_without_a_secret_no_web_page_can_send(home: Path, headers: dict[str, str], accepted: bool) -> None:
    with Hook(home, secret=None) as hook:
        answer = hook.client.post(hook.url, content=b'{"text": "x"}', headers=headers)
        assert (answer.status_code == 200) is accepted
        assert len(hook.events) == int(accepted)


def test_a_port_that_another_program_has_is_an_error_that_says_so(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        connector = WebhookConnector("hook", home, {"port": other.getsockname()[1]})
        with pytest.raises(ConfigError, match="another program has the port"):
            connector.connect()
        connector.disconnect()
        connector.close()


class SlowDisk(WebhookConnector):
    """Writes when `gate` is open, and nothing that says poison."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = threading.Event()
        self.batches: list[int] = []

    def write_all_to_inbox(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None = None) -> list[Path]:
        self.batches.append(len(messages))
        self.gate.wait(10)
        if any(message.content.text == "poison" for message in messages):
            raise ValueError("cannot be written")
        return super().write_all_to_inbox(messages, checkpoint)


def test_requests_at_once_become_durable_together(home: Path) -> None:
    with Hook(home, SlowDisk) as hook, concurrent.futures.ThreadPoolExecutor(20) as pool:
        disk = cast(SlowDisk, hook.connector)
        answers = [pool.submit(hook.post, {"n": n}, f"d{n}") for n in range(20)]
        assert disk._webhook is not None
        committer = disk._webhook.committer
        wait_for(lambda: sum(disk.batches) + len(committer._queue) == 20)
        assert not any(answer.done() for answer in answers)
        disk.gate.set()
        assert {answer.result().status_code for answer in answers} == {200}
        assert len(disk.batches) <= 3
        assert len(hook.events) == 20


def test_an_event_that_cannot_be_written_takes_no_other_with_it(home: Path) -> None:
    with Hook(home, SlowDisk) as hook, concurrent.futures.ThreadPoolExecutor(10) as pool:
        disk = cast(SlowDisk, hook.connector)
        answers = [pool.submit(hook.post, {"text": "the first batch, alone"})]
        wait_for(lambda: disk.batches)
        texts = ["poison", *(f"t{n}" for n in range(8))]
        answers += [pool.submit(hook.post, {"text": text}) for text in texts]
        assert disk._webhook is not None
        committer = disk._webhook.committer
        wait_for(lambda: sum(disk.batches) + len(committer._queue) == 10)
        disk.gate.set()
        statuses = [answer.result().status_code for answer in answers]
        assert statuses == [200, 500, *[200] * 8]
        assert len(hook.events) == 9


class Clumsy(WebhookConnector):
    """Has a bug, and says what it should not."""

    def _read(self, delivery: Delivery) -> Message | Answer:
        raise RuntimeError("canary-of-the-operator")


def test_a_bug_is_a_500_that_tells_the_sender_nothing_and_the_log_where(home: Path) -> None:
    """Weakness: the text of the error was the answer."""
    with Hook(home, Clumsy) as hook:
        answers = [hook.post({"n": n}) for n in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (500, {"error": "Internal server error"})
    ] * 2
    assert "canary-of-the-operator" in "".join(path.read_text() for path in home.glob("logs/*"))


def test_one_connection_serves_many_requests_and_pipelined_ones(home: Path) -> None:
    with Hook(home) as hook:
        one = head(b'{"n": 1}') + b'{"n": 1}'
        last = head(b'{"n": 2}', Connection="close") + b'{"n": 2}'
        answers = hook.raw(one + one + last)
        assert answers.count(b"HTTP/1.1 200") == 3
        assert len(hook.events) == 3


def test_what_is_no_http_is_answered_in_json(home: Path) -> None:
    with Hook(home) as hook:
        for data in (b"hello there\r\n\r\n", b"POST /webhook/hook HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"):
            head_of, _, body = hook.raw(data).partition(b"\r\n\r\n")
            assert head_of.startswith(b"HTTP/1.1 400 ")
            assert b"content-type: application/json" in head_of.lower()
            assert json.loads(body)["error"] == "Invalid HTTP request received."


def test_a_port_is_free_for_the_next_start_at_once(home: Path) -> None:
    port = free_port()
    for n in range(3):
        with Hook(home, port=port) as hook:
            assert hook.post({}, f"d{n}").status_code == 200


def test_refusals_are_told_to_the_operator_and_cannot_fill_the_log(home: Path) -> None:
    with Hook(home) as hook:
        for _ in range(50):
            hook.client.post(hook.url, json={})
    log = (home / "logs" / "hook.log").read_text()
    assert log.count("refused a request of 127.0.0.1: Missing signature") == 1
    assert len(log.splitlines()) < 20


@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_a_missing_package_is_said_with_the_command_that_installs_it(home: Path, missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from connectors.webhook.connector import WebhookConnector\n"
        f"WebhookConnector('hook', {str(home)!r}, {{'port': 0}}).run()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.DEPENDENCY
    assert "pip install 'mailbox-connectors[webhook]'" in done.stderr
