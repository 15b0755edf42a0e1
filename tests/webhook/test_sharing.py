"""Several instances on one port, each a process of its own: each gets its requests, whoever dies."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.base.message import Message
from connectors.testing import RunningConnector, wait_for
from connectors.webhook.connector import WebhookConnector
from tests.webhook.live import SECRET, free_port, signed

Start = Callable[..., RunningConnector]


class Port:
    """One port, and the processes behind it."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.number = free_port()
        self.running: list[RunningConnector] = []

    def start(self, name: str, **options: Any) -> RunningConnector:
        config = {"port": self.number, "secret": SECRET, **options}
        self.running.append(RunningConnector(WebhookConnector, self.home.root, name, config))
        return self.running[-1]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.number}/webhook/{name}"

    def post(self, name: str, delivery_id: str) -> int:
        """The status; 0 when there was no answer."""
        try:
            return httpx.post(self.url(name), content=b"{}", headers=signed(b"{}", delivery_id)).status_code
        except httpx.HTTPError:
            return 0

    def got(self, name: str) -> list[str]:
        """The deliveries that this instance wrote."""
        events = [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]
        return [event.id.rpartition(":")[2] for event in events if event.connector.instance == name]


@pytest.fixture
def port(home: Path) -> Iterator[Port]:
    found = Port(home)
    yield found
    for running in found.running:
        running.close()


def test_each_instance_gets_the_requests_of_its_path(port: Port) -> None:
    for name in ("a", "b", "c"):
        port.start(name).connected()
    for n in range(3):
        for name in ("a", "b", "c"):
            assert port.post(name, f"{name}{n}") == 200
    assert [port.got(name) for name in ("a", "b", "c")] == [
        [f"{name}{n}" for n in range(3)] for name in ("a", "b", "c")
    ]
    assert port.post("nobody", "x") == 404


def test_a_connection_that_is_kept_alive_may_change_the_path_at_every_request(port: Port) -> None:
    port.start("a").connected()
    port.start("b").connected()
    connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=20)
    for n in range(6):
        name = "ab"[n % 2]
        connection.request("POST", f"/webhook/{name}", b"{}", signed(b"{}", f"d{n}"))
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:11]) == (200, b'{"ok": true')
    assert connection.sock is not None
    connection.close()
    assert (port.got("a"), port.got("b")) == (["d0", "d2", "d4"], ["d1", "d3", "d5"])


def test_a_request_in_pieces_is_routed_all_the_same(port: Port) -> None:
    port.start("a").connected()
    port.start("b").connected()
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(b"{}", "d1").items())
    data = f"POST /webhook/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode()
    with socket.create_connection(("127.0.0.1", port.number), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(data)):
            sock.sendall(data[n : n + 1])
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    assert port.got("b") == ["d1"]


def test_when_the_front_is_killed_another_takes_the_port(port: Port) -> None:
    front = port.start("a").connected()
    port.start("b").connected()
    port.start("c").connected()
    front.kill()
    wait_for(lambda: port.post("b", "b1") == 200)
    wait_for(lambda: port.post("c", "c1") == 200)
    assert port.post("a", "a1") == 503
    port.start("a").connected()
    wait_for(lambda: port.post("a", "a1") == 200)
    assert (port.got("a"), port.got("b"), port.got("c")) == (["a1"], ["b1"], ["c1"])


def test_when_another_is_killed_the_front_says_later_and_the_rest_is_untouched(port: Port) -> None:
    port.start("a").connected()
    other = port.start("b").connected()
    other.kill()
    assert port.post("b", "b1") == 503
    assert port.post("a", "a1") == 200
    port.start("b").connected()
    assert port.post("b", "b1") == 200


def test_a_path_in_percent_signs_is_the_path_it_means(port: Port) -> None:
    port.start("a").connected()
    port.start("b").connected()
    for number, (path, status) in enumerate([("%62", 200), ("%61", 200), ("%7A", 404), ("b%3F", 404)]):
        with closing(http.client.HTTPConnection("127.0.0.1", port.number, timeout=20)) as connection:
            connection.request("POST", f"/webhook/{path}", b"{}", signed(b"{}", f"d{number}"))
            assert connection.getresponse().status == status, path
    assert (port.got("a"), port.got("b")) == (["d1"], ["d0"])


def test_a_connection_outlives_the_front_that_handed_it_over(port: Port) -> None:
    front = port.start("a").connected()
    port.start("b").connected()
    connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=20)
    for n in range(2):
        connection.request("POST", "/webhook/b", b"{}", signed(b"{}", f"d{n}"))
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        if n == 0:
            front.kill()
    connection.close()
    assert port.got("b") == ["d0", "d1"]


def test_a_stop_of_the_front_is_clean_and_gives_the_port_on(port: Port) -> None:
    front = port.start("a").connected()
    port.start("b").connected()
    front.terminate()
    assert front.wait(6) == Exit.OK
    wait_for(lambda: port.post("b", "b1") == 200)
    assert port.post("a", "a1") == 503


def test_a_path_belongs_to_one_instance_whatever_the_second_one_proves(port: Port) -> None:
    port.start("a").connected()
    second = port.start("b", path="/webhook/a", secret="another secret")
    assert second.wait() == Exit.CONFIG
    assert "a path of its own" in second.output
    assert port.post("a", "a1") == 200


def test_a_long_home_path_is_no_obstacle(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    home.mkdir()
    port = Port(home)
    try:
        port.start("a").connected()
        port.start("b").connected()
        assert [port.post(name, name) for name in ("a", "b")] == [200, 200]
    finally:
        for running in port.running:
            running.close()


def test_replies_are_asked_of_the_instance_that_has_them(port: Port) -> None:
    port.start("a").connected()
    port.start("b", replies="poll").connected()
    answer = httpx.post(port.url("b"), content=b"{}", headers=signed(b"{}", "d1"))
    url = answer.json()["reply_url"]
    found = httpx.get(httpx.URL(port.url("b")).join(url), headers=signed(url.encode()))
    assert (found.status_code, found.json()["replies"]) == (202, [])
    assert json.loads(found.content)["event_id"] == answer.json()["event_id"]


def test_an_instance_that_is_suspended_holds_up_nobody_else(port: Port) -> None:
    port.start("a").connected()
    other = port.start("b").connected()
    stuck = [socket.create_connection(("127.0.0.1", port.number), timeout=20) for _ in range(200)]
    os.kill(other.pid, signal.SIGSTOP)
    try:
        for sock in stuck:
            sock.sendall(b"POST /webhook/b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert port.post("a", "a1") == 200
        # The kernel's queue of connections for b is full: from then on the front says that it has to wait.
        wait_for(lambda: any(_answered(sock) for sock in stuck))
        assert port.post("a", "a2") == 200
    finally:
        os.kill(other.pid, signal.SIGCONT)
        for sock in stuck:
            sock.close()
    wait_for(lambda: port.post("b", "b1") == 200)


def _answered(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(1000))
    except OSError:
        return False


def test_a_large_body_is_handed_over_whole(port: Port) -> None:
    port.start("a").connected()
    port.start("b").connected()
    body = b'{"text": "%s"}' % (b"x" * 900_000)
    for n in range(5):
        answer = httpx.post(port.url("b"), content=body, headers=signed(body, f"d{n}"), timeout=20)
        assert answer.status_code == 200
    assert len(port.got("b")) == 5
