"""The connection, whatever happens to it: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from connectors.base.errors import AuthError, RetryLater
from connectors.base.message import Message
from connectors.slack.receiving import MAX_WAITING
from connectors.slack.session import Listener, Session
from connectors.slack.sockets import Hooks, Sockets
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.helpers import requires
from tests.slack.live import Live
from tests.slack.peer import Peer, closings, opened


def test_at_a_refresh_the_new_socket_is_open_before_the_old_one_ends(live: Live) -> None:
    fake = live.fake
    fake.timing.warning_s = 0.3
    for n in range(20):
        fake.post("C1", "U1", f"before {n}")
    fake.refresh()
    for n in range(20):
        fake.post("C1", "U1", f"during {n}")
    wait_for(lambda: len(fake.all_sockets) == 2 and fake.all_sockets[1].greeted)
    assert fake.all_sockets[0].open, "the old one is read until it ends by itself"
    wait_for(lambda: len(fake.sockets) == 1)
    live.settled()
    assert sorted(live.texts()) == sorted([f"{when} {n}" for when in ("before", "during") for n in range(20)])
    assert live.status.get("state") == "connected"


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
def test_each_request_to_reconnect_opens_one_socket(
    live: Live, reason: Literal["refresh_requested", "warning"]
) -> None:
    live.fake.disconnect(reason)
    wait_for(lambda: len(live.fake.all_sockets) == 2 and live.fake.all_sockets[1].greeted)
    live.fake.post("C1", "U1", "hello")
    live.event()
    assert len(live.fake.all_sockets) == 2


def test_after_an_end_without_a_word_there_is_a_new_socket(live: Live) -> None:
    live.fake.abort()
    live.fake.post("C1", "U1", "said in between")
    live.event()
    live.settled()
    assert live.texts() == ["said in between"]
    wait_for(lambda: live.status.get("state") == "connected")


def test_a_server_that_is_away_is_waited_for(live: Live) -> None:
    live.fake.stop()
    wait_for(lambda: live.status.get("state") == "reconnecting")
    live.fake.start()
    live.fake.post("C1", "U1", "back again")
    live.event()
    assert live.status.get("state") == "connected"


def test_a_socket_that_answers_no_ping_is_replaced(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, ping_s=0.1) as live:
        fake.freeze()
        wait_for(lambda: len([socket for socket in fake.all_sockets if socket.greeted]) == 2)
        fake.post("C1", "U1", "heard again")
        live.event()


def test_a_quiet_socket_that_answers_pings_is_left_alone(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, ping_s=0.05):
        wait_for(lambda: fake.sockets[0].pings >= 10)
        assert len(fake.all_sockets) == 1


def test_no_socket_is_left_behind_at_the_end(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home):
        fake.refresh()
        wait_for(lambda: len(fake.all_sockets) == 2)
    wait_for(lambda: not fake.sockets)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("socket-", "receiver", "names", "gaps", "downloads"))]


def test_somebody_elses_socket_is_told_in_the_status(fake: FakeSlack, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Live(fake, other), Live(fake, home) as live:
        wait_for(lambda: live.status.get("note"))
        assert "2 sockets" in live.status["note"]
        assert "app_token" in live.status["note"]


def test_socket_mode_that_is_switched_off_is_told_in_the_status(live: Live) -> None:
    live.fake.disconnect("link_disabled")
    live.fake.abort()
    wait_for(lambda: live.status.get("state") == "reconnecting")
    assert "Socket Mode" in live.status["note"]


@pytest.mark.parametrize("kind", ["unavailable", "internal", "drop"])
def test_a_handshake_that_fails_is_a_failure_to_connect(fake: FakeSlack, home: Path, kind: str) -> None:
    fake.fail_next(kind, "socket", always=True)  # type: ignore[arg-type]
    with pytest.raises(RetryLater, match="could not be opened"), Live(fake, home):
        pass


@pytest.mark.parametrize(
    ("bot", "app", "said"),
    [
        ("app", "bot", "bot_token holds an app-level token"),
        ("bot", "bot", "app_token holds a bot"),
        ("xoxb-wrong", "app", "invalid_auth"),
        ("bot", "xapp-wrong", "apps.connections.open: invalid_auth"),
    ],
)
def test_tokens_that_are_wrong_or_swapped_end_the_connector(
    fake: FakeSlack, home: Path, bot: str, app: str, said: str
) -> None:
    good = {"bot": fake.bot_token, "app": fake.app_token}
    given: dict[str, Any] = {"bot_token": good.get(bot, bot), "app_token": good.get(app, app)}
    with pytest.raises(AuthError, match=said) as caught, Live(fake, home, **given):
        pass
    assert caught.value.hint


def test_a_revoked_app_token_ends_the_connector_at_the_next_socket(live: Live) -> None:
    live.fake.fail_next("auth", "apps.connections.open", always=True)
    live.fake.abort()
    wait_for(lambda: live.error)
    assert isinstance(live.error, AuthError)


def test_a_burst_keeps_its_order(live: Live) -> None:
    for n in range(200):
        live.fake.post("C1", "U1", str(n))
    live.settled()
    assert live.texts() == [str(n) for n in range(200)]


def test_a_full_inbox_leaves_envelopes_to_slack_and_loses_none(fake: FakeSlack, home: Path) -> None:
    total = MAX_WAITING + 150
    with Live(fake, home, limits={"inbox_max_files": 100}, ping_s=0.2) as live:
        for n in range(total):
            fake.post("C1", "U1", str(n))
        wait_for(lambda: live.status.get("state") == "backpressure")
        assert len(fake.unacknowledged) >= total - 100
        seen: list[str] = []

        def read_all() -> bool:
            for path in sorted(live.home.inbox.glob("*.json")):
                seen.append(Message.from_file(path).content.text)
                path.unlink()
            return len(seen) >= total

        wait_for(read_all, deadline_s=60)
        live.settled()
        assert sorted(seen, key=int) == [str(n) for n in range(total)]
        assert len(fake.all_sockets) == 1, "pings are answered meanwhile"


def test_a_socket_that_is_closed_says_so_to_the_other_side() -> None:
    with Peer() as peer:
        session = Session(1, peer.websocket(), lambda session, what, message: None)
        session.start()
        session.close()
        session.close()
        assert closings(peer.heard()) == [1000]


def test_the_old_socket_is_read_until_the_new_one_is_there() -> None:
    old, new = peers = Peer(), Peer()
    may_open, stopped = threading.Event(), threading.Event()
    envelopes: list[tuple[bool, int]] = []
    may_open.set()

    def open_one(number: int, listener: Listener) -> Session:
        if not may_open.is_set():
            raise RetryLater("not now", after_s=0.01)
        return Session(number, (old if number == 1 else new).websocket(), listener)

    hooks = Hooks(
        open=open_one,
        envelope=lambda session, message: envelopes.append((session.number == 1, message["n"])),
        state=lambda state, note: None,
        stall=lambda text: None,
        up=lambda hello, down_s: None,
        stopped=stopped.is_set,
        log=lambda *words: None,
    )
    old.say({"type": "hello"})
    sockets = Sockets(hooks, ping_s=60, drain_s=0)
    sockets.start()
    may_open.clear()
    runner = threading.Thread(target=sockets.run)
    runner.start()
    old.say({"type": "disconnect", "reason": "refresh_requested"})
    for n in range(3):
        old.say({"type": "events_api", "envelope_id": "e", "n": n})
        wait_for(partial(envelopes.__contains__, (True, n)))
    new.say({"type": "hello"})
    may_open.set()
    assert closings(old.heard()) == [1000], "it is closed when the new one has said hello"
    stopped.set()
    sockets.wake()
    runner.join()
    sockets.close()
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("size", [10, 300_000])
def test_over_tls_messages_go_both_ways_at_once(tmp_path: Path, size: int) -> None:
    openssl = requires("openssl")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([*made, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=certificate)
    client_side.check_hostname = False
    plain, peer = socket.socketpair()
    made_server: list[ssl.SSLSocket] = []
    shaking = threading.Thread(target=lambda: made_server.append(server_side.wrap_socket(peer, server_side=True)))
    shaking.start()
    ours = client_side.wrap_socket(plain)
    shaking.join()
    theirs = Peer(made_server[0])
    speaking = Peer(made_server[0])  # another one than hears: a protocol is for one thread
    got: list[Any] = []
    session = Session(1, opened(ours), lambda session, what, message: got.append(message.get("n")))
    session.start()

    def acknowledge_all() -> None:
        for n in range(50):
            session.acknowledge(f"{n}" + "x" * size)

    def say_all() -> None:
        for n in range(50):
            speaking.say({"type": "x", "n": n, "text": "y" * size})

    sending, writer = threading.Thread(target=acknowledge_all), threading.Thread(target=say_all)
    sending.start()
    writer.start()
    acks = [json.loads(bytes(frame.data))["envelope_id"].rstrip("x") for frame in theirs.hear(50)]
    sending.join()
    writer.join()
    wait_for(lambda: len(got) == 50)
    session.close()
    theirs.sock.close()
    assert acks == [str(n) for n in range(50)]
    assert got[:50] == list(range(50))
