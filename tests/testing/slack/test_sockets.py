"""Socket Mode of the fake, with slack-sdk's built-in client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.testing.slack.conftest import App


def test_a_hello_comes_first_and_counts_the_connections(fake: FakeSlack, connect: Callable[..., App]) -> None:
    connect()
    connect()

    hellos = [socket.sent[0] for socket in fake.sockets]
    assert [hello["type"] for hello in hellos] == ["hello"] * 2
    assert [hello["num_connections"] for hello in hellos] == [1, 2]
    assert hellos[0]["connection_info"] == {"app_id": "A1"}
    assert hellos[0]["debug_info"]["approximate_connection_time"] == 18_060


def test_an_event_is_delivered_once_and_acknowledged(fake: FakeSlack, app: App) -> None:
    ts = fake.post("C1", "U1", "hello")

    (event_id,) = fake.event_ids(ts)
    wait_for(lambda: fake.acknowledged(event_id) and not fake.unacknowledged)
    (request,) = app.requests
    (ack,) = fake.acks
    assert request.payload["event_id"] == event_id
    assert (request.retry_attempt, request.accepts_response_payload) == (0, False)
    assert request.payload["event"]["ts"] == ts
    assert (ack.attempt, ack.late, ack.envelope_id) == (0, False, request.envelope_id)


def test_events_are_spread_over_the_open_sockets(fake: FakeSlack, connect: Callable[..., App]) -> None:
    first, second = connect(), connect()

    for number in range(6):
        fake.post("C1", "U1", str(number))

    wait_for(lambda: len(fake.acks) == 6 and not fake.unacknowledged)
    assert len(first.texts()) == len(second.texts()) == 3
    assert sorted(first.texts() + second.texts()) == list("012345")


def test_an_event_that_is_not_acknowledged_comes_again_with_a_reason() -> None:
    with FakeSlack(retry_waits_s=(0.0, 0.0, 0.0), ack_timeout_s=0.2) as fake:
        app = App(fake)
        fake.wait_connected()
        app.acknowledges = lambda request: request.retry_attempt == 2

        fake.post("C1", "U1", "hello")

        wait_for(lambda: fake.acks and not fake.unacknowledged)
        app.close()
    assert [(request.retry_attempt, request.retry_reason) for request in app.requests] == [
        (0, ""),
        (1, "timeout"),
        (2, "timeout"),
    ]
    assert len({request.envelope_id for request in app.requests}) == 3
    assert len({request.payload["event_id"] for request in app.requests}) == 1
    assert fake.lost == []


def test_an_event_that_nobody_acknowledges_is_given_up() -> None:
    with FakeSlack(retry_waits_s=(0.0, 0.0)) as fake:
        fake.post("C1", "U1", "hello")

        wait_for(lambda: fake.lost)
    assert [(pending.attempt, pending.reason) for pending in fake.lost] == [(3, "connection_failed")]
    assert fake.unacknowledged == []


def test_an_event_from_before_the_connection_waits_for_its_retry() -> None:
    with FakeSlack() as fake:
        fake.post("C1", "U1", "hello")
        wait_for(lambda: fake.unacknowledged[0].attempt == 2)  # the first and the immediate second failed
        app = App(fake)
        fake.wait_connected()

        fake.retry_now()

        wait_for(lambda: not fake.unacknowledged)
        app.close()
    assert [(request.retry_attempt, request.retry_reason) for request in app.requests] == [(2, "connection_failed")]


def test_a_late_acknowledgement_is_seen_and_does_not_count() -> None:
    with FakeSlack(retry_waits_s=(), ack_timeout_s=0.05) as fake:
        app = App(fake)
        fake.wait_connected()
        app.acknowledges = lambda request: bool(wait_for(lambda: fake.lost))

        fake.post("C1", "U1", "hello")

        wait_for(lambda: fake.acks)
        app.close()
    assert [ack.late for ack in fake.acks] == [True]


def test_an_acknowledged_event_can_come_again(fake: FakeSlack, app: App) -> None:
    (event_id,) = fake.event_ids(fake.post("C1", "U1", "hello"))
    wait_for(lambda: fake.acknowledged(event_id))

    fake.redeliver(event_id)

    wait_for(lambda: len(app.requests) == 2 and not fake.unacknowledged)
    assert [request.retry_attempt for request in app.requests] == [0, 1]


def test_a_connection_that_breaks_is_built_again(fake: FakeSlack, connect: Callable[..., App]) -> None:
    app = connect(ping_interval_s=0.1)

    fake.abort()

    wait_for(lambda: len(fake.all_sockets) == 2)
    fake.wait_connected()
    fake.post("C1", "U1", "still there?")
    wait_for(lambda: app.texts() == ["still there?"])


def test_a_disconnect_message_makes_the_client_connect_anew(fake: FakeSlack, connect: Callable[..., App]) -> None:
    connect()

    fake.disconnect("refresh_requested")

    wait_for(lambda: len(fake.all_sockets) == 2)
    fake.wait_connected()
    assert fake.all_sockets[0].sent[-1]["reason"] == "refresh_requested"
    assert not fake.all_sockets[0].open


def test_a_warning_leaves_the_socket_open_for_its_time() -> None:
    with FakeSlack(warning_s=3600) as fake:
        app = App(fake)
        fake.wait_connected()
        first = fake.sockets[0]

        fake.refresh()

        wait_for(lambda: first.sent[-1].get("reason") == "warning")
        assert not first.leaving
        wait_for(lambda: len(fake.all_sockets) == 2)
        fake.abort(first)
        wait_for(lambda: app.client.is_connected() and not first.open)
        app.close()


def test_a_socket_is_refreshed_when_its_time_is_over() -> None:
    with FakeSlack(warning_s=0.0, connection_time_s=0.1) as fake:
        app = App(fake)
        wait_for(lambda: len(fake.all_sockets) >= 3)
        app.close()
        reasons = [message["reason"] for message in fake.all_sockets[0].sent if message["type"] == "disconnect"]
    assert reasons == ["warning", "refresh_requested"]


def test_a_frozen_socket_gets_events_assigned_and_delivers_none() -> None:
    with FakeSlack(retry_waits_s=(0.0,) * 50, ack_timeout_s=0.2) as fake:
        ghost, app = App(fake), App(fake)
        fake.wait_connected(2)
        frozen = fake.sockets[0]

        fake.freeze(frozen)
        for number in range(4):
            fake.post("C1", "U1", str(number))

        wait_for(lambda: not fake.unacknowledged)
        assert frozen.open
        assert len([message for message in frozen.sent if message["type"] == "events_api"]) >= 2
        fake.thaw(frozen)
        ghost.close()
        app.close()
    assert set(app.texts()) == set("0123")
    assert ghost.texts() == []


def test_what_is_said_to_a_frozen_socket_is_read_when_it_thaws(fake: FakeSlack, app: App) -> None:
    app.acknowledges = lambda request: wait_for(lambda: fake.sockets[0].frozen)
    (event_id,) = fake.event_ids(fake.post("C1", "U1", "hello"))
    wait_for(lambda: len(fake.sockets[0].sent) == 2)

    fake.freeze()
    wait_for(lambda: app.answered)
    assert fake.acks == []
    fake.thaw()

    wait_for(lambda: fake.acknowledged(event_id))


def test_a_frozen_socket_answers_no_ping(fake: FakeSlack, connect: Callable[..., App]) -> None:
    app = connect(ping_interval_s=0.2)
    wait_for(lambda: fake.sockets[0].pings >= 2)

    fake.freeze()

    wait_for(lambda: len(fake.all_sockets) >= 2, deadline_s=20)
    assert fake.all_sockets[0].open  # the server does not notice
    fake.wait_connected(2)
    wait_for(app.client.is_connected)


def test_the_server_pings_and_the_client_answers() -> None:
    with FakeSlack(ping_interval_s=0.05) as fake:
        app = App(fake)
        wait_for(lambda: fake.sockets and fake.sockets[0].last_pong is not None)
        app.close()


def test_a_slow_hello_delays_the_events() -> None:
    with FakeSlack(hello_delay_s=3600, retry_waits_s=(0.0,)) as fake:
        app = App(fake)
        wait_for(lambda: fake.sockets)

        fake.post("C1", "U1", "hello")

        wait_for(lambda: fake.lost)
        app.close()
    assert app.requests == []


def test_the_eleventh_socket_is_sent_away(fake: FakeSlack, connect: Callable[..., App]) -> None:
    fake.timing.max_sockets = 1
    connect()
    app = App(fake)

    wait_for(lambda: len(fake.all_sockets) >= 2)
    app.close()
    sent = fake.all_sockets[1].sent
    assert [(message["type"], message["reason"]) for message in sent] == [("disconnect", "too_many_websockets")]


def test_a_ticket_is_good_for_one_connection(fake: FakeSlack, web: Any) -> None:
    url = web.apps_connections_open(app_token=fake.app_token)["url"].replace("ws://", "http://")

    assert httpx.get(url).status_code == 400  # no WebSocket handshake, but the ticket is used up
    again = httpx.get(url)
    assert (again.status_code, again.json()) == (401, {"ok": False, "error": "invalid_ticket"})


@pytest.mark.parametrize(("kind", "error"), [("auth", "invalid_auth"), ("rate_limit", "ratelimited")])
def test_opening_connections_can_be_refused(fake: FakeSlack, web: Any, kind: Any, error: str) -> None:
    fake.fail_next(kind, "apps.connections.open", always=True)

    for _ in range(2):
        with pytest.raises(SlackApiError) as refusal:
            web.apps_connections_open(app_token=fake.app_token)
        answer: Any = refusal.value.response
        assert answer["error"] == error

    fake.heal()
    assert web.apps_connections_open(app_token=fake.app_token)["ok"]


def test_the_server_comes_back_on_its_port_and_delivers_what_was_not_acknowledged() -> None:
    fake = FakeSlack(retry_waits_s=tuple([0.05] * 400))
    fake.start()
    app = App(fake, ping_interval_s=0.1)
    fake.wait_connected()
    url = fake.url

    fake.stop()
    fake.stop()
    fake.post("C1", "U1", "said meanwhile")
    fake.start()

    assert fake.url == url
    wait_for(lambda: app.texts() == ["said meanwhile"], deadline_s=20)
    app.close()
    fake.stop()


def test_what_acknowledges_nothing_is_kept_for_the_test(fake: FakeSlack, app: App) -> None:
    app.client.send_message(json.dumps({"envelope_id": "nobody's"}))
    app.client.send_message("no json")

    wait_for(lambda: len(fake.stray_acks) == 2)
    assert fake.stray_acks[0] == {"envelope_id": "nobody's"}
