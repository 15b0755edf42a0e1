"""Messages, whatever pieces they come in; and the ways through proxies."""

from __future__ import annotations

import array
import fcntl
import itertools
import logging
import socket
import struct
import termios
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from connectors.base.errors import RetryLater
from connectors.base.secrets import Secret
from connectors.slack.client import Web
from connectors.slack.handshake import open_socket
from connectors.slack.websocket import Closed, Ended
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.slack.live import Live
from tests.slack.peer import Peer

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def test_a_message_may_pause_anywhere() -> None:
    with Peer() as peer:
        peer.protocol.send_text(b"one " * 40, fin=False)
        peer.protocol.send_continuation(b"two", fin=True)
        peer.protocol.send_text(b"next")
        data, messages = peer.pending(), peer.websocket().messages()
        got: list[bytes | None] = []
        reading = threading.Thread(target=lambda: got.extend(itertools.islice(messages, 2)))
        reading.start()
        for at in range(len(data)):
            peer.sock.sendall(data[at : at + 1])
            wait_for(lambda: not unread(peer.ours))
        reading.join()
    assert got == [b"one " * 40 + b"two", b"next"]


def test_fragments_are_one_message_also_with_a_ping_between_them() -> None:
    with Peer() as peer:
        peer.protocol.send_text(b"one ", fin=False)
        peer.protocol.send_ping(b"p")
        peer.protocol.send_continuation(b"two", fin=True)
        peer.flush()
        assert next(peer.websocket().messages()) == b"one two"
        [pong] = peer.hear(1)
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"p")


def test_a_message_of_many_megabytes() -> None:
    with Peer() as peer:
        peer.protocol.send_text(b"x" * 20_000_000)
        data = peer.pending()
        sending = threading.Thread(target=peer.sock.sendall, args=(data,))
        sending.start()
        assert len(next(peer.websocket().messages()) or b"") == 20_000_000
        sending.join()


def test_a_message_without_bound_is_not_followed() -> None:
    with Peer() as peer:
        peer.sock.sendall(struct.pack("!BBQ", 0x81, 127, 1 << 40))
        with pytest.raises(Ended, match="exceeds limit"):
            next(peer.websocket().messages())


@pytest.mark.parametrize("begun", [b"", b"\x81", b"\x81\x05he"])
def test_an_end_without_a_word_is_an_end_wherever_it_comes(begun: bytes) -> None:
    with Peer() as peer:
        peer.sock.sendall(begun)
        peer.sock.close()
        with pytest.raises(Ended, match="the connection ended") as caught:
            next(peer.websocket().messages())
        assert not isinstance(caught.value, Closed)


def test_an_end_that_is_said_is_told_apart_and_answered() -> None:
    with Peer() as peer:
        peer.protocol.send_text(b"last")
        peer.protocol.send_close(1001)
        peer.flush()
        ours = peer.websocket()
        messages = ours.messages()
        assert next(messages) == b"last"
        with pytest.raises(Closed):
            next(messages)
        ours.cut()
        assert [frame.opcode for frame in peer.heard()] == [Opcode.CLOSE]


def test_a_peer_that_takes_nothing_holds_nobody_up_for_long() -> None:
    with Peer() as peer:
        ours = peer.websocket()
        with pytest.raises(TimeoutError):
            ours.send_text(b"x" * 20_000_000, timeout_s=0.1)
        with pytest.raises(Ended):  # what was sent ends in the middle of a frame
            next(ours.messages())
        with pytest.raises(Ended):
            ours.close(0.1)


def test_what_comes_is_read_while_the_peer_takes_nothing() -> None:
    with Peer() as peer:
        ours = peer.websocket()
        sending = threading.Thread(target=ours.send_text, args=(b"x" * 5_000_000,))
        sending.start()
        wait_for(lambda: unread(peer.sock))
        for n in range(20):  # more than the socket's buffers hold
            peer.protocol.send_text(b"%d" % n * 100_000)
        data = peer.pending()
        saying = threading.Thread(target=peer.sock.sendall, args=(data,))
        saying.start()
        messages = ours.messages()
        for n in range(20):
            assert next(messages) == b"%d" % n * 100_000
        saying.join()
        [frame] = peer.hear(1)
        sending.join()
        assert len(frame.data) == 5_000_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403"),
        (SWITCHING + b"Sec-WebSocket-Accept: wrong\r\n\r\n", "Sec-WebSocket-Accept"),
        (b"220 a mail server\r\n\r\n", "valid HTTP"),
        (b"", "handshake"),
    ],
)
def test_a_handshake_that_is_answered_otherwise_says_how(
    answer: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with answering(lambda _: answer) as port, pytest.raises(RetryLater, match=said) as caught:
        open_socket(f"ws://127.0.0.1:{port}/link/?ticket=secret", proxy=None, timeout_s=5)
    assert "secret" not in str(caught.value)
    assert "secret" not in caplog.text


def test_an_address_that_is_none_is_in_no_error() -> None:
    with pytest.raises(RetryLater, match="no address") as caught:
        open_socket("https://slack.invalid/link/?ticket=secret", proxy=None, timeout_s=5)
    links: BaseException | None = caught.value
    while links is not None:
        assert "secret" not in str(links)
        links = links.__cause__ or (None if links.__suppress_context__ else links.__context__)


def test_what_comes_right_behind_the_handshake_is_not_lost() -> None:
    def accept(request: bytes) -> bytes:
        server = ServerProtocol()
        server.receive_data(request)
        [asked] = server.events_received()
        assert isinstance(asked, Request)
        server.send_response(server.accept(asked))
        server.send_text(b"hello")
        return b"".join(server.data_to_send())

    with answering(accept) as port:
        ours = open_socket(f"ws://127.0.0.1:{port}/link/?ticket=secret", proxy=None, timeout_s=5)
        assert next(ours.messages()) == b"hello"
        ours.free()


def test_a_proxy_is_asked_for_the_way() -> None:
    asked: list[bytes] = []

    def refuse(request: bytes) -> bytes:
        asked.append(request)
        return b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"

    with answering(refuse) as port, pytest.raises(RetryLater, match="407"):
        open_socket("ws://wss-primary.slack.com/link", proxy=f"http://user:p%40ss@127.0.0.1:{port}", timeout_s=5)
    assert asked[0].startswith(b"CONNECT wss-primary.slack.com:80")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in asked[0]


def test_requests_go_through_the_proxy_that_is_given() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'

    with answering(answer) as port:
        proxy = f"http://127.0.0.1:{port}"
        web = Web(Secret("xoxb-x"), base_url="http://slack.invalid/api/", timeout_s=5, proxy=proxy)
        assert web.call("api.test")["ok"] is True
    assert asked[0].startswith(b"POST http://slack.invalid/api/api.test ")


def test_the_environments_proxy_is_not_asked_for_what_no_proxy_names(
    fake: FakeSlack, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the environment of the first request
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Live(fake, home) as live:
        fake.post("C1", "U1", "hello", files={"a.txt": b"x"})
        assert live.event().content.attachments[0]["path"]
        live.sent(conversation_id="C1", text="hello")


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server for one request; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(answer(peer.recv(4096)))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def unread(sock: socket.socket | None) -> int:
    """How many bytes came that nobody has read."""
    assert sock is not None
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]
