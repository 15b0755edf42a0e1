"""WebSocket frames, whatever pieces they come in; and the ways through proxies."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.errors import RetryLater
from connectors.base.secrets import Secret
from connectors.slack import frames
from connectors.slack.client import Web
from connectors.slack.frames import Ended, Frame, Reader
from connectors.slack.handshake import open_socket
from connectors.testing.slack import FakeSlack
from tests.slack.live import Live


def server_frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """As a server sends it: not masked."""
    first, size = (0x80 if final else 0) | opcode, len(data)
    if size < 126:
        return struct.pack("!BB", first, size) + data
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + data
    return struct.pack("!BBQ", first, 127, size) + data


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_come_out_as_they_went_in(payloads: list[bytes], cuts: int) -> None:
    data = b"".join(server_frame(frames.TEXT, payload) for payload in payloads)
    pieces = iter([data[at : at + cuts] for at in range(0, len(data), cuts)])
    reader = Reader(lambda n: next(pieces, b"")).frames()
    assert [next(reader).data for _ in payloads] == payloads
    with pytest.raises(Ended):
        next(reader)


def test_a_message_of_a_megabyte_in_small_pieces() -> None:
    data = server_frame(frames.TEXT, b"x" * 1_000_000)
    pieces = iter([data[at : at + 500] for at in range(0, len(data), 500)])
    assert len(next(Reader(lambda n: next(pieces, b"")).frames()).data) == 1_000_000


def test_fragments_are_one_message_also_with_a_ping_between_them() -> None:
    data = server_frame(frames.TEXT, b"one ", final=False)
    data += server_frame(frames.PING, b"p")
    data += server_frame(frames.CONTINUATION, b"two")
    reader = Reader(lambda n: b"", data).frames()
    assert next(reader) == Frame(frames.PING, b"p")
    assert next(reader) == Frame(frames.TEXT, b"one two")


def test_a_message_without_bound_is_not_followed() -> None:
    head = struct.pack("!BBQ", 0x81, 127, 1 << 40)
    with pytest.raises(Ended, match="more than"):
        next(Reader(lambda n: b"", head).frames())


@given(st.binary(max_size=70_000))
def test_what_is_sent_is_masked_and_whole(data: bytes) -> None:
    sent = frames.frame(frames.TEXT, data)
    assert sent[1] & 0x80
    assert next(Reader(lambda n: b"", sent).frames()) == Frame(frames.TEXT, data)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "no WebSocket"),
        (b"", "cut off"),
    ],
)
def test_a_handshake_that_is_answered_otherwise_says_how(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/link/?ticket=secret"
        with pytest.raises(RetryLater, match=said) as caught:
            open_socket(url, proxy=None, timeout_s=5)
        thread.join()
    assert "secret" not in str(caught.value)


def test_a_proxy_is_asked_for_the_way() -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                asked.append(peer.recv(4096))
                peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        proxy = f"http://user:p%40ss@127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RetryLater, match="407"):
            open_socket("ws://wss-primary.slack.com/link", proxy=proxy, timeout_s=5)
        thread.join()
    assert asked[0].startswith(b"CONNECT wss-primary.slack.com:80")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in asked[0]


def test_requests_go_through_the_proxy_that_is_given() -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                asked.append(peer.recv(4096))
                peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}')

        thread = threading.Thread(target=serve)
        thread.start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        web = Web(Secret("xoxb-x"), base_url="http://slack.invalid/api/", timeout_s=5, proxy=proxy)
        assert web.call("api.test")["ok"] is True
        thread.join()
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
